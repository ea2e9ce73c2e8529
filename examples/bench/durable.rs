//! Three processes and their disks; clients live in the leader's, beside its actors.

use std::sync::Arc;

use actix_rt::ArbiterHandle;
use consensus_actors::Result;

use crate::{
    cluster::{GROUPS, Led, Scene, drive},
    load::{self, Load},
    map::{self, Level, MapClient},
    report::Row,
};

/// Puts of values of so many bytes.
pub(crate) fn puts(scene: &Scene<'_>, mode: &str, value_bytes: usize) -> Result<Row> {
    let led = Led::maps(scene)?;
    let load = Load::begin(scene.span.warm_up, scene.span.measured);
    let value = "v".repeat(value_bytes);
    let tally = drive(scene.clients, |number| {
        let put = map::puts(&led.hosted[0], &value);
        (led.arbiter(), Arc::clone(&load).client(number, put))
    });
    Ok(scene.row(mode, &load, &tally))
}

/// Queries at a level.
pub(crate) fn reads(scene: &Scene<'_>, mode: &str, level: Level) -> Result<Row> {
    let led = Led::maps(scene)?;
    Ok(reads_by(scene, mode, (&led.hosted[0], led.arbiter()), level))
}

/// Queries at a level by a node's client, beside its actors.
pub(crate) fn reads_by(
    scene: &Scene<'_>,
    mode: &str,
    (client, arbiter): (&MapClient, ArbiterHandle),
    level: Level,
) -> Row {
    let load = Load::begin(scene.span.warm_up, scene.span.measured);
    let tally = drive(scene.clients, |number| {
        (arbiter.clone(), Arc::clone(&load).client(number, map::reads(client, level)))
    });
    scene.row(mode, &load, &tally)
}

/// Puts into many groups at once, each of which has its own clients.
pub(crate) fn groups(scene: &Scene<'_>, groups: u64) -> Result<Row> {
    let led = Led::maps(scene)?;
    let load = Load::begin(scene.span.warm_up, scene.span.measured);
    let value = "v".repeat(load::VALUE_BYTES);
    assert!(groups <= GROUPS, "there are {GROUPS} groups to measure");
    let all = scene.clients * groups as usize;
    let tally = drive(all, |number| {
        let group = 1 + number as usize % groups as usize;
        let put = map::puts(&led.hosted[group], &value);
        (led.arbiter(), Arc::clone(&load).client(number, put))
    });
    Ok(scene.row("groups-100", &load, &tally))
}
