//! Refusing what a web page of somebody else's makes a browser send.
//!
//! A node listens on loopback only, but a browser on the same machine reaches it too, on behalf of
//! any page: with an `Origin` that is not this machine, or, where a name was made to point here,
//! with a `Host` that is not.

use actix_web::{
    Error as WebError,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{HOST, HeaderName, ORIGIN},
    middleware::Next,
};

use crate::error::{Code, Error};

/// Passes a request on unless it comes from elsewhere.
pub(super) async fn refuse_foreign<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, WebError> {
    for header in [ORIGIN, HOST] {
        if !is_local(&request, &header) {
            let message = format!(
                "the header {header} names another machine; a node answers programs on its own \
                 machine, not web pages from elsewhere: call it as 127.0.0.1 or localhost"
            );
            return Err(Error::new(Code::ForeignOrigin, message).into());
        }
    }
    next.call(request).await
}

/// Tells whether a header is absent or names this machine.
fn is_local(request: &ServiceRequest, header: &HeaderName) -> bool {
    let Some(value) = request.headers().get(header) else { return true };
    let Ok(value) = value.to_str() else { return false };
    let authority = value.split_once("://").map_or(value, |(_, authority)| authority);
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn local(header: HeaderName, value: &'static str) -> bool {
        is_local(
            &TestRequest::default().insert_header((header.clone(), value)).to_srv_request(),
            &header,
        )
    }

    // Goal: this machine is recognized under all its names, and nobody else under theirs.
    #[test]
    fn foreign_names_are_told_from_local_ones() {
        for host in ["localhost:4701", "LOCALHOST", "127.0.0.1:4701", "127.0.0.9", "[::1]:4701"] {
            assert!(local(HOST, host), "{host}");
        }
        for origin in ["http://localhost:3000", "http://127.0.0.1", "https://[::1]:8443"] {
            assert!(local(ORIGIN, origin), "{origin}");
        }
        for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1"]
        {
            assert!(!local(HOST, host), "{host}");
        }
        for origin in ["http://evil.example", "null", "https://localhost.evil.example:443"] {
            assert!(!local(ORIGIN, origin), "{origin}");
        }
    }
}
