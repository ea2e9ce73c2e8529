//! A state machine alone, with no replica around it: what it says of commands and queries.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{
    replica::{Rejection, Reply, encode},
    state_machine::{Cx, StateMachine},
};

/// Tells whether a rejection says that the command was not executed.
pub(super) fn is_refusal(rejection: Rejection) -> bool {
    match rejection {
        Rejection::Panicked | Rejection::ReplyTooLarge => false,
        Rejection::Malformed
        | Rejection::UnknownSession
        | Rejection::AlreadyAnswered
        | Rejection::SessionWindow
        | Rejection::RequestReused
        | Rejection::KeyReused => true,
    }
}

pub(super) fn execute<S: StateMachine>(state: &mut S, mut cx: Cx, command: &[u8]) -> Reply {
    let reply = catch_unwind(AssertUnwindSafe(|| {
        let command = rmp_serde::from_slice(command).map_err(|_| Rejection::Malformed)?;
        encode(&mut Vec::new(), &state.apply(&mut cx, command))
    }));
    reply.unwrap_or(Err(Rejection::Panicked))
}

pub(super) fn answer_of<S: StateMachine>(state: &S, query: &[u8]) -> Reply {
    let answer = catch_unwind(AssertUnwindSafe(|| {
        let query = rmp_serde::from_slice(query).map_err(|_| Rejection::Malformed)?;
        encode(&mut Vec::new(), &state.answer(query))
    }));
    answer.unwrap_or(Err(Rejection::Panicked))
}
