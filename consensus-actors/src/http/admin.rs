//! What operators ask of a group.

use actix_web::{HttpRequest, HttpResponse, web};
use consensus_core::{NodeId, client::Admin};
use serde::Deserialize;
use serde_json::json;

use super::deadline;
use crate::{
    error::{Code, Error, Result},
    node::Shared,
};

/// Whom to hand over to: the best fit if it names nobody.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Transfer {
    to: Option<NodeId>,
}

/// Hands the lead of a group over, and answers with who leads then.
pub(super) async fn transfer(
    node: web::Data<Shared>,
    group: web::Path<String>,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse> {
    let group = node.group(&group)?;
    let Transfer { to } = if body.is_empty() { in_url(&request)? } else { in_body(&body)? };
    let leader = group.admin(Admin::Transfer { to }, deadline(&request)?).await?.reply;
    Ok(HttpResponse::Ok().json(json!({ "leader": leader })))
}

fn in_url(request: &HttpRequest) -> Result<Transfer> {
    let transfer = web::Query::from_query(request.query_string());
    transfer.map(web::Query::into_inner).map_err(|error| {
        let message = format!(
            "the URL does not say whom to hand over to: {error}; write ?to=2, or nothing for whoever \
             is fit best"
        );
        Error::new(Code::InvalidArgument, message)
    })
}

fn in_body(body: &[u8]) -> Result<Transfer> {
    serde_json::from_slice(body).map_err(|error| {
        let message = format!(
            "the body does not say whom to hand over to: {error}; send {{\"to\":2}}, or no body for \
             whoever is fit best"
        );
        Error::new(Code::MalformedBody, message)
    })
}
