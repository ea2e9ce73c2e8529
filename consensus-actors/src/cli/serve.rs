//! `serve`, and the application alone: one node in this process.

use std::{
    io::{IsTerminal, Read},
    path::PathBuf,
    process::ExitCode,
};

use tracing_subscriber::EnvFilter;

use super::{Application, options::Serve, say};
use crate::{
    error::Result,
    node::{Node, NodeBuilder},
};

/// Runs a single node with nothing configured.
pub(super) fn alone<F, Fut>(application: Application, run: F) -> Result<ExitCode>
where
    F: FnOnce(Node) -> Fut,
    Fut: Future<Output = Result>,
{
    let data = PathBuf::from("data").join(application.name);
    let (name, http) = (application.name, "127.0.0.1:4701");
    let builder = Node::builder().http(http).data(&data).cluster(name);
    say(format_args!(
        "{name}: a single node, HTTP at http://{http}, data in {}\ntry:  {name} status\n      \
         {name} dev     (a cluster of three)",
        data.display()
    ));
    run_node(builder, false, run)
}

/// Runs one node of a cluster.
pub(super) fn serve<F, Fut>(_: Application, options: Serve, run: F) -> Result<ExitCode>
where
    F: FnOnce(Node) -> Fut,
    Fut: Future<Output = Result>,
{
    let mut builder = Node::builder()
        .id(options.id)
        .data(options.data)
        .cluster(options.cluster)
        .election_timeout(options.election_timeout)
        .heartbeat(options.heartbeat)
        .priority(options.priority)
        .shutdown_grace(options.shutdown_grace);
    for (id, address) in options.peers {
        builder = builder.peer(id, address);
    }
    if let Some(http) = options.http {
        builder = builder.http(http);
    }
    run_node(builder, options.end_with_stdin, run)
}

fn run_node<F, Fut>(builder: NodeBuilder, ends_with_stdin: bool, run: F) -> Result<ExitCode>
where
    F: FnOnce(Node) -> Fut,
    Fut: Future<Output = Result>,
{
    trace();
    let node = builder.start()?;
    if ends_with_stdin {
        end_with_stdin(node.clone());
    }
    let done = actix_rt::System::new().block_on(run(node.clone()));
    node.stop();
    done.map(|()| ExitCode::SUCCESS)
}

/// Sends events to standard error; `CONSENSUS_LOG` says which, as `debug` or
/// `consensus_actors=trace`.
fn trace() {
    const QUIET: &str = "info,actix_server=warn";
    let filter = EnvFilter::try_from_env("CONSENSUS_LOG");
    let filter = filter.unwrap_or_else(|_| EnvFilter::new(QUIET));
    let set = tracing_subscriber::fmt()
        .with_env_filter(filter)
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
