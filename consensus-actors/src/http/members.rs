//! Who takes part in the cluster, and changing it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use actix_web::{HttpResponse, web};
use consensus_core::{Index, Membership, NodeId, Status};
use serde_json::{Value, json};

use crate::node::{Group, Shared};

/// Tells who takes part in which group, and how this node gets along with each.
pub(super) async fn members(node: web::Data<Shared>) -> HttpResponse {
    let hosted: Vec<(String, Arc<dyn Group>)> = {
        let groups = node.groups();
        groups.iter().map(|(name, group)| (name.clone(), Arc::clone(group))).collect()
    };
    let mut groups = Vec::with_capacity(hosted.len());
    for (name, group) in hosted {
        let status = group.status().1;
        let is_led_here = status.role == "leader";
        let followers = if is_led_here { group.followers().await } else { Ok(Vec::new()) };
        let followers = followers.unwrap_or_default().into_iter().collect();
        groups.push(Seen { name, status, followers });
    }
    HttpResponse::Ok().json(describe(&node, &groups))
}

/// A group as this node sees it.
struct Seen {
    name: String,
    status: Status,
    /// How far the log of each follower is known to agree, if this node leads.
    followers: BTreeMap<NodeId, Index>,
}

fn describe(node: &Shared, groups: &[Seen]) -> Value {
    let roster = &node.identity.roster;
    let (peers, refusals) = (roster.peers(), roster.refusals());
    let presence = &node.identity.presence;
    let memberships = || groups.iter().map(|group| &group.status.membership);
    let members: BTreeSet<NodeId> = memberships().flat_map(Membership::members).collect();
    let removed: BTreeSet<NodeId> = memberships().flat_map(Membership::retired).collect();
    let describe = |member: &NodeId| {
        let is_here = *member == node.id;
        let address = if is_here {
            node.identity.address.as_deref()
        } else {
            peers.get(member).map(|peer| &*peer.address)
        };
        let parts: Vec<Value> = groups
            .iter()
            .filter(|group| group.status.membership.is_member(*member))
            .map(|group| part(group, *member))
            .collect();
        json!({
            "id": member.number(),
            "address": address.filter(|address| !address.is_empty()),
            "answers_here": is_here,
            "up": is_here || presence.is_present(*member),
            "heard_ms_ago": presence.heard_ago(*member).map(|ago| ago.as_millis() as u64),
            "refusal": refusals.get(member).map(|refusal| &*refusal.reason),
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
fn part(group: &Seen, member: NodeId) -> Value {
    let Seen { name, status, followers } = group;
    let membership = &status.membership;
    let matched = followers.get(&member);
    let joining = membership.joining().find(|(node, _)| *node == member);
    json!({
        "group": name,
        "role": role(membership, member),
        "leads": status.leader == Some(member),
        "matched": matched.map(|matched| matched.0),
        "behind": matched.map(|matched| status.last.0.saturating_sub(matched.0)),
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
