//! How fresh a node can prove its state to be, by its own clock alone.
//!
//! What acceptors have confirmed once stays true: whatever was answered anywhere before that was
//! asked for lies within the slot that came of it. The time is that of asking, not of the answer,
//! which may have been long on its way.

use std::time::Duration;

use super::state::State;
use crate::{
    error::SubmitError,
    log::Index,
    multi_paxos::Role,
    process::{Effect, Effects},
    read::{Read, ReadLevel},
    time::Time,
};

/// The newest slot that was confirmed, and when this proposer asked for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Confirmed {
    asked_at: Time,
    index: Index,
}

impl State {
    /// Notes that everything that was chosen anywhere before `asked_at` lies within `index`.
    pub(super) fn confirm(&mut self, asked_at: Time, index: Index) {
        if self.confirmed.is_none_or(|confirmed| confirmed.asked_at < asked_at) {
            self.confirmed = Some(Confirmed { asked_at, index });
        }
    }

    /// Answers a read that needs nobody's word; returns one that does.
    pub(super) fn read_here(&self, now: Time, read: Read, out: &mut Effects<Role>) -> Option<Read> {
        let at = match read.level {
            ReadLevel::Linearizable => return Some(read),
            ReadLevel::Lease if self.config.lease() => return Some(read),
            ReadLevel::Lease => {
                out.push(Effect::Answer { ticket: read.ticket, error: SubmitError::NoLeases });
                return None;
            }
            ReadLevel::Stale { max_lag } => match self.confirmed_within(now, max_lag) {
                Some(index) => index,
                None => return Some(read),
            },
            ReadLevel::After { index } => index,
        };
        out.push(Effect::ReadReady { ticket: read.ticket, at });
        None
    }

    fn confirmed_within(&self, now: Time, max_lag: Duration) -> Option<Index> {
        let confirmed = self.confirmed?;
        (now.since(confirmed.asked_at) <= max_lag).then_some(confirmed.index)
    }

    /// Answers reads as far as that needs no leader, and refuses the others: there is none.
    pub(super) fn read_without_leader(
        &self,
        now: Time,
        reads: impl IntoIterator<Item = Read>,
        out: &mut Effects<Role>,
    ) {
        let leader = self.leader().filter(|leader| *leader != self.config.id());
        for read in reads {
            let Some(Read { ticket, level }) = self.read_here(now, read, out) else { continue };
            let error = match level {
                ReadLevel::Linearizable | ReadLevel::Lease | ReadLevel::After { .. } => {
                    SubmitError::NotLeader { leader }
                }
                ReadLevel::Stale { .. } => {
                    let age = self.confirmed.map(|confirmed| now.since(confirmed.asked_at));
                    SubmitError::TooStale { age }
                }
            };
            out.push(Effect::Answer { ticket, error });
        }
    }
}
