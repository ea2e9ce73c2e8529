//! Measures this framework: `make bench`, or one cell of it:
//!
//! ```console
//! $ cargo run --profile measured --example bench -- --mode mem --clients 1,64
//! ```
//!
//! Each row is printed as a line of JSON at once, and all of them as a table in the end.

mod cast;
mod cluster;
mod decide;
mod durable;
mod floor;
mod growth;
mod load;
mod map;
mod memory;
mod mode;
mod remote;
mod replica;
mod report;
mod sagas;

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};
use consensus_actors::{Placement, Protocol};

use crate::{
    cluster::{Member, Scene, Way},
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

    /// Where nodes have the roles that stand side by side, each cell by turns
    #[arg(long, value_delimiter = ',', value_name = "NAME", default_value = "together",
        value_parser = placement)]
    placement: Vec<Placement>,

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

fn placement(name: &str) -> Result<Placement, String> {
    let known = || Placement::ALL.map(Placement::name).join(", ");
    name.parse().map_err(|()| format!("there is no such placement; there are {}", known()))
}

impl Options {
    /// Returns what replicates what is measured, by turns.
    fn ways(&self) -> Vec<Way> {
        let mut ways = Vec::new();
        for protocol in self.protocol.iter().copied() {
            let stand_together = protocol == Protocol::Raft;
            let placements = match stand_together {
                true => &[Placement::Together],
                false => &self.placement[..],
            };
            ways.extend(placements.iter().map(|placement| Way { protocol, placement: *placement }));
        }
        ways
    }
}

fn main() -> consensus_actors::Result {
    let options = Options::parse();
    let span = Span {
        warm_up: Duration::from_secs_f64(options.warm_up),
        measured: Duration::from_secs_f64(options.seconds),
    };
    if let Some(id) = options.member.id {
        let ways = options.ways();
        return ways.first().map_or(Ok(()), |way| options.member.run((id, *way), &options.data));
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
        for clients in counts.iter().copied() {
            for way in options.ways().into_iter().take(mode.protocols()) {
                let scene = Scene { data: &options.data, clients, span, way };
                mode.measure(&scene, &mut report)?;
            }
        }
    }
    report.print();
    Ok(())
}
