//! The node's snapshots: the actor that keeps, reads and removes them, and the work that it has done
//! elsewhere.
//!
//! A snapshot may have gigabytes. So what takes long (encoding a state, writing it, reading it back)
//! is done by a [worker](Workers), each piece on a thread of its own, and what is short (a part for a
//! peer, a part from one) by this actor, on the thread of its disk: no role waits for either.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    sync::Arc,
};

use actix::{Actor, Addr, Arbiter, Context, Handler, Message};
use consensus_core::{
    GroupId, StateMachine,
    journal::{Disk, DiskError},
    replica::{self, RestoreError},
    snapshot::{
        CHUNK_BYTES_MAX, Cut, Draft, Manifest, Order, Reader, Report, Saved, SnapshotError,
        SnapshotId, Store,
    },
};

use crate::abort::AbortOnPanic;

/// A view of the directory where a group's snapshots lie.
pub(crate) type ShelfDisk = Box<dyn Disk + Send>;

/// Opens another view of a group's snapshots.
pub(crate) type Shelves = Arc<dyn Fn(GroupId) -> io::Result<ShelfDisk> + Send + Sync>;

/// Has something done that takes long: on a thread of its own, but in tests.
pub(crate) type Workers = Arc<dyn Fn(Box<dyn FnOnce() + Send>) + Send + Sync>;

/// Who is told what has come of a group's snapshots.
pub(crate) trait Reports: Send + Sync {
    /// Tells it.
    fn report(&self, report: Report);
}

/// Who is shown which snapshots a group has on this node, oldest first.
pub(crate) trait Shown: Send + Sync {
    /// Shows them.
    fn show(&self, snapshots: Vec<Manifest>);
}

/// What takes a replica that was read back; `None` where there is none that is sound.
pub(crate) type Return<S> = Box<dyn FnOnce(Option<replica::Replica<S>>) + Send>;

/// The snapshots of one group.
struct Shelf {
    name: Arc<str>,
    store: Store<ShelfDisk>,
    keep: usize,
    reports: Arc<dyn Reports>,
    shown: Arc<dyn Shown>,
}

/// The actor of the snapshots' disk.
pub(crate) struct Archive {
    shelves: Shelves,
    workers: Workers,
    groups: BTreeMap<GroupId, Shelf>,
}

impl Archive {
    /// Makes the actor of a node without groups.
    pub(crate) fn new(shelves: Shelves, workers: Workers) -> Self {
        Self { shelves, workers, groups: BTreeMap::new() }
    }

    /// Starts the actor on the arbiter's thread.
    pub(crate) fn launch(self, arbiter: &Arbiter) -> Addr<Self> {
        Self::start_in_arbiter(&arbiter.handle(), move |_| self)
    }

    fn carry_out(&mut self, group: GroupId, order: Order) {
        let Some(shelf) = self.groups.get_mut(&group) else { return };
        match order {
            Order::Fetch { to, snapshot, part } => {
                let bytes = shelf.store.part(snapshot, part);
                if let Err(error) = &bytes {
                    tracing::error!(group = %shelf.name, %error, "a snapshot cannot be sent");
                    shelf.store.forget(snapshot);
                }
                let bytes = bytes.ok();
                shelf.reports.report(Report::Fetched { to, snapshot, part, bytes });
            }
            Order::Store { from, snapshot, part, bytes } => {
                let received = shelf.store.receive(snapshot, part, &bytes);
                let (next, whole) = match received {
                    Ok(received) => (received.next, received.whole),
                    Err(error) => {
                        shelf.failed(&error);
                        shelf.store.give_up_receiving().ok();
                        (0, None)
                    }
                };
                if whole.is_some() {
                    shelf.show();
                }
                shelf.reports.report(Report::Stored { from, snapshot, next, whole });
            }
            Order::Prune { used } => {
                if let Err(error) = shelf.store.prune(shelf.keep, &used) {
                    shelf.failed(&error.into());
                }
                shelf.show();
            }
            // In order with what is applied: the replica's.
            Order::Take(_) | Order::Restore(_) | Order::Decline => {}
        }
    }
}

impl Shelf {
    fn show(&self) {
        self.shown.show(self.store.manifests().cloned().collect());
    }

    /// Takes note of a snapshot that failed. The log is there still: nothing is lost, and the next
    /// one may fare better.
    fn failed(&self, error: &SnapshotError) {
        let group = &self.name;
        if matches!(error, SnapshotError::Disk(DiskError::Full)) {
            tracing::error!(%group, "the disk is full: a snapshot is left out until there is room");
        } else {
            tracing::error!(%group, %error, "a snapshot failed; the log is kept instead");
        }
    }
}

