//! The verbs and flags.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use consensus_core::sim::Profile;

use super::{flags, protocol::Protocol};
use crate::client::IntoDuration;

/// A replicated application. Without a verb it runs a single node that needs no configuration.
#[derive(Debug, Parser)]
#[command(disable_help_subcommand = true, args_conflicts_with_subcommands = true)]
pub(super) struct Options {
    #[command(flatten)]
    pub(super) configured: flags::Configured,
    #[command(subcommand)]
    pub(super) verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Starts a cluster on this machine, to try things out.
    Dev(Dev),
    /// Runs one node of a cluster.
    Serve(Serve),
    /// Shows how a cluster's nodes and groups stand.
    Status(Status),
    /// Shows who takes part in a cluster.
    Members(Members),
    /// Adds a node to a cluster: it follows at first, and votes when it has caught up.
    Add(Add),
    /// Lets a learner vote.
    Promote(Promote),
    /// Removes a node from a cluster, for good.
    Remove(Remove),
    /// Puts a new node in the place of one, lost or not, in one step.
    Replace(Replace),
    /// Calls a command or a query of a group.
    Call(Call),
    /// Has the cluster decide on a value, once and for all, or tells what was decided.
    Decide(Decide),
    /// Lists and shows sagas, and does what operators ask of one.
    Saga(super::saga::Options),
    /// Hands the lead of a group over to another node.
    TransferLeader(TransferLeader),
    /// Takes a snapshot of a group on a node, or lists those that are there.
    Snapshot(Snapshot),
    /// Shows and checks the configuration.
    Config(Config),
}

/// The tools that need no application of their own.
#[derive(Debug, Parser)]
#[command(name = "consensus", version, disable_help_subcommand = true)]
pub(super) struct Tools {
    #[command(subcommand)]
    pub(super) tool: Tool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Tool {
    /// Checks whether recorded histories are linearizable.
    Check(Check),
    /// Runs simulated clusters under faults, a seed each, and checks what their callers see.
    Sim(Sim),
    /// Shows how a cluster's nodes and groups stand.
    Status(Status),
    /// Shows who takes part in a cluster.
    Members(Members),
    /// Adds a node to a cluster: it follows at first, and votes when it has caught up.
    Add(Add),
    /// Lets a learner vote.
    Promote(Promote),
    /// Removes a node from a cluster, for good.
    Remove(Remove),
    /// Puts a new node in the place of one, lost or not, in one step.
    Replace(Replace),
    /// Calls a command or a query of a group.
    Call(Call),
    /// Has the cluster decide on a value, once and for all, or tells what was decided.
    Decide(Decide),
    /// Lists and shows sagas, and does what operators ask of one.
    Saga(super::saga::Options),
    /// Hands the lead of a group over to another node.
    TransferLeader(TransferLeader),
    /// Takes a snapshot of a group on a node, or lists those that are there.
    Snapshot(Snapshot),
    /// Shows and checks the configuration.
    Config(Config),
}

#[derive(Debug, Args)]
pub(super) struct Check {
    /// What the histories are about.
    #[arg(long, value_enum)]
    pub(super) model: Model,
    /// Histories, one event a line:
    /// {"process":3,"type":"invoke|ok|fail|info","op":"put","key":"x","value":"1","time":123}
    #[arg(required = true)]
    pub(super) files: Vec<PathBuf>,
    /// About how long to search a file before its verdict is "unknown", which counts as a failure.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(super) time_limit: Duration,
    /// How many steps to search a key at most, for a verdict that is the same on every machine.
    #[arg(long, value_name = "STEPS")]
    pub(super) steps_max: Option<u64>,
    /// How to print.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Output::Table)]
    pub(super) output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Model {
    /// read, write, cas
    Register,
    /// get, put, append, delete
    Kv,
    /// add, get
    Counter,
    /// append, read: a list
    Append,
}

#[derive(Debug, Args)]
pub(super) struct Sim {
    /// The protocol.
    #[arg(long, value_enum, default_value_t = Protocol::Raft)]
    pub(super) protocol: Protocol,
    /// How many nodes, 1 to 9; 5 if not given, and 3 and 5 by turns for mutants.
    #[arg(long, value_name = "COUNT")]
    pub(super) nodes: Option<u64>,
    /// How many seeds to run; 1,000 if not given, 1 with --seed. Of mutants: how many at most until
    /// one is caught, 5,000 if not given.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) seeds: Option<u64>,
    /// The first seed, and the only one without --seeds; seeds count from 0 if not given.
    #[arg(long, value_name = "SEED")]
    pub(super) seed: Option<u64>,
    /// Which faults there are.
    #[arg(long, default_value = "all", value_parser = profiles())]
    pub(super) profile: Profile,
    /// How many operations the callers of a run ask for; 2,000 if not given, 400 for mutants.
    #[arg(long, value_name = "COUNT")]
    pub(super) ops: Option<usize>,
    /// How long faults and operations go on, in seconds of virtual time; 60 if not given, 20 for
    /// mutants.
    #[arg(long, value_name = "SECONDS")]
    pub(super) seconds: Option<u64>,
    /// How many threads run seeds; one a core if not given. What is found does not depend on it.
    #[arg(long, value_name = "COUNT")]
    pub(super) threads: Option<NonZeroUsize>,
    /// Writes what the callers of each run saw to DIR/seed-N.jsonl, for `check --model kv`.
    #[arg(long, value_name = "DIR")]
    pub(super) history: Option<PathBuf>,
    /// Writes the events of the first seed that fails, shrunk, or of the only one: JSON, one a
    /// line.
    #[arg(long, value_name = "FILE")]
    pub(super) trace: Option<PathBuf>,
    /// Writes a page with the timeline of that run.
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Ends with one line for programs: a JSON object.
    #[arg(long)]
    pub(super) json: bool,
    /// Puts each known bug back in turn and runs seeds until it is caught; needs a build with
    /// --features mutants.
    #[arg(
        long,
        value_name = "PROTOCOL",
        conflicts_with_all = ["mutant", "seed", "history", "trace", "html"]
    )]
    pub(super) mutants: Option<Protocol>,
    /// Puts one known bug back and runs seeds until it is caught, or, with --seed, those seeds;
    /// needs a build with --features mutants.
    #[arg(long, value_name = "NAME")]
    pub(super) mutant: Option<String>,
}

