//! `serve`, and the application alone: one node in this process.

use std::{
    io::{IsTerminal, Read},
    path::PathBuf,
    process::ExitCode,
};

use tracing_subscriber::EnvFilter;

use super::{Application, flags::Configured, options::Serve, say, target::DEFAULT_ADDRESS};
use crate::{
    config::{
        self, Address, Layers, Settings, Sources,
        table::{CLUSTER, DATA, HTTP, ID, LOG},
    },
    error::{Code, Error, Result},
    node,
    node::Node,
};

/// Runs a single node that needs nothing configured.
pub(super) fn alone<F, Fut>(
    application: Application,
    configured: Configured,
    run: F,
) -> Result<ExitCode>
where
    F: FnOnce(Node) -> Fut,
    Fut: Future<Output = Result>,
{
    let name = application.name;
    let sources = Sources { file: configured.config, flags: Vec::new() };
    let mut layers = sources.read().map_err(config::first)?;
    if !layers.peers().is_empty() {
        let message = format!(
            "`{name}` alone runs a single node, and the configuration names peers; say which of \
             them this is: `{name} serve --id ID`"
        );
        return Err(Error::new(Code::Config, message));
    }
    layers.set_default(&ID, 1);
    layers.set_default(&HTTP, Address(DEFAULT_ADDRESS.to_owned()));
    layers.set_default(&DATA, PathBuf::from("data").join(name));
    layers.set_default(&CLUSTER, name.to_owned());
    let settings = Settings::new(layers)?;
    let http = settings.http.expect("it has a default");
    say(format_args!(
        "{name}: a single node, HTTP at http://{http}, data in {}\ntry:  {name} status\n      \
         {name} dev     (a cluster of three)",
        settings.data.display()
    ));
    run_node(settings, false, run)
}

/// Runs one node of a cluster.
pub(super) fn serve<F, Fut>(_: Application, options: Serve, run: F) -> Result<ExitCode>
where
    F: FnOnce(Node) -> Fut,
    Fut: Future<Output = Result>,
{
    let mut layers = options.settings.0.read().map_err(config::first)?;
    if options.dev_defaults {
        layers.set_defaults_of_dev();
    }
    run_node(complete(layers)?, options.end_with_stdin, run)
}

/// Makes the settings of a node for which everything that is required was given.
pub(super) fn complete(layers: Layers) -> Result<Settings> {
    let missing = layers.missing();
    if !missing.is_empty() {
        return Err(config::missing(&missing, layers.id()));
    }
    Settings::new(layers)
}

fn run_node<F, Fut>(settings: Settings, ends_with_stdin: bool, run: F) -> Result<ExitCode>
where
    F: FnOnce(Node) -> Fut,
    Fut: Future<Output = Result>,
{
    trace(&settings.get(&LOG));
    let node = node::launch::launch(settings)?;
    if ends_with_stdin {
        end_with_stdin(node.clone());
    }
    let done = actix_rt::System::new().block_on(run(node.clone()));
    node.stop();
    done.map(|()| ExitCode::SUCCESS)
}

/// Sends events that a filter lets through to standard error.
fn trace(filter: &str) {
    let set = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
    // A `main` that has set its own subscriber keeps it.
    set.ok();
}

/// The parent holds the other end of the pipe: however it dies, the pipe closes, and this process
/// ends as if it were asked to.
fn end_with_stdin(node: Node) {
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        std::io::stdin().read_to_end(&mut rest).ok();
        actix_rt::System::new().block_on(node.shutdown());
        std::process::exit(0);
    });
}
