//! What is said of a failure: one screen, and a page.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use consensus_core::sim::{Flaw, Line, Report, Shrunk, What};

use super::{About, faults, timeline};

/// The most lines of a history on the screen; the page has all.
const LINES_MAX: usize = 20;
/// The most lines of evidence.
const EVIDENCE_MAX: usize = 8;

/// Tells of a seed that failed, in one screen.
pub(super) fn failure(about: &About, shrunk: &Shrunk, seeds: u64) -> String {
    let (report, title) = (&shrunk.report, &about.title);
    let mut lines = vec![format!("{title}: seed {:#x} of {seeds} fails", report.seed)];
    if let Some(failure) = &report.failure {
        lines.push(String::new());
        lines.push(failure.to_string());
        indent(&mut lines, failure.evidence.iter().take(EVIDENCE_MAX));
        lines.extend(hint(failure.flaw).map(str::to_owned));
    }
    let ((operations, operations_before), (strikes, strikes_before)) =
        ((shrunk.operations.1, shrunk.operations.0), (shrunk.faults.1, shrunk.faults.0));
    lines.push(String::new());
    lines.push(format!(
        "What is left of {operations_before} operations and {strikes_before} faults when all that \
         can be is left out ({operations} and {strikes}):"
    ));
    let history = history(&report.trace);
    // What is near the end is near the failure.
    let earlier = history.len().saturating_sub(LINES_MAX);
    if earlier > 0 {
        lines.push(format!("  .. {earlier} lines, and then"));
    }
    indent(&mut lines, history.iter().skip(earlier));
    lines.push(String::new());
    lines.extend(again(about, report));
    lines.join("\n")
}

/// Tells of a seed that failed once and not again.
pub(super) fn fickle(about: &About, seed: u64) -> String {
    let About { title, command, .. } = about;
    format!(
        "{title}: seed {seed:#x} fails, and passes when it is run again\n\n\
         divergence: the state machine is not deterministic: the same commands give another state \
         from run to run; look for what differs (hash maps, clocks, addresses)\n\nrun it  {command}"
    )
}

/// Returns where to look for what is mostly behind a flaw.
fn hint(flaw: Flaw) -> Option<&'static str> {
    match flaw {
        Flaw::Divergence => Some(
            "The state is not the same everywhere: look for the order of a hash map, a clock, \
             random numbers,\nor a field that the encoding leaves out, such as `#[serde(skip)]`.",
        ),
        Flaw::Invariant
        | Flaw::Durability
        | Flaw::Linearizability
        | Flaw::Session
        | Flaw::ExactlyOnce
        | Flaw::Outcome
        | Flaw::Liveness
        | Flaw::Panic => None,
    }
}

/// Writes the page, and tells how to see the run again.
fn again(about: &About, report: &Report) -> Vec<String> {
    let page = match write_page(about, report) {
        Ok(path) => format!("look at it    {}", path.display()),
        Err(error) => format!("the page that shows it cannot be written: {error}"),
    };
    vec![format!("run it again  {}", about.command), page]
}

/// Writes the page that shows a run; returns where it is.
pub(super) fn write_page(about: &About, report: &Report) -> Result<PathBuf, String> {
    let folder = target().join("simulate");
    // A title may hold what no file's name may.
    let name = about.title.replace(|letter: char| !letter.is_alphanumeric() && letter != '_', "-");
    let path = folder.join(format!("{name}.html"));
    let page = timeline::page(about, report);
    let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, page));
    written.map(|()| path.clone()).map_err(|error| format!("{}: {error}", path.display()))
}

/// Returns the directory that cargo builds into: the one with its mark, above this program.
fn target() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    let marked = |folder: &&Path| folder.join("CACHEDIR.TAG").is_file();
    program.ancestors().find(marked).map_or_else(|| PathBuf::from("target"), Path::to_path_buf)
}

fn indent<'a>(lines: &mut Vec<String>, more: impl Iterator<Item = &'a String>) {
    lines.extend(more.map(|line| format!("  {line}")));
}

/// Returns what callers and faults did, a line each, until everything was mended.
fn history(trace: &[Line]) -> Vec<String> {
    let during = trace.iter().take_while(|line| line.what != What::Mended);
    let mut lines: Vec<String> = during.filter_map(told).collect();
    if trace.iter().any(|line| line.what == What::Mended) {
        lines.push("then everything is mended, and every node is asked".to_owned());
    }
    lines
}

fn told(line: &Line) -> Option<String> {
    let text = match &line.what {
        What::Call { operation, text, .. } => format!("#{operation} {text}"),
        What::Return { operation, text } => format!("#{operation} -> {text}"),
        What::Fault { fault, text, .. } => {
            let word = fault.parse().map_or(*fault, faults::word);
            format!("{word}: {text}")
        }
        What::Down { text } => format!("down, {text}"),
        // All of them start in the beginning.
        What::Up { .. } if line.time == 0 => return None,
        What::Up { .. } => "up".to_owned(),
        What::Broken { text } => text.clone(),
        What::Role { .. }
        | What::Send { .. }
        | What::Receive { .. }
        | What::Persist { .. }
        | What::Durable { .. }
        | What::Apply { .. }
        | What::Snapshot { .. }
        | What::Mended => return None,
    };
    let node = line.node.map(|node| format!("n{node}")).unwrap_or_default();
    let microseconds = line.time / 1_000;
    let (whole, part) = (microseconds / 1_000, microseconds % 1_000);
    Some(format!("{whole:>6}.{part:03} ms  {node:<2}  {text}"))
}
