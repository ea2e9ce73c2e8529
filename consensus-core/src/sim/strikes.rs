//! Faults as they strike, and their ends.

use std::time::Duration;

use super::{
    Failure,
    drive::Ending,
    fault::Fault,
    host::{CrashPoint, Standing},
    protocol::Simulated,
    script::{Aim, Strike},
    trace::What,
    world::{Event, World},
};
use crate::{journal::Operation, members::NodeId, state_machine::StateMachine, time::Time};

impl<P: Simulated, S: StateMachine> World<'_, P, S> {
    pub(super) fn on_strike(&mut self, number: usize) -> Result<(), Failure> {
        let Some(strike) = self.script.strikes.get(number).copied() else { return Ok(()) };
        if self.mended {
            return Ok(());
        }
        let node = self.victim(strike.aim);
        self.schedule_in(strike.lasts, Event::Over(number));
        match strike.fault {
            Fault::Partition | Fault::OneWay | Fault::Bridge | Fault::LeaderCutOff => {
                self.cut(number, strike, node);
            }
            Fault::Delay => {
                let until = self.now + strike.lasts;
                self.struck(strike, node, format!("messages from {node} are held back"));
                self.network.hold(until, |from, _| from == node);
            }
            Fault::CrashBefore
            | Fault::CrashBetween
            | Fault::CrashAfter
            | Fault::CrashAll
            | Fault::Pause
            | Fault::WipedDisk
            | Fault::Replacement => return self.strike_process(strike, node),
            Fault::TornWrite
            | Fault::BitRot
            | Fault::MisdirectedWrite
            | Fault::DiskFull
            | Fault::WriteError
            | Fault::SyncError
            | Fault::SlowDisk
            | Fault::LateCompletion => return self.strike_disk(strike, node),
            Fault::ClockJump => {
                // Days, where sessions may expire.
                let longest = if self.script.temper.sessions_expire { 60 * 3_600 } else { 600 };
                let jumps = [1, 60, longest];
                let most = jumps.get((strike.pick >> 32) as usize % jumps.len()).copied();
                let most = most.unwrap_or(1) * 1_000;
                let offset = (strike.pick % (2 * most)) as i64 - most as i64;
                self.struck(strike, node, format!("its wall clock is off by {offset} ms"));
                self.host(node).clock.set(offset);
            }
            // These have odds, or follow from others.
            Fault::Loss
            | Fault::Duplication
            | Fault::Reordering
            | Fault::LostSuffix
            | Fault::Drift => {}
        }
        Ok(())
    }

    fn victim(&self, aim: Aim) -> NodeId {
        let leader = self.hosts.values().filter(|host| host.leads() && host.is_judged());
        let leader = leader.max_by_key(|host| host.role.1).map(|host| host.place.node);
        let any = |number: u64| NodeId::new(number % self.plan.nodes() + 1);
        let chosen = match aim {
            Aim::Leader => leader.or_else(|| any(0)),
            Aim::Node(number) => any(number),
        };
        chosen.expect("node numbers start at 1")
    }

    fn struck(&mut self, strike: Strike, node: NodeId, text: String) {
        self.counts.count(strike.fault);
        let lasts = strike.lasts.as_nanos() as u64;
        let digest = twox_hash::XxHash3_64::oneshot(strike.fault.name().as_bytes());
        self.note(Some(node), [10, digest, lasts], || What::Fault {
            fault: strike.fault.name(),
            text,
            lasts,
        });
    }

    // The network.

    fn cut(&mut self, number: usize, strike: Strike, node: NodeId) {
        // A ring of the nodes, turned: neighbours end up on one side.
        let nodes = self.plan.nodes();
        let turn = strike.pick % nodes;
        let seat = |node: NodeId| (node.number() + turn) % nodes;
        let half = 1 + (strike.pick >> 16) % nodes.max(2).saturating_sub(1);
        let (text, links) = match strike.fault {
            Fault::Partition => {
                let inside = |node| seat(node) < half;
                let links = self.network.cut(|from, to| inside(from) != inside(to));
                (format!("{} do not hear the others", self.listed(inside)), links)
            }
            Fault::OneWay => {
                let deaf = strike.pick >> 32 & 1 == 0;
                let cut = |from, to| if deaf { to == node } else { from == node };
                let text = if deaf { "hears nobody" } else { "is not heard" };
                (text.to_owned(), self.network.cut(cut))
            }
            Fault::Bridge => {
                let side = |other| (other != node).then(|| seat(other) < nodes / 2);
                let links = self.network.cut(|from, to| {
                    side(from).zip(side(to)).is_some_and(|(left, right)| left != right)
                });
                (format!("only {node} is heard on both sides"), links)
            }
            _ => {
                let minority = (nodes - 1) / 2;
                let others = if minority > 1 { (strike.pick >> 24) % minority } else { 0 };
                let distance = |other: NodeId| (other.number() + nodes - node.number()) % nodes;
                let inside = |other| distance(other) <= others;
                let links = self.network.cut(|from, to| inside(from) != inside(to));
                (format!("{} are cut off from the others", self.listed(inside)), links)
            }
        };
        self.struck(strike, node, text);
        self.cuts.insert(number, links);
    }

    fn listed(&self, inside: impl Fn(NodeId) -> bool) -> String {
        let inside = self.hosts.keys().filter(|node| inside(**node));
        inside.map(NodeId::to_string).collect::<Vec<_>>().join(", ")
    }

    // Processes.

    fn strike_process(&mut self, strike: Strike, node: NodeId) -> Result<(), Failure> {
        if !self.host(node).is_awake() || !self.host(node).is_judged() {
            return Ok(());
        }
        // What is armed is counted when it goes off.
        match strike.fault {
            Fault::CrashBefore => self.host(node).armed = Some(CrashPoint::Before),
            Fault::CrashBetween => {
                self.host(node).armed = Some(CrashPoint::Between(strike.pick % 8));
            }
            Fault::CrashAfter => self.host(node).armed = Some(CrashPoint::After),
            Fault::CrashAll => {
                self.struck(strike, node, "all machines lose their power".to_owned());
                let nodes: Vec<NodeId> = self.hosts.keys().copied().collect();
                for node in nodes {
                    self.crash(node, Ending::Power)?;
                }
            }
            Fault::Pause => {
                self.struck(strike, node, "stands still".to_owned());
                let host = self.host(node);
                host.parked = Some(Vec::new());
                let life = host.life;
                self.schedule_in(strike.lasts, Event::Resume(node, life));
            }
            Fault::WipedDisk => {
                if !self.may_lose_another() {
                    return Ok(());
                }
                self.struck(strike, node, "its disk is emptied; peers refuse it".to_owned());
                self.crash(node, Ending::Power)?;
                let host = self.host(node);
                host.is_barred = true;
                host.wipe();
            }
            Fault::Replacement => {
                self.struck(strike, node, "its disk goes on in another machine".to_owned());
                self.crash(node, Ending::Power)?;
                let most = 60_000;
                let offset = (strike.pick % (2 * most)) as i64 - most as i64;
                let drift = (strike.pick >> 32) as i64 % 50_000;
                self.host(node).clock.replace(drift, offset);
            }
            _ => {}
        }
        Ok(())
    }

    /// Tells whether so few nodes are lost for good that one more may be.
    fn may_lose_another(&self) -> bool {
        let lost = self.hosts.values().filter(|host| !host.is_good() || host.is_doomed).count();
        lost < self.script.temper.losses_max
    }

    // Disks.

    fn strike_disk(&mut self, strike: Strike, node: NodeId) -> Result<(), Failure> {
        let until = self.now + strike.lasts;
        if !self.host(node).is_awake() || !self.host(node).is_judged() {
            return Ok(());
        }
        match strike.fault {
            // Counted when a write has torn: what gathers meanwhile makes it long.
            Fault::TornWrite => {
                let host = self.host(node);
                host.armed = Some(CrashPoint::Torn);
                host.slow_until = until;
            }
            Fault::BitRot => return self.rot(strike, node),
            // Counted when a write has missed.
            Fault::MisdirectedWrite => {
                let dooms = self.may_lose_another();
                let host = self.host(node);
                if dooms {
                    host.is_doomed = true;
                    host.drive.misdirect();
                }
            }
            Fault::DiskFull => {
                self.struck(strike, node, "its disk is full".to_owned());
                self.host(node).drive.set_full(true);
            }
            Fault::WriteError => {
                self.struck(strike, node, "its next write fails".to_owned());
                self.host(node).drive.fail_next(Operation::Write);
            }
            Fault::SyncError => {
                self.struck(strike, node, "its next sync fails".to_owned());
                self.host(node).drive.fail_next(Operation::Sync);
            }
            Fault::SlowDisk => {
                self.struck(strike, node, "its disk is slow".to_owned());
                self.host(node).slow_until = until;
            }
            // Counted each time that it happens.
            Fault::LateCompletion => self.host(node).late_until = until,
            _ => {}
        }
        Ok(())
    }

    /// Changes a bit on a disk; it shows when the disk is read.
    fn rot(&mut self, strike: Strike, node: NodeId) -> Result<(), Failure> {
        if !self.may_lose_another() || !self.host(node).drive.rot() {
            return Ok(());
        }
        self.struck(strike, node, "a bit on its disk changes".to_owned());
        self.host(node).is_doomed = true;
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
            self.hosts.values_mut().for_each(|host| host.drive.set_full(false));
        }
        Ok(())
    }

    /// Ends all faults: links are mended, disks are sound, and whoever can run does.
    pub(super) fn on_mend(&mut self) -> Result<(), Failure> {
        self.mended = true;
        self.note(None, [11, 0, 0], || What::Mended);
        self.network.calm();
        self.cuts.clear();
        let temper = &mut self.script.temper;
        temper.transit.1 = temper.transit.1.min(Duration::from_millis(5));
        temper.sync.1 = temper.sync.1.min(Duration::from_millis(5));
        let nodes: Vec<NodeId> = self.hosts.keys().copied().collect();
        for node in nodes {
            let host = self.host(node);
            host.drive.set_full(false);
            host.drive.mend();
            (host.slow_until, host.late_until) = (Time::ZERO, Time::ZERO);
            host.armed = None;
            let (life, standing) = (host.life, host.standing.clone());
            if host.parked.is_some() {
                self.schedule_in(Duration::ZERO, Event::Resume(node, life));
            }
            if standing == Standing::Down {
                self.start(node)?;
            }
        }
        self.probe();
        Ok(())
    }
}
