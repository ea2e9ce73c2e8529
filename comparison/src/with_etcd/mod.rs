//! etcd: a map that three processes replicate with Raft and keep on disk. We start the program that
//! is on the path, as it is, and put by its interface, which is gRPC.

use tokio::runtime;

use crate::{Result, cell::Cell, figures::Figures, put::Put};

mod client;
mod servers;

use client::Client;
use servers::Servers;

pub use servers::on_path;

/// Measures three processes of etcd, with the clients in this one.
pub fn durable_remote(cell: &Cell) -> Result<Figures> {
    let servers = Servers::start(&cell.data)?;
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let leader = servers.leader().await?;
        let client = Client::connect(leader, cell.clients).await?;
        Ok(cell
            .measure(move |put: Put| {
                let call = client.next();
                async move { call.put(&put).await }
            })
            .await)
    })
}
