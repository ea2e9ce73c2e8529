//! openraft: Raft as a set of tasks for each replica; the store, the map and the links are ours.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use openraft::{Config, SnapshotPolicy, impls::OneshotResponder};
use tokio::{net::TcpListener, runtime::Builder};

use crate::{
    Result,
    cell::Cell,
    durable::{Cluster, Seat},
    figures::Figures,
    put::Put,
};

mod far;
mod log;
mod machine;
mod nearby;
mod types;

use far::Far;
use log::Log;
use machine::Machine;
use nearby::Nearby;
use types::Types;

/// A replica.
type Raft = openraft::Raft<Types, Machine>;

/// How many replicas there are; they are called 1 to 3.
const REPLICAS: u64 = 3;

/// How long a leader is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// From how many clients on, with all replicas in one process, two threads do more than one.
const CLIENTS_FOR_TWO_THREADS: usize = 256;

/// Measures three replicas in this process, on two threads if there is work for them.
pub fn mem(cell: &Cell) -> Result<Figures> {
    let runtime = if cell.clients < CLIENTS_FOR_TWO_THREADS {
        Builder::new_current_thread().enable_time().build()?
    } else {
        Builder::new_multi_thread().worker_threads(2).enable_time().build()?
    };
    runtime.block_on(async {
        let links = Nearby::default();
        let config = Arc::new(config()?);
        let mut replicas = Vec::new();
        for id in 1..=REPLICAS {
            let (log, machine) = (Log::default(), Machine::default());
            replicas.push(Raft::new(id, config.clone(), links.clone(), log, machine).await?);
        }
        links.are(replicas.clone());
        let leader = replicas[0].clone();
        lead(&leader).await?;
        Ok(measure(cell, leader).await)
    })
}

/// Measures a replica in this process, and two in processes of their own. Each has one thread, and
/// one for its file: with two, three processes get in each other's way on a machine of two cores,
/// and do half as much.
pub fn durable(cell: &Cell) -> Result<Figures> {
    let (_cluster, seat) = Cluster::start(cell)?;
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let leader = take(seat).await?;
        lead(&leader).await?;
        Ok(measure(cell, leader).await)
    })
}

/// Runs a follower for as long as this process lasts.
pub fn member(seat: Seat) -> Result {
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        take(seat).await?;
        std::future::pending().await
    })
}

/// Starts the replica of a seat.
async fn take(seat: Seat) -> Result<Raft> {
    let links = Far(seat.addresses);
    let (log, machine) = (Log::durable(seat.log), Machine::default());
    let raft = Raft::new(seat.id, Arc::new(config()?), links, log, machine).await?;
    seat.listener.set_nonblocking(true)?;
    tokio::spawn(far::serve(TcpListener::from_std(seat.listener)?, raft.clone()));
    Ok(raft)
}

/// The configuration of every replica: batches as large as they come, no snapshots, and heartbeats
/// so seldom that a busy machine changes no leader.
fn config() -> Result<Config> {
    let config = Config {
        cluster_name: "comparison".to_owned(),
        heartbeat_interval: 500,
        election_timeout_min: 3_000,
        election_timeout_max: 6_000,
        max_payload_entries: 8_192,
        max_append_entries: Some(8_192),
        api_batch_capacity: 8_192,
        snapshot_policy: SnapshotPolicy::Never,
        ..Config::default()
    };
    Ok(config.validate()?)
}

/// Founds the cluster on this replica, and waits until it leads.
async fn lead(leader: &Raft) -> Result {
    leader.initialize((1..=REPLICAS).collect::<BTreeSet<_>>()).await?;
    leader.wait(Some(PATIENCE)).leader_with_quorum_acked(None, "the first to lead").await?;
    leader.client_write(Put::of(0)).await?;
    Ok(())
}

/// Lets clients put by way of the leader.
async fn measure(cell: &Cell, leader: Raft) -> Figures {
    cell.measure(move |put: Put| {
        let leader = leader.clone();
        async move {
            let (answer, answered) = OneshotResponder::new_pair();
            leader.client_write_ff(put, Some(answer)).await.map_err(|error| error.to_string())?;
            match answered.await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("the leader gave no answer".to_owned()),
            }
        }
    })
    .await
}