fn profiles() -> impl TypedValueParser<Value = Profile> {
    let names = PossibleValuesParser::new(Profile::ALL.map(Profile::name));
    names.map(|name| name.parse().expect("only names of profiles pass"))
}

#[derive(Debug, Args)]
pub(super) struct Dev {
    /// How many nodes.
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 3,
        value_parser = clap::value_parser!(u16).range(1..=9)
    )]
    pub(super) nodes: u16,
    /// HTTP of node i is at this port plus i, its peer port at this plus 100 plus i.
    #[arg(
        long,
        value_name = "PORT",
        default_value_t = 4700,
        value_parser = clap::value_parser!(u16).range(1..=65_000)
    )]
    pub(super) base_port: u16,
    /// Where the nodes keep their data; a fresh temporary directory if not given.
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// The protocol of all groups: raft or multi_paxos.
    ///
    /// If not given, what the configuration says, then what the application does.
    #[arg(long, value_name = "NAME")]
    pub(super) protocol: Option<String>,
    /// Leaves a node that died down.
    #[arg(long)]
    pub(super) no_restart: bool,
    #[command(flatten)]
    pub(super) configured: flags::Configured,
}

#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    pub(super) settings: flags::Settings,
    /// Ends the node when its standard input ends: a child of `dev` does not outlive its parent.
    #[arg(long, hide = true)]
    pub(super) end_with_stdin: bool,
    /// Takes the defaults of `dev`.
    #[arg(long, hide = true)]
    pub(super) dev_defaults: bool,
}

#[derive(Debug, Args)]
pub(super) struct Config {
    #[command(subcommand)]
    pub(super) verb: ConfigVerb,
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigVerb {
    /// Prints the settings that count, as a configuration file.
    Show(Show),
    /// Says whether the settings can work, without starting anything.
    Check(CheckConfig),
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// Asks the node that serves HTTP here what counts there.
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) addr: Option<String>,
    /// Says behind each value where it comes from.
    #[arg(long)]
    pub(super) origin: bool,
    /// How to print.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Output::Table)]
    pub(super) output: Output,
    #[command(flatten)]
    pub(super) settings: flags::Settings,
}

#[derive(Debug, Args)]
pub(super) struct CheckConfig {
    #[command(flatten)]
    pub(super) settings: flags::Settings,
}

#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    pub(super) target: Target,
}

#[derive(Debug, Args)]
pub(super) struct Members {
    /// Shows only who takes part in this group.
    #[arg(long, value_name = "GROUP")]
    pub(super) group: Option<String>,
    #[command(flatten)]
    pub(super) target: Target,
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// The id of the new node, which no node ever had.
    pub(super) id: u64,
    /// Where it listens to its peers; if not given, where it said so when it came to join.
    #[arg(value_name = "HOST:PORT")]
    pub(super) address: Option<String>,
    /// It is to vote, once it has caught up; so it is if nothing is said.
    #[arg(long, conflicts_with_all = ["learner", "witness"])]
    pub(super) voter: bool,
    /// It is only to follow.
    #[arg(long, conflicts_with = "witness")]
    pub(super) learner: bool,
    /// It is to vote, and to store no data.
    #[arg(long)]
    pub(super) witness: bool,
    #[command(flatten)]
    pub(super) changing: Changing,
}

#[derive(Debug, Args)]
pub(super) struct Promote {
    /// The id of the learner.
    pub(super) id: u64,
    #[command(flatten)]
    pub(super) changing: Changing,
}

