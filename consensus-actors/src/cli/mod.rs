//! The command line that every application gets through `#[consensus_actors::main]`.

mod admin;
mod call;
mod change;
mod check;
mod config;
mod decide;
mod dev;
mod flags;
mod history;
mod http;
mod members;
#[cfg_attr(not(feature = "mutants"), path = "no_mutants.rs")]
mod mutants;
mod options;
mod progress;
mod protocol;
mod saga;
mod serve;
mod sim;
mod snapshot;
mod status;
mod tally;
mod target;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser};

use self::options::{Options, Tool, Tools, Verb};
use crate::{
    error::{Error, Result},
    node::Node,
};

/// What an application is called, for help texts and defaults.
#[derive(Clone, Copy, Debug)]
struct Application {
    name: &'static str,
    version: &'static str,
}

/// Exit code 2: the command line or the configuration is wrong, as clap has it too.
const USAGE: u8 = 2;

/// Runs the application `name`: parses the command line, and calls `run` with a node where one is
/// to run.
pub fn main<F, Fut>(name: &'static str, version: &'static str, run: F) -> ExitCode
where
    F: FnOnce(Node) -> Fut + Send + 'static,
    Fut: Future<Output = Result>,
{
    let application = Application { name, version };
    let command = Options::command().name(name).bin_name(name).version(application.version);
    let parsed = command.try_get_matches().and_then(|found| Options::from_arg_matches(&found));
    let options = match parsed {
        Ok(options) => options,
        Err(error) => {
            error.print().ok();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE));
        }
    };
    let done = match options.verb {
        None => serve::alone(application, options.configured, run),
        Some(Verb::Serve(serve)) => serve::serve(application, serve, run),
        Some(Verb::Dev(dev)) => dev::dev(application, dev),
        Some(Verb::Status(status)) => status::status(&status),
        Some(Verb::Members(options)) => members::members(&options),
        Some(Verb::Add(options)) => change::add(&options),
        Some(Verb::Promote(options)) => change::promote(&options),
        Some(Verb::Remove(options)) => change::remove(&options),
        Some(Verb::Replace(options)) => change::replace(&options),
        Some(Verb::Call(call)) => call::call(&call),
        Some(Verb::Decide(decide)) => decide::decide(&decide),
        Some(Verb::Saga(options)) => saga::saga(&options),
        Some(Verb::TransferLeader(transfer)) => admin::transfer_leader(&transfer),
        Some(Verb::Snapshot(options)) => snapshot::snapshot(&options),
        Some(Verb::Config(config)) => config::config(&config),
    };
    finish(done)
}

/// Runs the `consensus` command.
pub fn tools() -> ExitCode {
    let done = match Tools::parse().tool {
        Tool::Check(check) => check::check(&check),
        Tool::Sim(sim) => sim::sim(&sim),
        Tool::Status(status) => status::status(&status),
        Tool::Members(options) => members::members(&options),
        Tool::Add(options) => change::add(&options),
        Tool::Promote(options) => change::promote(&options),
        Tool::Remove(options) => change::remove(&options),
        Tool::Replace(options) => change::replace(&options),
        Tool::Call(call) => call::call(&call),
        Tool::Decide(decide) => decide::decide(&decide),
        Tool::Saga(options) => saga::saga(&options),
        Tool::TransferLeader(transfer) => admin::transfer_leader(&transfer),
        Tool::Snapshot(options) => snapshot::snapshot(&options),
        Tool::Config(config) => config::config(&config),
    };
    finish(done)
}

/// Turns what a verb came to into an exit code.
fn finish(done: Result<ExitCode>) -> ExitCode {
    done.unwrap_or_else(|error| {
        complain(&error);
        ExitCode::from(exit_code(&error))
    })
}

/// 2 for a configuration that cannot work, 3 where the outcome is unknown, 1 for all else.
fn exit_code(error: &Error) -> u8 {
    match (error.code(), error.outcome()) {
        (crate::Code::Config, _) => USAGE,
        (_, consensus_core::Outcome::Unknown) => 3,
        (_, consensus_core::Outcome::NotApplied | consensus_core::Outcome::Applied) => 1,
    }
}

/// Prints an error for people.
fn complain(error: &Error) {
    eprintln!("error: {error}");
}

/// Prints a line of a command's result.
fn say(line: impl std::fmt::Display) {
    use std::io::Write;
    // A reader that went away (`| head`) is no error of ours.
    writeln!(std::io::stdout(), "{line}").ok();
}
