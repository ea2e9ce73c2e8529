//! Compares this project with other consensus libraries, and with a database that rests on one, at
//! the same work: puts to a map that three replicas hold, by clients that wait for each answer.
//!
//! `comparison cell` measures one peer in one mode, `comparison run` all of them, in turn.

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

mod cell;
mod driver;
mod durable;
mod figures;
#[path = "../../examples/bench/load.rs"]
mod load;
mod process;
mod put;
mod with_etcd;
mod with_omnipaxos;
mod with_openraft;

/// What may fail here fails for good, and is told to whoever ran it.
type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Compares consensus libraries at the same work.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures one peer in one mode
    Cell(cell::Cell),
    /// Measures all peers and ours in turn, and compares them
    Run(driver::Comparison),
    /// Runs a follower of a cell
    #[command(hide = true)]
    Member(durable::Member),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Cell(cell) => cell.run(),
        Command::Run(comparison) => comparison.run(),
        Command::Member(member) => cell::member(&member),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}
