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
            Ok(Progressed::UnderWay) if self.0.len() < WAITING_MAX => {
                return self.0.push((ticket, change));
            }
            Ok(Progressed::UnderWay) => SubmitError::Busy { limit: WAITING_MAX },
            Err(error) => error,
        };
        out.push(Effect::Answer { ticket, error });
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
