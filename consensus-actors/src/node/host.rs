//! Hosting a group: its replica, its role, and their start.

use std::{
    collections::BTreeMap, future::IntoFuture, io, marker::PhantomData, pin::Pin, sync::Arc,
    time::Duration,
};

use actix::{Actor, Addr, Arbiter, ArbiterHandle, Context, Handler, Message};
use consensus_core::{
    GroupId, Members, Membership, NodeId, Token,
    client::{Attempt, Patience},
    codec::Decode,
    journal::Recovered,
    multi_paxos,
    raft::{self, Raft},
};

use super::{
    Board, Shared, deciding,
    group::HostedGroup,
    wiring::{GroupInlet, GroupOutlets},
};
use crate::{
    Protocol,
    abort::AbortOnPanic,
    archive::{Archive, Open, Workers},
    client::Client,
    clock::{self, Clock, NodeClock},
    config::{
        Layers, Setting, Settings, Typed,
        table::{
            APPEND_BYTES_MAX, APPEND_WINDOW, APPEND_WINDOW_BYTES, CATCH_UP_SLACK, CHECK_QUORUM,
            CLOCK_DRIFT, DEADLINE, ELECTION_TIMEOUT, HEARTBEAT, LEASE, OWN_THREAD, PHASE1, PHASE2,
            PRE_VOTE, PRIORITY, PROPOSALS_BYTES_MAX, PROPOSALS_MAX, PROTOCOL, REST, SNAPSHOT_BYTES,
            SNAPSHOT_EVERY, SNAPSHOT_KEEP,
        },
    },
    decisions::{self, DecisionOutlets, Desk},
    error::{Code, Error, Result},
    journal::Records,
    multi_paxos::MultiPaxos,
    replica::{Keeping, Place, Proposer, Replica},
    replicated::Replicated,
    role::{Hosted, Labels, Post, Serving},
    seat::Seat,
    transport::{Inlet, Inlets, Links, Presence, Roster},
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
    id: GroupId,
    name: String,
    /// Ends the actor that holds the seat.
    vacate: Box<dyn FnOnce()>,
}

struct Host<S> {
    name: String,
    said: Layers,
    arbiter: Option<ArbiterHandle>,
    state: PhantomData<fn() -> S>,
}

impl<S: Replicated> Message for Host<S> {
    type Result = Result<(Client<S>, Arc<Board>)>;
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
    type Result = Result<(Client<S>, Arc<Board>)>;

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
        self.desk.iter().for_each(|desk| desk.seat().vacate());
    }
}

impl NodeActor {
    fn host_raft<S: Replicated>(
        &mut self,
        name: String,
        group: GroupId,
        arbiter: Option<ArbiterHandle>,
    ) -> Result<(Client<S>, Arc<Board>)> {
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
        let process = self.recover::<Raft>(config, &name, group)?;
        self.seat(process, (name, group), arbiter)
    }

    fn host_multi_paxos<S: Replicated>(
        &mut self,
        name: String,
        group: GroupId,
        arbiter: Option<ArbiterHandle>,
    ) -> Result<(Client<S>, Arc<Board>)> {
        let invalid =
            |reason: String| Error::new(Code::Config, format!("group {name:?}: {reason}"));
        let membership = self.first_membership();
        let reads_from = self.draw()? >> 1;
        let settings = self.settings.group(&name);
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
        let process = self.recover::<MultiPaxos>(config, &name, group)?;
        self.seat(process, (name, group), arbiter)
    }

