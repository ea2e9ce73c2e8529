//! Whether a proposer is fit to lead. None of it is a matter of safety.

use super::state::State;

impl State {
    /// Notes that the process is about to end: this proposer campaigns no more.
    pub(super) fn resign(&mut self) {
        self.resigned = true;
    }

    /// Tells whether this proposer may lead: it stands beside an acceptor, and is to stay.
    pub(super) fn may_campaign(&self) -> bool {
        self.config.is_acceptor(self.config.id()) && !self.resigned
    }
}
