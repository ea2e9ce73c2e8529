//! Hosting a group: its replica, its role, and their start.

use std::{
    collections::BTreeMap, future::IntoFuture, io, marker::PhantomData, pin::Pin, sync::Arc,
    time::Duration,
};

use actix::{Actor, Addr, ArbiterHandle, Context, Handler, Message};
use consensus_core::{
    GroupId, Members, Membership, NodeId,
    journal::Recovered,
    multi_paxos,
    raft::{self, Raft},
};

use super::{Shared, group::HostedGroup, seating::Seated};
use crate::{
    Placement, Protocol,
    abort::AbortOnPanic,
    archive::{Archive, Workers},
    clock::{Clock, NodeClock},
    config::{
        Layers, Setting, Settings, Typed,
        table::{
            APPEND_BYTES_MAX, APPEND_WINDOW, APPEND_WINDOW_BYTES, CATCH_UP_SLACK, CHECK_QUORUM,
            CLOCK_DRIFT, DEADLINE, ELECTION_TIMEOUT, HEARTBEAT, LEASE, OWN_THREAD, PHASE1, PHASE2,
            PLACEMENT, PRE_VOTE, PRIORITY, PROPOSALS_BYTES_MAX, PROPOSALS_MAX, PROTOCOL, REST,
            SNAPSHOT_BYTES, SNAPSHOT_EVERY,
        },
    },
    decisions::Desk,
    error::{Code, Error, Result},
    journal::Records,
    multi_paxos::MultiPaxos,
    replicated::Replicated,
    transport::{Inlets, Links, Presence, Roster},
};

/// A group about to be hosted: `.await` hosts it and gives its typed client.
#[must_use = "a group is hosted once this is awaited"]
pub struct Hosting<S> {
    shared: Arc<Shared>,
    name: String,
    /// What code says of the group.
    said: Result<Layers>,
    /// Where the state lives, if code says so.
    arbiter: Option<ArbiterHandle>,
    state: PhantomData<fn() -> S>,
}

impl<S: Replicated> Hosting<S> {
    pub(super) fn new(shared: Arc<Shared>, name: String) -> Self {
        Self { shared, name, said: Ok(Layers::default()), arbiter: None, state: PhantomData }
    }

    /// Sets the deadline of calls that name none, whatever flags, environment and file say.
    pub fn deadline(self, deadline: Duration) -> Self {
        self.set(&DEADLINE, deadline)
    }

    /// Gives the group's state a thread of its own, whatever flags, environment and file say: one
    /// that is large to copy, or slow to apply, then holds up nothing but its own callers.
    pub fn own_thread(self) -> Self {
        self.set(&OWN_THREAD, true)
    }

    /// Keeps the group's state on this arbiter, which may be that of other states, or of actors that
    /// call the group often.
    pub fn on_arbiter(mut self, arbiter: ArbiterHandle) -> Self {
        self.arbiter = Some(arbiter);
        self
    }

    /// Sets the protocol that replicates the group, whatever flags, environment and file say.
    pub fn protocol(self, protocol: Protocol) -> Self {
        self.set(&PROTOCOL, protocol)
    }

    /// Sets where this node has the group's roles, whatever flags, environment and file say.
    pub fn placement(self, placement: Placement) -> Self {
        self.set(&PLACEMENT, placement)
    }

    /// Sets after how many entries a snapshot is taken, whatever flags, environment and file say.
    pub fn snapshot_every(self, entries: u64) -> Self {
        self.set(&SNAPSHOT_EVERY, entries)
    }

    fn set<T: Typed>(mut self, setting: &'static Setting<T>, value: T) -> Self {
        if let Ok(said) = &mut self.said
            && let Err(error) = said.set_of_group(&self.name, setting, value)
        {
            self.said = Err(error);
        }
        self
    }
}

