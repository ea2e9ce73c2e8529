//! A cluster in one process, with everything in memory.

use std::sync::Arc;

use consensus_actors::{MemoryCluster, Result};

use crate::{
    cluster::{Scene, client_of_leader, drive},
    load::{self, Load},
    map::{self, Map, MapClient},
    report::Row,
};

/// Puts by clients that live beside the leader. Where there are many, the second thread applies what
/// the followers have to apply; for one it would be woken for each of its puts.
pub(crate) fn puts(scene: &Scene<'_>) -> Result<Row> {
    let cluster = MemoryCluster::configured(3, |node| scene.way.configure(node))?;
    let (runtime, second) = (actix_rt::System::new(), actix_rt::Arbiter::new());
    let clients: Vec<MapClient> = runtime.block_on(async {
        let mut clients = Vec::new();
        for node in cluster.nodes() {
            let hosting = node.host::<Map>("map");
            clients.push(match node.id() > 1 && scene.clients > 1 {
                true => hosting.on_arbiter(second.handle()).await?,
                false => hosting.await?,
            });
        }
        Ok::<_, consensus_actors::Error>(clients)
    })?;
    let first = runtime.block_on(client_of_leader(&clients))?;
    let load = Load::begin(scene.span.warm_up, scene.span.measured);
    let value = "v".repeat(load::VALUE_BYTES);
    let arbiter = cluster.nodes()[0].arbiter();
    let tally = drive(scene.clients, |number| {
        let put = map::puts(&first, &value);
        (arbiter.clone(), Arc::clone(&load).client(number, put))
    });
    Ok(scene.row("mem", &load, &tally))
}