    fn draw(&mut self) -> Result<u64> {
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

    /// Starts what this node has of decisions, if it takes part in any.
    pub(super) fn seat_decisions(&mut self) -> Result<Option<Arc<Desk>>> {
        let founders: Vec<NodeId> = self.founders.keys().copied().collect();
        let Some(config) = deciding::config(&self.settings, founders) else { return Ok(None) };
        let (group, name) = (decisions::group(), "decisions");
        let (process, durable) = self.recover::<decisions::Paxos>(config, name, group)?;
        let desk = Arc::new(Desk::new());
        self.records.register(group, Arc::clone(&desk) as _);
        let outlets = DecisionOutlets {
            records: self.records.clone(),
            links: self.links.clone(),
            desk: Arc::clone(&desk),
        };
        let labels = Labels { node: self.settings.id, group: name.into() };
        let (seat, outlets) = (Arc::clone(desk.seat()), Box::new(outlets));
        Post::take(process, seat, self.time.clone(), durable, outlets, labels);
        self.inlets.add(group, Arc::clone(&desk) as Arc<dyn Inlet>);
        self.clock.do_send(clock::Register(Arc::clone(&desk) as _));
        self.desk = Some(Arc::clone(&desk));
        Ok(Some(desk))
    }

    /// Rebuilds a group's process from what the journal holds of it.
    fn recover<P: Hosted>(
        &mut self,
        config: P::Config,
        name: &str,
        group: GroupId,
    ) -> Result<(P, Token)> {
        let damaged = |reason: String| {
            let message = format!(
                "the journal's records of group {name:?} make no sense: {reason}; keep the data \
                 directory, and restore this node from its peers"
            );
            Error::new(Code::JournalCorrupt, message)
        };
        let found = self.recovered.records.get(&group).and_then(|records| records.first());
        // All are of one protocol: whoever began with another was refused here.
        if found.is_some_and(|(_, bytes)| !P::wrote(bytes)) {
            let message = format!(
                "group {name:?} of this data directory is replicated by another protocol than {}; \
                 set `protocol` as it was, since a group keeps its protocol for as long as it has \
                 data, or host the state under another name",
                self.settings.group(name).get(&PROTOCOL).name()
            );
            return Err(Error::new(Code::Config, message));
        }
        let mut records = Vec::new();
        for (token, bytes) in self.recovered.records.get(&group).into_iter().flatten() {
            let record = P::Record::decode_all(bytes.clone());
            records.push((*token, record.map_err(|error| damaged(error.to_string()))?));
        }
        let durable = records.last().map(|(token, _)| *token).unwrap_or_default();
        let process = P::recover(config, self.time.now(), records);
        let process = process.map_err(|error| damaged(error.to_string()))?;
        self.recovered.records.remove(&group);
        Ok((process, durable))
    }

    /// Starts a group's actors and wires them to the journal, the links, the clock and the peer
    /// port.
    fn seat<S: Replicated, P: Serving>(
        &mut self,
        (process, durable): (P, Token),
        (name, group): (String, GroupId),
        arbiter: Option<ArbiterHandle>,
    ) -> Result<(Client<S>, Arc<Board>)> {
        let first_attempt = Attempt(self.draw()? >> 2);
        let seat = Arc::new(Seat::<P>::vacant());
        let board = Arc::new(Board::new(self.time.clone()));
        let label: Arc<str> = name.as_str().into();
        let settings = self.settings.group(&name);
        let timeout = settings.get(&ELECTION_TIMEOUT);
        let own_thread = settings.get(&OWN_THREAD) && arbiter.is_none();
        let arbiter = match own_thread {
            true => Some(Arbiter::new().handle()),
            false => arbiter,
        };
        let cut = process.snapshot();
        let place = Place {
            node: self.settings.id,
            group,
            name: Arc::clone(&label),
            seat: Arc::clone(&seat) as Arc<dyn Proposer>,
            links: self.links.clone(),
            clock: self.time.clone(),
            board: Arc::clone(&board),
            first_attempt,
            patience: Patience { retry_after: timeout, pause: timeout / 10 },
            deadline: settings.get(&DEADLINE),
            keeping: Keeping { archive: self.archive.clone(), workers: Arc::clone(&self.workers) },
            heartbeat: settings.get(&HEARTBEAT),
            is_apart: arbiter.is_some(),
        };
        let (keep, restoring) = (settings.get(&SNAPSHOT_KEEP), cut.is_some());
        let replica = Replica::<S>::new(place, restoring);
        let replica = match arbiter {
            Some(arbiter) => Replica::start_in_arbiter(&arbiter, move |_| replica),
            None => replica.start(),
        };

        self.records.register(group, Arc::clone(&seat) as _);
        let outlets = GroupOutlets {
            group,
            records: self.records.clone(),
            archive: self.archive.clone(),
            links: self.links.clone(),
            replica: replica.clone().recipient(),
            board: Arc::clone(&board),
            roster: self.roster.clone(),
            last: None,
        };
        let labels = Labels { node: self.settings.id, group: label };
        Post::take(
            process,
            Arc::clone(&seat),
            self.time.clone(),
            durable,
            Box::new(outlets),
            labels,
        );

        self.archive.do_send(Open {
            group,
            name: name.as_str().into(),
            keep: usize::try_from(keep).unwrap_or(usize::MAX),
            reports: Arc::clone(&seat) as _,
            shown: Arc::clone(&board) as _,
            cut,
            back: Replica::returns(replica.clone()),
        });
        let inlet = GroupInlet {
            seat: Arc::clone(&seat),
            replica: replica.clone(),
            board: Arc::clone(&board),
        };
        let inlet = Arc::new(inlet);
        self.inlets.add(group, Arc::clone(&inlet) as Arc<dyn Inlet>);
        self.presence.introduce(&*inlet);
        self.clock.do_send(clock::Register(inlet));
        let vacate = Box::new(move || seat.vacate());
        self.hosted.push(SeatedGroup { id: group, name, vacate });
        Ok((Client::from(replica), board))
    }
}
