//! The node's HTTP interface: commands, queries, status, health.
//!
//! ```text
//! POST /v1/groups/{group}/commands/{name}   {"by":1}       -> {"reply":1}
//! GET  /v1/groups/{group}/queries/{name}?key=a             -> {"reply":"1"}
//! POST /v1/groups/{group}/transfer          {"to":2}       -> {"leader":2}
//! POST /v1/groups/{group}/snapshots                        takes one, on this node
//! GET  /v1/groups/{group}/snapshots                        those of this node
//! GET  /v1/groups/{group}                                  what it offers
//! GET  /v1/status                                          how the node and its groups stand
//! GET  /v1/config                                          which settings count, and why
//! GET  /v1/members                                         who takes part, and where
//! POST /v1/members                          {"id":4,"address":"..","as":"voter"}
//! POST /v1/members/{id}/promote                            a learner is to vote
//! POST /v1/members/{id}/replace             {"id":4,"address":".."}
//! DELETE /v1/members/{id}                                  a member is to go
//! PUT  /v1/decisions/{name}                 16             -> {"value":16}
//! GET  /v1/decisions/{name}                                what was decided
//! GET  /livez, /readyz                                     for load balancers
//! ```
//!
//! Any node answers, whichever leads. A command without a body takes its arguments from the URL.
//! The header `Idempotency-Key` makes a repeated command apply once; `Consensus-Deadline: 2s`
//! bounds a call. What was applied or read has the header `Commit-Token`; a query is read after it
//! with `?read=after&token=..`, and from a state of bounded age with `?read=stale&max_lag=1s`. The
//! header `Consensus-Read: stale 1s` says the same, for queries, too, that have arguments of these
//! names.

mod admin;
mod changes;
mod decisions;
mod doors;
mod members;
mod origin;
mod problem;
mod reading;
mod sagas;
mod snapshots;
mod status;

use std::{net::TcpListener, sync::Arc, time::Duration};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer, Resource, ResponseError, Route,
    dev::Server,
    guard,
    http::header::{ALLOW, HeaderValue},
    middleware::from_fn,
    web,
};
use serde_json::{Value, json};

use crate::{
    client::IntoDuration,
    error::{Code, Error, Result},
    node::{Arguments, Replied, Shared},
};

/// The largest body of a command; encoded it must fit
/// [`COMMAND_BYTES_MAX`](crate::COMMAND_BYTES_MAX).
const BODY_BYTES_MAX: usize = 4 << 20;

/// Serves a node on `listener`.
pub(crate) fn serve(listener: TcpListener, node: Arc<Shared>) -> std::io::Result<Server> {
    let app = move || {
        App::new()
            .app_data(web::Data::from(Arc::clone(&node)))
            .app_data(web::PayloadConfig::new(BODY_BYTES_MAX))
            .wrap(from_fn(doors::let_in))
            .wrap(from_fn(origin::refuse_foreign))
            .service(page("/livez", get().to(status::livez)))
            .service(page("/readyz", get().to(status::readyz)))
            .service(page("/v1/status", get().to(status::status)))
            .service(page("/v1/config", get().to(status::config)))
            .service(
                web::resource("/v1/members")
                    .route(get().to(members::members))
                    .route(web::post().to(changes::add))
                    .default_service(web::to(wrong_method)),
            )
            .service(page("/v1/members/{id}", web::delete().to(changes::remove)))
            .service(page("/v1/members/{id}/promote", web::post().to(changes::promote)))
            .service(page("/v1/members/{id}/replace", web::post().to(changes::replace)))
            .service(
                web::resource("/v1/decisions/{name}")
                    .route(get().to(decisions::decided))
                    .route(web::put().to(decisions::decide))
                    .default_service(web::to(wrong_method)),
            )
            .service(page("/v1/sagas/{group}", get().to(sagas::list)))
            .service(page("/v1/sagas/{group}/{id}", get().to(sagas::show)))
            .service(page("/v1/sagas/{group}/{id}/{order}", web::post().to(sagas::order)))
            .service(page("/v1/groups", get().to(status::groups)))
            .service(page("/v1/groups/{group}", get().to(status::group)))
            .service(page("/v1/groups/{group}/commands/{name}", web::post().to(command)))
            .service(page("/v1/groups/{group}/queries/{name}", get().to(query)))
            .service(page("/v1/groups/{group}/transfer", web::post().to(admin::transfer)))
            .service(
                page("/v1/groups/{group}/snapshots", get().to(snapshots::list))
                    .route(web::post().to(snapshots::take)),
            )
            .default_service(web::to(unknown_path))
    };
    let server = HttpServer::new(app).workers(1).disable_signals().shutdown_timeout(2);
    Ok(server.listen(listener)?.run())
}