impl<S> std::fmt::Debug for Hosting<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hosting").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<S: Replicated> IntoFuture for Hosting<S> {
    type Output = Result<S::Client>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { shared, name, said, arbiter, .. } = self;
            if name.is_empty()
                || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            {
                let message = format!(
                    "{name:?} is no name for a group; use letters, digits, '-', '_' and '.', since \
                     it stands in URLs"
                );
                return Err(Error::new(Code::Config, message));
            }
            let mut said = said?;
            said.set_of_type(&name, S::SETTINGS)?;
            if S::PROTOCOL != Protocol::Raft {
                said.set_of_type(&name, &[(PROTOCOL.key.name, S::PROTOCOL.name())])?;
            }
            let (name_there, said_there) = (name.clone(), said.clone());
            let host =
                Host::<S> { name: name_there, said: said_there, arbiter, state: PhantomData };
            let stopped = || Error::stopping(consensus_core::Outcome::NotApplied);
            let (client, board) = shared.actor.send(host).await.map_err(|_| stopped())??;
            shared.configure(&name, said)?;
            let protocol = shared.protocol_of(&name);
            let (label, identity) = (name.clone(), shared.identity.clone());
            let group = HostedGroup::new((label, protocol), client.clone(), board, identity);
            shared.groups().insert(name, Arc::new(group));
            Ok(S::Client::from(client))
        })
    }
}

/// Takes a bound; one beyond what the machine can address bounds nothing.
fn usize_of(bound: u64) -> usize {
    usize::try_from(bound).unwrap_or(usize::MAX)
}

/// Draws a random number that nobody has drawn before.
pub(crate) type Draw = Box<dyn FnMut() -> io::Result<u64> + Send>;

/// The actor that starts and wires the actors of groups.
pub(crate) struct NodeActor {
    pub(super) settings: Settings,
    pub(super) founders: BTreeMap<NodeId, String>,
    pub(super) roster: Roster,
    pub(super) recovered: Recovered,
    pub(super) records: Records,
    pub(super) archive: Addr<Archive>,
    pub(super) workers: Workers,
    pub(super) clock: Addr<Clock>,
    pub(super) time: NodeClock,
    pub(super) draw: Draw,
    pub(super) links: Links,
    pub(super) inlets: Inlets,
    pub(super) presence: Presence,
    pub(super) hosted: Vec<SeatedGroup>,
    pub(super) desk: Option<Arc<Desk>>,
}

/// A group that this node hosts.
pub(super) struct SeatedGroup {
    pub(super) id: GroupId,
    pub(super) name: String,
    /// Ends the actors of its roles.
    pub(super) vacate: Box<dyn FnOnce()>,
}

struct Host<S> {
    name: String,
    said: Layers,
    arbiter: Option<ArbiterHandle>,
    state: PhantomData<fn() -> S>,
}

impl<S: Replicated> Message for Host<S> {
    type Result = Result<Seated<S>>;
}

/// Ends the groups' actors.
pub(super) struct Shutdown;

impl Message for Shutdown {
    type Result = ();
}

impl Actor for NodeActor {
    type Context = Context<Self>;
}

impl<S: Replicated> Handler<Host<S>> for NodeActor {
    type Result = Result<Seated<S>>;

    fn handle(&mut self, host: Host<S>, _: &mut Self::Context) -> Self::Result {
        let _guard = AbortOnPanic("node");
        let name = host.name;
        let group = GroupId::named(&name);
        if let Some(other) = self.hosted.iter().find(|hosted| hosted.id == group) {
            let message = format!(
                "this node hosts a group {:?} already; give {name:?} a name of its own",
                other.name
            );
            return Err(Error::new(Code::GroupExists, message));
        }
        self.settings.add(&name, host.said)?;
        match self.settings.group(&name).get(&PROTOCOL) {
            Protocol::Raft => self.host_raft(name, group, host.arbiter),
            Protocol::MultiPaxos => self.host_multi_paxos(name, group, host.arbiter),
        }
    }
}

impl Handler<Shutdown> for NodeActor {
    type Result = ();

    fn handle(&mut self, _: Shutdown, _: &mut Self::Context) {
        let _guard = AbortOnPanic("node");
        self.hosted.drain(..).for_each(|group| (group.vacate)());
        self.desk.iter().for_each(|desk| desk.close());
    }
}

