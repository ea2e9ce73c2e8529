//! One page that shows a simulated run: a lane a node, messages between lanes, faults, operations.
//!
//! The page is one file. It asks no network for anything, and what it shows stands in it as data,
//! never as markup: a caller's text may hold any character.

use std::{borrow::Cow, collections::BTreeMap};

use consensus_core::{
    Time,
    sim::{Failure, Fault, Line, Report, What},
};
use serde::Serialize;

use super::About;

const PAGE: &str = include_str!("timeline/page.html");
const STYLE: &str = include_str!("timeline/page.css");
/// In the order in which they define what the next ones use.
const SCRIPTS: [&str; 7] = [
    include_str!("timeline/model.js"),
    include_str!("timeline/head.js"),
    include_str!("timeline/view.js"),
    include_str!("timeline/lanes.js"),
    include_str!("timeline/draw.js"),
    include_str!("timeline/list.js"),
    include_str!("timeline/main.js"),
];

/// The most bytes of one text of the trace: a page shows lines, and a longer text fills screens.
const TEXT_BYTES_MAX: usize = 4_096;

/// Returns the page of a run, in HTML. The same run gives the same page.
pub(crate) fn page(about: &About, report: &Report) -> String {
    let run = serde_json::to_string(&Run::new(about, report));
    let run = run.expect("texts and numbers are JSON");
    // A browser looks for the end of a script in its text. In JSON `<` stands in strings only.
    let run = run.replace('<', "\\u003c");
    let mut page = String::with_capacity(run.len() + 128 * 1024);
    let mut rest = PAGE;
    for (place, content) in [("/*style*/", STYLE), ("/*run*/", &run), ("/*scripts*/", "")] {
        // One after the other, since what is filled in may look like a place.
        let (before, after) = rest.split_once(place).expect("the page has a place for each");
        page.push_str(before);
        page.push_str(content);
        rest = after;
    }
    SCRIPTS.iter().for_each(|script| page.push_str(script));
    page.push_str(rest);
    page
}

/// What the page's scripts are given. Numbers beyond what they count exactly are texts.
#[derive(Serialize)]
struct Run<'a> {
    title: &'a str,
    command: &'a str,
    nodes: u64,
    seed: String,
    digest: String,
    operations: usize,
    answered: usize,
    terms: usize,
    simulated: u64,
    failure: Option<Broken<'a>>,
    /// How many faults of a kind there were, without those that there were not.
    faults: Vec<(&'static str, u64)>,
    texts: Vec<Cow<'a, str>>,
    events: Vec<Vec<u64>>,
}

#[derive(Serialize)]
struct Broken<'a> {
    flaw: String,
    what: &'a str,
    evidence: &'a [String],
    at: u64,
}

impl<'a> Run<'a> {
    fn new(about: &'a About, report: &'a Report) -> Self {
        let mut texts = Texts::default();
        let mut before = 0;
        let mut events = Vec::with_capacity(report.trace.len());
        for line in &report.trace {
            events.push(event(line, before, &mut texts));
            before = line.time;
        }
        let counts = Fault::ALL.iter().map(|fault| (fault.name(), report.counts.of(*fault)));
        Self {
            title: &about.title,
            command: &about.command,
            nodes: about.nodes,
            seed: report.seed.to_string(),
            digest: format!("{:016x}", report.digest),
            operations: report.operations,
            answered: report.answered,
            terms: report.terms,
            simulated: nanoseconds(report.simulated),
            failure: report.failure.as_ref().map(Broken::new),
            faults: counts.filter(|(_, count)| *count > 0).collect(),
            texts: texts.all,
            events,
        }
    }
}

impl<'a> Broken<'a> {
    fn new(failure: &'a Failure) -> Self {
        Self {
            flaw: failure.flaw.to_string(),
            what: &failure.what,
            evidence: &failure.evidence,
            at: nanoseconds(failure.at),
        }
    }
}

/// Texts, each once: messages go to all peers, and entries are applied by all.
#[derive(Default)]
struct Texts<'a> {
    all: Vec<Cow<'a, str>>,
    places: BTreeMap<&'a str, u64>,
}

impl<'a> Texts<'a> {
    fn place(&mut self, text: &'a str) -> u64 {
        *self.places.entry(text).or_insert_with(|| {
            self.all.push(shortened(text));
            self.all.len() as u64 - 1
        })
    }
}

fn shortened(text: &str) -> Cow<'_, str> {
    match text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)) {
        Some(start) if start.len() < text.len() => {
            Cow::Owned(format!("{start}... ({} bytes in all)", text.len()))
        }
        _ => Cow::Borrowed(text),
    }
}

/// Returns an event as numbers: its kind, the time since the one before, its node or zero, and what
/// its kind has, in the order in which `model.js` reads it.
fn event<'a>(line: &'a Line, before: u64, texts: &mut Texts<'a>) -> Vec<u64> {
    let (kind, rest) = match &line.what {
        What::Role { role, term } => (0, vec![texts.place(role), *term]),
        What::Send { to, message, text, arrives } => {
            // One more than how long it takes; zero for a message that is lost.
            let takes = arrives.map_or(0, |at| at.saturating_sub(line.time) + 1);
            (1, vec![*to, *message, texts.place(text), takes])
        }
        What::Receive { from, message } => (2, vec![*from, *message]),
        What::Persist { token, text } => (3, vec![*token, texts.place(text)]),
        What::Durable { upto } => (4, vec![*upto]),
        What::Apply { index, text } => (5, vec![*index, texts.place(text)]),
        What::Call { operation, process, text } => {
            (6, vec![*operation, *process, texts.place(text)])
        }
        What::Return { operation, text } => (7, vec![*operation, texts.place(text)]),
        What::Fault { fault, text, lasts } => {
            (8, vec![texts.place(fault), texts.place(text), *lasts])
        }
        What::Down { text } => (9, vec![texts.place(text)]),
        What::Up { text } => (10, vec![texts.place(text)]),
        What::Mended => (11, Vec::new()),
        What::Broken { text } => (12, vec![texts.place(text)]),
    };
    let since = line.time.saturating_sub(before);
    let mut event = vec![kind, since, line.node.unwrap_or_default()];
    event.extend(rest);
    event
}

fn nanoseconds(at: Time) -> u64 {
    at.since(Time::ZERO).as_nanos() as u64
}
