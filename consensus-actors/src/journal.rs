//! The node's journal: the actor that writes for all groups.

mod files;
mod records;
mod spare;
mod writer;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use actix::{Actor, ActorContext, Arbiter, AsyncContext, Context, Handler, Message};
use consensus_core::{
    GroupId, Token,
    journal::{Disk, Journal, JournalError},
};

pub(crate) use files::{FileDisk, sync_directory};
pub(crate) use records::Records;
use writer::Desk;

use crate::abort::AbortOnPanic;

/// Who is told how a group's records fare.
pub(crate) trait Durability: Send + Sync {
    /// Every record up to `upto` is durable.
    fn persisted(&self, upto: Token);
    /// The disk is full, or has room again.
    fn storage_full(&self, full: bool);
    /// The journal would give up old records that the group needs: it is to write anew what it rests
    /// on.
    fn make_room(&self);
}

/// Registers who is told about a group's records.
pub(crate) struct Register {
    pub(crate) group: GroupId,
    pub(crate) durability: Arc<dyn Durability>,
}

/// Makes records durable, in order.
pub(crate) struct Append {
    pub(crate) group: GroupId,
    pub(crate) records: Vec<(Token, Vec<u8>)>,
    /// The last of them, and of what the sender has staged itself.
    pub(crate) upto: Token,
}

/// Gives up a group's records before one.
pub(crate) struct Compact {
    pub(crate) group: GroupId,
    pub(crate) before: Token,
}

/// Writes all that waits, and answers when that is done.
pub(crate) struct Flush;

/// Writes what has gathered; behind everything that waited when it was sent.
struct Commit;

impl Message for Register {
    type Result = ();
}

impl Message for Append {
    type Result = ();
}

impl Message for Compact {
    type Result = ();
}

impl Message for Flush {
    type Result = ();
}

impl Message for Commit {
    type Result = ();
}

/// How many complete segments may wait for groups to let them go before those are asked.
const SEGMENTS_MAX: usize = 8;

/// How long a full disk is left alone before the next attempt.
const FULL_RETRY: Duration = Duration::from_secs(1);

/// The disk that a node's journal is on.
pub(crate) type NodeDisk = Box<dyn Disk + Send>;

/// What becomes of the node once its journal cannot be trusted any more; nothing is written after.
pub(crate) type GiveUp = Box<dyn FnMut(&JournalError) + Send>;

/// The actor of the disk, on a thread of its own: one write and one sync for all that waits, of all
/// groups.
pub(crate) struct JournalActor {
    desk: Arc<Desk>,
    groups: BTreeMap<GroupId, Arc<dyn Durability>>,
    /// The youngest record that waits for the disk, of each group.
    waiting: BTreeMap<GroupId, Token>,
    /// How many messages brought what waits.
    brought: usize,
    committing: bool,
    full: bool,
    /// The oldest segment that groups were asked for last.
    wanted: Option<u64>,
}

impl JournalActor {
    /// Makes the actor of a recovered journal.
    pub(crate) fn new(journal: Journal<NodeDisk>, give_up: GiveUp) -> Self {
        Self {
            desk: Arc::new(Desk::new(journal, give_up)),
            groups: BTreeMap::new(),
            waiting: BTreeMap::new(),
            brought: 0,
            committing: false,
            full: false,
            wanted: None,
        }
    }

    /// Starts the actor on the arbiter's thread; returns the way of records to it.
    pub(crate) fn launch(self, arbiter: &Arbiter) -> Records {
        let desk = Arc::clone(&self.desk);
        let journal = Self::start_in_arbiter(&arbiter.handle(), move |_| self);
        Records::Kept { journal, desk }
    }

    /// Starts the actor on this thread; returns the way of records to it.
    #[cfg(test)]
    pub(crate) fn launch_here(self) -> Records {
        let desk = Arc::clone(&self.desk);
        Records::Kept { journal: self.start(), desk }
    }

    fn commit(&mut self, ctx: &mut Context<Self>) {
        let committed = self.desk.writer().commit();
        match committed {
            Ok(()) => {
                self.desk.settle(std::mem::take(&mut self.brought));
                self.make_room();
                self.tell_full(false);
                for (group, upto) in std::mem::take(&mut self.waiting) {
                    if let Some(durability) = self.groups.get(&group) {
                        durability.persisted(upto);
                    }
                }
            }
            Err(JournalError::Full) => {
                self.tell_full(true);
                self.committing = true;
                ctx.notify_later(Commit, FULL_RETRY);
            }
            // The node was given up; nothing more is taken where that does not end the process.
            Err(_) => ctx.terminate(),
        }
    }

    /// Asks the groups that need the oldest segment to write anew what they rest on, if many wait for
    /// it.
    fn make_room(&mut self) {
        let Some((segment, holders)) = self.desk.writer().holders(SEGMENTS_MAX) else { return };
        if self.wanted.is_some_and(|wanted| segment <= wanted) {
            return;
        }
        self.wanted = Some(segment);
        for group in holders {
            match self.groups.get(&group) {
                Some(holder) => holder.make_room(),
                None => tracing::warn!(
                    ?group,
                    "the journal keeps old files for a group that this node does not host: host it \
                     to have them removed"
                ),
            }
        }
    }

    fn tell_full(&mut self, full: bool) {
        if self.full == full {
            return;
        }
        self.full = full;
        if full {
            tracing::error!("the disk is full: writes are refused until there is room");
        } else {
            tracing::info!("the disk has room again");
        }
        self.groups.values().for_each(|group| group.storage_full(full));
    }
}

/// Ends the process: after a failed write or sync nobody can say what the disk holds.
pub(crate) fn end_process(error: &JournalError) {
    tracing::error!(
        %error,
        "the journal cannot be trusted any more, so this process ends; check the disk, then start \
         it again: it recovers what is durable"
    );
    std::process::exit(74)
}

impl Actor for JournalActor {
    type Context = Context<Self>;
}

impl Handler<Register> for JournalActor {
    type Result = ();

    fn handle(&mut self, register: Register, _: &mut Self::Context) {
        let _guard = AbortOnPanic("journal");
        self.groups.insert(register.group, register.durability);
    }
}

impl Handler<Append> for JournalActor {
    type Result = ();

    fn handle(&mut self, append: Append, ctx: &mut Self::Context) {
        let _guard = AbortOnPanic("journal");
        let staged = self.desk.writer().stage(append.group, &append.records);
        if staged.is_err() {
            return ctx.terminate();
        }
        self.brought += 1;
        self.waiting.insert(append.group, append.upto);
        if !self.committing {
            self.committing = true;
            ctx.notify(Commit);
        }
    }
}

impl Handler<Compact> for JournalActor {
    type Result = ();

    fn handle(&mut self, compact: Compact, ctx: &mut Self::Context) {
        let _guard = AbortOnPanic("journal");
        let released = self.desk.writer().release(compact.group, compact.before);
        match released {
            Ok(()) => self.make_room(),
            Err(_) => ctx.terminate(),
        }
    }
}

impl Handler<Flush> for JournalActor {
    type Result = ();

    fn handle(&mut self, _: Flush, ctx: &mut Self::Context) {
        let _guard = AbortOnPanic("journal");
        if self.committing {
            self.commit(ctx);
        }
    }
}

impl Handler<Commit> for JournalActor {
    type Result = ();

    fn handle(&mut self, _: Commit, ctx: &mut Self::Context) {
        let _guard = AbortOnPanic("journal");
        self.committing = false;
        self.commit(ctx);
    }
}

#[cfg(test)]
mod tests;
