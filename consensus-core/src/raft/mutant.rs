//! Known bugs of Raft: those that its papers warn of, and those that implementations have had.
//!
//! Each is put back at the guard that prevents it. None disturbs a cluster without faults.

use super::{Message, State};
use crate::quorum::Quorum;

impl State {
    /// Tells whether this known bug was put back.
    pub(super) fn has_bug(&self, mutant: Mutant) -> bool {
        self.config.has_bug(mutant)
    }

    /// Returns what decides under the present configuration; with this bug one voter less is
    /// enough.
    pub(super) fn quorum(&self, off_by_one: Mutant) -> Quorum<'_> {
        let quorum = Quorum::of(self.membership());
        let quorum =
            if self.has_bug(Mutant::JointHalfDecides) { quorum.new_half() } else { quorum };
        quorum.short_by(usize::from(self.has_bug(off_by_one)))
    }

    /// Tells whether a replica could have sent this: one with this bug campaigns where it led.
    pub(super) fn believes(&self, message: &Message) -> bool {
        message.is_plausible() || self.has_bug(Mutant::TermLedTwice)
    }

    /// Tells whether a bug overlooks that a message is of another term.
    pub(super) fn takes_for_present(&self, message: &Message) -> bool {
        let later = message.term() > self.term();
        match message {
            Message::VoteReply { .. } => !later && self.has_bug(Mutant::StaleVoteCounts),
            Message::Append { .. } => !later && self.has_bug(Mutant::StaleAppendTaken),
            Message::AppendReply { .. } => !later && self.has_bug(Mutant::StaleReplyCounts),
            Message::HeartbeatReply { .. } if later => {
                self.leader() == Some(self.id()) && self.has_bug(Mutant::LaterReplyCounts)
            }
            Message::PreVote { .. }
            | Message::PreVoteReply { .. }
            | Message::Vote { .. }
            | Message::Heartbeat { .. }
            | Message::HeartbeatReply { .. }
            | Message::ReadIndex { .. }
            | Message::ReadIndexReply { .. }
            | Message::TimeoutNow { .. }
            | Message::Rest { .. }
            | Message::RestReply { .. }
            | Message::InstallSnapshot { .. }
            | Message::SnapshotReply { .. } => false,
        }
    }

    /// Tells whether a bug lets an answer go before what it promises is durable.
    pub(super) fn is_hasty(&self, answer: &Message) -> bool {
        match answer {
            Message::VoteReply { .. } => self.has_bug(Mutant::VoteReplyNotDurable),
            Message::AppendReply { .. } => self.has_bug(Mutant::AckNotDurable),
            Message::PreVote { .. }
            | Message::PreVoteReply { .. }
            | Message::Vote { .. }
            | Message::Append { .. }
            | Message::Heartbeat { .. }
            | Message::HeartbeatReply { .. }
            | Message::ReadIndex { .. }
            | Message::ReadIndexReply { .. }
            | Message::TimeoutNow { .. }
            | Message::Rest { .. }
            | Message::RestReply { .. }
            | Message::InstallSnapshot { .. }
            | Message::SnapshotReply { .. } => false,
        }
    }
}

