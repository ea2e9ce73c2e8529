//! How a replica carries out what the protocol decides: in order, a slice of time at a time.

use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use consensus_core::{
    Decided, StateMachine, Time,
    client::{Admin, Answered, Failure},
    replica::Rejection,
};

use super::Replica;
use crate::{abort::AbortOnPanic, role::Decision};

/// How long a replica applies before it lets the other actors of its thread have a turn, and how
/// many entries: whoever has been answered may call again, and what was decided meanwhile may be
/// acknowledged.
const SLICE: Duration = Duration::from_millis(2);
const SLICE_ENTRIES: usize = 256;

impl<S: StateMachine> Replica<S> {
    /// Carries out decisions until none is left or a slice of time is used up; true if some are.
    fn decide(&mut self, ctx: &mut Context<Self>) -> bool {
        let until = self.place.clock.now() + SLICE;
        while !self.restoring
            && let Some(decision) = self.backlog.pop()
        {
            match decision {
                Decision::Apply(mut decided) => {
                    let finished = self.apply(&mut decided, until);
                    self.place.board.set_applied(self.replica.applied());
                    self.answer_waiting();
                    if !finished {
                        self.backlog.put_back(Decision::Apply(decided));
                        return true;
                    }
                }
                Decision::ReadReady { ticket, at } => {
                    self.waiting.insert((at, ticket));
                    self.answer_waiting();
                }
                Decision::Answer { ticket, error } => {
                    let now = self.place.clock.now();
                    self.answer(now, ticket, Err(Failure::Refused(error)));
                }
                Decision::Done { ticket } => {
                    let reply = Admin::reply(self.client.leader()).into();
                    let now = self.place.clock.now();
                    self.answer(now, ticket, Ok(reply));
                }
                Decision::Route { leader } => self.client.route(leader),
                Decision::Take(cut) => self.take(cut, ctx),
                Decision::Decline => self.decline(),
                Decision::Restore(snapshot) => self.restore(snapshot, ctx),
            }
        }
        false
    }

    /// Applies entries in order; false if the slice was up first.
    fn apply(&mut self, decided: &mut std::vec::IntoIter<Decided>, until: Time) -> bool {
        // The clock is read now and then only.
        const ENTRIES: usize = 64;
        let mut applied = 0;
        while !decided.as_slice().is_empty() {
            let began = self.place.clock.now();
            if began >= until || applied >= SLICE_ENTRIES {
                return false;
            }
            applied += ENTRIES;
            for entry in decided.by_ref().take(ENTRIES) {
                self.backlog.on_apply(&entry);
                let reply = self.replica.apply(&entry);
                if reply == Some(Err(Rejection::Panicked)) {
                    tracing::error!(
                        node = %self.place.node,
                        group = %self.place.name,
                        index = entry.index.0,
                        "a command panicked; that is its outcome on every replica"
                    );
                }
                if let (Some(ticket), Some(reply)) = (entry.ticket, reply) {
                    let index = Some(entry.index);
                    let answered = reply.map(|reply| Answered { reply, index });
                    self.answer(began, ticket, answered.map_err(Failure::Rejected));
                }
            }
            self.watch("commands take", began, "to be applied");
        }
        true
    }

    /// Carries out what is decided, a slice at a time: the roles on this thread have heartbeats to
    /// send meanwhile.
    pub(super) fn work(&mut self, ctx: &mut Context<Self>) {
        let has_rest = self.decide(ctx);
        self.tell_behind();
        if has_rest {
            let rest = tokio::task::yield_now().into_actor(self).map(|(), replica, ctx| {
                let _guard = AbortOnPanic("replica");
                replica.work(ctx);
            });
            ctx.spawn(rest);
        }
        self.flush();
    }

    /// Tells the protocol when too much waits to be applied, and when that is over.
    pub(super) fn tell_behind(&mut self) {
        if let Some(is_behind) = self.backlog.turns() {
            let (node, group) = (self.place.node, &self.place.name);
            tracing::warn!(%node, %group, is_behind, "more is decided than this replica applies");
            self.place.seat.behind(is_behind);
        }
    }
}
