//! OmniPaxos: a log that three replicas agree on, which are automata; the store, the links and the
//! loop that drives them are ours.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::{
    Result,
    cell::Cell,
    durable::{Cluster, Seat},
    figures::Figures,
    put::Put,
};

mod links;
mod log;
mod replica;
mod syncs;

use links::Links;
use replica::{Event, Replica};
use syncs::Syncs;

/// How many replicas there are; they are called 1 to 3.
const REPLICAS: u64 = 3;

/// The one that is to lead, in whose process the clients are.
const LEADER: u64 = 1;

/// How often replicas are told that time passes.
const TICK: Duration = Duration::from_millis(10);

/// How many ticks a heartbeat takes: half a second, so that a busy machine changes no leader.
const TICKS_A_HEARTBEAT: u64 = 50;

/// Measures three replicas in this process, each of which is a task. They share one thread, since
/// what a replica does for a batch is less than what it costs to wake another thread.
pub fn mem(cell: &Cell) -> Result<Figures> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(async {
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..REPLICAS).map(|_| mpsc::unbounded_channel()).unzip();
        for (id, inbox) in (1..=REPLICAS).zip(receivers) {
            let replica = Replica::new(id, inbox, Links::near(&senders), None)?;
            tokio::spawn(replica.run());
        }
        for sender in &senders {
            tokio::spawn(clock(sender.clone()));
        }
        Ok(measure(cell, senders[LEADER as usize - 1].clone()).await)
    })
}

/// Measures a replica in this process, and two in processes of their own. Each has one thread, and
/// one for its file.
pub fn durable(cell: &Cell) -> Result<Figures> {
    let (_cluster, seat) = Cluster::start(cell)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let leader = take(seat).await?;
        Ok(measure(cell, leader).await)
    })
}

/// Runs a follower for as long as this process lasts.
pub fn member(seat: Seat) -> Result {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        take(seat).await?;
        std::future::pending().await
    })
}

/// Starts the replica of a seat, and returns its inbox.
async fn take(seat: Seat) -> Result<mpsc::UnboundedSender<Event>> {
    let (sender, inbox) = mpsc::unbounded_channel();
    let links = Links::far(&seat, &sender).await?;
    let syncs = Syncs::new(seat.log, sender.clone());
    tokio::spawn(Replica::new(seat.id, inbox, links, Some(syncs))?.run());
    tokio::spawn(clock(sender.clone()));
    Ok(sender)
}

/// Lets clients put by way of the leader's inbox.
async fn measure(cell: &Cell, leader: mpsc::UnboundedSender<Event>) -> Figures {
    cell.measure(move |put: Put| {
        let (answer, answered) = oneshot::channel();
        let sent = leader.send(Event::Put(put, answer));
        async move {
            sent.map_err(|_| "the leader is gone")?;
            answered.await.map_err(|_| "the leader gave no answer")
        }
    })
    .await
}

/// Tells a replica that time passes, for as long as it is there.
async fn clock(replica: mpsc::UnboundedSender<Event>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while replica.send(Event::Tick).is_ok() {
        ticks.tick().await;
    }
}
