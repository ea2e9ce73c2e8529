//! What a read replica buys and costs: a process that follows as a learner reads what it has itself,
//! where it would ask the leader, and all that is decided goes to it, too.

use consensus_actors::{Node, Result};
use serde_json::json;

use crate::{
    cast::Cast,
    cluster::{Members, NODES, Own, Scene, free_ports},
    durable, load,
    map::{self, Level, Map, MapClient},
    remote,
    report::Report,
};

/// Measures both, reads and puts, without the learner and with it.
pub(crate) fn measure(scene: &Scene<'_>, report: &mut Report) -> Result {
    let members = Members::start(scene, (NODES, Cast::Map), 1..=NODES)?;
    let puts = |client: &MapClient| map::puts(client, &"v".repeat(load::VALUE_BYTES));
    let at_leader = |client: &MapClient| map::reads(client, Level::Lease);
    let addresses = || members.addresses();
    report.add(remote::calls(scene, "replica-none-puts", addresses(), puts)?);
    report.add(remote::calls(scene, "replica-none-reads", addresses(), at_leader)?);

    let replica = Replica::follow(scene, &members)?;
    report.add(remote::calls(scene, "replica-puts", addresses(), puts)?);
    for (mode, level) in
        [("replica-reads-linearizable", Level::Linearizable), ("replica-reads-stale", Level::Stale)]
    {
        let reader = (&replica.client, replica.node.arbiter());
        report.add(durable::reads_by(scene, mode, reader, level));
    }
    Ok(())
}

/// A learner that is this process.
struct Replica {
    node: Own,
    client: MapClient,
    _runtime: actix_rt::SystemRunner,
}

impl Replica {
    /// Starts the learner, has it added, and waits until it has what the leader has.
    fn follow(scene: &Scene<'_>, members: &Members) -> Result<Self> {
        let id = NODES + 1;
        let address = format!("127.0.0.1:{}", free_ports(1)?);
        let data = members.data(id);
        let runtime = actix_rt::System::new();
        let (node, client) = runtime.block_on(async {
            let node = Node::builder().id(id).data(data).cluster("bench").lease(true);
            let node = scene.way.configure(node).join(members.addresses()).listen(&address);
            let node = Own(node.start()?);
            let client = node.host::<Map>("map").await?;
            let added = actix_rt::task::spawn_blocking(add(members, (id, address)));
            added.await.expect("nothing here panics")?;
            client.length(load::key(0)).linearizable().deadline("20s").await?;
            Ok::<_, consensus_actors::Error>((node, client))
        })?;
        Ok(Self { node, client, _runtime: runtime })
    }
}

/// Makes what asks a member to add a learner.
fn add(members: &Members, (id, address): (u64, String)) -> impl FnOnce() -> Result + use<> {
    let url = format!("http://{}/v1/members", members.told.http_address(1));
    move || {
        let asked = ureq::post(&url).header("Consensus-Deadline", "20s");
        let asked = asked.send_json(json!({ "id": id, "address": address, "as": "learner" }));
        asked.map(drop).map_err(|error| std::io::Error::other(error).into())
    }
}
