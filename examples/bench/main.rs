//! Measures this framework: `make bench`, or one cell of it:
//!
//! ```console
//! $ cargo run --release --example bench -- --mode mem --clients 1,64
//! ```
//!
//! Each row is printed as a line of JSON at once, and all of them as a table in the end.

mod cluster;
mod durable;
mod load;
mod map;
mod memory;
mod remote;
mod report;

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};

use crate::{
    cluster::Scene,
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

    /// Runs a member of a cluster: what the bench starts itself
    #[arg(long, hide = true, value_name = "ID")]
    member: Option<u64>,

    /// The port of the first member; the others follow
    #[arg(long, hide = true, default_value_t = 0)]
    port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// One process and everything in memory
    Mem,
    /// Three processes and their disks; clients in the leader's process
    Durable,
    /// Three processes and their disks; clients in a fourth
    DurableRemote,
    /// Linearizable queries in the leader's process
    ReadLinearizable,
    /// Queries from a lease in the leader's process
    ReadLease,
    /// Values of a KiB
    #[value(name = "payload-1k")]
    Payload1K,
    /// Values of 64 KiB
    #[value(name = "payload-64k")]
    Payload64K,
    /// A hundred groups on three processes, each with its own clients
    Groups100,
}

impl Mode {
    /// How many clients there are if nobody says.
    fn clients(self) -> &'static [usize] {
        match self {
            Self::Mem => &[1, 64, 256, 1024, 4096],
            Self::Durable | Self::DurableRemote => &[1, 64, 256, 1024],
            Self::ReadLinearizable | Self::ReadLease => &[1, 256],
            Self::Payload1K | Self::Payload64K => &[64],
            Self::Groups100 => &[10],
        }
    }
}

fn main() -> consensus_actors::Result {
    let options = Options::parse();
    if let Some(id) = options.member {
        return cluster::member(id, options.port, &options.data);
    }
    let mut report = Report::default();
    let modes = match options.mode.is_empty() {
        true => Mode::value_variants(),
        false => &options.mode,
    };
    let span = Span {
        warm_up: Duration::from_secs_f64(options.warm_up),
        measured: Duration::from_secs_f64(options.seconds),
    };
    for mode in modes {
        let counts = match options.clients.is_empty() {
            true => mode.clients(),
            false => &options.clients,
        };
        for clients in counts {
            let scene = Scene { data: &options.data, clients: *clients, span };
            report.add(match mode {
                Mode::Mem => memory::puts(&scene)?,
                Mode::Durable => durable::puts(&scene, "durable", load::VALUE_BYTES)?,
                Mode::DurableRemote => remote::puts(&scene)?,
                Mode::ReadLinearizable => durable::reads(&scene, "read-linearizable")?,
                Mode::ReadLease => durable::reads(&scene, "read-lease")?,
                Mode::Payload1K => durable::puts(&scene, "payload-1k", 1 << 10)?,
                Mode::Payload64K => durable::puts(&scene, "payload-64k", 64 << 10)?,
                Mode::Groups100 => durable::groups(&scene, 100)?,
            });
        }
    }
    report.print();
    Ok(())
}
