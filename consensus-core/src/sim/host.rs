//! A simulated node: a process of the protocol, a replica, a client, a disk and a clock.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;

use super::{
    drive::Drive,
    fault::Fault,
    presence::Presence,
    protocol::{Adversary, Simulated},
    random::Random,
    script::Temper,
    shelf::Shelf,
};
#[cfg(feature = "mutants")]
use crate::mutants::Bug;
use crate::{
    client::{Admin, Attempt, CallId, Client, Patience},
    error::SubmitError,
    journal::Config,
    log::{Decided, Index},
    members::NodeId,
    membership::Membership,
    process::{GroupId, Submission, Ticket, Token},
    read::{Read, ReadLevel},
    replica::Replica,
    snapshot::{Cut, Order, SnapshotId},
    state_machine::StateMachine,
    time::{Time, WallTime},
};

/// Where a process is made to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CrashPoint {
    /// Before anything of a step is carried out.
    Before,
    /// When so many effects of a step are carried out, or within a write or sync.
    Between(u64),
    /// Within the sync of a write that is long enough to tear.
    Torn,
    /// When records are durable and the process has not learned so.
    After,
}

/// Whether a node runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Up,
    Down,
    /// For good: its disk cannot be trusted.
    Lost(String),
}

/// Who waits for the answer to a ticket.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) node: NodeId,
    pub(super) attempt: Attempt,
    pub(super) query: Option<(Bytes, ReadLevel)>,
}

/// What the protocol told the replica, which gets to it a little later.
#[derive(Clone, Debug)]
pub(super) enum Decision {
    Apply(Decided),
    ReadReady(Ticket, Index),
    Answer(Ticket, SubmitError),
    Done(Ticket),
    Route(Option<NodeId>),
    Take(Cut),
    Restore(SnapshotId),
}

/// What a node's snapshots are waiting for.
#[derive(Clone, Debug)]
pub(super) enum Errand<S> {
    /// One of this state is to be written.
    Save(Cut, Replica<S>),
    /// A part is to be read or kept, or old ones are to be removed.
    Order(Order),
}

/// A node's clocks.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    started: Time,
    /// How much faster or slower than true time it runs, in millionths.
    drift: i64,
    /// How far the wall clock is set forward or back, in milliseconds.
    offset: i64,
}

/// Noon of some day: wall clocks start there.
const NOON: i64 = 1_700_000_000_000;

impl Clock {
    fn scaled(&self, true_time: Duration) -> Duration {
        let nanoseconds = i128::try_from(true_time.as_nanos()).unwrap_or(i128::MAX);
        let scaled = nanoseconds + nanoseconds * i128::from(self.drift) / 1_000_000;
        Duration::from_nanos(u64::try_from(scaled).unwrap_or_default())
    }

    /// Reads the monotonic clock, which starts with the process.
    pub(super) fn now(&self, now: Time) -> Time {
        Time::after_start(self.scaled(now.since(self.started)))
    }

    /// Returns the moment at which the monotonic clock will show `local`.
    pub(super) fn truth(&self, local: Time) -> Time {
        let rate = u128::try_from(1_000_000 + self.drift).unwrap_or(1_000_000);
        let nanoseconds = local.since(Time::ZERO).as_nanos() * 1_000_000 / rate;
        self.started + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    /// Reads the wall clock.
    pub(super) fn wall(&self, now: Time) -> WallTime {
        let since = self.scaled(now.since(Time::ZERO)).as_millis() as i64;
        WallTime(u64::try_from(NOON + since + self.offset).unwrap_or_default())
    }

    pub(super) fn set(&mut self, offset: i64) {
        self.offset = offset;
    }

    pub(super) fn replace(&mut self, drift: i64, offset: i64) {
        (self.drift, self.offset) = (drift, offset);
    }
}

/// Where a host stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) group: GroupId,
    pub(super) node: NodeId,
    pub(super) seed: u64,
    #[cfg(feature = "mutants")]
    pub(super) bug: Option<Bug>,
}

impl Place {
    fn shelf(&self, temper: &Temper) -> Shelf {
        let seed = (self.seed, self.node.number());
        let shelf = Shelf::new(seed, self.group, temper.snapshots, temper.faults);
        #[cfg(feature = "mutants")]
        let shelf = shelf.with_bug(self.bug);
        shelf
    }

    /// Returns the replica, with the bug that is put back.
    pub(super) fn judged<S: StateMachine>(&self, replica: Replica<S>) -> Replica<S> {
        #[cfg(feature = "mutants")]
        if let Some(Bug::Replica(mutant)) = self.bug {
            return replica.with_mutant(mutant);
        }
        replica
    }
}

