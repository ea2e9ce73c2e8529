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

    // Promises and acceptances.

    /// A Promise leaves before it is on the disk, and after a crash it is not kept.
    PromiseNotDurable = "slots-promise-not-durable", "promise_durable.txt",
        "a promise is durable before the proposer hears of it (Paxos Made Simple, 2.5)";

    // Learning.

    /// What was accepted in another ballot is taken for chosen when a leader says how far all is.
    ChosenInAnyBallot = "chosen-in-any-ballot", "chosen_in_another_ballot.txt",
        "that slots are chosen under a ballot says nothing of what was accepted in another (MPX-P01)";
}
