//! What a node does with what its roles ask for: records, messages, and answers to callers.

use std::{mem, time::Duration};

use bytes::Bytes;

use super::{
    Failure,
    agenda::Motion,
    deciding::{Deciding, DecisionJudge},
    decision::{Decision, Event},
    fault::Fault,
    host::CrashPoint,
    operations::Ended,
    trace::What,
    workload::Body,
};
use crate::{
    error::Outcome,
    log::Index,
    members::NodeId,
    process::{Effect, Effects, Input, Seat, Submission, Ticket, Token},
};

/// How often as long a sync takes while the disk is slow.
const SLOW_TIMES: u32 = 30;

impl<P: Deciding> Decision<'_, P> {
    /// Carries out what a step asked for, one after the other; the process may end between any two.
    pub(super) fn carry_out(
        &mut self,
        node: NodeId,
        seat: Seat,
        mut out: Effects<P>,
    ) -> Result<(), Failure> {
        let mut left = match self.node(node).armed {
            Some(CrashPoint::Before) if !out.is_empty() => {
                self.minutes.counts.count(Fault::CrashBefore);
                return self.crash(node);
            }
            Some(CrashPoint::Between(effects)) => effects,
            Some(CrashPoint::Before | CrashPoint::After | CrashPoint::Torn) | None => u64::MAX,
        };
        let life = self.node(node).life;
        for effect in out.drain() {
            if left == 0 {
                self.minutes.counts.count(Fault::CrashBetween);
                return self.crash(node);
            }
            left -= 1;
            self.carry_out_one(node, seat, effect)?;
            if !self.node(node).lives(life) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn carry_out_one(
        &mut self,
        node: NodeId,
        seat: Seat,
        effect: Effect<P>,
    ) -> Result<(), Failure> {
        match effect {
            Effect::Persist { token, record } => {
                self.node(node).side(seat).push(token, &record);
                self.note(Some(node), [5, u64::from(seat.0), token.0], || What::Persist {
                    token: token.0,
                    text: P::describe_record(&record),
                });
                self.begin_commit(node, seat);
            }
            Effect::Send { to, message, after } => {
                let side = self.node(node).side(seat);
                match after.filter(|token| *token > side.told) {
                    Some(token) => side.held.push_back((token, to, message)),
                    None => self.put(node, to, &message)?,
                }
            }
            Effect::Apply(decided) => {
                for value in decided.into_iter().filter_map(|entry| entry.command) {
                    self.apply(node, value);
                }
            }
            Effect::ReadReady { ticket, at: Index::ZERO } => {
                self.answer(node, ticket, Ended::Ok(Bytes::new()));
            }
            Effect::ReadReady { ticket, .. } => {
                self.node(node).ready.push(ticket);
                self.answer_ready(node);
            }
            Effect::Answer { ticket, error } => {
                let ended = match error.outcome() {
                    Outcome::NotApplied => Ended::NotApplied(error.to_string()),
                    Outcome::Applied | Outcome::Unknown => Ended::Unknown(error.to_string()),
                };
                self.answer(node, ticket, ended);
            }
            Effect::Compact { before } => self.node(node).side(seat).compact(before),
            Effect::Done { .. } | Effect::Route { .. } | Effect::Snapshot(_) => {
                unreachable!("who decides one value has no leader and no log")
            }
        }
        Ok(())
    }

    fn apply(&mut self, node: NodeId, value: Bytes) {
        let digest = twox_hash::XxHash3_64::oneshot(&value);
        self.note(Some(node), [6, 1, digest], || What::Apply {
            index: 1,
            text: super::decided::told(&value),
        });
        self.node(node).applied = Some(value);
        self.answer_ready(node);
    }

    fn answer_ready(&mut self, node: NodeId) {
        let sides = self.node(node);
        let Some(value) = sides.applied.clone() else { return };
        for ticket in mem::take(&mut sides.ready) {
            self.answer(node, ticket, Ended::Ok(value.clone()));
        }
    }

    fn answer(&mut self, node: NodeId, ticket: Ticket, ended: Ended) {
        if let Some(operation) = self.node(node).open.remove(&ticket) {
            self.end(node, operation, ended);
        }
    }

    // Disks.

    /// Begins to write what a role handed over, unless that is under way.
    fn begin_commit(&mut self, node: NodeId, seat: Seat) {
        let ((shortest, longest), now) = (self.agenda.temper.sync, self.now());
        let sides = self.node(node);
        if mem::replace(&mut sides.side(seat).is_committing, true) {
            return;
        }
        let pause = sides.random.between(shortest, longest);
        let times = if sides.slow_until > now { SLOW_TIMES } else { 1 };
        let life = sides.life;
        self.schedule_in(pause * times, Event::Commit(node, seat, life));
    }

    pub(super) fn on_commit(&mut self, node: NodeId, seat: Seat, life: u64) -> Result<(), Failure> {
        let (now, timeout) = (self.now(), self.agenda.temper.election_timeout);
        let sides = self.node(node);
        if !sides.lives(life) {
            return Ok(());
        }
        // Now and then only the older part has come with this sync.
        let waiting = sides.side(seat).waiting();
        let part =
            if sides.random.below(4) == 0 { 1 + sides.random.place(waiting) } else { waiting };
        let side = sides.side(seat);
        side.is_committing = false;
        let upto = side.write(part);
        let is_late = sides.late_until > now;
        self.note(Some(node), [7, u64::from(seat.0), upto.0], || What::Durable { upto: upto.0 });
        if self.node(node).armed == Some(CrashPoint::After) {
            self.minutes.counts.count(Fault::CrashAfter);
            return self.crash(node);
        }
        if is_late {
            self.minutes.counts.count(Fault::LateCompletion);
        }
        let longest = if is_late { timeout } else { Duration::from_micros(100) };
        let pause = self.node(node).random.between(Duration::ZERO, longest);
        self.schedule_in(pause, Event::Persisted(node, seat, life, upto));
        if self.node(node).side(seat).waiting() > 0 {
            self.begin_commit(node, seat);
        }
        Ok(())
    }

    pub(super) fn on_persisted(
        &mut self,
        node: NodeId,
        seat: Seat,
        life: u64,
        upto: Token,
    ) -> Result<(), Failure> {
        if !self.node(node).lives(life) {
            return Ok(());
        }
        let side = self.node(node).side(seat);
        side.told = side.told.max(upto);
        let verdict = self.judge.durable(node, seat, upto);
        self.judged(verdict)?;
        while let Some((_, to, message)) = {
            let side = self.node(node).side(seat);
            let told = side.told;
            side.held.pop_front_if(|(token, ..)| *token <= told)
        } {
            self.put(node, to, &message)?;
        }
        self.step(node, seat, Input::Persisted { upto })
    }

    // Callers.

    pub(super) fn on_call(&mut self, number: usize) -> Result<(), Failure> {
        let Some(motion) = self.agenda.motions.get(number).copied() else { return Ok(()) };
        let nodes: Vec<NodeId> = self.nodes.keys().copied().collect();
        let node = nodes.get(motion.node as usize % nodes.len().max(1)).copied();
        self.call(node.expect("a plan has nodes"), motion)
    }

    /// Lets a caller ask a node.
    pub(super) fn call(&mut self, node: NodeId, motion: Motion) -> Result<(), Failure> {
        let value = motion.proposes.map(|number| Bytes::from(format!("v{number}")));
        let body = match &value {
            Some(value) => Body::Command(value.clone()),
            None => Body::Query(Bytes::new()),
        };
        let (now, text) = (self.now(), super::decided::asked(&body));
        let deadline = now + motion.patience;
        let operation = self.minutes.operations.begin(now, body, None, deadline);
        let process = self.minutes.operations.get(operation).map_or(0, |asked| asked.process);
        let number = operation as u64;
        self.note(Some(node), [11, number, process], || What::Call {
            operation: number,
            process,
            text,
        });
        let sides = self.node(node);
        if !sides.is_up || sides.parked.is_some() {
            self.end(node, operation, Ended::NotApplied("the node does not answer".to_owned()));
            return Ok(());
        }
        let ticket = Ticket(number);
        sides.open.insert(ticket, operation);
        self.schedule(deadline, Event::Deadline(operation));
        let input = match value {
            Some(command) => Input::Submit(vec![Submission { ticket, command }]),
            None => P::read(ticket),
        };
        self.step(node, P::ASKED, input)
    }

    /// Lets a caller give up who has not been answered.
    pub(super) fn on_deadline(&mut self, operation: usize) {
        let ticket = Ticket(operation as u64);
        let waits = |(node, sides): (&NodeId, &super::sides::Sides<P>)| {
            sides.open.contains_key(&ticket).then_some(*node)
        };
        if let Some(node) = self.nodes.iter().find_map(waits) {
            self.node(node).open.remove(&ticket);
            self.end(node, operation, Ended::Unknown("it took too long".to_owned()));
        }
    }
}
