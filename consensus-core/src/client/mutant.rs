//! Known bugs of what sends calls.

crate::mutants::mutants! {
    pinned by test, "the test in `client.rs`";

    /// Every life of a process numbers its attempts alike, and takes answers to another's.
    NumberingRestarts = "numbering-restarts", "answer_to_another_life_is_nobodys",
        "attempts are numbered where no life of the process was before";
    /// An attempt that a deposed leader had taken is thought to be refused.
    LostLeadClosesAttempt = "lost-lead-closes-attempt", "deadline_tells_the_truth",
        "an attempt stays open while it may be in a log";
    /// A full window or disk ends a call of which another attempt may be in a log.
    BusyEndsOpenCall = "busy-ends-open-call", "busy_is_reported_unless_an_attempt_is_open",
        "a refusal ends a call only if no other attempt is open";
    /// A command of an expired session is sent in a new one, though it may have been applied.
    ExpiredSessionRepeated = "expired-session-repeated",
        "expired_session_leaves_doubt_where_an_attempt_is_open",
        "a command that may have been applied keeps its identity (SES-P01, T44)";
    /// At its deadline a command is denied, though an attempt may be in a log.
    DeadlineDeniesOpenAttempt = "deadline-denies-open-attempt", "deadline_tells_the_truth",
        "at its deadline a call is denied only if no attempt is open";
    /// A command that is sent again is a new request.
    RetryUnderNewNumber = "retry-under-new-number", "new_leader_gets_the_same_request",
        "a command is sent again under the number that it has (SES-P01, T44)";
}
