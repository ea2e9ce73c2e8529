//! The service's side: who asks for what, and how it is answered.

use std::{
    future::{Ready, ready},
    str::FromStr,
};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, Responder,
    body::BoxBody,
    dev::Payload,
    error::ErrorBadRequest,
    http::{
        StatusCode,
        header::{HeaderMap, RETRY_AFTER},
    },
};
use consensus_core::saga::{Age, CoordinatorId, EffectKey, Epoch, Place};
use serde::Serialize;

use super::{
    super::{Guarded, Request},
    IDEMPOTENCY_KEY, REJECTED, Rejected, SAGA_COORDINATOR, SAGA_EPOCH, SAGA_OLDEST, SAGA_PLACE,
};

/// The body of what was neither done nor rejected.
#[derive(Serialize)]
struct Refused {
    refused: &'static str,
}

/// What the headers of a request say of the saga that it comes from. One without them is answered
/// with 400 and says which is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FromSaga(pub Request);

impl FromRequest for FromSaga {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read(request.headers()).map(Self).map_err(ErrorBadRequest))
    }
}

/// Reads who asks for what.
pub(super) fn read(headers: &HeaderMap) -> Result<Request, String> {
    let key: EffectKey = parsed(headers, IDEMPOTENCY_KEY)?;
    let coordinator = text(headers, SAGA_COORDINATOR)?;
    let coordinator = u64::from_str_radix(coordinator, 16).map_err(|error| {
        format!("the header {SAGA_COORDINATOR} is {coordinator:?}: it has 16 hexadecimal digits: {error}")
    })?;
    let epoch = Epoch(parsed(headers, SAGA_EPOCH)?);
    let age = Age {
        place: Place(parsed(headers, SAGA_PLACE)?),
        oldest: Place(parsed(headers, SAGA_OLDEST)?),
    };
    Ok(Request { key, coordinator: CoordinatorId(coordinator), epoch, age })
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(
    headers: &HeaderMap,
    name: &str,
) -> Result<T, String> {
    let text = text(headers, name)?;
    text.parse().map_err(|error| format!("the header {name} is {text:?}: {error}"))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, String> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.ok_or_else(|| {
        format!(
            "the header {name} is missing: a step of a saga is asked for with those of \
             `SagaCx::headers`"
        )
    })
}

impl<T: Serialize> Responder for Guarded<T> {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse<BoxBody> {
        match self {
            Self::Done(value) => HttpResponse::Ok().json(value),
            Self::Rejected(rejected) => {
                let status = StatusCode::from_u16(REJECTED).unwrap_or(StatusCode::CONFLICT);
                HttpResponse::build(status).json(Rejected { rejected })
            }
            Self::Refused => {
                HttpResponse::PreconditionFailed().insert_header((RETRY_AFTER, "1")).json(Refused {
                    refused: "nothing was done: another executor commands by now, or the step is \
                              undone already, or an earlier request for it broke off",
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{App, http::StatusCode, test, web};

    use super::*;
    use crate::saga::{Op, Outcome, SagaCx, SagaId, StepId};

    async fn take(FromSaga(of): FromSaga, how: web::Path<String>) -> Guarded<String> {
        match how.as_str() {
            "done" => Guarded::Done(of.key.to_string()),
            "rejected" => Guarded::Rejected("none left".to_owned()),
            _ => Guarded::Refused,
        }
    }

    fn cx() -> SagaCx {
        let key = EffectKey { saga: SagaId(7), step: StepId(2), op: Op::Action, round: 1 };
        SagaCx::of(key, CoordinatorId(0xabc), Epoch(9))
    }

    /// Makes a request with these headers, and returns its status and body.
    async fn asked(how: &str, headers: &[(&'static str, String)]) -> (StatusCode, Vec<u8>) {
        let app = App::new().route("/take/{how}", web::post().to(take));
        let app = test::init_service(app).await;
        let mut request = test::TestRequest::post().uri(&format!("/take/{how}"));
        for (name, value) in headers {
            request = request.insert_header((*name, value.as_str()));
        }
        let response = test::call_service(&app, request.to_request()).await;
        (response.status(), test::read_body(response).await.to_vec())
    }

    // Goal: what a step sends a service reads, and what the service says of it the step
    // understands, each of the three outcomes.
    #[actix_web::test]
    async fn a_service_is_understood_by_a_step() {
        let cx = cx();
        for (how, outcome) in [
            ("done", Outcome::Done(cx.key().to_string())),
            ("rejected", Outcome::Rejected("none left".to_owned())),
            ("refused", Outcome::Unknown),
        ] {
            let (status, body) = asked(how, &cx.headers()).await;
            assert_eq!(Outcome::<String>::from_response(status.as_u16(), &body), outcome);
        }
    }

    // Goal: a request that lacks a header, or has an odd one, is told which.
    #[actix_web::test]
    async fn a_header_that_is_missing_or_odd_is_named() {
        let headers = cx().headers();
        for (place, (name, _)) in headers.iter().enumerate().take(5) {
            let (mut without, mut odd) = (headers.to_vec(), headers.to_vec());
            without.remove(place);
            odd[place].1 = "?".to_owned();
            for headers in [without, odd] {
                let (status, body) = asked("done", &headers).await;
                assert_eq!(status, StatusCode::BAD_REQUEST);
                assert!(String::from_utf8_lossy(&body).contains(name));
            }
        }
    }

    // Goal: nothing but the two statuses and bodies that are agreed on is an answer for good.
    #[actix_web::test]
    async fn whatever_else_a_service_says_is_unknown() {
        for (status, body) in [
            (200, "no json"),
            (204, ""),
            (409, "in use"),
            (409, "{}"),
            (404, "{\"rejected\": \"no\"}"),
            (500, "{\"rejected\": \"no\"}"),
            (302, "7"),
        ] {
            let outcome = Outcome::<u32>::from_response(status, body.as_bytes());
            assert_eq!(outcome, Outcome::Unknown, "{status} {body}");
        }
    }

    // Goal: an attempt is a span of its own in the trace that is its saga.
    #[actix_web::test]
    async fn an_attempt_is_a_span_of_its_saga() {
        let [.., (_, first)] = cx().headers();
        let [.., (_, second)] = SagaCx { attempt: 2, ..cx() }.headers();
        assert!(first.starts_with(&format!("00-{:032x}-", 7)) && first.ends_with("-01"));
        assert_eq!(first.len(), 55);
        assert_ne!(first, second);
    }
}
