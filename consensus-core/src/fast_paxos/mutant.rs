//! Known bugs of Fast Paxos: those that its paper warns of, and those that are made of rules which
//! look alike.
//!
//! Each is put back at the guard that prevents it. None disturbs a cluster without faults.

crate::mutants::mutants! {
    pinned by script, "the golden script";

    // Ballots.

    /// A Prepare leaves before its ballot is on the disk, and after a crash the ballot is used again.
    RoundNotDurable = "fast-round-not-durable", "round_once.txt",
        "a coordinator's ballot is durable before anybody hears of it (FPX-P06)";
    /// A coordinator that starts again counts ballots from the first.
    RoundForgottenOnRestart = "fast-round-forgotten-on-restart", "round_after_restart.txt",
        "a coordinator that starts again begins no round again (FPX-P06)";

    // The first ballot (3.1).

    /// Coordinators count ballots from zero, and one of them begins the first, which is open.
    FirstBallotPrepared = "fast-first-ballot-prepared", "first_ballot.txt",
        "the first ballot is open from the start, and nobody begins it (FPX-P09; 3.1)";
    /// A coordinator that starts again knows nothing of what it has proposed in the first ballot.
    FirstBallotNotRecorded = "fast-first-ballot-not-recorded", "first_ballot_once.txt",
        "a coordinator proposes once in the first ballot, restarts included (FPX-P09; 3.2)";
    /// The first fast round is open to an acceptor that starts again, whatever it has promised.
    FirstRoundReopened = "fast-first-round-reopened", "first_round_once.txt",
        "the first fast round is open to acceptors that have promised nothing since (FPX-P09; 3.1)";

    // Phase 1 (2.2).

    /// A coordinator begins the second phase of a ballot without the first.
    PhaseOneSkipped = "fast-phase-one-skipped", "takeover.txt",
        "who takes over hears first what others may have chosen (FPX-P08; 2.2)";
    /// A Promise leaves before it is on the disk, and after a crash it is not kept.
    PromiseNotDurable = "fast-promise-not-durable", "promise_durable.txt",
        "a promise is durable before the coordinator hears of it (2.2)";
    /// A restart brings back votes, and no promises.
    PromiseNotBroughtBack = "fast-promise-not-brought-back", "promise_after_restart.txt",
        "a restart brings back what an acceptor has promised (2.2)";
    /// An acceptor promises itself to an earlier ballot than before.
    PromiseGoesBack = "fast-promise-goes-back", "promise_later_only.txt",
        "an acceptor keeps out of ballots before the one it promised (2.2)";
    /// An acceptor that promises a ballot votes in the fast round of an earlier one.
    PromiseLeavesOpen = "fast-promise-leaves-open", "promise_closes.txt",
        "a promise ends the fast rounds of earlier ballots (3.1)";
    /// A refusal is taken for a promise of somebody who has not voted.
    NackCountsAsPromise = "fast-nack-counts-as-promise", "nack_is_no_promise.txt",
        "that a ballot is refused is not that its sender has not voted (2.2)";
    /// One promise less than a quorum begins phase 2.
    PromiseQuorumOffByOne = "fast-promise-quorum-off-by-one", "promise_quorum.txt",
        "promises of a quorum begin the second phase (QS-P03; 2.2)";
    /// Each promise counts, also when it comes twice from the same acceptor.
    DuplicatePromiseCounts = "fast-duplicate-promise-counts", "promise_twice.txt",
        "a promise counts once, however often it arrives (QS-P01)";
    /// A promise of an earlier ballot is taken for one of the present.
    StalePromiseCounts = "fast-stale-promise-counts", "promise_of_earlier_ballot.txt",
        "a promise counts in its own ballot (2.2)";

    // What is proposed (2.2.2, 3.1).

    /// The votes of the earliest round bind, whatever was voted for in later ones.
    LowestRoundPicked = "fast-lowest-round-picked", "pick_last_round.txt",
        "the votes of the last round that was heard of bind, no others (2.2.2)";
    /// A coordinator proposes the value of its caller, whatever may be chosen.
    OwnValueFirst = "fast-own-value-first", "pick_bound.txt",
        "a coordinator proposes its caller's value only if none other may be chosen (2.2.2)";
    /// Any vote of a fast round binds, as one of a classic round does.
    FastVoteBinds = "fast-vote-binds", "pick_counts.txt",
        "of a fast round that value binds which enough have voted for (3.1)";
    /// A value must have one vote more to be taken for one that may be chosen.
    ChoosableOffByOne = "fast-choosable-off-by-one", "pick_threshold.txt",
        "a value may be chosen if those that were not heard could choose it (3.1)";
    /// The number of votes that bind does not grow with how many were heard.
    ThresholdOfQuorum = "fast-threshold-of-quorum", "pick_of_heard.txt",
        "how many votes bind depends on how many were heard (FPX-P04; 3.1)";
    /// A fast round is opened although a value may be chosen.
    AnyThoughChoosable = "fast-any-though-choosable", "pick_no_any.txt",
        "a fast round is opened only if nothing may be chosen before (FPX-P07; 3.1)";
    /// A vote that comes when a collision is being recovered from changes what is proposed.
    LateVoteCounts = "fast-late-vote-counts", "recover_once.txt",
        "a classic round has one value, whatever votes follow (3.2)";

    // Votes (2.2, 3.1).

    /// An acceptor votes in rounds of ballots that it has promised to keep out of.
    PromiseIgnored = "fast-promise-ignored", "vote_refused.txt",
        "an acceptor votes in no round before the ballot it promised (2.2)";
    /// A vote is told before it is on the disk, and after a crash it is not so.
    VoteNotDurable = "fast-vote-not-durable", "vote_durable.txt",
        "a vote is durable before anybody hears of it (FPX-P03; 2.2)";
    /// An acceptor votes for each value that it is asked for in a fast round.
    VotesAgain = "fast-votes-again", "vote_once.txt",
        "an acceptor votes once in a fast round (3.1)";
    /// An acceptor that has voted in the classic round of a ballot votes in the fast one, too.
    FastVoteGoesBack = "fast-vote-goes-back", "vote_later_only.txt",
        "an acceptor votes in later rounds only (3.1)";
    /// For a coordinator one vote less than a fast quorum chooses a value.
    FastQuorumOffByOne = "fast-quorum-off-by-one", "fast_quorum.txt",
        "a value of a fast round is chosen by a fast quorum (3.1)";
    /// For a coordinator one vote less than a quorum chooses its proposal.
    AcceptQuorumOffByOne = "fast-accept-quorum-off-by-one", "classic_quorum.txt",
        "a coordinator's proposal is chosen when a quorum has voted for it (QS-P03; 2.2)";
    /// Each vote counts, also when it comes twice from the same acceptor.
    DuplicateVoteCounts = "fast-duplicate-vote-counts", "vote_twice.txt",
        "for a coordinator an acceptor has one vote, however often it says so (QS-P01)";
    /// What was voted for in another round counts in the present.
    StaleVoteCounts = "fast-stale-vote-counts", "vote_of_earlier_round.txt",
        "a vote counts in its own round (2.2)";

    // Collisions (3.2).

    /// One vote less than a quorum is enough to recover from a collision.
    RecoveryQuorumOffByOne = "fast-recovery-quorum-off-by-one", "recover_by_quorum.txt",
        "votes stand for promises when they are those of a quorum (3.2)";
    /// All acceptors must have voted before there is a collision.
    CollisionNeedsAll = "fast-collision-needs-all", "collision_of_some.txt",
        "a collision is certain before all have voted (FPX-P05; 3.2)";

    // Learning (2.2, 3.1).

    /// As many votes as in a classic round are enough for a learner in a fast one.
    FastQuorumLikeClassic = "fast-quorum-like-classic", "learn_fast.txt",
        "a learner learns what a fast quorum has voted for in a fast round (FPX-P02; 3.1)";
    /// One vote less than a quorum is enough for a learner.
    LearnQuorumOffByOne = "fast-learn-quorum-off-by-one", "learn_by_quorum.txt",
        "a learner learns what a quorum has voted for (QS-P03; 2.2)";
    /// For a learner each vote counts, also when it comes twice from the same acceptor.
    DuplicateVoteLearned = "fast-duplicate-vote-learned", "learn_vote_twice.txt",
        "for a learner an acceptor has one vote, however often it says so (QS-P01)";
    /// Votes count for a value, whatever the rounds that they were given in.
    ValueAcrossRounds = "fast-value-across-rounds", "learn_one_round.txt",
        "a value is chosen by the votes of one round (2.2)";

    // Reading.

    /// Who only reads says that nothing is chosen, though acceptors have voted.
    ReadOverlooksVotes = "fast-read-overlooks-votes", "read_completes.txt",
        "a read completes what it finds voted for, since that may be chosen";
    /// Promises that were given before a read came answer it.
    ReadJoinsRunningBallot = "fast-read-joins-running-ballot", "read_of_running_ballot.txt",
        "a ballot answers only reads that came before it began";

    // Progress (3.3).

    /// Whoever was refused begins anew after the same time as all others.
    PauseFixed = "fast-pause-fixed", "duel.txt",
        "coordinators that were refused rest for random times (3.3)";
}

#[cfg(feature = "mutants")]
impl Mutant {
    /// Tells whether random runs of a few thousand seeds show it too seldom to be counted on. Its
    /// script shows it every time.
    pub fn is_seldom(self) -> bool {
        // Networks are never so even that coordinators keep in step for long; whom a coordinator
        // keeps waiting is served by the classic round of another; and while promises are on their
        // way that answer nobody, a later ballot is over seldom.
        matches!(self, Self::PauseFixed | Self::CollisionNeedsAll | Self::ReadJoinsRunningBallot)
    }
}