/// Reads a whole snapshot, and says whether it is what was written.
fn verify(disk: ShelfDisk, manifest: &Manifest) -> io::Result<()> {
    let mut reader = Reader::new(disk, manifest.clone());
    io::copy(&mut reader.by_ref().take(manifest.length), &mut io::sink()).map(drop)
}

/// Reads a replica back.
fn restore<S: StateMachine>(
    disk: ShelfDisk,
    manifest: &Manifest,
) -> Result<replica::Replica<S>, RestoreError> {
    let reader = Reader::new(disk, manifest.clone());
    replica::Replica::restore(manifest.group, &mut io::BufReader::with_capacity(1 << 16, reader))
}

/// Registers a group, and reads back what its log rests on.
pub(crate) struct Open<S: StateMachine> {
    pub(crate) group: GroupId,
    pub(crate) name: Arc<str>,
    pub(crate) keep: usize,
    pub(crate) reports: Arc<dyn Reports>,
    pub(crate) shown: Arc<dyn Shown>,
    /// The point that the log rests on.
    pub(crate) cut: Option<Cut>,
    pub(crate) back: Return<S>,
}

/// Carries out what a group's protocol asks for.
pub(crate) struct Errand(pub(crate) GroupId, pub(crate) Order);

/// Writes a snapshot of a copy of a replica.
pub(crate) struct Save<S: StateMachine> {
    pub(crate) group: GroupId,
    pub(crate) cut: Cut,
    pub(crate) replica: replica::Replica<S>,
    /// Told that it has ended, well or not.
    pub(crate) done: Box<dyn FnOnce(Option<Saved>) + Send>,
}

/// Reads a replica back, to take the place of the present one.
pub(crate) struct Restore<S: StateMachine> {
    pub(crate) group: GroupId,
    pub(crate) snapshot: SnapshotId,
    pub(crate) back: Return<S>,
}

/// A worker has written a snapshot, or has not.
struct Written {
    group: GroupId,
    written: Result<Manifest, String>,
    done: Box<dyn FnOnce(Option<Saved>) + Send>,
}

/// A worker has verified what lay on the disk at the start.
struct Found {
    group: GroupId,
    /// Whether what the log rests on is lost.
    lost: bool,
    sound: Vec<Manifest>,
    damaged: Vec<SnapshotId>,
}

impl<S: StateMachine> Message for Open<S> {
    type Result = ();
}

impl Message for Errand {
    type Result = ();
}

impl<S: StateMachine> Message for Save<S> {
    type Result = ();
}

impl<S: StateMachine> Message for Restore<S> {
    type Result = ();
}

impl Message for Written {
    type Result = ();
}

impl Message for Found {
    type Result = ();
}

impl Actor for Archive {
    type Context = Context<Self>;
}

impl<S: StateMachine> Handler<Open<S>> for Archive {
    type Result = ();

    fn handle(&mut self, open: Open<S>, ctx: &mut Self::Context) {
        let _guard = AbortOnPanic("archive");
        let Open { group, name, keep, reports, shown, cut, back } = open;
        let opened = (self.shelves)(group).map_err(|error| error.to_string());
        let opened =
            opened.and_then(|disk| Store::open(disk, group).map_err(|error| error.to_string()));
        let (store, found) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                tracing::error!(group = %name, %error, "the snapshots cannot be read");
                if cut.is_some() {
                    reports.report(Report::Lost);
                }
                return;
            }
        };
        for file in &found.damaged {
            tracing::error!(group = %name, %file, "a snapshot is damaged and not used");
        }
        let covered = cut.as_ref().map(|cut| cut.index).unwrap_or_default();
        let manifests: Vec<_> =
            store.manifests().filter(|it| it.cut.index >= covered).cloned().collect();
        let shelf = Shelf { name: Arc::clone(&name), store, keep, reports, shown };
        shelf.show();
        self.groups.insert(group, shelf);
        let (shelves, archive) = (Arc::clone(&self.shelves), actix::AsyncContext::address(ctx));
        (self.workers)(Box::new(move || {
            let (mut sound, mut damaged, mut restored) = (Vec::new(), Vec::new(), None);
            for manifest in manifests {
                let mine = cut.as_ref() == Some(&manifest.cut);
                let read = shelves(group).map_err(RestoreError::from).and_then(|disk| {
                    if mine {
                        return restore::<S>(disk, &manifest).map(Some);
                    }
                    Ok(verify(disk, &manifest).map(|()| None)?)
                });
                match read {
                    Ok(replica) => {
                        restored = replica.or(restored);
                        sound.push(manifest);
                    }
                    Err(error) => {
                        tracing::error!(group = %name, %error, "a snapshot is damaged and not used");
                        damaged.push(manifest.id());
                    }
                }
            }
            let lost = cut.is_some() && restored.is_none();
            if lost {
                tracing::error!(
                    group = %name,
                    "the snapshot that the log rests on is damaged or gone: this replica asks its \
                     peers for theirs, and serves nothing until one of them has sent it; if all \
                     have lost theirs, restore the data directory of one from a backup"
                );
            }
            // Without a state of old the replica goes on with none, or waits for a peer's.
            if restored.is_some() {
                back(restored);
            }
            archive.do_send(Found { group, lost, sound, damaged });
        }));
    }
}

