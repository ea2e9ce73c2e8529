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
        What::Apply { index, text } | What::Snapshot { index, text } => {
            (5, vec![*index, texts.place(text)])
        }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use consensus_core::{
        raft::Raft,
        sim::{Flaw, Plan, Store, StoreWorkload, run},
    };
    use serde_json::Value;

    use super::*;

    const HOSTILE: &str = "</script><script>alert(1)</script> <!-- \u{2028} \" \\ & /*scripts*/";

    fn about() -> About {
        About { title: "raft, seed 1".to_owned(), command: "consensus sim".to_owned(), nodes: 3 }
    }

    fn report() -> Report {
        let plan = Plan::builder().seed(1).nodes(3).operations(20);
        let plan = plan.duration(Duration::from_secs(2)).build().unwrap().recording(true);
        run::<Raft, Store>(&plan, &StoreWorkload).unwrap()
    }

    /// Returns what a browser would take for the data: all up to the next end of a script.
    fn embedded(page: &str) -> Value {
        let (_, rest) = page.split_once("<script type=\"application/json\" id=\"run\">").unwrap();
        let (data, _) = rest.split_once("</script>").unwrap();
        serde_json::from_str(data).unwrap()
    }

    // Goal: the page works offline, from a file. Method: look for whatever makes a browser fetch.
    #[test]
    fn a_page_fetches_nothing() {
        let page = page(&about(), &report());
        let fetching =
            ["http:", "https:", " src=", "href=", "@import", "url(", "fetch(", "import("];
        for word in fetching {
            assert!(!page.contains(word), "{word}");
        }
        assert!(page.contains("default-src 'none'"));
    }

    // Goal: no text of a run becomes markup, and none is changed. Method: put the worst into every
    // place, count the page's scripts, and read the data back.
    #[test]
    fn hostile_texts_stay_texts() {
        let plain = page(&about(), &report());
        let about = About { title: HOSTILE.to_owned(), command: HOSTILE.to_owned(), nodes: 3 };
        let mut report = report();
        report.failure = Some(Failure {
            flaw: Flaw::Outcome,
            what: HOSTILE.to_owned(),
            evidence: vec![HOSTILE.to_owned()],
            at: report.simulated,
        });
        let what = What::Call { operation: 1_000, process: 0, text: HOSTILE.to_owned() };
        report.trace.push(Line { time: 3_000_000_000, node: Some(1), what });

        let page = page(&about, &report);
        for tag in ["<script", "</script", "<!--"] {
            assert_eq!(page.matches(tag).count(), plain.matches(tag).count(), "{tag}");
        }
        let data = embedded(&page);
        assert_eq!(data["title"], HOSTILE);
        assert_eq!(data["command"], HOSTILE);
        assert_eq!(data["failure"]["what"], HOSTILE);
        assert_eq!(data["failure"]["evidence"][0], HOSTILE);
        let texts = data["texts"].as_array().unwrap();
        assert_eq!(texts.last().unwrap(), HOSTILE);
    }

    // Goal: the data is the trace. Method: read each event's time, node and text back.
    #[test]
    fn the_data_holds_every_event() {
        let report = report();
        let data = embedded(&page(&about(), &report));
        let events = data["events"].as_array().unwrap();
        assert_eq!(events.len(), report.trace.len());
        let mut time = 0;
        for (event, line) in events.iter().zip(&report.trace) {
            let number = |place: usize| event[place].as_u64().unwrap();
            time += number(1);
            assert_eq!((time, number(2)), (line.time, line.node.unwrap_or(0)));
            if let What::Send { to, message, text, arrives } = &line.what {
                let takes = arrives.map_or(0, |at| at - line.time + 1);
                assert_eq!((number(0), number(3), number(4)), (1, *to, *message));
                assert_eq!(
                    (&data["texts"][number(5) as usize], number(6)),
                    (&text[..].into(), takes)
                );
            }
        }
    }

    // Goal: pages can be compared. Method: make the same one twice.
    #[test]
    fn the_same_run_gives_the_same_page() {
        assert_eq!(page(&about(), &report()), page(&about(), &report()));
    }

    // Goal: one huge text cannot fill the page. Method: a text of which a character straddles the
    // bound.
    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "\u{e9}".repeat(TEXT_BYTES_MAX);
        let cut = shortened(&format!("a{text}")).into_owned();
        let said = format!("... ({} bytes in all)", 2 * TEXT_BYTES_MAX + 1);
        assert_eq!(cut.len(), TEXT_BYTES_MAX - 1 + said.len());
        assert!(cut.ends_with(&said));
    }
}
