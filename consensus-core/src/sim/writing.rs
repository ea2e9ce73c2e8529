//! Records on their way to a node's disk, and what waits for them to be durable.

use std::time::Duration;

use super::{
    Failure, Flaw,
    drive::{Committed, Ending},
    event::Event,
    fault::Fault,
    host::CrashPoint,
    protocol::{Judge, Simulated},
    trace::What,
    world::World,
};
use crate::{
    members::NodeId,
    process::{Input, Token},
    state_machine::StateMachine,
};

impl<P: Simulated, S: StateMachine> World<'_, P, S> {
    /// Begins to write what was handed over, unless that is under way.
    pub(super) fn begin_commit(&mut self, node: NodeId) {
        let (shortest, longest) = self.script.temper.sync;
        let now = self.now;
        let host = self.host(node);
        if host.committing {
            return;
        }
        host.committing = true;
        let mut pause = host.random.between(shortest, longest);
        let is_slow = host.slow_until > now;
        if is_slow {
            let rest = host.slow_until.since(now);
            pause = if host.stalls { rest } else { pause * 50 };
        }
        let life = host.life;
        self.schedule_in(pause, Event::Commit(node, life));
    }

    pub(super) fn on_commit(&mut self, node: NodeId, life: u64) -> Result<(), Failure> {
        let now = self.now;
        let host = self.host(node);
        if !host.lives(life) {
            return Ok(());
        }
        host.committing = false;
        let armed = host.armed;
        // A write and a sync; a segment that has to be begun takes more.
        let stop = match armed {
            Some(CrashPoint::Between(pick)) => Some(if pick < 4 { 1 } else { pick - 4 }),
            // While the disk is slow, more may gather.
            Some(CrashPoint::Torn) if host.drive.is_long(host.slow_until > now) => Some(1),
            Some(CrashPoint::Torn | CrashPoint::Before | CrashPoint::After) | None => None,
        };
        if let Some(changes) = stop {
            self.counts.count(Fault::CrashBetween);
            self.host(node).drive.stop_after(changes);
        }
        let committed = self.host(node).drive.commit();
        if self.host(node).drive.take_missed() {
            self.counts.count(Fault::MisdirectedWrite);
            self.host(node).is_harmed = true;
        }
        if stop.is_some() {
            return self.crash(node, Ending::Power);
        }
        match committed {
            Committed::Durable(upto) => self.on_durable(node, upto, armed),
            Committed::Full => {
                let host = self.host(node);
                let told = std::mem::replace(&mut host.is_full, true);
                if !told {
                    self.counts.count(Fault::DiskFull);
                }
                let host = self.host(node);
                host.committing = true;
                let (life, pause) = (host.life, self.script.temper.election_timeout / 4);
                self.schedule_in(pause, Event::Commit(node, life));
                if told { Ok(()) } else { self.step(node, P::storage_full(true)) }
            }
            Committed::Failed(reason) => {
                if let Some(fault) = self.host(node).failing.take() {
                    self.counts.count(fault);
                }
                self.fail_disk(node, &reason)
            }
            Committed::Refused(reason) => {
                let what = format!("{node} cannot write a record: {reason}");
                Err(self.broken(Flaw::Durability, what))
            }
        }
    }

    fn on_durable(
        &mut self,
        node: NodeId,
        upto: Token,
        armed: Option<CrashPoint>,
    ) -> Result<(), Failure> {
        self.note(Some(node), [7, upto.0, 0], || What::Durable { upto: upto.0 });
        if armed == Some(CrashPoint::After) {
            self.counts.count(Fault::CrashAfter);
            return self.crash(node, Ending::Power);
        }
        let (timeout, now) = (self.script.temper.election_timeout, self.now);
        let host = self.host(node);
        let is_late = host.late_until > now;
        let longest = if is_late { timeout } else { Duration::from_micros(200) };
        let pause = host.random.between(Duration::ZERO, longest);
        let (life, was_full) = (host.life, std::mem::take(&mut host.is_full));
        if is_late {
            self.counts.count(Fault::LateCompletion);
        }
        self.schedule_in(pause, Event::Persisted(node, life, upto));
        if self.host(node).drive.is_busy() {
            self.begin_commit(node);
        }
        if was_full { self.step(node, P::storage_full(false)) } else { Ok(()) }
    }

    /// Ends a process whose disk failed: nobody can say what that disk holds.
    pub(super) fn fail_disk(&mut self, node: NodeId, reason: &str) -> Result<(), Failure> {
        let power = self.host(node).random.below(2) == 0;
        self.note(Some(node), [8, u64::from(power), 0], || What::Down {
            text: format!("its disk failed: {reason}"),
        });
        self.crash(node, if power { Ending::Power } else { Ending::Process })
    }

    pub(super) fn on_persisted(
        &mut self,
        node: NodeId,
        life: u64,
        upto: Token,
    ) -> Result<(), Failure> {
        let host = self.host(node);
        if !host.lives(life) {
            return Ok(());
        }
        host.durable = host.durable.max(upto);
        let durable = host.durable;
        // Each message is judged by what was durable when its own record was: what came after may
        // have replaced it.
        while let Some((token, to, message)) =
            self.host(node).held.pop_front_if(|(token, ..)| *token <= durable)
        {
            self.judge_durable(node, token)?;
            self.put(node, to, &message)?;
        }
        self.judge_durable(node, durable)?;
        self.step(node, Input::Persisted { upto })
    }

    fn judge_durable(&mut self, node: NodeId, upto: Token) -> Result<(), Failure> {
        if !self.host(node).is_judged() {
            return Ok(());
        }
        let verdict = self.judge.durable(node, upto);
        self.judged(verdict)
    }
}
