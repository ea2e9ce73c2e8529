//! Three processes and their disks; clients live in a fourth.

use std::sync::Arc;

use consensus_actors::Result;

use crate::{
    cast::Cast,
    cluster::{Members, NODES, Scene, drive},
    load::{self, Load},
    map::MapClient,
    report::Row,
};

/// Puts over one connection.
pub(crate) fn puts(scene: &Scene<'_>) -> Result<Row> {
    let members = Members::start(scene, (NODES, Cast::Maps), 1..=NODES)?;
    let runtime = actix_rt::System::new();
    let client = runtime.block_on(async {
        let client = MapClient::connect(members.addresses(), "map").deadline("20s").await?;
        client.put(load::key(0), String::new()).deadline("20s").await?;
        Ok::<_, consensus_actors::Error>(client)
    })?;
    let load = Load::begin(scene.span.warm_up, scene.span.measured);
    let value = "v".repeat(load::VALUE_BYTES);
    let arbiter = actix_rt::Arbiter::new();
    let tally = drive(scene.clients, |number| {
        let (client, value) = (client.clone(), value.clone());
        let put = move |operation| {
            let (client, value) = (client.clone(), value.clone());
            async move { client.put(load::key(operation), value).await }
        };
        (arbiter.handle(), Arc::clone(&load).client(number, put))
    });
    arbiter.stop();
    Ok(scene.row("durable-remote", &load, &tally))
}
