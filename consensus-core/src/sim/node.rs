//! What a host does for its process: it feeds it inputs, carries out its effects, and starts it
//! again.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;

use super::{
    Failure, Flaw,
    drive::Ending,
    event::Event,
    fault::{Fault, Faults},
    host::{CrashPoint, Decision, Standing},
    protocol::{Judge, Setup, Simulated},
    trace::What,
    world::World,
};
use crate::{
    codec::{Decode, Encode},
    members::NodeId,
    process::{Effect, Effects, Input},
    state_machine::StateMachine,
};

impl<P: Simulated, S: StateMachine> World<'_, P, S> {
    fn setup(&self, node: NodeId) -> Setup {
        let temper = &self.script.temper;
        let life = self.hosts.get(&node).map_or(0, |host| host.life);
        Setup {
            id: node,
            group: self.group,
            membership: self.first_membership(node),
            seed: self.plan.seed() << 8 | node.number(),
            reads_from: life << 32,
            election_timeout: temper.election_timeout,
            heartbeat: temper.heartbeat,
            pre_vote: temper.pre_vote,
            check_quorum: temper.checks_quorum(node.number()),
            lease: temper.leases.are_kept_by(node.number()),
            clock_drift: temper.leases.clock_drift(),
            rests: temper.rests,
            priority: temper.priority(node.number()),
            append_bytes_max: temper.append_bytes_max,
            append_window: temper.append_window,
            quorums: temper.quorums,
            catch_up_slack: temper.catch_up_slack,
            append_window_bytes: temper.append_window_bytes,
            snapshots: temper.snapshots,
            #[cfg(feature = "mutants")]
            bug: self.plan.bug(),
        }
    }

    /// Starts a node's process from what its disk holds.
    pub(super) fn start(&mut self, node: NodeId) -> Result<(), Failure> {
        let now = self.now;
        self.host(node).begin_life(now);
        let setup = self.setup(node);
        let host = self.host(node);
        let life = host.life;
        let mut offset = host.random.between(Duration::ZERO, Duration::from_millis(5));
        // Without faults one node looks at the clock before all others: even two candidates at once
        // would disturb the calm.
        let calm = self.plan.faults() == Faults::NONE && node.number() > 1;
        offset += self.script.temper.election_timeout * if calm { 3 } else { 0 };
        self.schedule_in(offset, Event::Tick(node, life));
        if self.host(node).adversary.is_some() {
            return Ok(());
        }

        let durable = self.host(node).durable;
        let records = match self.host(node).drive.open() {
            Ok(records) => records,
            Err(error) => return self.lose(node, error.to_string()),
        };
        let upto = records.last().map(|(token, _)| *token).unwrap_or_default();
        if upto < durable {
            let what = format!(
                "{node} was told that record {} is durable, and its journal ends at {}",
                durable.0, upto.0
            );
            return Err(self.broken(Flaw::Durability, what));
        }
        let decoded: Result<Vec<_>, _> = records
            .into_iter()
            .map(|(token, bytes)| P::Record::decode_all(bytes).map(|record| (token, record)))
            .collect();
        let decoded = decoded.map_err(|error| {
            self.broken(Flaw::Durability, format!("{node} cannot read its records: {error}"))
        })?;
        let local = self.host(node).clock.now(now);
        let process = P::recover(P::config(&setup), local, decoded);
        let process = process.map_err(|error| {
            self.broken(Flaw::Durability, format!("{node} does not start: {error}"))
        })?;
        if self.host(node).is_judged() {
            let verdict = self.judge.recovered(&process);
            self.judged(verdict)?;
        }
        let status = process.status();
        self.note(Some(node), [2, status.term, status.last.0], || What::Up {
            text: format!("term {}, log up to {}", status.term, status.last),
        });
        let host = self.host(node);
        (host.membership, host.covered) = (status.membership, status.snapshot);
        (host.process, host.durable) = (Some(process), upto);
        self.note_role(node);
        self.find_snapshots(node)?;
        // Answers to what an earlier life asked come now.
        self.release_stragglers(node);
        Ok(())
    }

    /// Takes note that a node cannot start any more; nobody may count on it.
    fn lose(&mut self, node: NodeId, why: String) -> Result<(), Failure> {
        let host = self.host(node);
        host.standing = Standing::Lost(why.clone());
        let is_harmed = host.is_harmed;
        self.note(Some(node), [3, 0, 0], || What::Down { text: format!("for good: {why}") });
        if !is_harmed {
            let what = format!("{node} cannot start, and nothing was done to its disk: {why}");
            return Err(self.broken(Flaw::Durability, what));
        }
        if !self.keeps_a_majority(None, self.judge.membership()) {
            let what = format!("{node} is the last of a majority that is lost: {why}");
            return Err(self.broken(Flaw::Durability, what));
        }
        Ok(())
    }

    fn note_role(&mut self, node: NodeId) {
        let host = self.host(node);
        let Some(status) = host.process.as_ref().map(Simulated::status) else { return };
        self.note_point(node, &status);
        let host = self.host(node);
        let role = (status.role, status.term);
        if host.role == role {
            return;
        }
        host.role = role;
        if status.leader == Some(node) {
            self.release_stragglers(node);
        }
        self.terms.insert(status.term);
        let digest = twox_hash::XxHash3_64::oneshot(status.role.as_bytes());
        self.note(Some(node), [4, status.term, digest], || What::Role {
            role: status.role.to_owned(),
            term: status.term,
        });
    }

    /// Feeds an input to a node's process and carries out what it asks for.
    pub(super) fn step(&mut self, node: NodeId, input: Input<P>) -> Result<(), Failure> {
        let now = self.now;
        let mut out = Effects::default();
        let host = self.host(node);
        let (local, is_judged, armed) = (host.clock.now(now), host.is_judged(), host.armed);
        let Some(process) = host.process.as_mut() else { return Ok(()) };
        process.step(local, input, &mut out);
        if is_judged {
            let process = self.hosts.get(&node).and_then(|host| host.process.as_ref());
            let verdict = match process {
                Some(process) => self.judge.stepped(process, out.as_slice()),
                None => Ok(()),
            };
            self.judged(verdict)?;
            self.judge_lease(node)?;
        }
        self.note_role(node);
        self.note_rest(node);
        if out.is_empty() {
            return Ok(());
        }

        let armed = armed.or_else(|| self.feud(node, out.as_slice()));
        let armed = armed.or_else(|| self.quarrel(node, out.as_slice().len()));
        if armed == Some(CrashPoint::Before) {
            self.counts.count(Fault::CrashBefore);
            return self.crash(node, Ending::Power);
        }
        let last = match armed {
            Some(CrashPoint::Between(effects)) if effects < out.as_slice().len() as u64 => effects,
            Some(_) | None => u64::MAX,
        };
        for (place, effect) in out.drain().enumerate() {
            if place as u64 >= last {
                self.counts.count(Fault::CrashBetween);
                return self.crash(node, Ending::Power);
            }
            self.carry_out(node, effect)?;
        }
        Ok(())
    }

    /// In a feud, whoever leads and writes may end right then: what it wrote reached some and not
    /// others.
    fn feud(&mut self, node: NodeId, effects: &[Effect<P>]) -> Option<CrashPoint> {
        let odds = self.script.temper.feud;
        let writes = effects.iter().any(|effect| matches!(effect, Effect::Persist { .. }));
        if odds == 0 || self.mended || !writes || !self.host(node).leads() {
            return None;
        }
        let host = self.host(node);
        if !host.is_judged() || !host.random.happens(odds) {
            return None;
        }
        Some(CrashPoint::Between(host.random.below(effects.len() as u64)))
    }

    fn carry_out(&mut self, node: NodeId, effect: Effect<P>) -> Result<(), Failure> {
        match effect {
            Effect::Persist { token, record } => {
                let bytes = record.encoded();
                let digest = twox_hash::XxHash3_64::oneshot(&bytes);
                self.note(Some(node), [5, token.0, digest], || What::Persist {
                    token: token.0,
                    text: P::describe_record(&record),
                });
                self.host(node).drive.push(token, bytes);
                self.begin_commit(node);
            }
            Effect::Send { to, message, after } => {
                let host = self.host(node);
                match after.filter(|token| *token > host.durable) {
                    Some(token) => host.held.push_back((token, to.node, message)),
                    None => self.put(node, to.node, &message)?,
                }
            }
            Effect::Apply(decided) => {
                for decided in decided {
                    self.decide(node, Decision::Apply(decided));
                }
            }
            Effect::ReadReady { ticket, at } => {
                self.decide(node, Decision::ReadReady(ticket, at));
            }
            Effect::Answer { ticket, error } => self.decide(node, Decision::Answer(ticket, error)),
            Effect::Done { ticket } => self.decide(node, Decision::Done(ticket)),
            Effect::Route { leader } => self.decide(node, Decision::Route(leader)),
            Effect::Snapshot(order) => self.order(node, order),
            Effect::Compact { before } => {
                let released = self.host(node).drive.release(before);
                if let Err(error) = released {
                    return self.fail_disk(node, &error.to_string());
                }
            }
        }
        Ok(())
    }

    pub(super) fn decide(&mut self, node: NodeId, decision: Decision) {
        let (shortest, longest) = self.script.temper.apply;
        let host = self.host(node);
        host.inbox.push_back(decision);
        if host.applying {
            return;
        }
        host.applying = true;
        let (life, pause) = (host.life, host.random.between(shortest, longest));
        self.schedule_in(pause, Event::Apply(node, life));
    }

    // Inputs.

    pub(super) fn on_tick(&mut self, node: NodeId, life: u64) -> Result<(), Failure> {
        let period = (self.script.temper.heartbeat / 4).max(Duration::from_millis(5));
        let now = self.now;
        let host = self.host(node);
        if !host.lives(life) {
            return Ok(());
        }
        let local = host.clock.now(now);
        self.schedule_in(period, Event::Tick(node, life));
        self.look_around(node)?;
        if let Some(adversary) = &mut self.host(node).adversary {
            let mut out = Vec::new();
            adversary.tick(local, &mut out);
            return out.into_iter().try_for_each(|(to, message)| self.put(node, to, &message));
        }
        let before = self.host(node).handing_over();
        self.step(node, Input::Tick)?;
        self.count_unasked(node, before);
        self.tell_backlog(node)?;
        self.pump(node);
        Ok(())
    }

    pub(super) fn on_message(
        &mut self,
        from: NodeId,
        to: NodeId,
        number: u64,
        bytes: Bytes,
    ) -> Result<(), Failure> {
        if !self.host(to).is_up() {
            return Ok(());
        }
        self.note(Some(to), [6, from.number(), number], || What::Receive {
            from: from.number(),
            message: number,
        });
        let message = P::Message::decode_all(bytes).map_err(|error| {
            self.broken(Flaw::Invariant, format!("{to} cannot read what {from} sent: {error}"))
        })?;
        let local = self.hosts.get(&to).map(|host| host.clock.now(self.now)).unwrap_or_default();
        if let Some(adversary) = &mut self.host(to).adversary {
            let mut out = Vec::new();
            adversary.receive(local, from, message, &mut out);
            return out.into_iter().try_for_each(|(peer, said)| self.put(to, peer, &said));
        }
        self.hear(to, from, None)?;
        self.step(to, Input::Receive { from, message })
    }

    // Ends and beginnings.

    /// Ends a process; it starts again after a while.
    pub(super) fn crash(&mut self, node: NodeId, ending: Ending) -> Result<(), Failure> {
        let timeout = self.script.temper.election_timeout;
        let host = self.host(node);
        if !host.is_up() {
            return Ok(());
        }
        let calls = host.end_life();
        let (life, happened) = (host.life, host.drive.stop(ending));
        let ended = self.judge_lease(node);
        let host = self.host(node);
        host.shelf.stop(ending == Ending::Power);
        // As often at once as after long.
        let longest = [timeout / 100, timeout / 4, timeout * 2, timeout * 10];
        let longest = host.random.pick(&longest).copied().unwrap_or(timeout);
        let pause = host.random.between(Duration::from_micros(10), longest);
        happened.iter().for_each(|fault| self.counts.count(fault));
        self.note(Some(node), [9, life, 0], || What::Down { text: format!("{ending:?} ends") });
        self.schedule_in(pause, Event::Restart(node, life));
        calls.into_iter().for_each(|operation| self.interrupt(operation));
        ended
    }

    pub(super) fn on_restart(&mut self, node: NodeId, life: u64) -> Result<(), Failure> {
        let host = self.host(node);
        if host.life != life || host.standing != Standing::Down {
            return Ok(());
        }
        self.start(node)
    }

    pub(super) fn on_resume(&mut self, node: NodeId, life: u64) {
        let host = self.host(node);
        if host.life != life {
            return;
        }
        // It reads its connections in any order, each from its oldest message on.
        let mut sources: BTreeMap<Option<NodeId>, VecDeque<Event>> = BTreeMap::new();
        for event in host.parked.take().into_iter().flatten() {
            sources.entry(event.source()).or_default().push_back(event);
        }
        while !sources.is_empty() {
            let names: Vec<Option<NodeId>> = sources.keys().copied().collect();
            let Some(name) = self.host(node).random.pick(&names).copied() else { return };
            let Some(waiting) = sources.get_mut(&name) else { return };
            match waiting.pop_front() {
                Some(event) => self.schedule_in(Duration::ZERO, event),
                None => {
                    sources.remove(&name);
                }
            }
        }
    }
}
