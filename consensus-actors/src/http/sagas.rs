//! `/v1/sagas/{group}`: what has not ended, and what operators do about it.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use crate::{
    error::{Code, Error, Result},
    node::Shared,
    saga::telling,
};

/// Which sagas are listed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    #[serde(default)]
    stuck: bool,
    after: Option<String>,
}

/// What an operator asks for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    #[serde(default)]
    reason: String,
    step: Option<String>,
}

/// The arguments of a URL, or what is wrong with them.
pub(super) type Parameters<T> = std::result::Result<web::Query<T>, actix_web::Error>;

fn read<T>(parameters: Parameters<T>, wanted: &str) -> Result<T> {
    parameters.map(web::Query::into_inner).map_err(|error| {
        let message = format!("the URL's parameters cannot be read: {error}; write {wanted}");
        Error::new(Code::InvalidArgument, message)
    })
}

/// Lists sagas that have not ended.
pub(super) async fn list(
    node: web::Data<Shared>,
    group: web::Path<String>,
    which: Parameters<Which>,
) -> Result<HttpResponse> {
    let sagas = node.sagas(&group)?;
    let Which { stuck, after } = read(which, "?stuck=true&after=ID")?;
    let after = after.as_deref().map(telling::read_id).transpose()?;
    let listed = if stuck { sagas.stuck(after).await? } else { sagas.list(after).await? };
    let listed: Vec<_> = listed.iter().map(telling::row).collect();
    Ok(HttpResponse::Ok().json(json!({ "sagas": listed })))
}

/// Tells how a saga and its steps stand, what is being asked for, and what its log says.
pub(super) async fn show(
    node: web::Data<Shared>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse> {
    let (group, id) = path.into_inner();
    let sagas = node.sagas(&group)?;
    let shown = sagas.show(telling::read_id(&id)?).await?;
    Ok(HttpResponse::Ok().json(telling::shown(&shown, sagas.graph_of(&shown.log))))
}

/// Does what an operator asks for.
pub(super) async fn order(
    node: web::Data<Shared>,
    path: web::Path<(String, String, String)>,
    asked: Parameters<Asked>,
) -> Result<HttpResponse> {
    let (group, id, order) = path.into_inner();
    let (sagas, id) = (node.sagas(&group)?, telling::read_id(&id)?);
    let Asked { reason, step } = read(asked, "?reason=WHY, and &step=NAME to skip one")?;
    match (&*order, step) {
        ("cancel", None) => sagas.cancel(id, &reason).await?,
        ("retry", None) => sagas.retry(id, &reason).await?,
        ("abandon", None) => sagas.abandon(id, &reason).await?,
        ("skip", Some(step)) => sagas.skip(id, &step, &reason).await?,
        ("skip", None) => {
            let message = "skip which step? write ?step=NAME&reason=WHY";
            return Err(Error::new(Code::InvalidArgument, message));
        }
        ("cancel" | "retry" | "abandon", Some(_)) => {
            let message = format!("to {order} concerns the whole saga; leave out the step");
            return Err(Error::new(Code::InvalidArgument, message));
        }
        (_, _) => {
            let message = format!("{order:?} is no order; cancel, retry, skip or abandon");
            return Err(Error::new(Code::UnknownPath, message));
        }
    }
    Ok(HttpResponse::Ok().json(json!({ "done": order })))
}
