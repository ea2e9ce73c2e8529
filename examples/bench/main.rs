//! Measures this framework: `make bench`, or one cell of it:
//!
//! ```console
//! $ cargo run --profile measured --example bench -- --mode mem --clients 1,64
//! ```
//!
//! Each row is printed as a line of JSON at once, and all of them as a table in the end.

mod cast;
mod cluster;
mod durable;
mod floor;
mod growth;
mod load;
mod map;
mod memory;
mod mode;
mod remote;
mod report;

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};
use consensus_actors::Protocol;

use crate::{
    cluster::{Member, Scene},
    mode::Mode,
    report::{Report, Span},
};

/// Measures clusters of three nodes on this machine.
#[derive(Parser)]
struct Options {
    /// What is measured; everything, if not given
    #[arg(long, value_delimiter = ',', value_name = "MODE")]
    mode: Vec<Mode>,

    /// How many closed-loop clients there are, by turns; what the mode asks for, if not given
    #[arg(long, value_delimiter = ',', value_name = "COUNT")]
    clients: Vec<usize>,

    /// How long each cell is measured
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,

    /// How long each cell runs before it is measured
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,

    /// Under which protocols, each cell by turns
    #[arg(long, value_delimiter = ',', value_name = "NAME", default_value = "raft",
        value_parser = protocol)]
    protocol: Vec<Protocol>,

    /// Where clusters of processes keep their data, on the disk that is measured
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    data: PathBuf,

    #[command(flatten)]
    member: Member,

    /// Writes blocks of so many bytes: what the bench starts itself
    #[arg(long, hide = true, value_name = "BYTES")]
    floor_block: Option<usize>,
}

fn protocol(name: &str) -> Result<Protocol, String> {
    let known = || Protocol::ALL.map(Protocol::name).join(", ");
    name.parse().map_err(|()| format!("there is no such protocol; there are {}", known()))
}

fn main() -> consensus_actors::Result {
    let options = Options::parse();
    let span = Span {
        warm_up: Duration::from_secs_f64(options.warm_up),
        measured: Duration::from_secs_f64(options.seconds),
    };
    if let Some(id) = options.member.id {
        let protocol = options.protocol.first().copied().unwrap_or(Protocol::Raft);
        return options.member.run((id, protocol), &options.data);
    }
    if let Some(block) = options.floor_block {
        return floor::disk::write_blocks(block, &options.data, span);
    }
    let mut report = Report::default();
    let modes = match options.mode.is_empty() {
        true => Mode::value_variants(),
        false => &options.mode,
    };
    for mode in modes {
        let counts = match options.clients.is_empty() {
            true => mode.clients(),
            false => &options.clients,
        };
        let protocols = || options.protocol.iter().take(mode.protocols());
        for (clients, protocol) in counts.iter().flat_map(|n| protocols().map(move |p| (n, p))) {
            let (clients, protocol) = (*clients, *protocol);
            let scene = Scene { data: &options.data, clients, span, protocol };
            mode.measure(&scene, &mut report)?;
        }
    }
    report.print();
    Ok(())
}
