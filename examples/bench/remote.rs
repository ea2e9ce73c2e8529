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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let connecting = MapClient::connect(members.addresses(), "map").deadline("20s");
        let client = connecting.on_this_runtime().await?;
        client.put(load::key(0), String::new()).deadline("20s").await?;
        let load = Load::begin(scene.span.warm_up, scene.span.measured);
        let value = "v".repeat(load::VALUE_BYTES);
        let clients = (0..scene.clients as u64).map(|number| {
            tokio::spawn(Arc::clone(&load).client(number, map::puts(&client, &value)))
        });
        let mut all = Tally::default();
        for client in clients.collect::<Vec<_>>() {
            all.add(&client.await.expect("every client ends its work"));
        }
        Ok(scene.row("durable-remote", &load, &all))
    })
}
