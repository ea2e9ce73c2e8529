//! Changing who takes part: in all groups of the cluster, or in one.

use std::{sync::Arc, time::Duration};

use actix_web::{HttpRequest, HttpResponse, web};
use consensus_core::{NodeId, client::Admin};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{deadline, members};
use crate::{
    error::{Code, Error, Result},
    node::{Effect, Group, Part, Shared, Wish},
    transport::{Shown, Standing, look},
};

/// How long a change may take before the answer is that it goes on.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is asked for, in the URL or the body.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// The node that comes.
    id: Option<NodeId>,
    /// Where it listens to its peers; where it was heard of if not given.
    address: Option<String>,
    r#as: Option<Part>,
    /// The only group that changes.
    group: Option<String>,
    /// Only tells what the change would do.
    preview: Option<bool>,
}

impl Asked {
    fn read(request: &HttpRequest, body: &[u8]) -> Result<Self> {
        let refused = |code, error: String| {
            let message = format!(
                "it is not clear what is to change: {error}; send {{\"id\":4,\
                 \"address\":\"127.0.0.1:4804\"}}, and ?preview=true to see what it would do"
            );
            Error::new(code, message)
        };
        let url = web::Query::<Self>::from_query(request.query_string());
        let url = url.map_err(|error| refused(Code::InvalidArgument, error.to_string()))?;
        if body.is_empty() {
            return Ok(url.into_inner());
        }
        let body: Self = serde_json::from_slice(body)
            .map_err(|error| refused(Code::MalformedBody, error.to_string()))?;
        let url = url.into_inner();
        Ok(Self {
            id: body.id.or(url.id),
            address: body.address.or(url.address),
            r#as: body.r#as.or(url.r#as),
            group: body.group.or(url.group),
            preview: body.preview.or(url.preview),
        })
    }

    /// Returns who comes and where it listens, which a node that waits to be added has said.
    fn newcomer(&self, node: &Shared) -> Result<(NodeId, String)> {
        let id = self.id.ok_or_else(|| {
            let message = "no id is given for the node that comes; choose one that was never used";
            Error::new(Code::InvalidArgument, message)
        })?;
        let known = || node.identity.addresses().remove(&id);
        let address = self.address.clone().or_else(|| node.identity.roster.waiting().remove(&id));
        let address = address.or_else(known).ok_or_else(|| {
            let message = format!(
                "{id} has not been heard of, so its address must be given; or start it first, with \
                 --join"
            );
            Error::new(Code::InvalidArgument, message)
        })?;
        Ok((id, address))
    }
}

/// Reads the id of a member in a path.
fn member(text: &str) -> Result<NodeId> {
    text.parse().map_err(|error| {
        Error::new(Code::InvalidArgument, format!("{text:?} names no member: {error}"))
    })
}

