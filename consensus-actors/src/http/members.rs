//! Who takes part in the cluster, and changing it.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::{HttpResponse, web};
use consensus_core::{Membership, NodeId, Status};
use serde_json::{Value, json};

use crate::node::Shared;

/// Tells who takes part in which group, and how this node gets along with each.
pub(super) async fn members(node: web::Data<Shared>) -> HttpResponse {
    HttpResponse::Ok().json(describe(&node))
}

fn describe(node: &Shared) -> Value {
    let groups: Vec<(String, Status)> = {
        let groups = node.groups();
        groups.iter().map(|(name, group)| (name.clone(), group.status().1)).collect()
    };
    let roster = &node.identity.roster;
    let (peers, contacts) = (roster.peers(), roster.contacts());
    let memberships = || groups.iter().map(|(_, status)| &status.membership);
    let members: BTreeSet<NodeId> = memberships().flat_map(Membership::members).collect();
    let removed: BTreeSet<NodeId> = memberships().flat_map(Membership::retired).collect();
    let describe = |member: &NodeId| {
        let is_here = *member == node.id;
        let address = if is_here {
            node.identity.address.as_deref()
        } else {
            peers.get(member).map(|peer| &*peer.address)
        };
        let contact = contacts.get(member);
        let parts: Vec<Value> = groups
            .iter()
            .filter(|(_, status)| status.membership.is_member(*member))
            .map(|(name, status)| part(name, status, *member))
            .collect();
        json!({
            "id": member.number(),
            "address": address.filter(|address| !address.is_empty()),
            "answers_here": is_here,
            "connected": is_here || contact.is_some_and(|contact| contact.connected),
            "heard_ms_ago": contact.and_then(|it| it.heard_ago()).map(|ago| ago.as_millis() as u64),
            "refusal": contact.and_then(|it| it.refusal.as_ref()).map(|it| it.reason.clone()),
            "groups": parts,
        })
    };
    let waiting: BTreeMap<NodeId, String> = roster.waiting();
    let waiting = waiting.iter().filter(|(id, _)| !members.contains(id));
    json!({
        "cluster": &*node.cluster,
        "node": node.id.number(),
        "standing": roster.standing().name(),
        "members": members.iter().map(describe).collect::<Vec<_>>(),
        "waiting": waiting
            .map(|(id, address)| json!({ "id": id.number(), "address": address }))
            .collect::<Vec<_>>(),
        "removed": removed
            .iter()
            .filter(|id| !members.contains(id))
            .map(|id| id.number())
            .collect::<Vec<_>>(),
    })
}

/// Tells what part a member takes in a group.
fn part(group: &str, status: &Status, member: NodeId) -> Value {
    let membership = &status.membership;
    let joining = membership.joining().find(|(node, _)| *node == member);
    json!({
        "group": group,
        "role": role(membership, member),
        "leads": status.leader == Some(member),
        "joining": joining.is_some(),
        "replaces": joining.and_then(|(_, replaced)| replaced).map(NodeId::number),
    })
}

/// Returns what a member is to a group: in a joint configuration, what it will be.
pub(super) fn role(membership: &Membership, member: NodeId) -> &'static str {
    if membership.is_witness(member) {
        "witness"
    } else if membership.voters().is_voter(member) {
        "voter"
    } else if membership.outgoing().is_voter(member) {
        "leaving"
    } else {
        "learner"
    }
}
