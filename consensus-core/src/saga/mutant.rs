//! Known bugs of sagas: those that published coordinators had, and those that samples teach.
//!
//! Each is put back at the guard that prevents it. None disturbs a saga without faults that holds no
//! keys.

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

    // Sagas as steps.

    /// A step that is asked for again begins its saga again.
    BegunAnew = "saga-begun-anew", "s31_step_asked_for_again_begins_nothing",
        "a step begins its saga once, however often it is asked for (31)";
    /// A request that is late begins a saga, though its step is settled or its executor replaced.
    BegunLate = "saga-begun-late", "s31_late_request_begins_nothing",
        "a step begins its saga while it is asked for, and at no other time (31)";
    /// A step that was refused begins its saga for an earlier attempt that comes later.
    RefusalIsForgotten = "saga-refusal-is-forgotten", "s31_what_is_refused_stays_so",
        "all attempts at a step that is refused are told the same (31)";
    /// A saga that was a step is forgotten when it has ended, and begun anew or never undone.
    EndedIsForgotten = "saga-ended-is-forgotten", "s31_ended_step_is_kept_for_its_saga",
        "a saga that is a step is kept until the one whose step it is has ended (31)";

    // What sagas hold.

    /// What a saga holds is free when it begins to undo what it has done.
    KeysFreedOnTheWayBack = "saga-keys-freed-on-the-way-back", "s29_keys_are_held_on_the_way_back",
        "a saga holds its keys until it has ended, whichever way (29)";
    /// A saga begins before one that came earlier and waits for another key, too.
    Overtakes = "saga-overtakes", "s29_nobody_overtakes",
        "sagas get their keys in the order in which they came (29)";
    /// Two sagas wait for each other, each with a step that wants what the other holds.
    CircleUnseen = "saga-circle-unseen", "s29_circle_is_refused",
        "a step whose saga would wait in a circle is refused (29)";
    /// What a saga that is a step holds is free when it has ended.
    KeysFreedByStep = "saga-keys-freed-by-step", "s29_keys_of_a_step_are_held_for_its_saga",
        "what a step's saga holds it holds for the one whose step it is, and as long (29)";
    /// What a saga held is free when it is given up, though a step of it goes on.
    KeysFreedByAbandoning = "saga-keys-freed-by-abandoning", "s29_keys_outlive_a_saga_given_up",
        "keys are free when all are over for whom they are held (29)";
    /// What was cancelled while it waited begins when its keys are free.
    CancelledBegins = "saga-cancelled-begins", "s29_what_is_cancelled_does_not_begin",
        "a saga that is cancelled before it begins never does (29)";

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
