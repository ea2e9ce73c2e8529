//! What a host does with snapshots: it takes, keeps, sends and restores them, and crashes at it.

use super::{
    Failure, Flaw,
    event::Event,
    fault::Fault,
    host::{CrashPoint, Decision, Errand},
    protocol::Simulated,
    trace::What,
    world::World,
};
use crate::{
    journal::DiskError,
    members::NodeId,
    process::{Input, Status},
    sim::drive::Ending,
    snapshot::{Cut, Order, Report, Saved, SnapshotError, SnapshotId},
    state_machine::StateMachine,
};

impl<P: Simulated, S: StateMachine> World<'_, P, S> {
    /// Restores what the log of a node that has just started rests on, and tells its process of
    /// whatever snapshots its disk holds.
    pub(super) fn find_snapshots(&mut self, node: NodeId) -> Result<(), Failure> {
        let host = self.host(node);
        let Some(cut) = host.process.as_ref().map(Simulated::snapshot) else { return Ok(()) };
        if let Err(error) = host.shelf.open() {
            return self.fail_disk(node, &error.to_string());
        }
        let manifests = self.host(node).shelf.manifests();
        let life = self.host(node).life;
        if let Some(Cut { index, term, .. }) = &cut {
            let mine = manifests.iter().map(Saved::from);
            let mine = mine.filter(|it| it.id.index == *index && it.id.term == *term);
            let host = self.host(node);
            let restored = mine.rev().find_map(|it| host.shelf.restore::<S>(it.id).ok());
            match restored {
                Some(replica) => host.put(replica),
                None if !host.is_harmed => {
                    let what = format!("the log of {node} rests on a snapshot that is not there");
                    return Err(self.broken(Flaw::Durability, what));
                }
                None => self.step(node, Input::Snapshot(Report::Lost))?,
            }
        }
        let covered = cut.map(|cut| cut.index).unwrap_or_default();
        for saved in manifests.iter().map(Saved::from).filter(|it| it.id.index >= covered) {
            let sound =
                self.host(node).lives(life) && self.host(node).shelf.is_sound::<S>(saved.id);
            if sound {
                self.step(node, Input::Snapshot(Report::Saved(saved)))?;
            }
        }
        Ok(())
    }

    /// Counts when a witness lets its log go, or goes on from a point that it was sent.
    pub(super) fn note_point(&mut self, node: NodeId, status: &Status) {
        let host = self.host(node);
        let former = std::mem::replace(&mut host.covered, status.snapshot);
        if status.snapshot > former && status.membership.is_witness(node) {
            self.counts.count(Fault::WitnessLetGo);
        }
    }

    /// Carries out what a process asks for.
    pub(super) fn order(&mut self, node: NodeId, order: Order) {
        match order {
            Order::Take(cut) => self.decide(node, Decision::Take(cut)),
            Order::Restore(snapshot) => self.decide(node, Decision::Restore(snapshot)),
            // Nobody waits for it.
            Order::Decline => {}
            Order::Fetch { .. } | Order::Store { .. } | Order::Prune { .. } => {
                self.begin_errand(node, Errand::Order(order));
            }
        }
    }

    /// Copies the state, which goes on while the copy is written.
    pub(super) fn take_snapshot(&mut self, node: NodeId, cut: Cut) {
        let replica = self.host(node).replica.clone();
        assert!(replica.applied() == cut.index, "a snapshot is taken where it was asked for");
        self.begin_errand(node, Errand::Save(cut, replica));
    }

    /// Puts a snapshot in the place of the state.
    pub(super) fn restore(&mut self, node: NodeId, snapshot: SnapshotId) -> Result<(), Failure> {
        let host = self.host(node);
        let replica = match host.shelf.restore::<S>(snapshot) {
            Ok(replica) => replica,
            Err(error) => return self.fail_disk(node, &error),
        };
        if replica.applied() != snapshot.index || snapshot.index.0 as usize > self.decided.len() {
            let what = format!("{node} restores {snapshot}, which is of what nobody has applied");
            return Err(self.broken(Flaw::Invariant, what));
        }
        self.host(node).put(replica);
        self.progressed = self.now;
        self.counts.count(Fault::SnapshotInstalled);
        self.told_of(node, snapshot, "restores");
        Ok(())
    }

    fn told_of(&mut self, node: NodeId, snapshot: SnapshotId, what: &str) {
        let (index, text) = (snapshot.index.0, format!("{what} {snapshot}"));
        let numbers = [16, index, snapshot.digest];
        self.note(Some(node), numbers, || What::Snapshot { index, text });
    }

    fn begin_errand(&mut self, node: NodeId, errand: Errand<S>) {
        let (shortest, longest) = self.script.temper.sync;
        let host = self.host(node);
        host.errands.push_back(errand);
        if host.errands.len() > 1 {
            return;
        }
        let (life, pause) = (host.life, host.random.between(shortest, longest));
        self.schedule_in(pause, Event::Errand(node, life));
    }

    pub(super) fn on_errand(&mut self, node: NodeId, life: u64) -> Result<(), Failure> {
        let (shortest, longest) = self.script.temper.sync;
        let host = self.host(node);
        if !host.lives(life) {
            return Ok(());
        }
        let Some(errand) = host.errands.pop_front() else { return Ok(()) };
        if !host.errands.is_empty() {
            let pause = host.random.between(shortest, longest);
            self.schedule_in(pause, Event::Errand(node, life));
        }
        match errand {
            Errand::Save(cut, replica) => self.armed(node, |world| {
                let saved = world.host(node).shelf.save(cut, &replica);
                let report = saved.map(|manifest| Report::Saved(Saved::from(&manifest)));
                if let Ok(Report::Saved(saved)) = &report {
                    world.counts.count(Fault::SnapshotTaken);
                    world.told_of(node, saved.id, "has taken");
                }
                world.report(node, report)
            }),
            Errand::Order(Order::Store { from, snapshot, part, bytes }) => {
                self.armed(node, |world| {
                    let received = world.host(node).shelf.receive(snapshot, part, &bytes);
                    let report = received.map(|received| {
                        let (next, whole) = (received.next, received.whole);
                        Report::Stored { from, snapshot, next, whole }
                    });
                    world.report(node, report)
                })
            }
            Errand::Order(Order::Fetch { to, snapshot, part }) => {
                let bytes = self.host(node).shelf.part(snapshot, part);
                self.report(node, Ok(Report::Fetched { to, snapshot, part, bytes }))
            }
            Errand::Order(Order::Prune { used }) => match self.host(node).shelf.prune(&used) {
                Ok(()) => Ok(()),
                Err(error) => self.fail_disk(node, &error.to_string()),
            },
            Errand::Order(Order::Take(_) | Order::Restore(_) | Order::Decline) => Ok(()),
        }
    }

    /// Does what changes the disk, and ends the process within it if that is due.
    fn armed(
        &mut self,
        node: NodeId,
        act: impl FnOnce(&mut Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match self.host(node).armed {
            Some(CrashPoint::Between(changes)) => {
                self.host(node).shelf.disk().stop_after(changes);
                self.counts.count(Fault::CrashBetween);
                let life = self.host(node).life;
                act(self)?;
                if self.host(node).lives(life) { self.crash(node, Ending::Power) } else { Ok(()) }
            }
            Some(CrashPoint::Before | CrashPoint::After | CrashPoint::Torn) | None => act(self),
        }
    }

    /// Tells a process what has come of its snapshots, or ends it with its disk.
    fn report(
        &mut self,
        node: NodeId,
        report: Result<Report, SnapshotError>,
    ) -> Result<(), Failure> {
        match report {
            Ok(report) => self.step(node, Input::Snapshot(report)),
            Err(
                SnapshotError::Disk(DiskError::Full)
                | SnapshotError::TooLong { .. }
                | SnapshotError::Unencodable { .. },
            ) => self.step(node, Input::Snapshot(Report::Failed)),
            Err(error) => self.fail_disk(node, &error.to_string()),
        }
    }
}
