//! Letting calls in, until the node is about to end.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::{
    Error as WebError,
    body::{BodySize, BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{CONNECTION, HeaderValue},
    middleware::Next,
    web,
};
use consensus_core::Outcome;

use crate::{
    error::Error,
    node::{Shared, Visit},
};

/// Counts a call until its answer is written, and refuses it where the node is about to end. How it
/// stands is told to the last.
pub(super) async fn let_in<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, WebError> {
    let is_call = request.path().starts_with("/v1/groups/");
    let node = request.app_data::<web::Data<Shared>>().filter(|_| is_call);
    let Some(doors) = node.map(|node| node.doors.clone()) else {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    };
    let Some(visit) = doors.enter() else {
        let mut refused = request.error_response(Error::stopping(Outcome::NotApplied));
        // Whoever keeps this connection would find it closed.
        refused.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        return Ok(refused);
    };
    let response = next.call(request).await?.map_into_boxed_body();
    Ok(response.map_body(|_, body| BoxBody::new(Watched { body, _visit: visit })))
}

/// The body of an answer: the call is over when it is written.
struct Watched {
    body: BoxBody,
    _visit: Visit,
}

impl MessageBody for Watched {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<web::Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(cx)
    }
}
