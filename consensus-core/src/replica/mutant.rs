//! Known bugs of what applies commands.

crate::mutants::mutants! {
    pinned by test, "the test in `replica.rs`";

    /// Time in the log follows the clock of whoever stamped the entry, back as well.
    TimeGoesBack = "time-goes-back", "time_never_goes_back",
        "time in the log never goes back";
    /// Only the replica that took a request keeps and consults its session.
    SessionsNotReplicated = "sessions-not-replicated", "replicas_agree_whoever_took_a_request",
        "sessions are kept on every replica alike (SES-P01; dissertation 6.3)";
    /// A request that comes again is executed again.
    RepeatedRequestExecuted = "repeated-request-executed", "request_of_a_session_applies_once",
        "a request of a session executes once (SES-P01, T44)";
    /// A request that was acknowledged, and whose reply is gone, is executed again.
    AcknowledgedRequestExecuted = "acknowledged-request-executed",
        "refused_requests_change_nothing",
        "a request below what the client has acknowledged is refused (SES-P01)";
    /// The reply to the oldest request that still waits is dropped with those before it.
    UnansweredReplyDropped = "unanswered-reply-dropped", "reply_is_kept_until_it_is_acknowledged",
        "a reply is kept until its client has acknowledged it (SES-P01)";
    /// A request is executed though nothing is known of its session.
    UnknownSessionExecuted = "unknown-session-executed", "refused_requests_change_nothing",
        "without its session no request is executed (dissertation 6.3)";
    /// An expired session begins anew under the same id.
    ExpiredSessionRevived = "expired-session-revived", "session_expires_by_the_time_in_the_log",
        "an expired session refuses its requests (dissertation 6.3)";
    /// A command that panicked is not remembered, and executed again.
    PanicForgotten = "panic-forgotten", "panic_is_an_outcome_like_any_other",
        "a panic is the outcome of its command, and is kept like any";
    /// A command under a key that is known is executed again.
    KeyExecutedAgain = "key-executed-again", "key_stands_for_one_body",
        "a command under a key executes once a day";
    /// Another body under a known key gets the first one's reply.
    KeyAnswersAnotherBody = "key-answers-another-body", "key_stands_for_one_body",
        "a key stands for one body";
    /// A snapshot leaves the sessions out: what is repeated after it is executed again.
    SessionsNotSaved = "sessions-not-saved", "snapshot_remembers_what_was_executed",
        "the sessions are in a snapshot (SES-P02; dissertation 6.3)";
    /// A snapshot leaves the idempotency keys out.
    KeysNotSaved = "keys-not-saved", "snapshot_remembers_the_keys",
        "the idempotency keys are in a snapshot (SES-P02)";
}
