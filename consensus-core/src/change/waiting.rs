//! Who waits for a change that a leader carries out.

use super::{Change, ChangeError};
use crate::{
    error::SubmitError,
    membership::Membership,
    process::{Effect, Effects, Process, Ticket},
};

/// How many may wait for a change: operators, and those that ask again.
const WAITING_MAX: usize = 64;

/// What became of a change that was asked for.
pub(crate) enum Progressed {
    /// The group has what was asked for.
    Done,
    /// It will, if nothing comes between.
    UnderWay,
}

/// Who waits until there is a configuration, decided for good, that has what was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting(Vec<(Ticket, Change)>);

impl Waiting {
    /// Answers who asked for a change, or lets it wait.
    pub(crate) fn take<P: Process>(
        &mut self,
        (ticket, change): (Ticket, Change),
        begun: Result<Progressed, SubmitError>,
        out: &mut Effects<P>,
    ) {
        let error = match begun {
            Ok(Progressed::Done) => return out.push(Effect::Done { ticket }),
            Ok(Progressed::UnderWay) => return self.wait((ticket, change), out),
            Err(error) => error,
        };
        out.push(Effect::Answer { ticket, error });
    }

    /// Lets somebody wait. Of too many whoever has waited longest goes: who asks again and again has
    /// given up before.
    fn wait<P: Process>(&mut self, asked: (Ticket, Change), out: &mut Effects<P>) {
        if self.0.len() == WAITING_MAX {
            let (ticket, _) = self.0.remove(0);
            out.push(Effect::Answer { ticket, error: SubmitError::Busy { limit: WAITING_MAX } });
        }
        self.0.push(asked);
    }

    /// Answers who waits for what the present configuration, which is decided for good, has; or
    /// cannot come to have any more.
    pub(crate) fn answer<P: Process>(&mut self, present: &Membership, out: &mut Effects<P>) {
        self.0.retain(|(ticket, change)| {
            let ticket = *ticket;
            if change.is_done(present) {
                out.push(Effect::Done { ticket });
                return false;
            }
            let error = match change.apply(present) {
                Ok(target) if target == *present => return true,
                // Somebody asked for the opposite meanwhile.
                Ok(_) => ChangeError::Underway,
                Err(error) => error,
            };
            out.push(Effect::Answer { ticket, error: error.into() });
            false
        });
    }

    /// Tells whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns who waits.
    pub(crate) fn tickets(&self) -> impl Iterator<Item = Ticket> + '_ {
        self.0.iter().map(|(ticket, _)| *ticket)
    }

    /// Takes all that wait.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Ticket> + use<> {
        std::mem::take(&mut self.0).into_iter().map(|(ticket, _)| ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::Raft;

    // Goal: who asks again and again while a change goes on, and gives up in between, is not turned
    // away in the end: of too many whoever has waited longest is.
    #[test]
    fn whoever_waited_longest_makes_room() {
        let (mut waiting, mut out) = (Waiting::default(), Effects::<Raft>::default());
        let limit = WAITING_MAX as u64;
        for ticket in (1..=limit + 2).map(Ticket) {
            let change = Change::Remove { node: crate::NodeId::new(1).expect("it is positive") };
            waiting.take((ticket, change), Ok(Progressed::UnderWay), &mut out);
        }
        let turned_away = out.drain().map(|effect| match effect {
            Effect::Answer { ticket, error: SubmitError::Busy { .. } } => ticket,
            other => panic!("{other:?}"),
        });
        assert_eq!(turned_away.collect::<Vec<_>>(), [Ticket(1), Ticket(2)]);
        assert_eq!(waiting.tickets().last(), Some(Ticket(limit + 2)));
    }
}
