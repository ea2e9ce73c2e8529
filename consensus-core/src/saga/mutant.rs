//! Known bugs of sagas: those that published coordinators had, and those that samples teach.
//!
//! Each is put back at the guard that prevents it. None disturbs a saga without faults.

crate::mutants::mutants! {
    pinned by test, "the test";

    // The log.

    /// A participant is asked before the log says that it will be, and after a crash nobody undoes it.
    CallBeforeRecord = "saga-call-before-record", "s06_intent_before_call",
        "what is asked for is in the log before (6)";
    /// An executor that was replaced appends to the log all the same.
    AppendIgnoresEpoch = "saga-append-ignores-epoch", "s34_old_executor_cannot_append",
        "only the executor of the latest epoch appends (34)";
    /// A record is appended wherever the log ends.
    AppendIgnoresSeq = "saga-append-ignores-seq", "s08_gap_is_refused",
        "a record is appended behind the one before it, once (8)";

    // The plan.

    /// What was done is undone while nobody knows what became of another step.
    UndoBeforeResolved = "saga-undo-before-resolved", "s19_unknown_is_resolved_first",
        "nothing is undone before all that was asked for is resolved (19)";
    /// A compensation counts from when its step is known to be done.
    UndoOnlyKnown = "saga-undo-only-known", "s19_lost_step_is_undone",
        "a step that may have been carried out is undone (19)";
    /// Compensations run as soon as they can.
    UndoInAnyOrder = "saga-undo-in-any-order", "s02_undo_runs_backwards",
        "a step is undone after those that rest on it (2)";
    /// The saga turns back, though its pivot may have decided.
    TurnsBackBehindPivot = "saga-turns-back-behind-pivot", "s25_cancel_before_pivot_only",
        "behind the pivot nothing is undone (24, 25)";
    /// The pivot begins while other steps may fail.
    PivotBeforeAll = "saga-pivot-before-all", "s24_pivot_waits_for_all",
        "the pivot begins when all before it is done (24)";
    /// Each attempt is an effect of its own.
    KeyOfAttempt = "saga-key-of-attempt", "s15_retry_has_the_same_key",
        "all attempts at a step are one effect (15)";
    /// A step of which nothing was heard is taken for refused.
    UnknownIsRejected = "saga-unknown-is-rejected", "s20_unknown_is_not_rejected",
        "what is unknown is asked for again, and is no refusal (20)";

    // The participant.

    /// Each request is carried out, however often it comes.
    NoBarrier = "saga-no-barrier", "s15_reply_lost_effect_once",
        "a step is carried out once, however often it is asked for (15, 16)";
    /// Requests of an executor that was replaced are carried out.
    BarrierIgnoresEpoch = "saga-barrier-ignores-epoch", "s34_old_executor_cannot_command",
        "a participant obeys the latest executor that it has heard of (34)";
    /// What the oldest saga that goes on has done is forgotten.
    BarrierForgetsOldest = "saga-barrier-forgets-oldest", "s15_what_goes_on_is_not_forgotten",
        "a participant forgets what sagas have done that ended, and no other (15)";
    /// A step is carried out though its compensation came before it.
    ActionAfterUndo = "saga-action-after-undo", "s16_action_after_undo_is_refused",
        "a step that comes after its compensation is refused (16, 17)";
    /// A compensation is carried out though there is nothing to undo.
    UndoOfNothing = "saga-undo-of-nothing", "s17_undo_before_action_undoes_nothing",
        "what was never done is not undone (17)";
}
