//! A cluster under virtual time: what happens next, and who is told.

use std::{
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    time::Duration,
};

use bytes::Bytes;

use super::{
    Adversary, Failure, Flaw,
    event::{Due, Event},
    fault::{Counts, Fault},
    host::{Host, Place},
    membership::Asked,
    network::Network,
    operations::Operations,
    plan::Plan,
    protocol::{Broken, Judge, Simulated},
    script::Script,
    served::Reads,
    trace::{Trace, What, nanoseconds},
};
use crate::{
    codec::Encode,
    members::{Members, NodeId},
    membership::Membership,
    process::GroupId,
    replica::Reply,
    state_machine::StateMachine,
    time::Time,
};

/// What was decided at an index, and what it answered on the replica that applied it first.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) command: Option<Bytes>,
    pub(super) reply: Option<Reply>,
}

/// A cluster, its surroundings and its callers.
pub(super) struct World<'a, P: Simulated, S: StateMachine> {
    pub(super) plan: &'a Plan,
    pub(super) script: Script,
    pub(super) group: GroupId,
    /// The first membership of the group.
    pub(super) membership: Membership,
    /// The changes of it that operators asked for, until they are over.
    pub(super) asked: Vec<Asked>,
    pub(super) hosts: BTreeMap<NodeId, Host<P, S>>,
    pub(super) network: Network,
    pub(super) judge: P::Judge,
    pub(super) operations: Operations,
    pub(super) decided: Vec<Entry>,
    pub(super) trace: Trace,
    pub(super) counts: Counts,
    pub(super) reads: Reads,
    pub(super) terms: BTreeSet<u64>,
    /// The links that strikes have cut and not mended yet.
    pub(super) cuts: BTreeMap<usize, Vec<(NodeId, NodeId)>>,
    /// The links that were cut when a leader changed who takes part, the oldest first.
    pub(super) quarrels: Vec<Vec<(NodeId, NodeId)>>,
    pub(super) mended: bool,
    /// The longest log when everything was mended.
    pub(super) backlog: u64,
    /// When an entry was applied last.
    pub(super) progressed: Time,
    pub(super) describe: &'a dyn super::workload::Workload<S>,
    pub(super) now: Time,
    queue: BinaryHeap<Due>,
    order: u64,
    messages: u64,
}

/// After everything was mended, each node must serve within this time, and twenty election timeouts,
/// and what the callers' operations take one after the other, and twice what a log takes to be sent:
/// first to those that decide, and then to members that come.
const SERVICE_WITHIN: Duration = Duration::from_secs(10);
const OPERATION_TAKES: Duration = Duration::from_millis(5);
const LOGS_SENT: u32 = 2;

/// When a run must have come to its end, and by how many events.
struct Patience {
    /// From when on each node must serve.
    serving: Time,
    /// From when on all replicas must be alike, or become so.
    settled: Time,
    events_max: u64,
}

/// How many copies wait for one node.
const STRAGGLERS_MAX: usize = 32;

/// More events than any run has that gets anywhere: in a second of virtual time, for an operation,
/// and at all. Where each message is answered by another and some arrive twice, they grow for ever.
const EVENTS_MAX: (u64, u64, u64) = (10_000, 500, 100_000);

impl<'a, P: Simulated, S: StateMachine> World<'a, P, S> {
    /// Starts the nodes, their disks empty.
    pub(super) fn new(
        plan: &'a Plan,
        script: Script,
        describe: &'a dyn super::workload::Workload<S>,
        mut adversaries: BTreeMap<NodeId, Box<dyn Adversary<P>>>,
    ) -> Result<Self, Failure> {
        let nodes: Vec<NodeId> = (1..=plan.nodes()).filter_map(NodeId::new).collect();
        let members = Members::new(nodes.iter().copied()).expect("a plan has nodes");
        let mut membership = Membership::from(members);
        if let Some(last) = nodes.last().filter(|_| script.temper.witness) {
            membership = membership.with_witness(*last);
        }
        let mut world = Self {
            plan,
            group: GroupId::named("simulated"),
            membership,
            asked: Vec::new(),
            hosts: BTreeMap::new(),
            network: Network::new(plan.seed(), &nodes),
            judge: P::Judge::default(),
            operations: Operations::default(),
            decided: Vec::new(),
            trace: Trace::new(plan.is_recording()),
            counts: Counts::default(),
            reads: Reads::default(),
            terms: BTreeSet::new(),
            cuts: BTreeMap::new(),
            quarrels: Vec::new(),
            mended: false,
            backlog: 0,
            progressed: Time::ZERO,
            describe,
            now: Time::ZERO,
            queue: BinaryHeap::new(),
            order: 0,
            messages: 0,
            script,
        };
        for _ in world.script.temper.drift.iter().filter(|drift| **drift != 0) {
            world.counts.count(Fault::Drift);
        }
        for node in nodes {
            world.add_host(node, adversaries.remove(&node));
            world.start(node)?;
        }
        for call in 0..world.script.calls.len() {
            let at = world.script.calls.get(call).map(|planned| planned.at);
            world.schedule(at.unwrap_or_default(), Event::Call(call));
        }
        for strike in 0..world.script.strikes.len() {
            let at = world.script.strikes.get(strike).map(|strike| strike.at);
            world.schedule(at.unwrap_or_default(), Event::Strike(strike));
        }
        world.schedule(Time::ZERO + plan.duration(), Event::Mend);
        Ok(world)
    }

