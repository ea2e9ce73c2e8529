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

    /// Where clusters of processes keep their data, on the disk that is measured
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    data: PathBuf,

    #[command(flatten)]
    member: Member,

    /// Writes blocks of so many bytes: what the bench starts itself
    #[arg(long, hide = true, value_name = "BYTES")]
    floor_block: Option<usize>,
}

fn main() -> consensus_actors::Result {
    let options = Options::parse();
    let span = Span {
        warm_up: Duration::from_secs_f64(options.warm_up),
        measured: Duration::from_secs_f64(options.seconds),
    };
    if let Some(id) = options.member.id {
        return options.member.run(id, &options.data);
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
        for clients in counts {
            let scene = Scene { data: &options.data, clients: *clients, span };
            mode.measure(&scene, &mut report)?;
        }
    }
    report.print();
    Ok(())
}
