//! How the node and its groups stand.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use consensus_core::NodeId;
use serde_json::{Value, json};

use super::changes;
use crate::{
    error::Result,
    node::{Group, Shared},
    transport::{REMOVED, Standing, guest::GUESTS_MAX},
};

/// Answers as long as the process turns.
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// Answers 200 when every group knows a leader, 503 with what is missing when not, and while the node
/// is about to end.
pub(super) async fn readyz(node: web::Data<Shared>) -> HttpResponse {
    match unready(&node) {
        None => HttpResponse::Ok().body("ok\n"),
        Some(reason) => HttpResponse::ServiceUnavailable().body(format!("not ready: {reason}\n")),
    }
}

/// Says why a node does not serve; `None` if it does.
fn unready(node: &Shared) -> Option<String> {
    if node.doors.are_closed() {
        return Some("the node is stopping".to_owned());
    }
    let groups = node.groups();
    if groups.is_empty() {
        return Some("no group is hosted yet".to_owned());
    }
    let leaderless = groups.iter().filter(|(_, group)| group.status().1.leader.is_none());
    let leaderless: Vec<&str> = leaderless.map(|(name, _)| name.as_str()).collect();
    match node.identity.roster.standing() {
        Standing::Waiting => Some(node.identity.wanted()),
        Standing::Removed => Some(REMOVED.to_owned()),
        Standing::Refused(reason) if !leaderless.is_empty() => Some(reason),
        Standing::Member | Standing::Refused(_) => (!leaderless.is_empty())
            .then(|| format!("no leader known for {}", leaderless.join(", "))),
    }
}

/// Tells how the node and each of its groups stand.
pub(super) async fn status(node: web::Data<Shared>) -> HttpResponse {
    let groups = node.groups();
    let groups: Vec<Value> =
        groups.iter().map(|(name, group)| describe_status(node.id, name, group.as_ref())).collect();
    HttpResponse::Ok().json(json!({
        "node": node.id.number(),
        "cluster": &*node.cluster,
        "standing": node.identity.roster.standing().name(),
        "address": node.identity.address,
        "version": env!("CARGO_PKG_VERSION"),
        "stopping": node.doors.are_closed(),
        "clients": { "connected": node.guests.taken(), "max": GUESTS_MAX },
        "groups": groups,
    }))
}

fn describe_status(node: NodeId, name: &str, group: &dyn Group) -> Value {
    let (protocol, status, applied) = group.status();
    json!({
        "name": name,
        "protocol": protocol,
        "role": status.role,
        "witness": status.membership.is_witness(node),
        "leader": status.leader.map(|leader| leader.number()),
        "term": status.term,
        "committed": status.committed.0,
        "applied": applied.0,
        "last": status.last.0,
        "snapshot": status.snapshot.0,
        "first": status.first.0,
        "transfer": status.transfer.map(|to| to.number()),
        "priority": status.priority,
        "lease": status.lease,
        "lease_held": group.holds_lease(),
        "disk_stalls": status.disk_stalls,
        "members": status.membership.members().map(NodeId::number).collect::<Vec<_>>(),
    })
}

/// Tells which settings count, and where each comes from.
pub(super) async fn config(node: web::Data<Shared>) -> HttpResponse {
    HttpResponse::Ok().json(node.configuration())
}

/// Lists the groups by name.
pub(super) async fn groups(node: web::Data<Shared>) -> HttpResponse {
    let groups = node.groups();
    HttpResponse::Ok().json(json!({ "groups": groups.keys().collect::<Vec<_>>() }))
}

/// Tells what a group offers: its commands and queries with their arguments, and at what level each
/// query is read.
pub(super) async fn group(
    node: web::Data<Shared>,
    name: web::Path<String>,
) -> Result<HttpResponse> {
    let group = node.group(&name)?;
    let interface = group.interface();
    let describe = |operations: &[consensus_core::Operation], are_queries: bool| -> Vec<Value> {
        let describe = |operation: &consensus_core::Operation| {
            let arguments: Vec<BTreeMap<&str, &str>> = operation
                .arguments
                .iter()
                .map(|argument| BTreeMap::from([("name", argument.name), ("type", argument.kind)]))
                .collect();
            let mut told =
                json!({ "name": operation.name, "arguments": arguments, "doc": operation.doc });
            if are_queries {
                told["read"] = group.read_level(operation.name).to_string().into();
            }
            told
        };
        operations.iter().map(describe).collect()
    };
    Ok(HttpResponse::Ok().json(json!({
        "name": *name,
        "commands": describe(interface.commands, false),
        "queries": describe(interface.queries, true),
        "members": changes::parts(group.as_ref()),
    })))
}
