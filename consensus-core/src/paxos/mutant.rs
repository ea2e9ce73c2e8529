//! Known bugs of Paxos: those that its papers warn of, and those that implementations have had.
//!
//! Each is put back at the guard that prevents it. None disturbs a cluster without faults.

crate::mutants::mutants! {
    pinned by script, "the golden script";

    // Ballots (2.2, 2.5).

    /// A Prepare leaves before its round is on the disk, and after a crash the round is used again.
    RoundNotDurable = "round-not-durable", "ballot_once.txt",
        "a round is durable before anybody hears of it (PAX-P06, T07; 2.5)";
    /// A proposer that starts again counts rounds from the first.
    RoundForgottenOnRestart = "round-forgotten-on-restart", "ballot_after_restart.txt",
        "a proposer that starts again uses no round of an earlier life (PAX-P06; 2.5)";
    /// Ballots of the same round are taken for the same.
    RoundsAlone = "rounds-alone", "ballot_same_round.txt",
        "two proposers never share a ballot, though they share a round (T06; 2.2)";

    // Phase 1 (2.2).

    /// A Promise leaves before it is on the disk, and after a crash it is not kept.
    PromiseNotDurable = "promise-not-durable", "promise_durable.txt",
        "a promise is durable before the proposer hears of it (PAX-P04, T05; 2.5)";
    /// A restart brings back what was accepted, and no promises.
    PromiseNotBroughtBack = "promise-not-brought-back", "promise_after_restart.txt",
        "a restart brings back what was promised (PAX-P04; 2.5)";
    /// An acceptor promises itself to an earlier ballot than before.
    PromiseGoesBack = "promise-goes-back", "promise_later_only.txt",
        "an acceptor promises itself to later ballots only (2.2, P1a)";
    /// A refusal is taken for a promise of somebody who has accepted nothing.
    NackCountsAsPromise = "nack-counts-as-promise", "nack_is_no_promise.txt",
        "that a ballot is refused is not that nothing was accepted (T03; 2.2)";
    /// One promise less than a quorum begins phase 2.
    PromiseQuorumOffByOne = "promise-quorum-off-by-one", "quorum_of_four.txt",
        "promises of a quorum begin phase 2 (QS-P03, T15; 2.2)";
    /// Each promise counts, also when it comes twice from the same acceptor.
    DuplicatePromiseCounts = "duplicate-promise-counts", "promise_twice.txt",
        "an acceptor promises once, however often that arrives (QS-P01; 2.2)";
    /// A promise of an earlier ballot is taken for one of the present.
    StalePromiseCounts = "stale-promise-counts", "promise_of_earlier_ballot.txt",
        "a promise counts in the ballot that it was given for (2.2)";

    // What is proposed (2.2, P2c).

    /// The first value that a promise names is proposed, whatever others name.
    FirstAcceptedProposed = "first-accepted-proposed", "propose_highest.txt",
        "of the accepted proposals the one with the highest ballot is proposed (PAX-P02, T02; P2c)";
    /// A proposer that has a value proposes it, whatever acceptors have accepted.
    OwnValueFirst = "own-value-first", "propose_accepted.txt",
        "a proposer's own value is proposed only if none was accepted (2.2, P2c)";
    /// A promise that comes when phase 2 has begun changes what is proposed.
    LatePromiseCounts = "late-promise-counts", "promise_late.txt",
        "a ballot has one value, whatever promises follow (PAX-P07; 2.2)";

    // Phase 2 (2.2).

    /// An acceptor accepts what it has promised to keep out of.
    PromiseIgnored = "promise-ignored", "accept_refused.txt",
        "an acceptor accepts nothing of a ballot before the one it promised (2.2, P1a)";
    /// What was accepted does not count as promised.
    AcceptLeavesPromise = "accept-leaves-promise", "accept_promises.txt",
        "who accepts a proposal keeps out of earlier ballots (PAX-P01, T04)";
    /// Accepted is told before it is on the disk, and after a crash it is not so.
    AcceptedNotDurable = "accepted-not-durable", "accepted_durable.txt",
        "what was accepted is durable before anybody hears of it (PAX-P04, T05; 2.5)";
    /// For a proposer one acceptor less than a quorum chooses its proposal.
    AcceptQuorumOffByOne = "accept-quorum-off-by-one", "accepted_by_quorum.txt",
        "a proposal is chosen when a quorum has accepted it (QS-P03, T15; 2.2)";
    /// Each Accepted counts, also when it comes twice from the same acceptor.
    DuplicateAcceptedCounts = "duplicate-accepted-counts", "accepted_twice.txt",
        "an acceptor accepts a proposal once, however often it says so (QS-P01; 2.2)";
    /// What was accepted in an earlier ballot counts in the present.
    StaleAcceptedCounts = "stale-accepted-counts", "accepted_of_earlier_ballot.txt",
        "what was accepted counts in its own ballot (2.2)";

    // Learning (2.3).

    /// Acceptors count for a value, whatever the ballots under which they have accepted it.
    ValueAcrossBallots = "value-across-ballots", "learn_one_ballot.txt",
        "a value is chosen by a quorum of one ballot (PAX-P03, T08; 2.2)";
    /// One acceptor less than a quorum is enough for a learner.
    LearnQuorumOffByOne = "learn-quorum-off-by-one", "learn_by_quorum.txt",
        "a learner learns what a quorum has accepted (QS-P03; 2.3)";

    // Reading.

    /// Who only reads says that nothing is chosen, though acceptors have accepted something.
    ReadOverlooksAccepted = "read-overlooks-accepted", "read_completes.txt",
        "a read completes what it finds, since that may be chosen (PAX-P09)";
    /// Promises that were given before a read came answer it.
    ReadJoinsRunningBallot = "read-joins-running-ballot", "read_of_running_ballot.txt",
        "a ballot answers only reads that came before it (PAX-P09)";

    // Progress (2.4).

    /// Whoever was refused begins anew after the same time as all others.
    PauseFixed = "pause-fixed", "duel.txt",
        "proposers that were refused rest for random times (PAX-P08; 2.4)";
}

#[cfg(feature = "mutants")]
impl Mutant {
    /// Tells whether random runs of a few thousand seeds show it too seldom to be counted on, since
    /// more must come together than they draw by chance. Its script shows it every time.
    pub fn is_seldom(self) -> bool {
        // Networks are never so even that proposers keep in step for long.
        matches!(self, Self::PauseFixed)
    }
}
