//! Three processes and their disks; clients live in a fourth, on one runtime with the connection
//! that they share.

use std::sync::Arc;

use consensus_actors::Result;

use crate::{
    cast::Cast,
    cluster::{Members, NODES, Scene},
    load::{self, Load, Tally},
    map::{self, MapClient},
    report::Row,
};

/// Puts over one connection.
pub(crate) fn puts(scene: &Scene<'_>) -> Result<Row> {
    let members = Members::start(scene, (NODES, Cast::Maps), 1..=NODES)?;
    let value = "v".repeat(load::VALUE_BYTES);
    calls(scene, "durable-remote", members.addresses(), |client| map::puts(client, &value))
}

/// Calls over one connection to the nodes at `addresses`, each client's by what `make` makes.
pub(crate) fn calls<C, A, T>(
    scene: &Scene<'_>,
    mode: &str,
    addresses: Vec<String>,
    make: impl Fn(&MapClient) -> C,
) -> Result<Row>
where
    C: FnMut(u64) -> A + Send + 'static,
    A: Future<Output = Result<T>> + Send + 'static,
    T: 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let connecting = MapClient::connect(addresses, "map").deadline("20s");
        let client = connecting.on_this_runtime().await?;
        client.put(load::key(0), String::new()).deadline("20s").await?;
        let load = Load::begin(scene.span.warm_up, scene.span.measured);
        let clients = (0..scene.clients as u64)
            .map(|number| tokio::spawn(Arc::clone(&load).client(number, make(&client))));
        let mut all = Tally::default();
        for client in clients.collect::<Vec<_>>() {
            all.add(&client.await.expect("every client ends its work"));
        }
        Ok(scene.row(mode, &load, &all))
    })
}
