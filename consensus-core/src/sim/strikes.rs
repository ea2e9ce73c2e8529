//! Faults as they strike, and their ends.

use std::time::Duration;

use super::{
    Failure,
    drive::Ending,
    event::Event,
    fault::Fault,
    host::{CrashPoint, Host, Standing},
    protocol::{Judge, Simulated},
    script::{Aim, Strike},
    trace::What,
    world::World,
};
use crate::{journal::Operation, members::NodeId, state_machine::StateMachine, time::Time};

impl<P: Simulated, S: StateMachine> World<'_, P, S> {
    pub(super) fn on_strike(&mut self, number: usize) -> Result<(), Failure> {
        let Some(strike) = self.script.strikes.get(number).copied() else { return Ok(()) };
        if self.mended {
            return Ok(());
        }
        // Who is cut off as a leader is one.
        let aim = if strike.fault == Fault::LeaderCutOff { Aim::Leader } else { strike.aim };
        let node = self.victim(aim, strike.pick);
        let delay = self.script.temper.election_timeout;
        self.schedule_in(strike.lasts + delay, Event::Over(number));
        let is_reached = self.host(node).is_awake() && self.host(node).is_judged();
        if strike.fault > Fault::LeaderCutOff && !is_reached {
            return Ok(());
        }
        let until = self.now + strike.lasts;
        match strike.fault {
            Fault::Partition => self.split(number, strike, node),
            Fault::OneWay => self.deafen(number, strike, node),
            Fault::Bridge => self.leave_a_bridge(number, strike, node),
            // Now and then what is said to it is held back first, and then it is cut off: answers
            // to what it asked when it led come when others lead.
            Fault::LeaderCutOff if strike.pick >> 40 & 1 == 0 => {
                self.network.hold(until, |_, to| to == node);
                let pause = self.script.temper.election_timeout / 2;
                self.schedule_in(pause, Event::CutOff(number, node));
            }
            Fault::LeaderCutOff => self.cut_off(number, strike, node),
            Fault::Delay => {
                self.struck(strike, node, format!("messages from {node} are held back"));
                self.network.hold(until, |from, _| from == node);
            }
            // What is armed is counted when it goes off.
            Fault::CrashBefore => self.host(node).armed = Some(CrashPoint::Before),
            Fault::CrashBetween => {
                self.host(node).armed = Some(CrashPoint::Between(strike.pick % 8));
            }
            Fault::CrashAfter => self.host(node).armed = Some(CrashPoint::After),
            Fault::TornWrite => {
                let host = self.host(node);
                host.armed = Some(CrashPoint::Torn);
                // What gathers meanwhile makes a write long.
                (host.slow_until, host.stalls) = (until, false);
            }
            Fault::CrashAll => return self.crash_all(strike, node),
            Fault::Pause => self.pause(strike, node),
            Fault::Unrest if self.host(node).rests => self.pause(strike, node),
            Fault::Unrest => {}
            Fault::Backlog => {
                self.struck(strike, node, "its replica is far behind".to_owned());
                self.host(node).behind_until = until;
            }
            Fault::WipedDisk => return self.wipe(strike, node),
            Fault::Replacement => return self.replace(strike, node),
            Fault::BitRot => return self.rot(strike, node),
            // Counted when a write has missed.
            Fault::MisdirectedWrite => {
                let dooms = self.may_lose(node);
                let host = self.host(node);
                if dooms {
                    host.is_doomed = true;
                    host.drive.misdirect();
                }
            }
            // Counted when a segment finds no room, and when a write or sync fails.
            Fault::DiskFull => {
                self.tell(strike, node, "its disk is full".to_owned());
                let host = self.host(node);
                host.drive.set_full(true);
                host.shelf.disk().set_full(true);
            }
            Fault::WriteError => self.fail_next(strike, node, Operation::Write),
            Fault::SyncError => self.fail_next(strike, node, Operation::Sync),
            Fault::SlowDisk => {
                self.struck(strike, node, "its disk is slow".to_owned());
                let host = self.host(node);
                (host.slow_until, host.stalls) = (until, strike.pick & 1 == 0);
            }
            // Counted each time that it happens.
            Fault::LateCompletion => self.host(node).late_until = until,
            Fault::ClockJump => self.set_clock(strike, node),
            Fault::Transfer => self.ask_for_transfer(strike, node),
            Fault::Temptation => self.tempt(number, strike),
            Fault::MembershipChange => return self.ask_for_change(strike, node),
            Fault::Retirement => return self.retire(strike, node),
            // These have odds, or follow from others.
            Fault::Rest
            | Fault::Loss
            | Fault::Duplication
            | Fault::Reordering
            | Fault::LostSuffix
            | Fault::Drift
            | Fault::Takeover
            | Fault::DiskStall
            | Fault::SnapshotTaken
            | Fault::SnapshotInstalled
            | Fault::WitnessLetGo => {}
        }
        Ok(())
    }

    pub(super) fn on_cut_off(&mut self, number: usize, node: NodeId) {
        let strike = self.script.strikes.get(number).copied();
        if let Some(strike) = strike.filter(|_| !self.mended) {
            self.cut_off(number, strike, node);
        }
    }

    fn victim(&self, aim: Aim, pick: u64) -> NodeId {
        // Who was removed may come to what it likes.
        let gone = |node: &NodeId| self.judge.membership().is_retired(*node);
        let nodes: Vec<NodeId> = self.hosts.keys().copied().filter(|node| !gone(node)).collect();
        let any = |number: u64| nodes.get(number as usize % nodes.len().max(1)).copied();
        let chosen = match aim {
            Aim::Leader => self.leader().or_else(|| any(0)),
            Aim::Node(number) if nodes.len() as u64 == self.plan.nodes() => any(number),
            Aim::Node(number) => any(number ^ pick >> 48),
        };
        chosen.expect("some node is never removed")
    }

    /// Returns who leads the latest term.
    pub(super) fn leader(&self) -> Option<NodeId> {
        let leaders = self.hosts.values().filter(|host| host.leads() && host.is_judged());
        leaders.max_by_key(|host| host.role.1).map(|host| host.place.node)
    }

    pub(super) fn struck(&mut self, strike: Strike, node: NodeId, text: String) {
        self.counts.count(strike.fault);
        self.tell(strike, node, text);
    }

    pub(super) fn tell(&mut self, strike: Strike, node: NodeId, text: String) {
        let lasts = strike.lasts.as_nanos() as u64;
        let digest = twox_hash::XxHash3_64::oneshot(strike.fault.name().as_bytes());
        self.note(Some(node), [10, digest, lasts], || What::Fault {
            fault: strike.fault.name(),
            text,
            lasts,
        });
    }

    // The network.

    pub(super) fn cut(
        &mut self,
        number: usize,
        (strike, node): (Strike, NodeId),
        text: String,
        cut: impl Fn(NodeId, NodeId) -> bool,
    ) {
        let links = self.network.cut(cut);
        if !links.is_empty() {
            let over = strike.at + strike.lasts + self.script.temper.election_timeout;
            let strike = Strike { lasts: over.since(self.now), ..strike };
            self.struck(strike, node, text);
            self.cuts.insert(number, links);
        }
    }

    /// Returns where nodes sit on a ring that the strike has turned: neighbours share a side.
    pub(super) fn seats(&self, strike: Strike) -> impl Fn(NodeId) -> u64 + use<P, S> {
        let nodes: Vec<NodeId> = self.hosts.keys().copied().collect();
        let turn = strike.pick % nodes.len() as u64;
        move |node| {
            let place = nodes.partition_point(|other| *other <= node) as u64;
            (place + turn) % nodes.len() as u64
        }
    }

    fn split(&mut self, number: usize, strike: Strike, node: NodeId) {
        let (seat, nodes) = (self.seats(strike), self.hosts.len() as u64);
        let half = 1 + (strike.pick >> 16) % nodes.max(2).saturating_sub(1);
        let inside = |node| seat(node) < half;
        let text = format!("{} do not hear the others", self.listed(inside));
        self.cut(number, (strike, node), text, |from, to| inside(from) != inside(to));
    }

    fn deafen(&mut self, number: usize, strike: Strike, node: NodeId) {
        let deaf = strike.pick >> 32 & 1 == 0;
        let text = if deaf { "hears nobody" } else { "is not heard" };
        let cut = |from, to| if deaf { to == node } else { from == node };
        self.cut(number, (strike, node), text.to_owned(), cut);
    }

    fn leave_a_bridge(&mut self, number: usize, strike: Strike, node: NodeId) {
        // The others in the order of the ring, each half on a side.
        let seat = self.seats(strike);
        let mut others: Vec<NodeId> = self.hosts.keys().copied().filter(|it| *it != node).collect();
        others.sort_by_key(|other| seat(*other));
        let half = others.len() / 2;
        let left: Vec<NodeId> = others.into_iter().take(half).collect();
        let text = format!("only {node} is heard on both sides");
        self.cut(number, (strike, node), text, |from, to| {
            from != node && to != node && left.contains(&from) != left.contains(&to)
        });
    }

    pub(super) fn cut_off(&mut self, number: usize, strike: Strike, node: NodeId) {
        if !self.host(node).leads() {
            return;
        }
        let (seat, nodes) = (self.seats(strike), self.hosts.len() as u64);
        let minority = (nodes - 1) / 2;
        let others = if minority > 1 { (strike.pick >> 24) % minority } else { 0 };
        let inside = |other: NodeId| (seat(other) + nodes - seat(node)) % nodes <= others;
        let text = format!("{} are cut off from the others", self.listed(inside));
        self.cut(number, (strike, node), text, |from, to| inside(from) != inside(to));
    }

    fn listed(&self, inside: impl Fn(NodeId) -> bool) -> String {
        let inside = self.hosts.keys().filter(|node| inside(**node));
        inside.map(NodeId::to_string).collect::<Vec<_>>().join(", ")
    }

    // Processes.

    fn crash_all(&mut self, strike: Strike, node: NodeId) -> Result<(), Failure> {
        self.struck(strike, node, "all machines lose their power".to_owned());
        let nodes: Vec<NodeId> = self.hosts.keys().copied().collect();
        nodes.into_iter().try_for_each(|node| self.crash(node, Ending::Power))
    }

    fn pause(&mut self, strike: Strike, node: NodeId) {
        self.struck(strike, node, "stands still".to_owned());
        let host = self.host(node);
        host.parked = Some(Vec::new());
        let life = host.life;
        self.schedule_in(strike.lasts, Event::Resume(node, life));
    }

    fn wipe(&mut self, strike: Strike, node: NodeId) -> Result<(), Failure> {
        if !self.may_lose(node) {
            return Ok(());
        }
        self.struck(strike, node, "its disk is emptied; peers refuse it".to_owned());
        self.crash(node, Ending::Power)?;
        let host = self.host(node);
        host.is_barred = true;
        host.wipe();
        Ok(())
    }

    fn replace(&mut self, strike: Strike, node: NodeId) -> Result<(), Failure> {
        self.struck(strike, node, "its disk goes on in another machine".to_owned());
        self.crash(node, Ending::Power)?;
        let most = 60_000;
        let offset = (strike.pick % (2 * most)) as i64 - most as i64;
        let drift = (strike.pick >> 32) as i64 % 50_000;
        self.host(node).clock.replace(drift, offset);
        Ok(())
    }

    fn set_clock(&mut self, strike: Strike, node: NodeId) {
        // Days, where sessions may expire.
        let longest = if self.script.temper.sessions_expire { 60 * 3_600 } else { 600 };
        let jumps = [1, 60, longest];
        let most = jumps.get((strike.pick >> 32) as usize % jumps.len()).copied();
        let most = most.unwrap_or(1) * 1_000;
        let offset = (strike.pick % (2 * most)) as i64 - most as i64;
        self.struck(strike, node, format!("its wall clock is off by {offset} ms"));
        self.host(node).clock.set(offset);
    }

    // Disks.

    fn fail_next(&mut self, strike: Strike, node: NodeId, operation: Operation) {
        self.tell(strike, node, format!("its next {operation} fails"));
        let host = self.host(node);
        host.failing = Some(strike.fault);
        host.drive.fail_next(operation);
        if strike.pick >> 48 & 1 == 0 {
            host.shelf.disk().fail_next(operation);
        }
    }

    /// Changes a bit on a disk; it shows when the disk is read.
    fn rot(&mut self, strike: Strike, node: NodeId) -> Result<(), Failure> {
        if !self.may_lose(node) {
            return Ok(());
        }
        // A snapshot that is damaged is got again from peers, and its node is not lost.
        let of_snapshots = strike.pick >> 48 & 1 == 0 && self.host(node).shelf.rot();
        if !of_snapshots && !self.host(node).drive.rot() {
            return Ok(());
        }
        let what = if of_snapshots { "of its snapshots" } else { "on its disk" };
        self.struck(strike, node, format!("a bit {what} changes"));
        let host = self.host(node);
        (host.is_doomed, host.is_harmed) = (true, true);
        self.crash(node, Ending::Process)
    }

    // Ends.

    pub(super) fn on_over(&mut self, number: usize) -> Result<(), Failure> {
        let Some(strike) = self.script.strikes.get(number).copied() else { return Ok(()) };
        if let Some(links) = self.cuts.remove(&number) {
            self.network.mend(&links);
        }
        if strike.fault == Fault::DiskFull {
            // Whoever was meant: another leader may be there by now.
            for host in self.hosts.values_mut() {
                host.drive.set_full(false);
                host.shelf.disk().set_full(false);
            }
        }
        Ok(())
    }

    /// Ends all faults: links are mended, disks are sound, and whoever can run does.
    pub(super) fn on_mend(&mut self) -> Result<(), Failure> {
        self.mended = true;
        self.note(None, [11, 0, 0], || What::Mended);
        self.network.calm();
        self.cuts.clear();
        self.quarrels.clear();
        let temper = &mut self.script.temper;
        temper.transit.1 = temper.transit.1.min(Duration::from_millis(5));
        temper.sync.1 = temper.sync.1.min(Duration::from_millis(5));
        let nodes: Vec<NodeId> = self.hosts.keys().copied().collect();
        for node in nodes {
            let host = self.host(node);
            host.drive.set_full(false);
            host.drive.mend();
            host.shelf.disk().set_full(false);
            host.shelf.disk().mend();
            (host.slow_until, host.late_until) = (Time::ZERO, Time::ZERO);
            host.behind_until = Time::ZERO;
            host.armed = None;
            let (life, standing) = (host.life, host.standing.clone());
            if host.parked.is_some() {
                self.schedule_in(Duration::ZERO, Event::Resume(node, life));
            }
            if standing == Standing::Down {
                self.start(node)?;
            }
        }
        let logs = self.hosts.values().filter_map(Host::last);
        self.backlog = logs.map(|last| last.0).max().unwrap_or_default();
        self.probe();
        Ok(())
    }
}
