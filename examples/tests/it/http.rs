//! Asking nodes over HTTP, as any program would.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};

/// How long a node may take to answer: longer than it gives a call itself.
const PATIENCE: Duration = Duration::from_secs(12);

/// What a node answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The content type.
    pub(crate) kind: String,
    /// The body as it came.
    pub(crate) text: String,
}

impl Answer {
    fn read(mut response: ureq::http::Response<ureq::Body>) -> Result<Self, ureq::Error> {
        let header = response.headers().get("content-type");
        let kind = header.and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
        let status = response.status().as_u16();
        Ok(Self { status, kind, text: response.body_mut().read_to_string()? })
    }

    /// Returns the body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{self:?} is no JSON"))
    }

    /// Returns the reply of a command or query that succeeded.
    pub(crate) fn reply(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.kind, "application/json", "{self:?}");
        self.json()["reply"].clone()
    }

    /// Returns the reply as a number.
    pub(crate) fn number(&self) -> i64 {
        self.reply().as_i64().unwrap_or_else(|| panic!("{self:?} is no number"))
    }

    /// Checks that this is a problem of this status and code, not applied; returns its sentence.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> String {
        let problem = self.problem();
        assert_eq!((self.status, &*problem.code), (status, code), "{self:?}");
        assert_eq!(problem.outcome, "not_applied", "{self:?}");
        problem.detail
    }

    /// Checks that this is a problem, and returns it.
    #[track_caller]
    pub(crate) fn problem(&self) -> Problem {
        assert!(self.status >= 400, "{self:?} is no error");
        assert_eq!(self.kind, "application/problem+json", "{self:?}");
        let body = self.json();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(body["status"].as_u64(), Some(self.status.into()), "{self:?}");
        let problem =
            Problem { code: text("code"), outcome: text("outcome"), detail: text("detail") };
        assert!(problem.code.starts_with("CX"), "{self:?} has no code");
        let outcomes = ["not_applied", "applied", "unknown"];
        assert!(outcomes.contains(&&*problem.outcome), "{self:?} has no outcome");
        assert!(!problem.detail.is_empty(), "{self:?} has no sentence");
        problem
    }
}

/// What an error says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) code: String,
    pub(crate) outcome: String,
    pub(crate) detail: String,
}

/// A client that keeps its connections.
#[derive(Clone, Debug)]
pub(crate) struct Http(ureq::Agent);

impl Http {
    /// Makes a client.
    pub(crate) fn new() -> Self {
        Self::with_patience(PATIENCE)
    }

    /// Makes a client that gives up a request after so long.
    pub(crate) fn with_patience(patience: Duration) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
        Self(config.timeout_global(Some(patience)).build().into())
    }

    /// Gets a path.
    pub(crate) fn get(
        &self,
        node: SocketAddr,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Answer, ureq::Error> {
        let request = self.0.get(format!("http://{node}{path}"));
        let request =
            headers.iter().fold(request, |request, (name, text)| request.header(*name, *text));
        Answer::read(request.call()?)
    }

    /// Sends a body under any method.
    pub(crate) fn send(
        &self,
        method: &str,
        node: SocketAddr,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer, ureq::Error> {
        let request =
            ureq::http::Request::builder().method(method).uri(format!("http://{node}{path}"));
        let request =
            headers.iter().fold(request, |request, (name, text)| request.header(*name, *text));
        let request = request.body(body.to_owned())?;
        let request = self.0.configure_request(request).allow_non_standard_methods(true);
        Answer::read(self.0.run(request.build())?)
    }

    /// Adds to the counter, under a key if there is one.
    pub(crate) fn add(
        &self,
        node: SocketAddr,
        by: i64,
        headers: &[(&str, &str)],
    ) -> Result<Answer, ureq::Error> {
        self.send("POST", node, ADD, headers, &json!({ "by": by }).to_string())
    }
}

/// The path of the counter's command.
pub(crate) const ADD: &str = "/v1/groups/hits/commands/add";

/// The path of the counter's query.
pub(crate) const GET: &str = "/v1/groups/hits/queries/get";

/// Gets a path of a node, which must answer.
#[track_caller]
pub(crate) fn get(node: SocketAddr, path: &str) -> Answer {
    Http::new().get(node, path, &[]).unwrap_or_else(|error| panic!("{node}{path}: {error}"))
}

/// Posts to a path of a node, which must answer.
#[track_caller]
pub(crate) fn post(node: SocketAddr, path: &str, body: &str) -> Answer {
    let answer = Http::new().send("POST", node, path, &[], body);
    answer.unwrap_or_else(|error| panic!("{node}{path}: {error}"))
}

/// Adds to the counter, once for a key; the node must answer.
#[track_caller]
pub(crate) fn add_keyed(node: SocketAddr, by: i64, key: &str) -> Answer {
    let answer = Http::new().add(node, by, &[("Idempotency-Key", key)]);
    answer.unwrap_or_else(|error| panic!("{node}: {error}"))
}

/// Adds to the counter, which must succeed; returns the total.
#[track_caller]
pub(crate) fn add(node: SocketAddr, by: i64) -> i64 {
    post(node, ADD, &json!({ "by": by }).to_string()).number()
}

/// Reads the counter, which must succeed.
#[track_caller]
pub(crate) fn value(node: SocketAddr) -> i64 {
    get(node, GET).number()
}
