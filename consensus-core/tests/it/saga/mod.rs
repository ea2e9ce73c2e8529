//! Sagas: scenarios by their numbers, and random runs.

mod crashes;
mod families;
mod operators;
mod outcomes;
mod participants;
mod random;
mod stage;

#[cfg(feature = "mutants")]
pub(crate) use self::{
    crashes::{s02_undo_runs_backwards, s06_intent_before_call, s08_gap_is_refused},
    families::{
        s29_circle_is_refused, s29_keys_are_held_on_the_way_back,
        s29_keys_of_a_step_are_held_for_its_saga, s29_keys_outlive_a_saga_given_up,
        s29_nobody_overtakes, s29_what_is_cancelled_does_not_begin,
        s31_ended_step_is_kept_for_its_saga, s31_late_request_begins_nothing,
        s31_step_asked_for_again_begins_nothing, s31_what_is_refused_stays_so,
    },
    operators::{s24_pivot_waits_for_all, s25_cancel_before_pivot_only},
    outcomes::{
        s15_retry_has_the_same_key, s19_lost_step_is_undone, s19_unknown_is_resolved_first,
        s20_unknown_is_not_rejected,
    },
    participants::{
        s15_reply_lost_effect_once, s15_what_goes_on_is_not_forgotten,
        s16_action_after_undo_is_refused, s17_undo_before_action_undoes_nothing,
        s34_old_executor_cannot_append, s34_old_executor_cannot_command,
    },
};
