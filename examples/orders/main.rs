//! A shop of four services, and a checkout across them that always ends, carried out or undone,
//! whichever process is killed meanwhile.
//!
//! ```console
//! $ cargo run --release --example orders -- dev                  # ten processes on this machine
//! $ curl localhost:4751/orders/17 -d '{"customer":"ada","sku":"tea","quantity":2,"cents":1200}'
//! {"order":"17","parcel":"parcel-1","saga":"5d0c..","standing":"completed"}
//! $ cargo run --release --example orders -- load --orders 1000   # kills processes, audits the books
//! ```
//!
//! `docs/orders.md` tells the story. `checkout.rs` is the saga; `orders.rs`, `payment.rs`, `stock.rs`
//! and `shipping/` are the services, each a replicated state and what it answers over HTTP.

mod audit;
mod book;
mod checkout;
mod client;
mod dev;
mod draw;
mod fleet;
mod layout;
mod load;
mod orders;
mod payment;
mod report;
mod serve;
mod shipping;
mod stock;

use std::{fmt::Display, io::Write, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use consensus_actors::saga::SagaDefinition;

use crate::{checkout::Checkout, layout::Service, shipping::Database};

/// A shop of four services with sagas across them.
#[derive(Debug, Parser)]
#[command(name = "orders", disable_help_subcommand = true)]
struct Options {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Starts all services on this machine, to try things out.
    Dev(Dev),
    /// Starts all services, places orders while processes are killed, and audits the books.
    Load(Load),
    /// Runs one process of a service.
    Serve(Serve),
    /// Prints the steps of a checkout as a Mermaid diagram.
    Graph,
}

/// What services are told, the same in all processes.
#[derive(Clone, Debug, Args)]
struct Rules {
    /// The bank declines one order in so many; none if 0.
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    decline: u64,
    /// Draws which orders are declined, and all else that happens by chance.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// How many units of each sku are on the shelf at first.
    #[arg(long, value_name = "UNITS", default_value_t = 100)]
    shelf: u32,
}

/// Where shipping keeps its parcels, if not in its replicated actor.
#[derive(Clone, Debug, Args)]
struct Stores {
    /// Has shipping keep its parcels in a PostgreSQL database, "host=localhost user=postgres" or a
    /// URL. Takes a build with `--features postgres`, to which POSTGRES_URL says it, too.
    #[arg(long, value_name = "CONFIG", value_parser = Database::named)]
    #[cfg_attr(feature = "postgres", arg(env = "POSTGRES_URL", hide_env = true))]
    postgres: Option<Database>,
}

#[derive(Debug, Args)]
struct Dev {
    /// The ports: process i of ten serves operators at this plus i, customers at this plus 50 plus
    /// i, and its peers at this plus 100 plus i.
    #[arg(long, value_name = "PORT", default_value_t = 4700,
        value_parser = clap::value_parser!(u16).range(1..=65_000))]
    base_port: u16,
    /// Where the processes keep their data and logs; a fresh temporary directory if not given.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    rules: Rules,
    #[command(flatten)]
    stores: Stores,
}

#[derive(Debug, Args)]
struct Load {
    /// How many orders are placed.
    #[arg(long, value_name = "COUNT", default_value_t = 1000,
        value_parser = clap::value_parser!(u32).range(1..=50_000))]
    orders: u32,
    /// How many customers wait at a time.
    #[arg(long, value_name = "COUNT", default_value_t = 32,
        value_parser = clap::value_parser!(u32).range(1..=512))]
    in_flight: u32,
    /// How many processes are killed meanwhile; one for every 50 orders if not given.
    #[arg(long, value_name = "COUNT")]
    kills: Option<u32>,
    /// Draws orders, declined ones, and who is killed when; drawn itself if not given.
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// The bank declines one order in so many; none if 0.
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    decline: u64,
    #[command(flatten)]
    stores: Stores,
    /// As of `dev`; a row of ports that nobody has if not given.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..=65_000))]
    base_port: Option<u16>,
    /// For how many seconds an order may be under way before the run has failed.
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    patience: u64,
    /// Keeps data and logs; without it they are kept only when the run has failed.
    #[arg(long)]
    keep: bool,
}

#[derive(Debug, Args)]
struct Serve {
    /// Which service.
    #[arg(value_enum)]
    service: Service,
    /// Which of its nodes.
    #[arg(long, value_name = "ID")]
    node: u16,
    /// As of `dev`.
    #[arg(long, value_name = "PORT", default_value_t = 4700,
        value_parser = clap::value_parser!(u16).range(1..=65_000))]
    base_port: u16,
    /// Where it keeps its data.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    #[command(flatten)]
    rules: Rules,
    #[command(flatten)]
    stores: Stores,
    /// The schema of the database.
    #[arg(long, value_name = "NAME", requires = "postgres")]
    schema: Option<String>,
    /// Ends with its standard input, so that it does not outlive who started it.
    #[arg(long, hide = true)]
    end_with_stdin: bool,
}

fn main() -> ExitCode {
    let done = match Options::parse().verb {
        Verb::Dev(dev) => dev::run(&dev),
        Verb::Load(load) => load::run(&load),
        Verb::Serve(serve) => serve::run(serve),
        Verb::Graph => {
            say(Checkout::graph().mermaid().trim_end());
            Ok(ExitCode::SUCCESS)
        }
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

/// Prints a line of what was asked for.
fn say(line: impl Display) {
    // A reader that went away (`| head`) is no error of ours.
    writeln!(std::io::stdout(), "{line}").ok();
}