    /// Adds a node that was never started.
    pub(super) fn add_host(&mut self, node: NodeId, adversary: Option<Box<dyn Adversary<P>>>) {
        let place = Place {
            group: self.group,
            node,
            seed: self.plan.seed(),
            #[cfg(feature = "mutants")]
            bug: self.plan.bug(),
        };
        self.hosts.insert(node, Host::new(place, &self.script.temper, adversary));
    }

    pub(super) fn host(&mut self, node: NodeId) -> &mut Host<P, S> {
        self.hosts.get_mut(&node).expect("every node that is spoken of has a host")
    }

    pub(super) fn schedule(&mut self, at: Time, event: Event) {
        self.order += 1;
        self.queue.push(Due { at: at.max(self.now), order: self.order, event });
    }

    pub(super) fn schedule_in(&mut self, pause: Duration, event: Event) {
        self.schedule(self.now + pause, event);
    }

    pub(super) fn note(
        &mut self,
        node: Option<NodeId>,
        numbers: [u64; 3],
        what: impl FnOnce() -> What,
    ) {
        self.trace.note(self.now, node, numbers, what);
    }

    pub(super) fn broken(&self, flaw: Flaw, what: impl Into<String>) -> Failure {
        Failure { flaw, what: what.into(), evidence: Vec::new(), at: self.now }
    }

    pub(super) fn judged(&self, verdict: Result<(), Broken>) -> Result<(), Failure> {
        if !self.plan.checks_invariants() {
            return Ok(());
        }
        verdict.map_err(|broken| {
            let mut failure = self.broken(Flaw::Invariant, broken.what);
            failure.evidence = broken.evidence;
            failure.evidence.extend(self.standings());
            failure
        })
    }

    /// Tells how each node stands.
    pub(super) fn standings(&self) -> Vec<String> {
        self.hosts.iter().map(|(node, host)| format!("{node} {}", host.standing())).collect()
    }

    /// Runs until all is settled after the end of the faults.
    pub(super) fn run(&mut self) -> Result<(), Failure> {
        let stalls = self.script.temper.election_timeout * 20;
        let mut patience = self.patience();
        let mut events = 0_u64;
        while let Some(Due { at, event, .. }) = self.queue.pop() {
            self.now = at;
            let was_mended = self.mended;
            self.dispatch(event)?;
            if self.mended && !was_mended {
                patience = self.patience();
            }
            events += 1;
            if events > patience.events_max {
                return Err(self.broken(Flaw::Liveness, "the cluster is busy and gets nowhere"));
            }
            if !self.mended {
                continue;
            }
            if self.is_settled() {
                return Ok(());
            }
            if self.now > patience.serving && !self.serves_everywhere() {
                let what = format!(
                    "{:?} after everything was mended a node does not serve",
                    self.service_within()
                );
                return Err(self.unsettled(what));
            }
            if self.now > patience.settled && self.now.since(self.progressed) > stalls {
                return Err(self.unsettled("the replicas do not come to the same".to_owned()));
            }
        }
        Err(self.broken(Flaw::Liveness, "nothing is left to happen"))
    }

    /// Returns until when the run must have come to its end, as far as is known.
    fn patience(&self) -> Patience {
        let temper = &self.script.temper;
        let serving = self.plan.duration() + temper.by_the_slowest(self.service_within());
        let settled = serving + temper.by_the_slowest(temper.election_timeout * 40);
        let (a_second, an_operation, at_all) = EVENTS_MAX;
        let events = a_second * settled.as_secs() + an_operation * self.plan.operations() as u64;
        Patience {
            serving: Time::ZERO + serving,
            settled: Time::ZERO + settled,
            events_max: events + at_all,
        }
    }

