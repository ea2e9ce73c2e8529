//! The `consensus` command: the tools that need no application.

use std::process::ExitCode;

fn main() -> ExitCode {
    consensus_actors::__private::tools()
}