impl NodeActor {
    fn host_raft<S: Replicated>(
        &mut self,
        name: String,
        group: GroupId,
        arbiter: Option<ArbiterHandle>,
    ) -> Result<Seated<S>> {
        let reads_from = self.draw()? >> 1;
        let settings = self.settings.group(&name);
        let config = raft::Config::builder(self.settings.id, group, self.first_membership())
            .reads_from(reads_from)
            .election_timeout(settings.get(&ELECTION_TIMEOUT))
            .heartbeat(settings.get(&HEARTBEAT))
            .pre_vote(settings.get(&PRE_VOTE))
            .check_quorum(settings.get(&CHECK_QUORUM))
            .lease(settings.get(&LEASE))
            .clock_drift(u8::try_from(settings.get(&CLOCK_DRIFT)).unwrap_or(u8::MAX))
            .rests(settings.get(&REST))
            .priority(u8::try_from(settings.get(&PRIORITY)).unwrap_or(u8::MAX))
            .append_bytes_max(usize_of(settings.get(&APPEND_BYTES_MAX).0))
            .append_window(usize_of(settings.get(&APPEND_WINDOW)))
            .append_window_bytes(usize_of(settings.get(&APPEND_WINDOW_BYTES).0))
            .proposals_max(usize_of(settings.get(&PROPOSALS_MAX)))
            .proposals_bytes_max(usize_of(settings.get(&PROPOSALS_BYTES_MAX).0))
            .catch_up_slack(settings.get(&CATCH_UP_SLACK))
            .snapshot_entries(settings.get(&SNAPSHOT_EVERY))
            .snapshot_bytes(usize_of(settings.get(&SNAPSHOT_BYTES).0))
            .build()
            .map_err(|error| Error::new(Code::Config, error.to_string()))?;
        self.seat::<S, Raft>(config, (name, group), arbiter)
    }

    fn host_multi_paxos<S: Replicated>(
        &mut self,
        name: String,
        group: GroupId,
        arbiter: Option<ArbiterHandle>,
    ) -> Result<Seated<S>> {
        let invalid =
            |reason: String| Error::new(Code::Config, format!("group {name:?}: {reason}"));
        let membership = self.first_membership();
        let reads_from = self.draw()? >> 1;
        let settings = self.settings.group(&name);
        let placement = settings.get(&PLACEMENT);
        let quorum = |setting| settings.find(setting).map(usize_of);
        let config = multi_paxos::Config::builder(self.settings.id, group, membership)
            .quorum_sizes(quorum(&PHASE1), quorum(&PHASE2))
            .catch_up_slack(settings.get(&CATCH_UP_SLACK))
            .reads_from(reads_from)
            .election_timeout(settings.get(&ELECTION_TIMEOUT))
            .heartbeat(settings.get(&HEARTBEAT))
            .lease(settings.get(&LEASE))
            .clock_drift(u8::try_from(settings.get(&CLOCK_DRIFT)).unwrap_or(u8::MAX))
            .priority(u8::try_from(settings.get(&PRIORITY)).unwrap_or(u8::MAX))
            .accept_bytes_max(usize_of(settings.get(&APPEND_BYTES_MAX).0))
            .accept_window(usize_of(settings.get(&APPEND_WINDOW)))
            .accept_window_bytes(usize_of(settings.get(&APPEND_WINDOW_BYTES).0))
            .proposals_max(usize_of(settings.get(&PROPOSALS_MAX)))
            .proposals_bytes_max(usize_of(settings.get(&PROPOSALS_BYTES_MAX).0))
            .snapshot_entries(settings.get(&SNAPSHOT_EVERY))
            .snapshot_bytes(usize_of(settings.get(&SNAPSHOT_BYTES).0))
            .build()
            .map_err(|error| invalid(error.to_string()))?;
        match placement.parts() {
            [] => self.seat::<S, MultiPaxos>(config, (name, group), arbiter),
            parts => self.seat_apart((config, parts), (name, group), arbiter),
        }
    }

    pub(super) fn draw(&mut self) -> Result<u64> {
        (self.draw)().map_err(|error| {
            Error::new(Code::Disk, format!("cannot draw a random number: {error}"))
        })
    }

    /// Returns the membership that groups begin with: of the founders, or, on a node that joins
    /// them, of nobody.
    fn first_membership(&self) -> Membership {
        let Some(founders) = Members::new(self.founders.keys().copied()) else {
            return Membership::default();
        };
        let reached = self.founders.iter().filter(|(_, address)| !address.is_empty());
        reached.fold(founders.into(), |membership: Membership, (node, address)| {
            membership.with_contact(*node, address)
        })
    }
}