    fn dispatch(&mut self, event: Event) -> Result<(), Failure> {
        if let Some(node) = event.concerns()
            && let Some(parked) = &mut self.host(node).parked
        {
            parked.push(event);
            return Ok(());
        }
        match event {
            Event::Tick(node, life) => self.on_tick(node, life),
            Event::Message { from, to, number, bytes } => self.on_message(from, to, number, bytes),
            Event::Request { from, to, attempt, bytes } => {
                self.on_request(from, to, attempt, bytes)
            }
            Event::Response { to, bytes, seen, .. } => self.on_response(to, bytes, seen),
            Event::Commit(node, life) => self.on_commit(node, life),
            Event::Persisted(node, life, upto) => self.on_persisted(node, life, upto),
            Event::Apply(node, life) => self.on_apply(node, life),
            Event::Errand(node, life) => self.on_errand(node, life),
            Event::Call(call) => self.on_call(call),
            Event::Strike(strike) => self.on_strike(strike),
            Event::Over(strike) => self.on_over(strike),
            Event::Restart(node, life) => self.on_restart(node, life),
            Event::Resume(node, life) => {
                self.on_resume(node, life);
                Ok(())
            }
            Event::Try(node, body, deadline) => {
                self.on_try(node, body, deadline);
                Ok(())
            }
            Event::CutOff(strike, node) => {
                self.on_cut_off(strike, node);
                Ok(())
            }
            Event::Gather(node, life) => self.on_gather(node, life),
            Event::Sign { from, to, life } => self.hear(to, from, Some(life)),
            Event::Startle(node, until) => self.on_startle(node, until),
            Event::Severed { node, peer } => self.on_severed(node, peer),
            Event::Reconciled => {
                self.on_reconciled();
                Ok(())
            }
            Event::Mend => self.on_mend(),
        }
    }

    /// Sends a message of the protocol.
    pub(super) fn put(
        &mut self,
        from: NodeId,
        to: NodeId,
        message: &P::Message,
    ) -> Result<(), Failure> {
        if self.host(from).is_judged() {
            let verdict = self.judge.sent(from, to, message);
            self.judged(verdict)?;
        }
        let bytes = Bytes::from(message.encoded());
        self.messages += 1;
        let number = self.messages;
        let arrival = self.send(from, to);
        let (temper, counts) = (&self.script.temper, &mut self.counts);
        let copy = arrival.and_then(|at| self.network.send_again(from, to, at, temper, counts));
        let digest = twox_hash::XxHash3_64::oneshot(&bytes);
        let arrives = arrival.map(nanoseconds);
        self.note(Some(from), [1, to.number(), digest], || What::Send {
            to: to.number(),
            message: number,
            text: P::describe_message(message),
            arrives,
        });
        if arrival.is_some() {
            self.keep_straggler(from, to, number, &bytes);
        }
        for at in arrival.into_iter().chain(copy) {
            self.schedule(at, Event::Message { from, to, number, bytes: bytes.clone() });
        }
        Ok(())
    }

    /// Keeps a copy of a message now and then, for when its receiver leads.
    fn keep_straggler(&mut self, from: NodeId, to: NodeId, number: u64, bytes: &Bytes) {
        let odds = self.script.temper.duplication;
        if odds == 0 || self.mended {
            return;
        }
        let host = self.host(to);
        if host.random.happens(odds * 2) {
            host.stragglers.push_back((from, number, bytes.clone()));
            if host.stragglers.len() > STRAGGLERS_MAX {
                host.stragglers.pop_front();
            }
        }
    }

    /// Delivers the copies that were kept for a node, which leads from now on.
    pub(super) fn release_stragglers(&mut self, node: NodeId) {
        // Some at once, before the new leader has said a word, and some later.
        let latest = [self.script.temper.transit.1, self.script.temper.election_timeout * 2];
        let (mended, is_barred) = (self.mended, self.host(node).is_barred);
        for (from, number, bytes) in std::mem::take(&mut self.host(node).stragglers) {
            if mended || is_barred || self.host(from).is_barred {
                continue;
            }
            self.counts.count(Fault::Duplication);
            let random = &mut self.host(node).random;
            let latest = random.pick(&latest).copied().unwrap_or_default();
            let pause = random.between(Duration::ZERO, latest);
            self.schedule_in(pause, Event::Message { from, to: node, number, bytes });
        }
    }

    /// Decides when what leaves now arrives. Peers refuse who is not who they know.
    pub(super) fn send(&mut self, from: NodeId, to: NodeId) -> Option<Time> {
        if from != to && (self.host(from).is_barred || self.host(to).is_barred) {
            return None;
        }
        self.network.send(from, to, self.now, &self.script.temper, &mut self.counts)
    }

    /// Returns how soon every node must serve, once everything is mended.
    pub(super) fn service_within(&self) -> Duration {
        let temper = &self.script.temper;
        let load = OPERATION_TAKES * self.plan.operations() as u32;
        let sending = temper.entry_takes() * self.backlog as u32 * LOGS_SENT;
        SERVICE_WITHIN + temper.election_timeout * 20 + load + sending
    }

    fn unsettled(&self, what: String) -> Failure {
        let mut failure = self.broken(Flaw::Liveness, what);
        failure.evidence = self.standings();
        failure
    }
}