/// A node.
pub(super) struct Host<P: Simulated, S: StateMachine> {
    pub(super) place: Place,
    /// Counts its processes: what was meant for one does not reach the next.
    pub(super) life: u64,
    pub(super) standing: Standing,
    /// What waits for a process that stands still.
    pub(super) parked: Option<Vec<super::event::Event>>,
    /// It came back without its disk, and its peers refuse it.
    pub(super) is_barred: bool,
    /// Something on its disk is to be changed, or was: it may not start again.
    pub(super) is_doomed: bool,
    /// Something on its disk was changed.
    pub(super) is_harmed: bool,
    pub(super) adversary: Option<Box<dyn Adversary<P>>>,
    pub(super) process: Option<P>,
    /// The role and term that were noted last, and the membership.
    pub(super) role: (&'static str, u64),
    pub(super) membership: Membership,
    /// Up to where its log was let go when that was looked at last.
    pub(super) covered: Index,
    pub(super) drive: Drive,
    pub(super) shelf: Shelf,
    pub(super) errands: VecDeque<Errand<S>>,
    pub(super) durable: Token,
    pub(super) committing: bool,
    pub(super) is_full: bool,
    /// Messages that wait for a record, by ascending token.
    pub(super) held: VecDeque<(Token, NodeId, P::Message)>,
    pub(super) replica: Replica<S>,
    /// Whether it was read back from a snapshot.
    pub(super) is_restored: bool,
    pub(super) inbox: VecDeque<Decision>,
    pub(super) applying: bool,
    ticket: u64,
    pub(super) asked: BTreeMap<Ticket, Asker>,
    pub(super) waiting: BTreeSet<(Index, Ticket)>,
    pub(super) client: Client,
    /// The operation that each call is part of.
    pub(super) calls: BTreeMap<CallId, usize>,
    /// What operators wait for.
    pub(super) requests: BTreeMap<CallId, Admin>,
    patience: Patience,
    pub(super) clock: Clock,
    pub(super) random: Random,
    /// Copies of messages that wait until this node leads (again): who sends twice may be heard at
    /// the worst of times.
    pub(super) stragglers: VecDeque<(NodeId, u64, Bytes)>,
    pub(super) armed: Option<CrashPoint>,
    /// The failure that its disk is to have next.
    pub(super) failing: Option<Fault>,
    /// What was asked of the protocol and is not handed over yet.
    pub(super) submissions: Vec<Submission>,
    pub(super) reads: Vec<Read>,
    pub(super) admins: Vec<(Ticket, Admin)>,
    pub(super) gathering: bool,
    pub(super) slow_until: Time,
    /// Whether a slow disk does nothing at all meanwhile.
    pub(super) stalls: bool,
    /// What the process was told that it is to end, once this is answered.
    pub(super) retiring: Option<Ticket>,
    pub(super) late_until: Time,
    /// Until when its replica is behind, and whether its process has been told.
    pub(super) behind_until: Time,
    pub(super) is_behind: bool,
    pub(super) presence: Presence,
    /// Whether it leads a group at rest.
    pub(super) rests: bool,
}

const HOSTS: u64 = 3 << 32;

impl<P: Simulated, S: StateMachine> Host<P, S> {
    /// Makes a node that was never started.
    pub(super) fn new(
        place: Place,
        temper: &Temper,
        adversary: Option<Box<dyn Adversary<P>>>,
    ) -> Self {
        let number = place.node.number();
        let config = Config::builder().segment_bytes(temper.segment_bytes).build();
        let config = config.expect("scripts draw lengths that fit");
        let drift = temper.drift.get(number as usize - 1).copied().unwrap_or_default();
        let timeout = temper.election_timeout;
        let patience = Patience { retry_after: timeout, pause: timeout / 10 };
        Self {
            life: 0,
            standing: Standing::Down,
            parked: None,
            is_barred: false,
            is_doomed: false,
            is_harmed: false,
            adversary,
            process: None,
            role: ("", 0),
            membership: Membership::default(),
            covered: Index::ZERO,
            drive: Drive::new(place.seed, number, place.group, config, temper.faults),
            shelf: place.shelf(temper),
            errands: VecDeque::new(),
            durable: Token::default(),
            committing: false,
            is_full: false,
            held: VecDeque::new(),
            replica: Replica::new(place.group),
            is_restored: false,
            inbox: VecDeque::new(),
            applying: false,
            ticket: 0,
            asked: BTreeMap::new(),
            waiting: BTreeSet::new(),
            client: Client::new(patience),
            calls: BTreeMap::new(),
            requests: BTreeMap::new(),
            patience,
            clock: Clock { started: Time::ZERO, drift, offset: 0 },
            random: Random::new(place.seed, HOSTS + number),
            stragglers: VecDeque::new(),
            armed: None,
            failing: None,
            submissions: Vec::new(),
            reads: Vec::new(),
            admins: Vec::new(),
            gathering: false,
            slow_until: Time::ZERO,
            stalls: false,
            retiring: None,
            late_until: Time::ZERO,
            behind_until: Time::ZERO,
            is_behind: false,
            presence: Presence::default(),
            rests: false,
            place,
        }
    }

