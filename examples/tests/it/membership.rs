//! Changing who takes part, while callers write: nothing acknowledged is lost, each add counted once.

use std::{fs, net::SocketAddr, time::Duration};

use serde_json::Value;

use crate::{
    cluster::{Cluster, PATIENCE},
    http::{self, Http},
    load::Load,
    process::{Done, counter_command, eventually, free_address, run, throughout},
};

/// Runs a verb of the command line against a node.
fn verb(node: SocketAddr, arguments: &[&str]) -> Done {
    run(counter_command().args(arguments).args(["--addr", &node.to_string()]))
}

/// Runs a verb that must succeed; returns what it says.
#[track_caller]
fn done(node: SocketAddr, arguments: &[&str]) -> String {
    let done = verb(node, &[arguments, &["--yes"]].concat());
    assert_eq!(done.code, Some(0), "{arguments:?}: {done:?}");
    done.out
}

/// Runs a verb that must be refused before anything happens; returns why.
#[track_caller]
fn refused(node: SocketAddr, arguments: &[&str], code: &str) -> String {
    let before = http::get(node, "/v1/members").json();
    let done = verb(node, &[arguments, &["--yes"]].concat());
    assert_eq!(done.code, Some(1), "{arguments:?}: {done:?}");
    assert!(done.err.contains(code), "{arguments:?}: {done:?}");
    let after = http::get(node, "/v1/members").json();
    assert_eq!(roles(&before), roles(&after), "{arguments:?} changed who takes part");
    done.err
}

/// Returns the members that a node knows, with what they are.
fn roles(members: &Value) -> Vec<(u64, String)> {
    let members = members["members"].as_array().expect("there is a list of members");
    let role = |member: &Value| {
        let id = member["id"].as_u64().expect("a member has an id");
        (id, member["groups"][0]["role"].as_str().expect("a member has a role").to_owned())
    };
    members.iter().map(role).collect()
}

/// Starts one more node, and waits until it waits to be added.
fn start_spare(cluster: &mut Cluster) -> u64 {
    let spare = cluster.spare();
    cluster.start_node(spare);
    eventually("the new node is up", PATIENCE, || {
        Http::new().get(cluster.http(spare), "/readyz", &[]).ok()
    });
    spare
}

/// Waits until all of `nodes` agree that they are the voters, one leads, and all have applied the
/// same.
fn await_voters(cluster: &Cluster, nodes: &[u64]) {
    let expected: Vec<(u64, String)> = nodes.iter().map(|id| (*id, "voter".to_owned())).collect();
    eventually(&format!("{nodes:?} are the voters"), PATIENCE, || {
        let agrees = |id: &u64| {
            let answer = Http::new().get(cluster.http(*id), "/v1/members", &[]).ok()?;
            (roles(&answer.json()) == expected).then_some(())
        };
        nodes.iter().map(agrees).collect::<Option<Vec<()>>>()?;
        let statuses: Option<Vec<_>> = nodes.iter().map(|id| cluster.status(*id)).collect();
        let statuses = statuses?;
        let leader = statuses[0].leader.filter(|leader| nodes.contains(leader))?;
        let applied = statuses.iter().map(|status| status.last).max()?;
        let is_even = |status: &crate::cluster::Status| {
            status.leader == Some(leader) && status.applied == applied
        };
        statuses.iter().all(is_even).then_some(())
    });
}

/// Waits until a node hears these members: what it tells of a quorum counts who is heard there.
fn await_heard(node: SocketAddr, members: &[u64]) {
    eventually(&format!("{members:?} are heard at {node}"), PATIENCE, || {
        let known = Http::new().get(node, "/v1/members", &[]).ok()?.json();
        let is_up = |id: &u64| {
            let known = known["members"].as_array()?.iter().find(|it| it["id"] == *id)?;
            (known["up"] == true).then_some(())
        };
        members.iter().map(is_up).collect::<Option<Vec<()>>>()
    });
}

/// Returns the leader as `nodes` know it.
fn leader(cluster: &Cluster, nodes: &[u64]) -> u64 {
    eventually("a leader is known", PATIENCE, || {
        let leader = nodes.iter().find_map(|id| cluster.status(*id)?.leader)?;
        cluster.status(leader).filter(|status| status.role == "leader").map(|_| leader)
    })
}

