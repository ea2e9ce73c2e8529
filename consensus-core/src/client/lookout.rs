//! Where the leader is: which address a client that is no member calls, and when it calls another.
//!
//! A [`Lookout`] keeps its host at one connection. Any member that takes the client says who leads
//! and where all members are, and says so again when that changes (dissertation 6.2). The client
//! goes where it is sent, but not in circles: a word is as old as who said it, and a leader that
//! cannot be reached is not called again on the word of others before they had time to elect
//! another. Whoever knows no leader is left after a while, since an isolated member never learns.
//!
//! It never judges what became of a call: that is [`Client`](super::Client)'s, which is told where
//! to send by [`Move::Route`].

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use crate::{
    codec::{
        Decode, DecodeError, Encode, put_bytes, put_u32, put_u64, take_bytes, take_u32, take_u64,
    },
    members::NodeId,
    time::Time,
};

/// How long a member that does not lead is listened to before another is called.
pub const WATCH: Duration = Duration::from_secs(1);

/// How long a leader that could not be reached is not called again on the word of others.
pub const FORGET: Duration = Duration::from_secs(1);

/// The longest pause before the first attempt to connect again, and the longest of all: it doubles
/// with each round through all addresses.
pub const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// How often in a row the client goes where it is sent before it stays and listens.
const HOPS_MAX: u32 = 3;

/// What a member tells a client of its group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whereabouts {
    /// Who leads, as far as the member knows.
    pub leader: Option<NodeId>,
    /// Where each member takes clients; a member without an address takes none.
    pub members: BTreeMap<NodeId, String>,
}

/// What the host of a [`Lookout`] is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Give up the present connection, if there is one, and call this address.
    Call(String),
    /// Tell [`Client::route`](super::Client::route): only a connected leader is routed to.
    Route(Option<NodeId>),
}

/// Finds a group's leader, and finds it again.
#[derive(Clone, Debug)]
pub struct Lookout {
    /// Addresses that the client was given.
    seeds: Vec<String>,
    members: BTreeMap<NodeId, String>,
    stage: Stage,
    /// Whom to call first once the pause is over.
    first: Option<NodeId>,
    /// A leader that could not be reached, and until when others' word for it counts for nothing.
    missing: Option<(NodeId, Time)>,
    /// Connections that were not made or were lost since the leader was last found.
    failures: u32,
    /// How often the client went where it was sent since it last chose itself.
    hops: u32,
    /// Which address is called next.
    turn: usize,
    jitter: ChaCha8Rng,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nobody is called before this moment.
    Resting { until: Time },
    /// Somebody is called, as the leader if there is a name.
    Calling { leader: Option<NodeId> },
    /// A member that does not lead is listened to until this moment.
    Watching { at: NodeId, until: Time },
    /// The leader is connected.
    Found { at: NodeId },
}