    /// Prepares the next process: it has nothing but its disk.
    pub(super) fn begin_life(&mut self, now: Time) {
        self.life += 1;
        self.standing = Standing::Up;
        self.role = ("", 0);
        self.committing = false;
        self.is_full = false;
        self.replica = self.place.judged(Replica::new(self.place.group));
        self.is_restored = false;
        self.applying = false;
        self.clock.started = now;
        // Each life numbers its attempts where no other does.
        let first = Attempt(1 | self.life << 32);
        self.client = self.new_client().numbering_from(first);
    }

    fn new_client(&self) -> Client {
        let client = Client::new(self.patience).reading_from(self.place.node);
        #[cfg(feature = "mutants")]
        if let Some(Bug::Client(mutant)) = self.place.bug {
            return client.with_mutant(mutant);
        }
        client
    }

    /// Forgets what a process loses when it ends; returns the operations that it was asked for.
    pub(super) fn end_life(&mut self) -> Vec<usize> {
        self.life += 1;
        self.standing = Standing::Down;
        self.parked = None;
        self.armed = None;
        self.failing = None;
        self.retiring = None;
        self.is_behind = false;
        self.presence = Presence::default();
        self.rests = false;
        self.submissions.clear();
        self.reads.clear();
        self.admins.clear();
        self.gathering = false;
        self.process = None;
        self.held.clear();
        self.inbox.clear();
        self.errands.clear();
        self.asked.clear();
        self.waiting.clear();
        self.requests.clear();
        std::mem::take(&mut self.calls).into_values().collect()
    }

    /// Empties the disk: whoever starts from it has never been here.
    pub(super) fn wipe(&mut self) {
        self.drive.wipe();
        self.shelf.wipe();
        self.durable = Token::default();
    }

    pub(super) fn next_ticket(&mut self) -> Ticket {
        self.ticket += 1;
        Ticket(self.life << 32 | self.ticket)
    }

    pub(super) fn is_up(&self) -> bool {
        self.standing == Standing::Up
    }

    /// Tells whether its process of this number runs.
    pub(super) fn lives(&self, life: u64) -> bool {
        self.life == life && self.is_up()
    }

    /// Tells whether it runs and does not stand still.
    pub(super) fn is_awake(&self) -> bool {
        self.is_up() && self.parked.is_none()
    }

    /// Tells whether the protocol's invariants apply to it.
    pub(super) fn is_judged(&self) -> bool {
        !self.is_barred && self.adversary.is_none()
    }

    /// Tells whether service is expected of it once everything is mended.
    pub(super) fn is_good(&self) -> bool {
        self.is_judged() && !matches!(self.standing, Standing::Lost(_))
    }

    pub(super) fn leads(&self) -> bool {
        let status = self.process.as_ref().map(Simulated::status);
        self.is_up() && status.is_some_and(|status| status.leader == Some(self.place.node))
    }

    /// Puts what was read back from a snapshot in the place of its replica.
    pub(super) fn put(&mut self, replica: Replica<S>) {
        self.replica = self.place.judged(replica);
        self.is_restored = true;
    }

    /// Tells what its state went through, for people.
    pub(super) fn origin(&self) -> &'static str {
        if self.is_restored { ", which went through a snapshot," } else { "" }
    }

    /// Returns whom its process hands the lead over to.
    pub(super) fn handing_over(&self) -> Option<NodeId> {
        self.process.as_ref().and_then(|process| process.status().transfer)
    }

    /// Tells whether its process sees that the disk stalls.
    pub(super) fn stalls_visibly(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.status().disk_stalls)
    }

    /// Returns the last entry of its log, while it runs.
    pub(super) fn last(&self) -> Option<Index> {
        self.process.as_ref().map(|process| process.status().last)
    }

    /// Tells how it stands, for people.
    pub(super) fn standing(&self) -> String {
        let Some(process) = &self.process else { return format!("is {:?}", self.standing) };
        let status = process.status();
        format!(
            "is {} of term {} among {}, commits up to {} of {}, applied up to {}, {} calls wait",
            status.role,
            status.term,
            status.membership.describe(),
            status.committed,
            status.last,
            self.replica.applied(),
            self.calls.len()
        )
    }
}