// Goal: a cluster grows and shrinks while four callers write, its leader is removed, and it comes
// back from its data directories alone, all without losing or doubling what was acknowledged.
// Method: three nodes, two more by `add`, then the leader and another go by `remove`; then all are
// killed and started without --peers and --join.
#[test]
fn grows_and_shrinks_under_load() {
    let mut cluster = Cluster::start_alone(3);
    let load = Load::start(&cluster.addresses(), 4);
    for members in [&[1, 2, 3][..], &[1, 2, 3, 4]] {
        let spare = start_spare(&mut cluster);
        let address = cluster.peer(spare).to_string();
        await_heard(cluster.http(1), members);
        let said = done(cluster.http(1), &["add", &spare.to_string(), &address]);
        let makes = format!("adding n{spare} makes {spare} of {spare}: ");
        assert!(said.contains(&makes), "{said}");
    }
    await_voters_under_load(&cluster, &[1, 2, 3, 4, 5]);

    let former = leader(&cluster, &[1, 2, 3, 4, 5]);
    let rest: Vec<u64> = (1..=5).filter(|id| *id != former).collect();
    done(cluster.http(former), &["remove", &former.to_string()]);
    await_voters_under_load(&cluster, &rest);
    let mut left = rest.clone();
    let other = left.remove(0);
    done(cluster.http(left[0]), &["remove", &other.to_string()]);
    await_voters_under_load(&cluster, &left);
    let history = load.finish();
    history.check();
    eprintln!("{}", history.summary());
    await_voters(&cluster, &left);
    assert_eq!(http::value(cluster.http(left[0])), history.sum());

    cluster.kill_all();
    cluster.ids().for_each(|id| cluster.start_node_again(id));
    await_voters(&cluster, &left);
    assert_eq!(http::value(cluster.http(left[1])), history.sum());
    for gone in [former, other] {
        cluster.await_log(gone, &["was removed from"]);
        let answer = http::get(cluster.http(gone), "/readyz");
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.text.contains("was removed from its cluster"), "{answer:?}");
        assert!(cluster.process(gone).ended().is_none(), "it does not end, to be started again");
    }
}

/// Waits until all of `nodes` agree that they are the voters.
fn await_voters_under_load(cluster: &Cluster, nodes: &[u64]) {
    let expected: Vec<(u64, String)> = nodes.iter().map(|id| (*id, "voter".to_owned())).collect();
    eventually(&format!("{nodes:?} are the voters"), PATIENCE, || {
        let agrees = |id: &u64| {
            let answer = Http::new().get(cluster.http(*id), "/v1/members", &[]).ok()?;
            (roles(&answer.json()) == expected).then_some(())
        };
        nodes.iter().map(agrees).collect::<Option<Vec<()>>>()
    });
}

// Goal: RAFT-P15, S1, S2: a node that lost its disk has forgotten its promises: under its old id it
// is refused, and nothing is lost; replaced under a new one, the cluster is whole, and the old id is
// refused for ever.
// Method: kill one of three, wipe it, start it; replace it by a fourth; start it once more; restart
// all; come as a node that joins, under the id that was used.
#[test]
fn a_wiped_node_is_replaced() {
    let mut cluster = Cluster::start_alone(3);
    let load = Load::start(&cluster.addresses(), 4);
    eventually("the cluster serves", PATIENCE, || {
        cluster.status(1).filter(|status| status.applied > 20)
    });
    let wiped = cluster.ids().find(|id| *id != cluster.leader()).expect("there are followers");
    let sound: Vec<u64> = (1..=3).filter(|id| *id != wiped).collect();
    cluster.kill(wiped);
    fs::remove_dir_all(cluster.data(wiped)).expect("the directory can be removed");
    cluster.start_node(wiped);
    cluster.await_log(wiped, &["refused", &format!("run `replace {wiped} NEW ADDRESS`")]);
    throughout("it is told nothing", Duration::from_secs(1), || {
        cluster.status(wiped).is_none_or(|status| status.committed == 0)
    });
    // Taken back under its own id it would be the same betrayal.
    let (http, old) = (cluster.http(sound[0]), wiped.to_string());
    refused(http, &["replace", &old, &old, &cluster.peer(wiped).to_string()], "CX135");

    let fourth = start_spare(&mut cluster);
    let address = cluster.peer(fourth).to_string();
    await_heard(http, &sound);
    let said = done(http, &["replace", &old, &fourth.to_string(), &address]);
    assert!(said.contains(&format!("replacing n{wiped} with n{fourth} leaves 3 of 3: ")), "{said}");
    let whole = [sound[0], sound[1], fourth];
    await_voters_under_load(&cluster, &whole);
    cluster.await_log(wiped, &["was removed from"]);
    let history = load.finish();
    history.check();
    await_voters(&cluster, &whole);
    // What was asked for is done: asked again, nothing happens.
    let said = done(http, &["replace", &old, &fourth.to_string(), &address]);
    assert!(said.contains("has been done"), "{said}");

    cluster.kill_all();
    cluster.ids().for_each(|id| cluster.start_node_again(id));
    await_voters(&cluster, &whole);
    assert_eq!(http::value(cluster.http(fourth)), history.sum());
    let reason =
        refused(cluster.http(fourth), &["add", &old, &cluster.peer(wiped).to_string()], "CX1");
    assert!(reason.contains("removed") && reason.contains("never used again"), "{reason}");
}

