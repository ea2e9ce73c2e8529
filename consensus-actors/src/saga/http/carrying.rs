//! A handler behind [`Once`]: run if it is to be run, its answer kept, and replayed.

use std::{future::Future, pin::Pin, rc::Rc, task};

use actix_web::{
    Error as ActixError, HttpMessage, HttpRequest, HttpResponse, Responder, ResponseError,
    body::{BoxBody, MessageBody, to_bytes_limited},
    dev::{Service, ServiceRequest, ServiceResponse},
    error::{ErrorInternalServerError, ErrorServiceUnavailable},
    http::{StatusCode, header::CONTENT_TYPE},
    rt,
};
use bytes::Bytes;
use consensus_core::saga::{Answer, Op, Request};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use super::{
    super::{Guarded, PAYLOAD_BYTES_MAX},
    REJECTED, Rejected,
    brought::Output,
    once::Once,
    requests::{Reply, Runner},
};
use crate::{
    client::{decode, encode},
    error::Error,
};

/// What is answered instead of what cannot be kept.
const TOO_LARGE: &str = "the step was carried out, but answered more than 64 KiB, which is not \
                         kept; have it return where its result is";

/// A service whose handlers [`Once`] guards.
pub struct Carrying<S> {
    service: Rc<S>,
    once: Once,
}

/// An answer that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) status: u16,
    content_type: Option<String>,
    pub(super) body: Bytes,
}

/// What a handler came to.
enum Came {
    /// To an answer for good, which is sent when it is noted.
    Answered(Answer, ServiceResponse<BoxBody>),
    /// To one that is not.
    Nothing(ServiceResponse<BoxBody>),
}

impl<S> std::fmt::Debug for Carrying<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Carrying({:?})", self.once)
    }
}

impl<S> Carrying<S> {
    pub(super) fn new(service: Rc<S>, once: Once) -> Self {
        Self { service, once }
    }
}

impl<S, B> Service<ServiceRequest> for Carrying<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = ActixError> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = ActixError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ActixError>>>>;

    fn poll_ready(&self, cx: &mut task::Context<'_>) -> task::Poll<Result<(), ActixError>> {
        self.service.poll_ready(cx)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let (service, once) = (Rc::clone(&self.service), self.once.clone());
        Box::pin(async move {
            let Some(of) = once.asked(request.headers())? else {
                return Ok(service.call(request).await?.map_into_boxed_body());
            };
            // Counted from before anybody hears of it: see `Once::limit`.
            let until = once.until();
            let runner = drawn().map_err(ErrorInternalServerError)?;
            let output = match once.admit(of, runner).await? {
                Reply::Run(output) => output,
                Reply::Replay(answer) => {
                    let response = replayed(of.key.op, answer, &request);
                    return Ok(request.into_response(response));
                }
                Reply::Busy(_) | Reply::Refused | Reply::Finished(_) => {
                    let response = refused(request.request());
                    return Ok(request.into_response(response));
                }
            };
            if of.key.op == Op::Undo {
                let kept = output.filter(|output| !output.is_empty());
                let kept = kept.map(|output| decode::<Kept>(&output)).transpose()?;
                let known = kept.filter(|kept| kept.is_success());
                request.extensions_mut().insert(Output(known));
            }
            // On its own, so that a caller who waits no longer does not break it off.
            let carried = carry_out(service, request, (once.clone(), until), (of, runner));
            rt::spawn(carried).await.unwrap_or_else(|broken| {
                once.give_up(of, runner);
                Err(ErrorInternalServerError(format!("the handler broke off: {broken}")))
            })
        })
    }
}

/// Runs a handler, notes what it answers, and only then answers it.
async fn carry_out<S, B>(
    service: Rc<S>,
    request: ServiceRequest,
    (once, until): (Once, Instant),
    (of, runner): (Request, Runner),
) -> Result<ServiceResponse<BoxBody>, ActixError>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = ActixError>,
    B: MessageBody + 'static,
{
    let running = async { judged(service.call(request).await?).await };
    let came = timeout_at(until, running).await.unwrap_or_else(|_| {
        Err(ErrorServiceUnavailable("the handler took longer than it may: see `Once::limit`"))
    });
    match came {
        Ok(Came::Answered(answer, response)) => {
            if once.finish(of, runner, Some(answer)).await? {
                return Ok(response);
            }
            let (request, _) = response.into_parts();
            let refused = refused(&request);
            Ok(ServiceResponse::new(request, refused))
        }
        Ok(Came::Nothing(response)) => {
            once.finish(of, runner, None).await?;
            Ok(response)
        }
        Err(error) => {
            once.finish(of, runner, None).await?;
            Err(error)
        }
    }
}

/// Finds out what of a response is kept.
async fn judged<B: MessageBody + 'static>(
    response: ServiceResponse<B>,
) -> Result<Came, ActixError> {
    let status = response.status();
    if !status.is_success() && status.as_u16() != REJECTED {
        return Ok(Came::Nothing(response.map_into_boxed_body()));
    }
    let (request, response) = response.into_parts();
    let (head, body) = response.into_parts();
    let content_type = head.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.map(str::to_owned);
    // What is kept takes some bytes more than its body, and stays a command.
    let Ok(body) = to_bytes_limited(body, PAYLOAD_BYTES_MAX).await else {
        let kept = Kept::too_large();
        let answer = status.is_success().then(|| encode(&kept).map(Answer::Done)).transpose()?;
        let response = ServiceResponse::new(request, kept.response());
        return Ok(match answer {
            Some(answer) => Came::Answered(answer, response),
            None => Came::Nothing(response),
        });
    };
    let body = body.map_err(|error| ErrorInternalServerError(error.into().to_string()))?;
    let kept = encode(&Kept { status: status.as_u16(), content_type, body: body.clone() })?;
    let refusal = serde_json::from_slice::<Rejected>(&body).is_ok();
    let response = ServiceResponse::new(request, head.set_body(body)).map_into_boxed_body();
    Ok(match (status.is_success(), refusal) {
        (true, _) => Came::Answered(Answer::Done(kept), response),
        (false, true) => Came::Answered(Answer::Rejected(kept), response),
        (false, false) => Came::Nothing(response),
    })
}

impl Kept {
    fn too_large() -> Self {
        let body = Bytes::from_static(TOO_LARGE.as_bytes());
        let status = StatusCode::INTERNAL_SERVER_ERROR.as_u16();
        Self { status, content_type: Some("text/plain; charset=utf-8".to_owned()), body }
    }

    fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    fn response(self) -> HttpResponse {
        let status = StatusCode::from_u16(self.status);
        let mut response = HttpResponse::build(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
        if let Some(content_type) = self.content_type {
            response.insert_header((CONTENT_TYPE, content_type));
        }
        response.body(self.body)
    }
}

/// Returns what was answered before.
fn replayed(op: Op, answer: Answer, request: &ServiceRequest) -> HttpResponse {
    let (Answer::Done(kept) | Answer::Rejected(kept)) = answer;
    if kept.is_empty() && op == Op::Undo {
        // There was nothing to undo, and the barrier's own answer is empty.
        return Guarded::Done(()).respond_to(request.request());
    }
    decode::<Kept>(&kept).map_or_else(|error| error.error_response(), Kept::response)
}

fn refused(request: &HttpRequest) -> HttpResponse {
    Guarded::<()>::Refused.respond_to(request)
}

fn drawn() -> Result<Runner, Error> {
    let mut runner = [0; 16];
    getrandom::fill(&mut runner).map_err(Error::application)?;
    Ok(Runner::from_le_bytes(runner))
}
