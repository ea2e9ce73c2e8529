//! Faults as they strike a decision, and their end.

use std::time::Duration;

use bytes::Bytes;

use super::{
    Failure,
    agenda::Motion,
    deciding::{Deciding, DecisionJudge},
    decision::{Decision, Event},
    fault::Fault,
    host::CrashPoint,
    operations::Ended,
    script::{Aim, Strike},
    trace::What,
};
use crate::{members::NodeId, time::Time};

impl<P: Deciding> Decision<'_, P> {
    pub(super) fn on_strike(&mut self, number: usize) -> Result<(), Failure> {
        let Some(strike) = self.agenda.strikes.get(number).copied() else { return Ok(()) };
        let nodes: Vec<NodeId> = self.nodes.keys().copied().collect();
        let place = match strike.aim {
            Aim::Node(place) => place as usize % nodes.len().max(1),
            Aim::Leader => 0,
        };
        let node = nodes.get(place).copied().expect("a plan has nodes");
        let is_awake = self.node(node).is_up && self.node(node).parked.is_none();
        let of_network = strike.fault < Fault::CrashBefore;
        if self.mended || !is_awake && !of_network {
            return Ok(());
        }
        self.schedule_in(strike.lasts, Event::Over(number));
        let until = self.now() + strike.lasts;
        match strike.fault {
            Fault::Partition => self.split(number, strike, node),
            Fault::OneWay => self.deafen(number, strike, node),
            Fault::Delay => {
                self.struck(strike, node, "what it says is held back");
                self.network.hold(until, |from, _| from == node);
            }
            // What is armed is counted when it goes off.
            Fault::CrashBefore => self.node(node).armed = Some(CrashPoint::Before),
            Fault::CrashBetween => {
                self.node(node).armed = Some(CrashPoint::Between(strike.pick % 8));
            }
            Fault::CrashAfter => self.node(node).armed = Some(CrashPoint::After),
            Fault::CrashAll => {
                self.struck(strike, node, "all machines lose their power");
                return nodes.into_iter().try_for_each(|node| self.crash(node));
            }
            Fault::Pause => {
                self.struck(strike, node, "it stands still");
                let sides = self.node(node);
                sides.parked = Some(Vec::new());
                let life = sides.life;
                self.schedule_in(strike.lasts, Event::Resume(node, life));
            }
            Fault::WipedDisk => return self.wipe(strike, node),
            Fault::SlowDisk => {
                self.struck(strike, node, "its disk is slow");
                self.node(node).slow_until = until;
            }
            // Counted each time that it happens.
            Fault::LateCompletion => self.node(node).late_until = until,
            // They have odds.
            Fault::Loss
            | Fault::Duplication
            | Fault::Reordering
            | Fault::LostSuffix
            | Fault::Drift => {}
            // They befall what a decision does not have.
            Fault::Bridge
            | Fault::LeaderCutOff
            | Fault::Backlog
            | Fault::Replacement
            | Fault::TornWrite
            | Fault::BitRot
            | Fault::MisdirectedWrite
            | Fault::DiskFull
            | Fault::WriteError
            | Fault::SyncError
            | Fault::ClockJump
            | Fault::Transfer
            | Fault::Rest
            | Fault::Unrest
            | Fault::Temptation
            | Fault::MembershipChange
            | Fault::Takeover
            | Fault::DiskStall
            | Fault::Retirement
            | Fault::SnapshotTaken
            | Fault::SnapshotInstalled
            | Fault::WitnessLetGo => {}
        }
        Ok(())
    }

    fn struck(&mut self, strike: Strike, node: NodeId, text: &str) {
        self.minutes.counts.count(strike.fault);
        let lasts = strike.lasts.as_nanos() as u64;
        let digest = twox_hash::XxHash3_64::oneshot(strike.fault.name().as_bytes());
        self.note(Some(node), [10, digest, lasts], || What::Fault {
            fault: strike.fault.name(),
            text: text.to_owned(),
            lasts,
        });
    }

    // The network.

    fn cut(
        &mut self,
        number: usize,
        (strike, node): (Strike, NodeId),
        text: &str,
        cut: impl Fn(NodeId, NodeId) -> bool,
    ) {
        let links = self.network.cut(cut);
        if !links.is_empty() {
            self.struck(strike, node, text);
            self.cuts.insert(number, links);
        }
    }

    fn split(&mut self, number: usize, strike: Strike, node: NodeId) {
        let inside = |other: NodeId| strike.pick >> (other.number() % 64) & 1 == 1;
        let cut = |from, to| inside(from) != inside(to);
        self.cut(number, (strike, node), "two sides do not hear each other", cut);
    }

    fn deafen(&mut self, number: usize, strike: Strike, node: NodeId) {
        let deaf = strike.pick >> 32 & 1 == 0;
        let text = if deaf { "it hears nobody" } else { "it is not heard" };
        let cut = |from, to| if deaf { to == node } else { from == node };
        self.cut(number, (strike, node), text, cut);
    }

    pub(super) fn on_over(&mut self, number: usize) {
        if let Some(links) = self.cuts.remove(&number) {
            self.network.mend(&links);
        }
    }

    // Processes.

    /// Ends a node's processes; of what was not synced a part may be on the disk all the same.
    pub(super) fn crash(&mut self, node: NodeId) -> Result<(), Failure> {
        let sides = self.node(node);
        if !sides.is_up {
            return Ok(());
        }
        (sides.is_up, sides.parked, sides.applied) = (false, None, None);
        sides.armed = None;
        sides.ready.clear();
        let open = std::mem::take(&mut sides.open);
        for operation in open.into_values() {
            self.end(node, operation, Ended::Unknown("the node ended".to_owned()));
        }
        let loses = self.agenda.temper.faults.has(Fault::LostSuffix);
        for seat in P::SEATS.iter().copied() {
            let sides = self.node(node);
            let waiting = sides.sides.get(&seat).map_or(0, |side| side.waiting());
            let kept = if loses { sides.random.place(waiting + 1) } else { waiting };
            let side = sides.side(seat);
            let upto = side.write(kept);
            if side.crash() > 0 {
                self.minutes.counts.count(Fault::LostSuffix);
            }
            let verdict = self.judge.durable(node, seat, upto);
            self.judged(verdict)?;
        }
        let sides = self.node(node);
        let life = sides.life;
        self.note(Some(node), [8, life, 0], || What::Down { text: "its process ends".to_owned() });
        self.look(node);
        let (retry, longest) = (self.agenda.retry, self.agenda.retry * 8);
        let pause = self.node(node).random.between(retry / 4, longest);
        self.schedule_in(pause, Event::Restart(node, life));
        Ok(())
    }

    pub(super) fn on_restart(&mut self, node: NodeId, life: u64) -> Result<(), Failure> {
        let sides = self.node(node);
        let waits = !sides.is_up && !sides.is_barred && sides.life == life;
        if waits { self.start(node) } else { Ok(()) }
    }

    pub(super) fn on_resume(&mut self, node: NodeId, life: u64) {
        let sides = self.node(node);
        if !sides.lives(life) {
            return;
        }
        // The sockets hold what came meanwhile.
        for event in sides.parked.take().unwrap_or_default() {
            self.schedule_in(Duration::ZERO, event);
        }
    }

    /// Empties a disk: what the node has promised is gone, so it must not come back as who it was
    /// (PAX-P05). Its peers refuse it, and it is not started again.
    fn wipe(&mut self, strike: Strike, node: NodeId) -> Result<(), Failure> {
        let lost = self.nodes.values().filter(|sides| sides.is_barred).count();
        if lost >= self.agenda.losses_max {
            return Ok(());
        }
        self.struck(strike, node, "its disk is emptied, and its peers refuse it");
        self.crash(node)?;
        let sides = self.node(node);
        sides.is_barred = true;
        sides.sides.values_mut().for_each(|side| side.wipe());
        Ok(())
    }

    /// Ends all faults, and asks every node for what is decided.
    pub(super) fn on_mend(&mut self) -> Result<(), Failure> {
        self.mended = true;
        self.note(None, [13, 0, 0], || What::Mended);
        self.network.calm();
        self.cuts.clear();
        let temper = &mut self.agenda.temper;
        temper.transit.1 = temper.transit.1.min(Duration::from_millis(5)).max(temper.transit.0);
        temper.sync.1 = temper.sync.1.min(Duration::from_millis(5)).max(temper.sync.0);
        let nodes: Vec<NodeId> = self.nodes.keys().copied().collect();
        for node in nodes.iter().copied() {
            let sides = self.node(node);
            (sides.slow_until, sides.late_until) = (Time::ZERO, Time::ZERO);
            sides.armed = None;
            let life = sides.life;
            let is_down = !sides.is_up && !sides.is_barred;
            for event in sides.parked.take().unwrap_or_default() {
                self.schedule_in(Duration::ZERO, event);
            }
            if is_down {
                self.on_restart(node, life)?;
            }
        }
        for node in nodes {
            if !self.node(node).is_up {
                continue;
            }
            // In the end somebody proposes, so that there is something to be told.
            let motion = Motion {
                at: Duration::ZERO,
                proposes: Some(self.plan.operations() + self.minutes.operations.all().len()),
                node: node.number(),
                patience: Duration::from_secs(3_600),
            };
            self.call(node, motion)?;
        }
        Ok(())
    }

    /// Returns what the nodes that run hold.
    pub(super) fn held(&self) -> impl Iterator<Item = (NodeId, &Bytes)> {
        let live = self.nodes.iter().filter(|(_, sides)| sides.is_up);
        live.filter_map(|(node, sides)| Some((*node, sides.applied.as_ref()?)))
    }
}
