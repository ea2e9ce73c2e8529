//! Loyalty: for how long an acceptor keeps out of other ballots, for the leader that it hears of.
//!
//! Leases rest on it (rule 9 of the leader's reads), and whoever is cut off for a while disturbs
//! nobody when it comes back.

use crate::{
    multi_paxos::{ballot::Ballot, config::Config, mutant::Mutant},
    time::Time,
};

/// Of whom an acceptor has heard last.
#[derive(Clone, Debug, Default)]
pub(super) struct Loyalty {
    heard: Option<(Ballot, Time)>,
}

impl Loyalty {
    /// Begins a life: of what the last one has promised to whom, no more is known than the ballot,
    /// and that it was just now (MPX-P06).
    pub(super) fn begin(config: &Config, promised: Option<Ballot>, now: Time) -> Self {
        let forgets = config.has_bug(Mutant::LoyaltyForgottenOnRestart);
        let heard = promised.filter(|_| !forgets).map(|ballot| (ballot, now));
        Self { heard }
    }

    /// Notes that the leader of a ballot was heard of.
    pub(super) fn hear(&mut self, ballot: Ballot, now: Time) {
        self.heard = Some((ballot, now));
    }

    /// Tells whether to keep out of a ballot: the leader of another node's was heard of within the
    /// shortest election timeout, and none of a later ballot than `transfer` has told to campaign.
    pub(super) fn binds(
        &self,
        config: &Config,
        ballot: Ballot,
        transfer: Option<Ballot>,
        now: Time,
    ) -> bool {
        let Some((heard, at)) = self.heard else { return false };
        let any = config.has_bug(Mutant::TransferOfEarlierLeader);
        let freed = transfer.is_some_and(|told| told >= heard || any);
        heard.node != ballot.node && !freed && now < at + config.election_timeout()
    }
}
