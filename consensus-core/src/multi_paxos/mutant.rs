//! Known bugs of Multi-Paxos: those that its papers warn of, and those that implementations have
//! had.
//!
//! Each is put back at the guard that prevents it. None disturbs a cluster without faults.

crate::mutants::mutants! {
    pinned by script, "the golden script";

    // Ballots.

    /// A Prepare leaves before its round is on the disk, and after a crash the round is used again.
    RoundNotDurable = "slots-round-not-durable", "ballot_once.txt",
        "a round is durable before anybody hears of it (Paxos Made Simple, 2.5)";

    /// A proposer that starts again counts rounds from the first.
    RoundForgottenOnRestart = "slots-round-forgotten-on-restart", "ballot_after_restart.txt",
        "a leader that starts again uses no ballot of an earlier life (Paxos Made Simple, 2.5)";

    // What promises tell.

    /// One promise less than a quorum begins phase 2.
    PromiseQuorumOffByOne = "slots-promise-quorum-off-by-one", "promise_quorum.txt",
        "promises of a quorum of the first phase make a leader (Flexible Paxos, 3)";
    /// A promise of an earlier ballot is taken for one of the present.
    StalePromiseCounts = "slots-stale-promise-counts", "promise_of_earlier_ballot.txt",
        "a promise counts in the ballot that it was given for, in all slots (Paxos Made Simple, 2.2)";
    /// The first part of a promise is taken for all of it.
    FirstPartIsAll = "slots-first-part-is-all", "promise_in_parts.txt",
        "an acceptor counts once it has told of all slots";
    /// A part of a promise counts though one before it was lost.
    PartSkipped = "slots-part-skipped", "promise_part_lost.txt",
        "the parts of a promise count in their order";
    /// What acceptors tell is put together by where it stands in their promises.
    MergedByPosition = "slots-merged-by-position", "promise_by_slot.txt",
        "what promises tell is put together by slots (MPX-P08)";
    /// Where an acceptor has let slots go, nothing is taken to have been accepted.
    ForgottenReadAsNothing = "slots-forgotten-read-as-nothing", "promise_of_forgotten.txt",
        "of slots that were let go a promise says nothing (MPX-P02)";
    /// Of what acceptors tell of a slot, the earliest ballot counts.
    EarliestVoteWins = "slots-earliest-vote-wins", "propose_latest.txt",
        "in each slot the value of the latest ballot is proposed again (Paxos Made Simple, 2.2)";
    /// New commands are proposed from the first slot on of which nobody tells.
    GapEndsRecovery = "slots-gap-ends-recovery", "commands_after_gaps.txt",
        "new commands stand behind all slots in which anything may be chosen (MPX-P04)";

    // Promises and acceptances.

    /// A Promise leaves before it is on the disk, and after a crash it is not kept.
    PromiseNotDurable = "slots-promise-not-durable", "promise_durable.txt",
        "a promise is durable before the proposer hears of it (Paxos Made Simple, 2.5)";

    /// A restart brings back what was accepted, and no promises.
    PromiseNotBroughtBack = "slots-promise-not-brought-back", "promise_after_restart.txt",
        "a restart brings back what was promised (Paxos Made Simple, 2.5)";
    /// An acceptor promises itself to an earlier ballot than before.
    PromiseGoesBack = "slots-promise-goes-back", "promise_later_only.txt",
        "an acceptor promises itself to later ballots only (Paxos Made Simple, 2.2)";
    /// An acceptor accepts in an earlier ballot than it has promised itself to.
    PromiseIgnoredByAccept = "slots-promise-ignored-by-accept", "promise_kept.txt",
        "whoever has promised accepts nothing of earlier ballots, in no slot (Paxos Made Simple, 2.2)";
    /// An acceptor says that it follows a leader, although it has promised itself to a later ballot.
    PromiseIgnoredByHeartbeat = "slots-promise-ignored-by-heartbeat", "promise_before_heartbeat.txt",
        "whoever has promised a later ballot confirms no read of an earlier leader (MPX-P09)";
    /// Who accepts in a later ballot than it has promised is bound by the old promise only.
    AcceptLeavesPromise = "slots-accept-leaves-promise", "accept_promises.txt",
        "whoever accepts takes part in no earlier ballot any more (T04, PAX-P01)";
    /// What was accepted in an earlier ballot is said to be accepted in a later one, and is not.
    RepeatedInAnyBallot = "slots-repeated-in-any-ballot", "accept_later_ballot.txt",
        "an acceptor that has a slot in one ballot accepts in a later one what that proposes";
    /// What is accepted is said before it is on the disk.
    AcceptedNotDurable = "slots-accepted-not-durable", "accepted_durable.txt",
        "what is accepted is durable before it counts (Paxos Made Simple, 2.5)";
    /// Where slots were let go, an acceptor speaks as if nothing had been accepted there.
    ForgottenNotSaid = "slots-forgotten-not-said", "promise_says_what_is_gone.txt",
        "a promise says which slots were let go (MPX-P02)";
    /// An acceptor promises itself to another although it is loyal to a leader.
    PrepareBreaksLoyalty = "slots-prepare-breaks-loyalty", "loyal_while_leased.txt",
        "who lets a leader rely on it takes part in no other ballot meanwhile (rule 9)";
    /// A restart forgets whom an acceptor was loyal to.
    LoyaltyForgottenOnRestart = "slots-loyalty-forgotten-on-restart", "loyal_after_restart.txt",
        "an acceptor that starts again keeps what it let a leader rely on (MPX-P06)";
    /// A leader may rely on an acceptor that has not promised its ballot, and forgets it in a crash.
    HeartbeatLeavesPromise = "slots-heartbeat-leaves-promise", "loyal_to_unpromised.txt",
        "whoever follows a leader has promised its ballot (rule 9, MPX-P06)";
    /// A campaign that any leader told of breaks loyalty to a later one.
    TransferOfEarlierLeader = "slots-transfer-of-earlier-leader", "transfer_stale.txt",
        "who was told to take over by a leader may disturb that one, and no later one (rule 9)";
    /// With the slots that an acceptor lets go the promise goes.
    PromiseForgotten = "slots-promise-forgotten", "forget_keeps_promise.txt",
        "what was promised stays when slots are let go (rule 11)";
    /// The acceptor gives records up before it is durable what stands for them.
    CompactsBeforeDurable = "slots-compacts-before-durable", "forget_durable.txt",
        "records go once it is durable that their slots were let go (rule 11)";
    /// The acceptor forgets slots before it is durable that a snapshot stands for them.
    ForgetsBeforeSnapshotRests = "slots-forgets-before-snapshot-rests", "forget_after_snapshot.txt",
        "slots are forgotten once the record of their snapshot is durable (rule 11)";
    /// For a leader one acceptor less than a quorum chooses.
    AcceptQuorumOffByOne = "slots-accept-quorum-off-by-one", "accepted_by_quorum.txt",
        "a slot is chosen when a quorum of the second phase has accepted it (Flexible Paxos, 3)";
    /// What was accepted in an earlier ballot counts in the present.
    StaleAcceptedCounts = "slots-stale-accepted-counts", "accepted_of_earlier_ballot.txt",
        "what was accepted counts in its own ballot, in each slot (Paxos Made Simple, 2.2)";

    // Changes of who takes part.

    /// A leader goes on proposing behind a configuration in the same ballot.
    ProposesBehindConfiguration = "slots-proposes-behind-configuration", "change_stops.txt",
        "nothing is proposed behind a configuration before it is chosen (Stoppable Paxos, 3)";
    /// What was accepted behind a configuration is proposed again under the former one.
    VotesBehindConfigurationKept = "slots-votes-behind-configuration-kept", "change_votes_behind.txt",
        "behind a configuration nothing is proposed again under the former one (Stoppable Paxos, 4)";
    /// A configuration is proposed again although others have proposed behind it since.
    VoidConfigurationRevived = "slots-void-configuration-revived", "change_void.txt",
        "a configuration behind which a later ballot has proposed is void (Stoppable Paxos, 4)";
    /// A leader proposes under a new configuration without the promises of its acceptors.
    NewAcceptorsNotAsked = "slots-new-acceptors-not-asked", "change_asks_new.txt",
        "a leader asks the acceptors of a new configuration before it proposes to them";
    /// Behind a configuration those of the former one decide.
    FormerMembersDecide = "slots-former-members-decide", "change_remove.txt",
        "in a slot those decide that the configuration before it names (Reconfiguring, 3)";
    /// A node that starts again goes by the members that its group began with.
    ConfigurationForgotten = "slots-configuration-forgotten", "change_restart.txt",
        "a configuration survives a restart (rule 10)";
    /// Who takes a snapshot in the place of slots goes by the configuration of before.
    ConfigurationNotInSnapshot = "slots-configuration-not-in-snapshot", "change_in_snapshot.txt",
        "a snapshot carries the configuration (rule 10)";

    // Learning.

    /// What was accepted in another ballot is taken for chosen when a leader says how far all is.
    ChosenInAnyBallot = "chosen-in-any-ballot", "chosen_in_another_ballot.txt",
        "that slots are chosen under a ballot says nothing of what was accepted in another (MPX-P01)";

    // Reads.

    /// The leader answers reads without asking whether it leads still.
    ReadUnconfirmed = "slots-read-unconfirmed", "read_confirmed.txt",
        "a read is answered once acceptors have confirmed that nobody else leads (MPX-P09)";
    /// A read joins a round of heartbeats that is out already.
    ReadJoinsRunningRound = "slots-read-joins-running-round", "read_of_running_round.txt",
        "a round of heartbeats confirms the reads that came before it";
    /// One acceptor less confirms reads than it takes for any phase 1 to need one of them.
    ReadQuorumOffByOne = "slots-read-quorum-off-by-one", "read_by_quorum.txt",
        "so many acceptors confirm a read that every phase 1 needs one of them";
    /// A new leader answers reads before all is chosen that earlier ones may have had chosen.
    ReadBeforeRecovery = "slots-read-before-recovery", "read_after_recovery.txt",
        "a leader answers reads once all that earlier ones may have had chosen is (rule 8)";

    // Leases.

    /// A lease is counted from when an acceptor's answer came.
    LeaseTimedAtAnswer = "slots-lease-timed-at-answer", "lease_timed_at_send.txt",
        "a lease is counted from when the heartbeat was sent (MPX-P07)";
    /// A lease lasts as long as the promise, whatever clocks do.
    LeaseIgnoresDrift = "slots-lease-ignores-drift", "lease_drift.txt",
        "a lease is shorter than the promise by as much as clocks differ";
    /// One acceptor less grants a lease than it takes for any phase 1 to need one of them.
    LeaseQuorumOffByOne = "slots-lease-quorum-off-by-one", "lease_by_quorum.txt",
        "so many acceptors grant a lease that every phase 1 needs one of them (rule 9)";
    /// A leader relies on its lease when it has told another to campaign.
    LeaseThroughTransfer = "slots-lease-through-transfer", "lease_transfer.txt",
        "a leader that hands over has no lease for the rest of its tenure (rule 9)";
}

#[cfg(feature = "mutants")]
impl Mutant {
    /// Tells whether random runs of a few thousand seeds show it too seldom to be counted on. Its
    /// script shows it every time.
    pub fn is_seldom(self) -> bool {
        matches!(
            self,
            // Parts are asked for one by one, and come in their order where nobody makes them up.
            Self::PartSkipped
                // The roles of a node share a journal here, whose order is enough.
                | Self::ForgetsBeforeSnapshotRests
                // The word of a leader must outlive the next one's election.
                | Self::TransferOfEarlierLeader
                // Two leaders must miss each other's slots, and a third be told of both.
                | Self::VoidConfigurationRevived
                // An answer must be on its way while others elect a leader.
                | Self::ReadJoinsRunningRound
        )
    }
}