/// Adds a member.
pub(super) async fn add(
    node: web::Data<Shared>,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse> {
    let asked = Asked::read(&request, &body)?;
    let (id, address) = asked.newcomer(&node)?;
    let wish = Wish::Add { node: id, address, part: asked.r#as.unwrap_or_default() };
    carry_out(&node, wish, asked, &request).await
}

/// Lets a learner vote.
pub(super) async fn promote(
    node: web::Data<Shared>,
    id: web::Path<String>,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse> {
    let asked = Asked::read(&request, &body)?;
    carry_out(&node, Wish::Promote { node: member(&id)? }, asked, &request).await
}

/// Removes a member.
pub(super) async fn remove(
    node: web::Data<Shared>,
    id: web::Path<String>,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse> {
    let asked = Asked::read(&request, &body)?;
    carry_out(&node, Wish::Remove { node: member(&id)? }, asked, &request).await
}

/// Puts another node in the place of a member.
pub(super) async fn replace(
    node: web::Data<Shared>,
    dead: web::Path<String>,
    request: HttpRequest,
    body: web::Bytes,
) -> Result<HttpResponse> {
    let asked = Asked::read(&request, &body)?;
    let (new, address) = asked.newcomer(&node)?;
    carry_out(&node, Wish::Replace { dead: member(&dead)?, new, address }, asked, &request).await
}

/// A group that is to change.
struct Affected {
    name: String,
    group: Arc<dyn Group>,
    /// What the change does to its quorum; `None` if it has happened.
    effect: Option<Effect>,
}

/// Checks a change in all groups before it begins in any, and carries it out unless only its effect
/// was asked for.
async fn carry_out(
    node: &Shared,
    wish: Wish,
    asked: Asked,
    request: &HttpRequest,
) -> Result<HttpResponse> {
    node.check_part()?;
    let affected = judge(node, &wish, asked.group.as_deref()).await?;
    let effect = describe(&wish, &affected);
    if asked.preview == Some(true) {
        let done = affected.iter().all(|it| it.effect.is_none());
        return Ok(HttpResponse::Ok().json(json!({ "done": done, "effect": effect })));
    }

    let patience = deadline(request)?.unwrap_or(PATIENCE);
    let begin = |it: Affected| (it.name.clone(), actix_web::rt::spawn(it.change(&wish, patience)));
    let begun: Vec<_> = affected.into_iter().map(begin).collect();
    let (mut parts, mut refused, mut all_done) = (Vec::<Value>::new(), None, true);
    for (name, answer) in begun {
        let done = match answer.await.map_err(Error::application)? {
            Ok(_) => true,
            // It is on its way, or waits for a change that is.
            Err(error) if error.code() == Code::Deadline => false,
            Err(error) => {
                refused = refused.or_else(|| Some(error.within(&format!("in group {name:?}: "))));
                false
            }
        };
        all_done &= done;
        parts.push(json!({ "group": name, "done": done }));
    }
    if let Some(error) = refused {
        return Err(error);
    }
    let body = json!({ "done": all_done, "effect": effect, "groups": parts });
    let mut response = if all_done { HttpResponse::Ok() } else { HttpResponse::Accepted() };
    Ok(response.json(body))
}

impl Affected {
    /// Changes the group.
    fn change(
        self,
        wish: &Wish,
        patience: Duration,
    ) -> impl Future<Output = Result<Value>> + use<> {
        let Self { group, effect, .. } = self;
        let (leader, leaver) = (group.status().1.leader, wish.leaver());
        let hands_over = effect.is_some() && leader.is_some() && leader == leaver;
        let change = Admin::Change(wish.change());
        async move {
            // A leader that goes would leave its followers to find that out; asked first, it loses
            // no call. If nobody can take over, it steps down when the change is decided.
            if hands_over {
                group.admin(Admin::Transfer { to: None }, Some(patience)).await.ok();
            }
            // A change that seems to have happened here may not be committed: it is asked for.
            Ok(group.admin(change, Some(patience)).await?.reply)
        }
    }
}

/// Returns the groups that a change concerns, with what it does to each.
async fn judge(node: &Shared, wish: &Wish, only: Option<&str>) -> Result<Vec<Affected>> {
    let groups = chosen(node, only)?;
    if let Some((newcomer, address)) = wish.newcomer() {
        let has = |group: &Arc<dyn Group>| group.status().1.membership.is_member(newcomer);
        if groups.iter().any(|(_, group)| !has(group)) {
            check_newcomer(node, newcomer, address).await?;
        }
    }
    let is_up = |id: NodeId| id == node.id || node.identity.presence.is_present(id);
    let affect = |(name, group): (String, Arc<dyn Group>)| {
        let effect = wish.effect(&group.status().1.membership, is_up);
        let effect =
            effect.map_err(|error| Error::of_change(&error, &name).within(&format!("{wish}: ")))?;
        Ok(Affected { name, group, effect })
    };
    groups.into_iter().map(affect).collect()
}

/// Returns the groups that are to change.
fn chosen(node: &Shared, only: Option<&str>) -> Result<Vec<(String, Arc<dyn Group>)>> {
    if let Some(name) = only {
        return Ok(vec![(name.to_owned(), node.group(name)?)]);
    }
    let groups = node.groups();
    if groups.is_empty() {
        let message = "this node hosts no group yet, so there is nobody to take part; call again";
        return Err(Error::new(Code::Starting, message));
    }
    Ok(groups.iter().map(|(name, group)| (name.clone(), Arc::clone(group))).collect())
}

/// Says what a change does: in one sentence where it does the same to all groups.
fn describe(wish: &Wish, affected: &[Affected]) -> String {
    let mut effects: Vec<(Effect, Vec<&str>)> = Vec::new();
    for Affected { name, effect, .. } in affected {
        let Some(effect) = effect else { continue };
        match effects.iter_mut().find(|(known, _)| known == effect) {
            Some((_, names)) => names.push(name),
            None => effects.push((*effect, vec![name])),
        }
    }
    match &effects[..] {
        [] => format!("{wish} has been done"),
        [(effect, _)] => format!("{wish} {effect}"),
        _ => {
            let each = effects.iter();
            let each = each.map(|(effect, names)| format!("{effect} (in {})", names.join(", ")));
            format!("{wish} {}", each.collect::<Vec<_>>().join("; "))
        }
    }
}

/// Checks that the node that is to come is there, is the one that is meant, waits to be added, and
/// hosts what it is to take part in: a member that is none would cost the quorum a vote.
async fn check_newcomer(node: &Shared, id: NodeId, address: &str) -> Result {
    let number = id.number();
    let refused = |reason: String| Err(Error::new(Code::CannotJoin, reason));
    let shown = match look(&node.network, &node.identity, address).await {
        Ok(Shown { node, .. }) if node != id => {
            return refused(format!(
                "{node} listens at {address}, not {id}; name that one, or give {id}'s own address"
            ));
        }
        Ok(shown) => shown,
        Err(error) => {
            return refused(format!(
                "{id} cannot be reached at {address} ({error}); start it first, with --id {number} \
                 --join and --listen {address}"
            ));
        }
    };
    let is_ours = node.identity.addresses().contains_key(&id);
    if shown.is_member && !is_ours {
        return refused(format!(
            "{id} at {address} takes part in another cluster of that name already: it was not \
             started with --join; give it an empty data directory, and --join"
        ));
    }
    let missing = node.identity.roster.groups().difference(&shown.groups).count();
    if missing > 0 && node.identity.roster.standing() == Standing::Member {
        return refused(format!(
            "{id} at {address} does not host {missing} of the groups of this node; start the same \
             program there, then call again"
        ));
    }
    let ours = node.identity.roster.protocols();
    let mut both = shown.protocols.iter().filter_map(|(id, theirs)| Some((ours.get(id)?, theirs)));
    if let Some((ours, theirs)) = both.find(|(ours, theirs)| ours != theirs) {
        return refused(format!(
            "{id} at {address} replicates by {theirs} what is replicated by {ours} here; start it \
             with --protocol {ours}, and an empty data directory, then call again"
        ));
    }
    Ok(())
}

/// Tells what part each member takes in a group.
pub(super) fn parts(group: &dyn Group) -> Vec<Value> {
    let (_, status, _) = group.status();
    let part = |member: NodeId| {
        let role = members::role(&status.membership, member);
        json!({ "id": member.number(), "role": role, "leads": status.leader == Some(member) })
    };
    status.membership.members().map(part).collect()
}