/// Routes GET, and HEAD, which some load balancers send.
fn get() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// Makes a page that refuses all methods but that of its route.
fn page(path: &str, route: Route) -> Resource {
    web::resource(path).route(route).default_service(web::to(wrong_method))
}

async fn command(
    node: web::Data<Shared>,
    path: web::Path<(String, String)>,
    request: HttpRequest,
    body: std::result::Result<web::Bytes, actix_web::Error>,
) -> Result<HttpResponse> {
    let (group, name) = path.into_inner();
    let group = node.group(&group)?;
    node.check_part()?;
    let body = body.map_err(|error| {
        let message = format!(
            "the body cannot be read ({error}); it may have {BODY_BYTES_MAX} bytes at most"
        );
        Error::new(Code::TooLarge, message)
    })?;
    let arguments = if body.is_empty() {
        Arguments::Text(url_arguments(&request)?)
    } else {
        Arguments::Json(json_body(&body)?)
    };
    let key = header(&request, "Idempotency-Key", Code::InvalidKey)?;
    reply(&group.command(&name, arguments, key, deadline(&request)?)?.await?)
}

async fn query(
    node: web::Data<Shared>,
    path: web::Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let (group, name) = path.into_inner();
    let group = node.group(&group)?;
    node.check_part()?;
    let mut arguments = url_arguments(&request)?;
    let queries = group.interface().queries;
    let operation = queries.iter().find(|operation| operation.name == name);
    let reading = reading::reading(&request, operation, &mut arguments)?;
    let arguments = Arguments::Text(arguments);
    reply(&group.query(&name, arguments, reading, deadline(&request)?)?.await?)
}

fn reply(replied: &Replied) -> Result<HttpResponse> {
    let mut response = HttpResponse::Ok();
    if let Some(token) = replied.token {
        response.insert_header(("Commit-Token", token.to_string()));
    }
    Ok(response.json(json!({ "reply": replied.reply })))
}

fn url_arguments(request: &HttpRequest) -> Result<Vec<(String, String)>> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string());
    pairs.map(web::Query::into_inner).map_err(|error| {
        let message =
            format!("the URL's parameters cannot be read: {error}; write ?name=value&name=value");
        Error::new(Code::InvalidArgument, message)
    })
}

fn json_body(body: &[u8]) -> Result<serde_json::Map<String, Value>> {
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        let message =
            format!("the body is no JSON: {error}; send an object of arguments, as {{\"by\":1}}");
        Error::new(Code::MalformedBody, message)
    })?;
    if let Value::Object(arguments) = value {
        return Ok(arguments);
    }
    let message = "the body is JSON but no object; send an object of arguments, as {\"by\":1}";
    Err(Error::new(Code::MalformedBody, message))
}

fn header<'a>(request: &'a HttpRequest, name: &str, code: Code) -> Result<Option<&'a str>> {
    let value = request.headers().get(name).map(|value| value.to_str());
    value.transpose().map_err(|_| {
        Error::new(
            code,
            format!("the header {name} has characters beyond visible ASCII; leave them out"),
        )
    })
}

fn deadline(request: &HttpRequest) -> Result<Option<Duration>> {
    let deadline = header(request, "Consensus-Deadline", Code::InvalidArgument)?;
    deadline.map(IntoDuration::into_duration).transpose()
}

async fn wrong_method(request: HttpRequest) -> HttpResponse {
    let path = request.path();
    let ends_with = |ends: &[&str]| ends.iter().any(|end| path.ends_with(end));
    let writes = path.contains("/commands/") || ends_with(&["/transfer", "/promote", "/replace"]);
    let (right, allowed) = match path.strip_prefix("/v1/members") {
        _ if writes => ("POST", "POST"),
        _ if path.starts_with("/v1/sagas/") && path.split('/').count() > 5 => ("POST", "POST"),
        _ if path.starts_with("/v1/decisions/") => ("GET or PUT", "GET, HEAD, PUT"),
        Some("") => ("GET or POST", "GET, HEAD, POST"),
        Some(_) => ("DELETE", "DELETE"),
        None => ("GET", "GET, HEAD"),
    };
    let message = format!("{path} does not take {}; use {right}", request.method());
    let mut response = Error::new(Code::WrongMethod, message).error_response();
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

async fn unknown_path(request: HttpRequest) -> Result<HttpResponse> {
    let message = format!(
        "there is nothing at {}; try /v1/status, /v1/groups/NAME, /v1/groups/NAME/commands/COMMAND \
         or /v1/groups/NAME/queries/QUERY",
        request.path()
    );
    Err(Error::new(Code::UnknownPath, message))
}