impl Lookout {
    /// Makes a lookout that calls `seeds` until one answers; `seed` decides how long it pauses
    /// between attempts, so that clients that lost the same leader do not all come at once.
    pub fn new(seeds: Vec<String>, seed: u64) -> Self {
        Self {
            seeds,
            members: BTreeMap::new(),
            stage: Stage::Resting { until: Time::ZERO },
            first: None,
            missing: None,
            failures: 0,
            hops: 0,
            turn: 0,
            jitter: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// Returns when to tick next, if ever.
    pub fn due(&self) -> Option<Time> {
        match self.stage {
            Stage::Resting { until } | Stage::Watching { until, .. } => Some(until),
            Stage::Calling { .. } | Stage::Found { .. } => None,
        }
    }

    /// Returns the member that is connected and does not lead, while it is listened to: it may
    /// answer queries ([`Client::reach`](super::Client::reach)).
    pub fn watched(&self) -> Option<NodeId> {
        match self.stage {
            Stage::Watching { at, .. } => Some(at),
            Stage::Resting { .. } | Stage::Calling { .. } | Stage::Found { .. } => None,
        }
    }

    /// Calls somebody if it is time to.
    pub fn tick(&mut self, now: Time, out: &mut Vec<Move>) {
        if self.due().is_some_and(|due| now >= due) {
            self.hops = 0;
            self.call(now, out);
        }
    }

    /// Takes what the member `at`, which is connected, says.
    pub fn told(&mut self, now: Time, at: NodeId, whereabouts: Whereabouts, out: &mut Vec<Move>) {
        let Whereabouts { leader, members } = whereabouts;
        if !members.is_empty() {
            self.members = members;
        }
        if leader == Some(at) {
            if self.stage != (Stage::Found { at }) {
                self.stage = Stage::Found { at };
                (self.failures, self.hops, self.missing) = (0, 0, None);
                out.push(Move::Route(Some(at)));
            }
            return;
        }

        if matches!(self.stage, Stage::Found { .. }) {
            out.push(Move::Route(None));
        }
        let reachable = leader.filter(|leader| !self.is_missing(*leader, now));
        let address = reachable.and_then(|leader| self.members.get(&leader).cloned());
        match address {
            Some(address) if self.hops < HOPS_MAX => {
                self.hops += 1;
                self.stage = Stage::Calling { leader };
                out.push(Move::Call(address));
            }
            Some(_) | None => {
                if !matches!(self.stage, Stage::Watching { .. }) {
                    self.stage = Stage::Watching { at, until: now + WATCH };
                }
            }
        }
    }

    /// Takes note that the connection was lost, or was not made, or was refused.
    pub fn lost(&mut self, now: Time, out: &mut Vec<Move>) {
        match self.stage {
            // It may live and only the connection have broken: nobody knows better than itself.
            Stage::Found { at } => {
                self.first = Some(at);
                out.push(Move::Route(None));
            }
            Stage::Calling { leader: Some(leader) } => {
                self.missing = Some((leader, now + FORGET));
            }
            Stage::Calling { leader: None } | Stage::Watching { .. } | Stage::Resting { .. } => {}
        }
        let rounds = self.failures / u32::try_from(self.addresses(now).len().max(1)).unwrap_or(1);
        self.failures += 1;
        let longest = BACKOFF.0.saturating_mul(2_u32.saturating_pow(rounds)).min(BACKOFF.1);
        let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX).max(1);
        let pause = Duration::from_micros(self.jitter.next_u64() % micros);
        self.stage = Stage::Resting { until: now + pause };
    }

    /// Calls whoever's turn it is.
    fn call(&mut self, now: Time, out: &mut Vec<Move>) {
        let first = self.first.take();
        if let Some(address) = first.and_then(|leader| self.members.get(&leader).cloned()) {
            self.stage = Stage::Calling { leader: first };
            out.push(Move::Call(address));
            return;
        }
        let addresses = self.addresses(now);
        if addresses.is_empty() {
            return;
        }
        let address = addresses.get(self.turn % addresses.len()).cloned();
        self.turn = self.turn.wrapping_add(1);
        self.stage = Stage::Calling { leader: None };
        out.extend(address.map(Move::Call));
    }

    /// Returns whom to call: the members, then what the client was given, which may be right when
    /// all members have moved.
    fn addresses(&self, now: Time) -> Vec<String> {
        let there = |(node, address): (&NodeId, &String)| {
            (!self.is_missing(*node, now)).then(|| address.clone())
        };
        let mut addresses: Vec<String> = self.members.iter().filter_map(there).collect();
        let known = |seed: &&String| !self.members.values().any(|address| address == *seed);
        addresses.extend(self.seeds.iter().filter(known).cloned());
        if addresses.is_empty() { self.seeds.clone() } else { addresses }
    }

    fn is_missing(&self, node: NodeId, now: Time) -> bool {
        self.missing.is_some_and(|(missing, until)| missing == node && now < until)
    }
}

impl Encode for Whereabouts {
    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.leader.map_or(0, NodeId::number));
        put_u32(out, self.members.len() as u32);
        for (node, address) in &self.members {
            put_u64(out, node.number());
            put_bytes(out, address.as_bytes());
        }
    }
}

impl Decode for Whereabouts {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        let leader = NodeId::new(take_u64(input)?);
        let count = take_u32(input)?;
        let mut members = BTreeMap::new();
        for _ in 0..count {
            let node = NodeId::new(take_u64(input)?).ok_or(DecodeError::Invalid("node id"))?;
            let address = String::from_utf8(take_bytes(input)?.into());
            members.insert(node, address.map_err(|_| DecodeError::Invalid("address"))?);
        }
        Ok(Self { leader, members })
    }
}