impl Handler<Found> for Archive {
    type Result = ();

    fn handle(&mut self, found: Found, _: &mut Self::Context) {
        let _guard = AbortOnPanic("archive");
        let Some(shelf) = self.groups.get_mut(&found.group) else { return };
        found.damaged.into_iter().for_each(|id| shelf.store.forget(id));
        if found.lost {
            shelf.reports.report(Report::Lost);
        }
        for manifest in &found.sound {
            shelf.reports.report(Report::Saved(Saved::from(manifest)));
        }
        shelf.show();
    }
}

impl Handler<Errand> for Archive {
    type Result = ();

    fn handle(&mut self, Errand(group, order): Errand, _: &mut Self::Context) {
        let _guard = AbortOnPanic("archive");
        self.carry_out(group, order);
    }
}

impl<S: StateMachine> Handler<Save<S>> for Archive {
    type Result = ();

    fn handle(&mut self, save: Save<S>, ctx: &mut Self::Context) {
        let _guard = AbortOnPanic("archive");
        let (shelves, archive) = (Arc::clone(&self.shelves), actix::AsyncContext::address(ctx));
        (self.workers)(Box::new(move || {
            let Save { group, cut, replica, done } = save;
            let write = || -> Result<Manifest, String> {
                let disk = shelves(group).map_err(|error| error.to_string())?;
                let draft = Draft::begin(disk, group, cut, CHUNK_BYTES_MAX);
                draft.and_then(|draft| draft.save(&replica)).map_err(|error| error.to_string())
            };
            archive.do_send(Written { group, written: write(), done });
        }));
    }
}

impl Handler<Written> for Archive {
    type Result = ();

    fn handle(&mut self, Written { group, written, done }: Written, _: &mut Self::Context) {
        let _guard = AbortOnPanic("archive");
        let Some(shelf) = self.groups.get_mut(&group) else { return };
        match written {
            Ok(manifest) => {
                let saved = Saved::from(&manifest);
                let (name, bytes) = (&shelf.name, manifest.length);
                tracing::info!(group = %name, index = saved.id.index.0, bytes, "snapshot taken");
                shelf.store.add(manifest);
                shelf.show();
                // The protocol hears of it first: whoever waits for a newer one asks it for that.
                shelf.reports.report(Report::Saved(saved.clone()));
                done(Some(saved));
            }
            Err(error) => {
                let group = &shelf.name;
                tracing::error!(%group, %error, "a snapshot failed; the log is kept instead");
                shelf.reports.report(Report::Failed);
                done(None);
            }
        }
    }
}

impl<S: StateMachine> Handler<Restore<S>> for Archive {
    type Result = ();

    fn handle(&mut self, order: Restore<S>, _: &mut Self::Context) {
        let _guard = AbortOnPanic("archive");
        let Restore { group, snapshot, back } = order;
        let Some(shelf) = self.groups.get(&group) else { return };
        let manifest = shelf.store.manifests().find(|it| it.id() == snapshot).cloned();
        let (shelves, name) = (Arc::clone(&self.shelves), Arc::clone(&shelf.name));
        (self.workers)(Box::new(move || {
            let manifest = manifest.ok_or_else(|| "it is gone".to_owned());
            let restored = manifest.and_then(|manifest| {
                let disk = shelves(group).map_err(|error| error.to_string())?;
                restore::<S>(disk, &manifest).map_err(|error| error.to_string())
            });
            if let Err(error) = &restored {
                tracing::error!(group = %name, %error, "a snapshot cannot be installed");
            }
            back(restored.ok());
        }));
    }
}
