//! Errors as problem details (RFC 9457).

use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use consensus_core::Outcome;
use serde_json::json;

use crate::error::{Code, Error};

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        match self.code() {
            Code::UnknownGroup
            | Code::UnknownOperation
            | Code::UnknownPath
            | Code::UnknownSaga
            | Code::Undecided => StatusCode::NOT_FOUND,
            Code::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            Code::ForeignToken | Code::InvalidArgument | Code::MalformedBody | Code::InvalidKey => {
                StatusCode::BAD_REQUEST
            }
            Code::ForeignOrigin => StatusCode::FORBIDDEN,
            Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Code::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Code::AlreadyAnswered | Code::NoLeases | Code::TransferUnderWay => StatusCode::CONFLICT,
            Code::NotAMember => StatusCode::NOT_FOUND,
            Code::KeyHeld
            | Code::OrderRefused
            | Code::ChangeUnderWay
            | Code::CatchingUp
            | Code::NoMajority
            | Code::IdUsed
            | Code::BadChange
            | Code::CannotJoin => StatusCode::CONFLICT,
            Code::NotAVoter => StatusCode::UNPROCESSABLE_ENTITY,
            Code::NoSuccessor | Code::TransferAborted => StatusCode::SERVICE_UNAVAILABLE,
            Code::Busy | Code::TooManyClients => StatusCode::TOO_MANY_REQUESTS,
            Code::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
            Code::NoLeader
            | Code::Deadline
            | Code::TooStale
            | Code::Behind
            | Code::SessionExpired
            | Code::Stopping
            | Code::Starting
            | Code::NoPart => match self.outcome() {
                Outcome::NotApplied => StatusCode::SERVICE_UNAVAILABLE,
                Outcome::Applied | Outcome::Unknown => StatusCode::GATEWAY_TIMEOUT,
            },
            Code::Panicked
            | Code::SnapshotFailed
            | Code::Undecodable
            | Code::Unreachable
            | Code::OtherVersion
            | Code::OtherType
            | Code::OtherCluster
            | Code::OtherNode
            | Code::DirectoryInUse
            | Code::AddressInUse
            | Code::Config
            | Code::JournalCorrupt
            | Code::NotLoopback
            | Code::GroupExists
            | Code::Disk
            | Code::Application => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        let mut response = HttpResponse::build(status);
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.insert_header(("Retry-After", "1"));
        }
        response.content_type("application/problem+json").body(
            json!({
                "type": "about:blank",
                "title": status.canonical_reason().unwrap_or_default(),
                "status": status.as_u16(),
                "code": self.code().as_str(),
                "outcome": self.outcome(),
                "detail": self.message(),
            })
            .to_string(),
        )
    }
}