#[derive(Debug, Args)]
pub(super) struct Remove {
    /// The id of the member; it is never used again.
    pub(super) id: u64,
    #[command(flatten)]
    pub(super) changing: Changing,
}

#[derive(Debug, Args)]
pub(super) struct Replace {
    /// The id of the member that goes; it is never used again.
    pub(super) dead: u64,
    /// The id of the new node, which no node ever had.
    pub(super) new: u64,
    /// Where the new node listens to its peers; if not given, where it said so when it came to
    /// join.
    #[arg(value_name = "HOST:PORT")]
    pub(super) address: Option<String>,
    #[command(flatten)]
    pub(super) changing: Changing,
}

/// How who takes part is changed.
#[derive(Debug, Args)]
pub(super) struct Changing {
    /// Changes only who takes part in this group.
    #[arg(long, value_name = "GROUP")]
    pub(super) group: Option<String>,
    /// Agrees to what the change does, unseen.
    #[arg(long)]
    pub(super) yes: bool,
    /// How long to wait until the change is over; it goes on without anybody waiting.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    pub(super) wait: Duration,
    #[command(flatten)]
    pub(super) target: Target,
}

#[derive(Debug, Args)]
pub(super) struct Call {
    /// The group.
    pub(super) group: String,
    /// The command or query.
    pub(super) name: String,
    /// Its arguments, as by=1.
    #[arg(value_name = "NAME=VALUE", value_parser = argument)]
    pub(super) arguments: Vec<(String, String)>,
    /// Applies the command once, however often it is repeated under this key.
    #[arg(long, value_name = "KEY")]
    pub(super) idempotency_key: Option<String>,
    /// How fresh the answer to a query must be, in place of what the query declares.
    #[arg(long, value_enum, value_name = "LEVEL")]
    pub(super) read: Option<Read>,
    /// How old the state may be that is read at the level stale, as 250ms.
    #[arg(long, value_name = "DURATION", required_if_eq("read", "stale"))]
    pub(super) max_lag: Option<String>,
    /// The commit token that is read after, as --output json shows it with a reply.
    #[arg(long, value_name = "TOKEN", required_if_eq("read", "after"))]
    pub(super) token: Option<String>,
    #[command(flatten)]
    pub(super) target: Target,
}

#[derive(Debug, Args)]
pub(super) struct Decide {
    /// What the decision is called.
    pub(super) name: String,
    /// The value, as JSON or as a text; if not given, nothing is decided, and what was is told.
    pub(super) value: Option<String>,
    #[command(flatten)]
    pub(super) target: Target,
}

/// A level of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Read {
    /// All that was answered before.
    Linearizable,
    /// As linearizable, while clocks keep what the group declares.
    Lease,
    /// A state that is at most so old.
    Stale,
    /// What a command did whose token it is.
    After,
}

impl Call {
    /// Returns what the header says of the level, if one is asked for.
    ///
    /// # Errors
    /// If a bound stands without the level that it belongs to.
    pub(super) fn level(&self) -> Result<Option<String>, String> {
        match (self.read, &self.max_lag, &self.token) {
            (None, None, None) => Ok(None),
            (Some(Read::Linearizable), None, None) => Ok(Some("linearizable".to_owned())),
            (Some(Read::Lease), None, None) => Ok(Some("lease".to_owned())),
            (Some(Read::Stale), Some(max_lag), None) => Ok(Some(format!("stale {max_lag}"))),
            (Some(Read::After), None, Some(token)) => Ok(Some(format!("after {token}"))),
            _ => Err("--max-lag belongs to --read stale, and --token to --read after".to_owned()),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct TransferLeader {
    /// The group.
    pub(super) group: String,
    /// The id of the node that is to lead; whichever is fit best if not given.
    pub(super) to: Option<u64>,
    #[command(flatten)]
    pub(super) target: Target,
}

#[derive(Debug, Args)]
pub(super) struct Snapshot {
    /// What to do.
    #[arg(value_enum)]
    pub(super) action: SnapshotAction,
    /// The group.
    pub(super) group: String,
    #[command(flatten)]
    pub(super) target: Target,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum SnapshotAction {
    /// Takes one of what the node has applied, and waits until it is durable.
    Save,
    /// Lists those that the node has, oldest first.
    List,
}

#[derive(Debug, Args)]
pub(super) struct Target {
    /// The HTTP address of any node of the cluster.
    ///
    /// If not given, the one of CONSENSUS_ADDR, then the one in the configuration, then
    /// 127.0.0.1:4701.
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) addr: Option<String>,
    #[command(flatten)]
    pub(super) configured: flags::Configured,
    /// How to print.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Output::Table)]
    pub(super) output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

fn argument(text: &str) -> Result<(String, String), String> {
    let parsed = text.split_once('=');
    let parsed = parsed.map(|(name, value)| (name.to_owned(), value.to_owned()));
    parsed.ok_or_else(|| "write each argument as NAME=VALUE, as by=1".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    text.into_duration().map_err(|error| error.message().to_owned())
}
