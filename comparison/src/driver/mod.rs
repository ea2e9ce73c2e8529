//! Runs the cells of the comparison in turn, and says what came of them.
//!
//! A machine is never equally fast for long, so peers take turns: a round measures each of them
//! once, the next one in the opposite order, and what is compared are figures of one round.

use std::{
    fs::File,
    io::{self, Write},
    path::PathBuf,
};

use clap::Args;

use crate::{
    Result,
    cell::{Mode, Peer},
    figures::Figures,
};

mod process;
mod row;
mod table;

use process::{Measured, Runner};
use row::Row;

/// What is to be compared.
#[derive(Clone, Debug, Args)]
pub struct Comparison {
    /// How replicas are run
    #[arg(long, value_delimiter = ',', default_values_t = Mode::ALL)]
    modes: Vec<Mode>,
    /// How many clients there are; each mode has its own numbers where nothing is said
    #[arg(long, value_delimiter = ',')]
    clients: Vec<usize>,
    /// How often each cell is run
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How many seconds of a run count
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// How many seconds a run has before that
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Where to write the results, a line of JSON each
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The directory in which replicas keep what they keep on disk while they are measured
    #[arg(long, value_name = "DIR", default_value = "target")]
    data: PathBuf,
    /// The program that measures this project
    #[arg(long, value_name = "PATH")]
    ours: PathBuf,
}

impl Comparison {
    /// Runs all cells, and prints a table.
    ///
    /// # Errors
    /// If a cell fails; what was measured by then is printed.
    pub fn run(&self) -> Result {
        if self.rounds == 0 {
            return Err("there must be a round at least: --rounds 1".into());
        }
        let mut json = self.json.as_ref().map(File::create).transpose()?;
        let mut rows = Vec::new();
        let done = self.measure(|row| {
            if let Some(file) = &mut json {
                writeln!(file, "{}", serde_json::to_string(&row)?)?;
            }
            rows.push(row);
            Ok(())
        });
        writeln!(io::stdout(), "{}", table::of(&rows))?;
        done
    }

    /// Measures every mode with every number of clients, and hands over what came of each.
    fn measure(&self, mut done: impl FnMut(Row) -> Result) -> Result {
        for &mode in &self.modes {
            let clients = if self.clients.is_empty() { mode.clients() } else { &self.clients };
            for &clients in clients {
                self.cell(mode, clients)?.into_iter().try_for_each(&mut done)?;
            }
        }
        Ok(())
    }

    /// Measures everybody in one mode with one number of clients: us, and then the peers.
    fn cell(&self, mode: Mode, clients: usize) -> Result<Vec<Row>> {
        let mut parties = vec![Peer::Consensus];
        parties.extend(mode.peers());
        let runner = Runner {
            ours: &self.ours,
            measured: Measured { mode, clients, seconds: self.seconds, warm_up: self.warm_up },
            data: &self.data,
        };
        let mut rounds = Vec::new();
        for round in 0..self.rounds {
            let mut figures = Vec::new();
            for place in 0..parties.len() {
                let forwards = round % 2 == 0;
                let party = parties[if forwards { place } else { parties.len() - 1 - place }];
                figures.push(self.turn(&runner, party, round)?);
            }
            rounds.push(figures);
        }
        Ok(parties.into_iter().map(|party| Row::of(party, &rounds)).collect())
    }

    /// Measures one of them once, and says so: a comparison takes a while.
    fn turn(&self, runner: &Runner<'_>, party: Peer, round: usize) -> Result<Figures> {
        let figures = runner.run(party)?;
        writeln!(
            io::stderr(),
            "{} with {} clients, round {} of {}: {} {:.0}/s",
            figures.mode,
            figures.clients,
            round + 1,
            self.rounds,
            party,
            figures.ops_per_s
        )?;
        Ok(figures)
    }
}
