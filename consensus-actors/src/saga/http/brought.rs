//! What a compensation's handler is told of its step.

use std::future::{Ready, ready};

use actix_web::{
    Error as ActixError, FromRequest, HttpMessage, HttpRequest, dev::Payload,
    error::ErrorInternalServerError,
};
use serde::de::DeserializeOwned;

use super::carrying::Kept;

/// What a request's step answered, kept beside the request.
pub(super) struct Output(pub(super) Option<Kept>);

/// What the step brought that is to be undone, as its handler answered it: for the handler of a
/// compensation behind [`Once`](super::Once).
///
/// `None` if nobody knows: the step was begun, but died before it answered, or it answered more
/// than is kept. Then whatever was done under the request's key is to be undone. An answer that is
/// no `T` is an error, which the saga takes for unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brought<T>(pub Option<T>);

impl<T: DeserializeOwned> FromRequest for Brought<T> {
    type Error = ActixError;
    type Future = Ready<Result<Self, ActixError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let extensions = request.extensions();
        let Some(Output(kept)) = extensions.get() else {
            return ready(Err(ErrorInternalServerError(
                "only a request to undo a step has what the step brought, behind `Once`",
            )));
        };
        let read = |kept: &Kept| serde_json::from_slice(&kept.body);
        let brought = kept.as_ref().map(read).transpose().map(Self);
        ready(brought.map_err(|error| {
            ErrorInternalServerError(format!("what the step brought is something else: {error}"))
        }))
    }
}
