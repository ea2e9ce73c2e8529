//! The snapshots of a group on this node.

use actix_web::{HttpResponse, web};
use consensus_core::snapshot::Manifest;
use serde_json::{Value, json};

use crate::{error::Result, node::Shared};

/// Takes a snapshot of what is applied on this node, and answers when it is durable.
pub(super) async fn take(
    node: web::Data<Shared>,
    group: web::Path<String>,
) -> Result<HttpResponse> {
    let taken = node.group(&group)?.take_snapshot().await?;
    let (index, term) = (taken.id.index.0, taken.id.term);
    Ok(HttpResponse::Ok().json(json!({ "group": *group, "index": index, "term": term })))
}

/// Lists the snapshots that are on this node, oldest first.
pub(super) async fn list(
    node: web::Data<Shared>,
    group: web::Path<String>,
) -> Result<HttpResponse> {
    let snapshots = node.group(&group)?.snapshots();
    let snapshots: Vec<Value> = snapshots.iter().map(described).collect();
    Ok(HttpResponse::Ok().json(json!({ "snapshots": snapshots })))
}

fn described(snapshot: &Manifest) -> Value {
    json!({
        "index": snapshot.cut.index.0,
        "term": snapshot.cut.term,
        "bytes": snapshot.length,
        // The time in the log, in milliseconds since 1970: the same on all replicas.
        "time": snapshot.at.0,
        "digest": format!("{:016x}", snapshot.id().digest),
    })
}
