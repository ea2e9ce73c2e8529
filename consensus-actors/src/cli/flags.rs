//! Flags from the table of settings.

use std::{path::PathBuf, sync::LazyLock};

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, parser::ValueSource};

use crate::config::{Flag, Key, Sources, table::TABLE};

/// The flag of a setting; flags are made of texts that live as long as the program.
struct SettingFlag {
    key: &'static Key,
    name: String,
    summary: String,
    doc: String,
}

static FLAGS: LazyLock<Vec<SettingFlag>> = LazyLock::new(|| {
    let of_nodes = TABLE.iter().filter(|key| key.is_of_nodes());
    let flag = |key: &&'static Key| {
        let default = key.default.map(|text| format!(" [default: {text}]")).unwrap_or_default();
        let summary = format!("{}{default}", key.summary());
        SettingFlag { key, name: key.flag(), summary, doc: format!("{}{default}", key.doc()) }
    };
    of_nodes.map(flag).collect()
});

const AFTER_HELP: &str = "Each flag but --set is also a variable, as CONSENSUS_HEARTBEAT, and a \
    key of consensus.toml, as heartbeat.\nFlags go first, then variables, then the file.";

/// The file to read, and a flag for each setting of nodes and groups.
#[derive(Debug, Default)]
pub(super) struct Settings(pub(super) Sources);

/// The file to read.
#[derive(Debug, Args)]
pub(super) struct Configured {
    /// The configuration to read.
    ///
    /// If not given, the one of CONSENSUS_CONFIG, then consensus.toml if there is one.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

impl Args for Settings {
    fn augment_args(command: Command) -> Command {
        let command = Configured::augment_args(command);
        let flag = |flag: &'static SettingFlag| {
            Arg::new(flag.key.name)
                .long(flag.name.as_str())
                .value_name(flag.key.kind.placeholder())
                // What is no value of it is refused as in every other layer.
                .allow_negative_numbers(true)
                .help(flag.summary.as_str())
                .long_help(flag.doc.as_str())
        };
        let set = Arg::new("set")
            .long("set")
            .value_name("KEY=VALUE")
            .action(ArgAction::Append)
            .help("Sets any key as the file names it: group.hits.deadline=2s");
        command.args(FLAGS.iter().map(flag)).arg(set).after_help(AFTER_HELP)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut settings = Self::default();
        settings.update_from_arg_matches(matches)?;
        Ok(settings)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.file = Configured::from_arg_matches(matches)?.config;
        // Whatever has a flag of its own goes before what --set says of it.
        for SettingFlag { key, .. } in FLAGS.iter() {
            if matches.value_source(key.name) == Some(ValueSource::CommandLine)
                && let Some(text) = matches.get_one::<String>(key.name)
            {
                self.0.flags.push(Flag::Of(key, text.clone()));
            }
        }
        for text in matches.get_many::<String>("set").into_iter().flatten() {
            self.0.flags.push(Flag::Set(text.clone()));
        }
        Ok(())
    }
}