crate::mutants::mutants! {
    pinned by script, "the golden script";

    // Votes and terms (5.1, 5.2, 5.4.1).

    /// A vote is told before it is on the disk, and after a crash given again.
    VoteReplyNotDurable = "vote-reply-not-durable", "election_vote_survives_restart.txt",
        "a vote is durable before the candidate hears of it (RAFT-P02; 5.2, figure 2)";
    /// A candidate boasts of entries that a crash can still take from it.
    CampaignNotDurable = "campaign-not-durable", "election_candidate_tail.txt",
        "a request for votes waits until the log that it names is durable (RAFT-P04; 5.4.1)";
    /// The longer log wins, though it ends in an earlier term.
    UpToDateByLength = "up-to-date-by-length", "election_log_later_term.txt",
        "of two logs, the later last term decides before the length (RAFT-P08; 5.4.1)";
    /// Whoever asks first gets the vote, whatever its log lacks.
    VoteWithoutUpToDateCheck = "vote-without-up-to-date-check", "election_log_longer.txt",
        "a vote goes only to a log at least as up to date as the voter's (RAFT-P09, T11; 5.4.1)";
    /// One vote less than a majority elects.
    VoteQuorumOffByOne = "vote-quorum-off-by-one", "election_majority_of_four.txt",
        "a majority of all voters elects (QS-P03, T15; 5.2)";
    /// A voter gives its vote to every candidate that asks.
    VotesTwice = "votes-twice", "election_repeated_request.txt",
        "a replica votes for one candidate a term (5.2)";
    /// A candidate grants the vote of its term, which it has given to itself.
    CandidateVotesForAnother = "candidate-votes-for-another", "election_split_vote.txt",
        "a candidate's vote of its term is its own (5.2)";
    /// A restart brings the term back and not the vote in it.
    VoteForgottenOnRestart = "vote-forgotten-on-restart", "election_vote_survives_restart.txt",
        "a restart brings back the vote with its term (RAFT-P02; figure 2)";
    /// Who hears of the leader of its term forgets whom it voted for.
    VoteForgottenUnderLeader = "vote-forgotten-under-leader", "election_vote_under_leader.txt",
        "a vote is kept until the term ends (T12; 5.2)";
    /// Votes that a campaign of an earlier term won count in the next.
    TallyKeptAcrossTerms = "tally-kept-across-terms", "election_counts_anew.txt",
        "each campaign counts its votes from none (5.2)";
    /// Each message with a vote counts, also when it comes twice from the same voter.
    DuplicateVotesCount = "duplicate-votes-count", "election_duplicate_votes.txt",
        "a voter counts once, however often its vote arrives (QS-P01; 5.2)";
    /// A vote of an earlier term is taken for one of the present.
    StaleVoteCounts = "stale-vote-counts", "stale_vote.txt",
        "a vote of an earlier term elects nobody (5.1, 5.2)";
    /// A later term is followed, and forgotten in a crash.
    TermNotDurable = "term-not-durable", "restart_term_before_entries.txt",
        "a term is durable before the entries of that term (RAFT-P03; figure 2)";
    /// Who led the term before a restart campaigns in that term again.
    TermLedTwice = "term-led-twice", "election_after_lead.txt",
        "every campaign is for a term of its own (5.2)";

    // What followers take, and acknowledge (5.3).

    /// Entries of a deposed leader are appended.
    StaleAppendTaken = "stale-append-taken", "stale_append.txt",
        "a follower takes nothing of an earlier term (5.1)";
    /// Entries beyond the end of the log are appended at the end.
    GapAccepted = "gap-accepted", "append_gap_refused.txt",
        "entries follow an entry that is there (RAFT-P14; 5.3)";
    /// Entries are appended behind an entry of another term than the leader's.
    ConflictingPrevAccepted = "conflicting-prev-accepted", "append_conflicting_tail.txt",
        "entries follow an entry of the term that the leader has there (5.3)";
    /// What a follower has at an index stays, though the leader has another entry there.
    EntriesComparedByIndex = "entries-compared-by-index", "append_conflicting_tail.txt",
        "an entry is the same only if index and term are (5.3)";
    /// An Append replaces all that follows its first index.
    TruncateOnOlderAppend = "truncate-on-older-append", "append_reordered.txt",
        "a shorter Append takes nothing away (RAFT-P07, T16; 5.3)";
    /// Entries are deleted by one record, those that agree among them, and written by the next.
    DeleteThenAppend = "delete-then-append", "append_replaced_at_once.txt",
        "entries give way and are replaced in one record (RAFT-P05, R4; 5.3)";
    /// Entries are acknowledged before they are on the disk.
    AckNotDurable = "ack-not-durable", "append_ack_after_disk.txt",
        "entries are acknowledged when they are durable (S3; 5.3)";
    /// A follower whose disk is full acknowledges entries that it did not take.
    FullDiskAcknowledges = "full-disk-acknowledges", "disk_full.txt",
        "a follower that takes no entries says nothing of them (5.3)";

    // What is durable, and what a restart finds.

    /// A record that becomes durable vouches for entries that were rewritten since.
    UnsyncedNotClamped = "unsynced-not-clamped", "append_persisted_overwritten.txt",
        "a record vouches for none of the entries that replaced its own (RAFT-P27, R11)";
    /// Entries that replaced durable ones count as durable.
    StableNotClamped = "stable-not-clamped", "append_conflicting_tail.txt",
        "entries that replace durable ones are not durable yet (R10)";
    /// A restart finds the entries again that others had replaced.
    OverwrittenTailReturns = "overwritten-tail-returns", "restart_overwritten.txt",
        "what was overwritten stays so after a restart (RAFT-P21; figure 2)";
    /// The records of the log are given up with those of older votes.
    CompactsLogWithVote = "compacts-log-with-vote", "restart_compacted.txt",
        "a record of the log is kept while the log rests on it (figure 2)";
    /// Records are given up before what replaces them is durable.
    CompactsBeforeDurable = "compacts-before-durable", "restart_compacted_late.txt",
        "a record is given up when what replaces it is durable (figure 2)";

    // Snapshots (7).

    /// The log rests on a snapshot before that is taken.
    CompactsBeforeSnapshot = "compacts-before-snapshot", "snapshot_taken.txt",
        "the log is let go when the snapshot is durable (7)";
    /// A snapshot is acknowledged when its first part arrives.
    SnapshotAcknowledgedEarly = "snapshot-acknowledged-early", "snapshot_installed.txt",
        "a snapshot is acknowledged when it is durable, and so is that the log rests on it (7)";
    /// What follows the snapshot's index stays, though it follows another entry there.
    ConflictingTailKept = "conflicting-tail-kept", "snapshot_replaces_log.txt",
        "a log that is another one at the snapshot's index goes as a whole (RAFT-P21; 7)";
    /// What follows the snapshot's index goes, though it follows the same entry there.
    MatchingSuffixWiped = "matching-suffix-wiped", "snapshot_keeps_suffix.txt",
        "what follows the entry that a snapshot ends with stays (7)";
    /// The log goes on behind a snapshot as if that ended in the present term.
    SnapshotOfPresentTerm = "snapshot-of-present-term", "snapshot_resumed.txt",
        "the term before the first entry is that of the snapshot's last (7)";
    /// A replica that installs a snapshot goes on under the configuration that it had.
    MembershipNotRestored = "membership-not-restored", "snapshot_membership.txt",
        "a snapshot brings the configuration at its index (S8; dissertation 4.1, 5)";
    /// No record says that a snapshot replaced the log.
    InstallNotRecorded = "install-not-recorded", "snapshot_install_recorded.txt",
        "a restart finds the log that a snapshot left (RAFT-P21, S11; 7)";
    /// A snapshot is removed when newer ones are there, though the log on the disk rests on it.
    PrunedWhileNeeded = "pruned-while-needed", "snapshot_pruned.txt",
        "a snapshot stays as long as the durable log rests on it (S11; 7)";
    /// A replica rests its log on a snapshot of a later term than its own.
    SnapshotAheadOfTerm = "snapshot-ahead-of-term", "snapshot_ahead_of_term.txt",
        "no replica holds what is of a later term than its own (5.1, 7)";
    /// A replica that joins takes a snapshot before it knows who takes part.
    SnapshotOfUnknownMembership = "snapshot-of-unknown-membership", "snapshot_of_joiner.txt",
        "a snapshot names the configuration at its index (S8; dissertation 5)";
    /// A leader without the entry that a follower refuses probes where its own log begins.
    PurgedLeaderProbesOn = "purged-leader-probes-on", "snapshot_for_empty_follower.txt",
        "a follower that ends before the leader's first entry gets a snapshot (S9; 7)";

    // What leaders take for committed (5.3, 5.4.2).

    /// An entry of an earlier term is committed because a majority holds it.
    CommitCountingOldTerms = "commit-counting-old-terms", "commit_old_term.txt",
        "counting replicas commits entries of the own term only (RAFT-P01, T13; 5.4.2, figure 8)";
    /// One replica less than a majority commits.
    CommitQuorumOffByOne = "commit-quorum-off-by-one", "election_majority_of_four.txt",
        "a majority of all voters commits (QS-P03, T14; 5.3)";
    /// A leader counts its own copy before it is on the disk.
    LeaderCountsUnsynced = "leader-counts-unsynced", "append.txt",
        "a leader's copy counts when it is durable (RAFT-P12, S3; dissertation 10.2.1)";
    /// A new leader takes its followers to hold all that it holds.
    FollowersAssumedEqual = "followers-assumed-equal", "heartbeat_commit_bounded.txt",
        "a new leader knows nothing of its followers' logs (figure 2)";
    /// What was sent counts as received.
    SentCountsAsMatched = "sent-counts-as-matched", "append.txt",
        "an entry counts where it was acknowledged (5.3)";
    /// An acknowledgement of an earlier term counts in the present one.
    StaleReplyCounts = "stale-reply-counts", "stale_reply.txt",
        "an acknowledgement of an earlier term counts for nothing (RAFT-P28; 5.1)";
    /// Where a refusal says that the logs may agree, they are taken to agree.
    RejectionAdvancesMatch = "rejection-advances-match", "append_refused.txt",
        "a refusal acknowledges nothing (RAFT-P28; 5.3)";
    /// An answered heartbeat acknowledges what was sent before.
    HeartbeatReplyAdvancesMatch = "heartbeat-reply-advances-match", "append_conflicting_tail.txt",
        "an answer to a heartbeat acknowledges no entry (T19)";
    /// A heartbeat tells followers to commit what they may not have.
    HeartbeatCommitUnbounded = "heartbeat-commit-unbounded", "heartbeat_commit_bounded.txt",
        "a heartbeat commits no further than the logs are known to agree (T17)";
    /// Voters change in one step.
    JointSkipped = "joint-skipped", "member_joint.txt",
        "voters change through a joint configuration (RAFT-P13, R1, S12; dissertation 4.3)";
    /// Only the new half of a joint configuration decides.
    JointHalfDecides = "joint-half-decides", "member_joint.txt",
        "in a joint configuration each half has a majority of its own (R7; dissertation 4.3)";
    /// A learner's copies and votes count.
    LearnersCount = "learners-count", "member_learner.txt",
        "who only learns counts for nothing (QS-P02, RAFT-P23; dissertation 4.2.1)";
    /// A learner is sent what is not committed.
    LearnerAhead = "learner-ahead", "member_learner_committed.txt",
        "who does not vote is sent what is committed (RAFT-P24; dissertation 4.2.1)";
    /// A configuration takes effect when it is committed.
    ConfiguredOnCommit = "configured-on-commit", "member_joint.txt",
        "a configuration is in effect as soon as it is in the log (dissertation 4.1)";
    /// A configuration that is dropped from the log stays in effect.
    ConfigurationNotRolledBack = "configuration-not-rolled-back", "member_rolled_back.txt",
        "a configuration is in effect for as long as it is in the log (dissertation 4.1)";
    /// A restart forgets the configurations in the log.
    ConfigurationForgotten = "configuration-forgotten", "member_restart.txt",
        "a restart finds the configuration in the log (RAFT-P23)";
    /// A witness campaigns, and leads without the commands.
    WitnessLeads = "witness-leads", "witness_never_leads.txt",
        "who stores no commands does not campaign (dissertation 11.7.2)";
    /// A witness lets go of entries that are not committed.
    WitnessLetsGoEarly = "witness-lets-go-early", "witness_lets_go.txt",
        "a witness lets go of what is committed only (7; dissertation 11.7.2)";
    /// A witness lets go of entries before it is committed that it is one.
    PointNotMarked = "point-not-marked", "witness_joins_late.txt",
        "the membership at the point says that there is no state (dissertation 11.7.2)";
    /// Who stores commands is sent, and takes, a snapshot without a body.
    BodyWithheld = "body-withheld", "snapshot_installed.txt",
        "who stores commands is sent the state (7; dissertation 11.7.2)";
    /// A leader that was removed counts its own copy.
    RemovedLeaderCounts = "removed-leader-counts", "member_remove_leader.txt",
        "a leader that does not vote does not count itself (RAFT-P33, R19; dissertation 4.2.2)";
    /// Who is removed gives up, though nobody else has the entry that says so.
    RemovedNeverCampaigns = "removed-never-campaigns", "member_needed.txt",
        "who is removed campaigns until that is committed (dissertation 4.2.2, figure 4.6)";
    /// A change begins while another is under way.
    ChangesOverlap = "changes-overlap", "member_one_at_a_time.txt",
        "one change of the membership is under way at a time (RAFT-P31; dissertation 4.3)";
    /// A joint configuration is left before it is committed.
    JointLeftEarly = "joint-left-early", "member_joint_commit.txt",
        "a joint configuration is committed before it is left (dissertation 4.3)";
    /// A deposed leader denies commands that a later leader may commit.
    LostLeadDeniesCommands = "lost-lead-denies-commands", "leader_deposed_committed.txt",
        "who loses the lead does not know what becomes of its commands (5.3)";

    // Transfers of the lead (dissertation 3.10).

    /// Who was told to campaign gets every vote, whatever its log lacks.
    TransferVoteUnchecked = "transfer-vote-unchecked", "transfer_late_behind.txt",
        "who was told to campaign needs an up to date log like any other (5.4.1, dissertation 3.10)";
    /// Commands that a leader refuses while it hands over are in its log all the same.
    TransferTakesRefused = "transfer-takes-refused", "transfer.txt",
        "what a leader refuses while it hands over is not in its log (dissertation 3.10)";

    // Reads (8; dissertation 6.4).

    /// A new leader answers before it knows what is committed.
    ReadBeforeFirstCommit = "read-before-first-commit", "read_before_noop.txt",
        "no read is answered before an entry of the term is committed (RAFT-P16, L1; 8)";
    /// A leader answers at once, though another may have replaced it.
    ReadUnconfirmed = "read-unconfirmed", "read_stale_leader.txt",
        "a read waits until the leader is known to lead still (T21; 8)";
    /// One replica less than a majority confirms a read.
    ReadQuorumOffByOne = "read-quorum-off-by-one", "read_stale_leader.txt",
        "a majority of all voters confirms a read (RAFT-P11, R6; 8)";
    /// A read that arrives while a round is out is confirmed by it.
    ReadJoinsRunningRound = "read-joins-running-round", "read.txt",
        "a round confirms only reads that arrived before it (RAFT-P17, L2; dissertation 6.4)";
    /// A later read goes by the number of a round that was answered before.
    ReadRoundReused = "read-round-reused", "read_old_round.txt",
        "the number of a round never repeats within a tenure (RAFT-P17, L2)";
    /// An answer out of a later term counts, instead of ending the tenure.
    LaterReplyCounts = "later-reply-counts", "read_later_term.txt",
        "an answer of a later term deposes the leader (5.1)";
    /// A follower whose log ends before the index that the leader named reads at the end of its
    /// log.
    FollowerReadsAtLogEnd = "follower-reads-at-log-end", "read_follower.txt",
        "a follower's read waits until all that the leader named is applied (dissertation 6.4)";
    /// A leader names an index to a follower without knowing whether it leads still.
    ReadIndexUnconfirmed = "read-index-unconfirmed", "read_follower_stale_leader.txt",
        "a follower hears of an index that a majority has confirmed (T21; dissertation 6.4)";
    /// A leader that is new in its term names an index to a follower.
    ReadIndexBeforeFirstCommit = "read-index-before-first-commit", "read_follower_before_noop.txt",
        "no follower is told an index before an entry of the term is committed (RAFT-P16, L1; 8)";
    /// When a request is sent again it stands for the reads, too, that have come since.
    ReadJoinsRepeatedRequest = "read-joins-repeated-request", "read_follower_batch.txt",
        "a request answers only reads that came before it left first (L2; dissertation 6.4)";
    /// Every request of a follower has the same id.
    ReadIdReused = "read-id-reused", "read_follower_old_reply.txt",
        "an id of a follower's request names one request (RAFT-P17, L2)";
    /// The ids of a follower's requests start again with the process.
    ReadIdsRestart = "read-ids-restart", "read_follower_restart.txt",
        "an id of a follower's request names one of all its lives (RAFT-P17)";
    /// What an answer confirms counts as fresh from its arrival on, however late it came.
    StaleTimedAtReply = "stale-timed-at-reply", "read_stale_since_asking.txt",
        "a state is as old as the question that confirmed it, not as the answer (L2)";
    /// A read that bears some lag is answered from any state that was confirmed once.
    StaleLagIgnored = "stale-lag-ignored", "read_stale.txt",
        "a read sees no state older than it allows, or is refused";
    /// A read that bears some lag is answered before what was confirmed is applied.
    StaleReadNotApplied = "stale-read-not-applied", "read_stale_applied.txt",
        "a replica's state is as fresh as what it has applied, not as what it has heard of";
    /// A read after a token is answered from whatever the replica has applied.
    TokenIgnored = "token-ignored", "read_after.txt",
        "a read after a token sees the command that the token came with";
    /// A leader that is deposed answers the reads that nobody has confirmed.
    DeposedLeaderAnswersReads = "deposed-leader-answers-reads", "leader_deposed_overwritten.txt",
        "who loses the lead refuses the reads that wait (8)";

    // Leases (dissertation 6.4.1).

    /// A lease counts from the answer to a heartbeat on, however long that was on its way.
    LeaseTimedAtAnswer = "lease-timed-at-answer", "lease_late_answer.txt",
        "a lease counts from when the heartbeat was sent, not from its answer (dissertation 6.4.1)";
    /// A leader goes by when it looked last, not by the time of the read.
    LeaseCheckedByTimer = "lease-checked-by-timer", "lease_pause.txt",
        "whether a lease holds is asked when the read is there (RAFT-P18, L3)";
    /// A leader answers from its lease while it hands over.
    LeaseThroughTransfer = "lease-through-transfer", "lease_transfer.txt",
        "no lease holds while another member may have been told to campaign (L4)";
    /// A leader that gave a transfer up takes its lease to hold again at once.
    LeaseAfterAbortedTransfer = "lease-after-aborted-transfer", "lease_transfer_late.txt",
        "a word to campaign that is still on its way leaves no lease (RAFT-P19)";
    /// A voter forgets what it promised when it starts again.
    PromiseForgottenOnRestart = "promise-forgotten-on-restart", "lease_voter_restarts.txt",
        "a voter that starts again keeps what it promised before (RAFT-P20)";
    /// A voter that hears of a later term forgets what it promised in the former.
    LoyaltyForgotten = "loyalty-forgotten", "lease_later_term.txt",
        "a promise lasts as long as it was given for, whatever term follows (dissertation 4.2.3)";
    /// A voter votes for itself before what it promised is over.
    OwnVoteUnbound = "own-vote-unbound", "lease_own_vote.txt",
        "what a voter promises binds its own campaign too (dissertation 6.4.1)";
    /// A new leader answers from a lease before it knows what is committed.
    LeaseBeforeFirstCommit = "lease-before-first-commit", "lease_before_noop.txt",
        "no lease is read from before an entry of the term is committed (RAFT-P16, L1)";
    /// One replica less than a majority makes a lease.
    LeaseQuorumOffByOne = "lease-quorum-off-by-one", "lease_minority.txt",
        "a majority of all voters makes a lease (dissertation 6.4.1)";
    /// Voters that promise nothing count as if they did.
    LeaseCountsUnpromised = "lease-counts-unpromised", "lease_unpromised.txt",
        "only who promises its loyalty counts for a lease";
    /// A lease lasts as long as the promises, as if all clocks ran alike.
    LeaseIgnoresDrift = "lease-ignores-drift", "lease_drift.txt",
        "a lease is shorter than the promises by what clocks may differ";
    /// A leader answers linearizable reads from its lease.
    LeaseServesLinearizable = "lease-serves-linearizable", "lease_levels.txt",
        "a linearizable read rests on no clock (dissertation 6.4)";
    /// A follower's request may be answered from a lease if one of its reads may.
    LeaseRequestMixed = "lease-request-mixed", "lease_follower_mixed.txt",
        "a request for reads of which one may not rest on a clock may not either";
}

#[cfg(feature = "mutants")]
impl Mutant {
    /// Tells whether random runs of a few thousand seeds show it too seldom to be counted on, since
    /// more must come together than they draw by chance. Its script shows it every time.
    pub fn is_seldom(self) -> bool {
        matches!(
            self,
            Self::CommitCountingOldTerms
                | Self::LearnerAhead
                | Self::LeaseRequestMixed
                | Self::SnapshotAheadOfTerm
        )
    }
}