// Goal: what a change does to the quorum is shown before anything happens, and what cannot succeed
// is refused with what to do.
// Method: verbs without --yes and without a terminal; removals beside nodes that are down; nodes
// that are not there, that are others, and that have a cluster of their own.
#[test]
fn changes_are_shown_and_refused_in_advance() {
    let mut cluster = Cluster::start(3);
    assert_eq!(http::add(cluster.http(1), 1), 1);
    cluster.settle();
    let http = cluster.http(1);
    await_heard(http, &[1, 2, 3]);
    let shown = verb(http, &["remove", "2"]);
    assert_eq!(shown.code, Some(2), "{shown:?}");
    for words in ["removing n2 leaves 2 of 2: one more failure stops writes", "--yes"] {
        assert!(shown.err.contains(words), "{words:?} is missing in {}", shown.err);
    }
    await_voters(&cluster, &[1, 2, 3]);

    let nobody = free_address().to_string();
    let reason = refused(http, &["add", "4", &nobody], "CX136");
    assert!(reason.contains("n4 cannot be reached at") && reason.contains("--join"), "{reason}");
    let reason = refused(http, &["add", "4", &cluster.peer(2).to_string()], "CX136");
    assert!(reason.contains("n2 listens at"), "{reason}");
    assert!(refused(http, &["remove", "7"], "CX134").contains("n7 is no member"));
    refused(http, &["promote", "7"], "CX134");
    let answer = http::post(http, "/v1/members/none/promote", "");
    assert!(answer.refused(400, "CX150").contains("\"none\" names no member"));
    let answer = http::post(http, "/v1/members", "{\"id\":0}");
    assert!(answer.refused(400, "CX153").contains("from 1 on"));
    let answer = http::post(http, "/v1/members?id=4&as=king", "");
    assert!(answer.refused(400, "CX150").contains("king"));
    let unheard = refused(http, &["add", "9"], "CX150");
    assert!(unheard.contains("n9 has not been heard of"), "{unheard}");

    // A learner follows, and votes when it is told to.
    assert_eq!(start_spare(&mut cluster), 4);
    eventually("the fourth node has come to join", PATIENCE, || {
        let members = http::get(http, "/v1/members").json();
        members["waiting"].get(0).is_some().then_some(())
    });
    let answer = http::post(cluster.http(4), "/v1/members", "{\"id\":4}");
    assert!(answer.refused(503, "CX172").contains("waits to be added"));
    let said = done(http, &["add", "4", "--learner"]);
    assert!(said.contains("adding n4 as a learner leaves 3 of 3"), "{said}");
    eventually("the learner follows", PATIENCE, || {
        let status = cluster.status(4)?;
        (status.committed > 0 && status.applied == status.committed).then_some(())
    });
    assert_eq!(http::value(cluster.http(4)), 1);
    await_heard(http, &[1, 2, 3, 4]);
    let said = done(http, &["promote", "4"]);
    assert!(said.contains("promoting n4 makes 4 of 4: it survives one more failure"), "{said}");
    await_voters(&cluster, &[1, 2, 3, 4]);
    assert!(done(http, &["remove", "4"]).contains("removing n4 leaves 3 of 3"));
    await_voters(&cluster, &[1, 2, 3]);

    // With one down, nobody else may go.
    let down = (1..=3).find(|id| *id != 1 && *id != leader(&cluster, &[1, 2, 3])).expect("a third");
    let up = (2..=3).find(|id| *id != down).expect("there are two others");
    cluster.kill(down);
    eventually("it is known to be down", PATIENCE, || {
        let shown = verb(http, &["remove", &up.to_string()]);
        (shown.code == Some(1)).then_some(())
    });
    let reason = refused(http, &["remove", &up.to_string()], "CX132");
    assert!(reason.contains("of the 2 voters") && reason.contains("1 are up"), "{reason}");
    assert!(done(http, &["remove", &down.to_string()]).contains("leaves 2 of 2"));
    await_voters(&cluster, &{
        let mut rest = vec![1, up];
        rest.sort_unstable();
        rest
    });
    assert_eq!(http::value(http), 1);
}

// Goal: a node that replicates by another protocol, which would hear nothing of what it is told, is
// not added, and it is said how to start it.
#[test]
fn a_node_of_another_protocol_is_not_added() {
    let mut cluster = Cluster::start(3);
    let spare = cluster.spare();
    cluster.start_node_with(spare, &[("--protocol", "multi_paxos")]);
    let address = cluster.peer(spare).to_string();
    let asked = ["add", "4", &address, "--yes"];
    let other = eventually("the new node hosts what the others do", PATIENCE, || {
        let said = verb(cluster.http(1), &asked).err;
        said.contains("replicates by").then_some(said)
    });
    for words in ["CX136", "replicates by multi_paxos", "start it with --protocol raft"] {
        assert!(other.contains(words), "{words:?} is missing in {other}");
    }
    await_voters(&cluster, &[1, 2, 3]);

    cluster.kill(spare);
    fs::remove_dir_all(cluster.data(spare)).expect("the directory goes");
    cluster.start_node(spare);
    eventually("the node is added", PATIENCE, || {
        (verb(cluster.http(1), &asked).code == Some(0)).then_some(())
    });
    await_voters(&cluster, &[1, 2, 3, 4]);
}
