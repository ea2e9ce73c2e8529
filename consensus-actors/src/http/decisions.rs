//! `/v1/decisions/{name}`: what the cluster agrees upon once.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::deadline;
use crate::{
    arguments::to_json,
    client::encode,
    error::{Code, Error, Result},
    node::{Shared, checked},
};

/// `PUT`: has something chosen, the body unless there is another value.
pub(super) async fn decide(
    node: web::Data<Shared>,
    name: web::Path<String>,
    request: HttpRequest,
    body: std::result::Result<web::Bytes, actix_web::Error>,
) -> Result<HttpResponse> {
    let body = body.map_err(|error| {
        Error::new(Code::TooLarge, format!("the body cannot be read ({error}); send less"))
    })?;
    let value: Value = serde_json::from_slice(&body).map_err(|error| {
        let message = format!("the body is no JSON: {error}; send the value, as 16 or \"eu\"");
        Error::new(Code::MalformedBody, message)
    })?;
    let (name, value) = (checked(&name)?, encode(&value)?);
    let chosen = node.decide(name, Some(value), deadline(&request)?).await?;
    let chosen = chosen.expect("whoever proposes is told what is chosen");
    Ok(HttpResponse::Ok().json(json!({ "value": to_json(&chosen)? })))
}

/// `GET`: tells what was chosen, if anything was.
pub(super) async fn decided(
    node: web::Data<Shared>,
    name: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let name = checked(&name)?;
    let chosen = node.decide(std::sync::Arc::clone(&name), None, deadline(&request)?).await?;
    let Some(chosen) = chosen else {
        let message = format!(
            "nothing is decided under {name:?}; PUT a value to /v1/decisions/{name} to decide it"
        );
        return Err(Error::new(Code::Undecided, message));
    };
    Ok(HttpResponse::Ok().json(json!({ "value": to_json(&chosen)? })))
}
