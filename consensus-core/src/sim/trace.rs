//! What happened in a run, event by event: a digest of it always, and all of it where it is to be
//! looked at.

use serde::Serialize;

use crate::{members::NodeId, time::Time};

/// One event of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// When it happened, in nanoseconds of virtual time from the start.
    pub time: u64,
    /// On which node; `None` for what befalls several, or none.
    pub node: Option<u64>,
    /// What it was.
    #[serde(flatten)]
    pub what: What,
}

/// What an event was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// The node's role or term changed.
    Role {
        /// The role, in the paper's noun.
        role: String,
        /// The leadership clock.
        term: u64,
    },
    /// The node sent a message.
    Send {
        /// To which node.
        to: u64,
        /// Names the message.
        message: u64,
        /// What it says.
        text: String,
        /// When it arrives, if it does: in nanoseconds from the start.
        arrives: Option<u64>,
    },
    /// The node was given a message.
    Receive {
        /// From which node.
        from: u64,
        /// Which message.
        message: u64,
    },
    /// The node handed a record to its disk.
    Persist {
        /// The record's number.
        token: u64,
        /// What it says.
        text: String,
    },
    /// The node's records are durable.
    Durable {
        /// Up to this one.
        upto: u64,
    },
    /// The node's replica applied an entry.
    Apply {
        /// Its index.
        index: u64,
        /// What it says, and what it answered.
        text: String,
    },
    /// Something was done with the node's snapshots.
    Snapshot {
        /// Up to this index.
        index: u64,
        /// What.
        text: String,
    },
    /// A caller calls the node.
    Call {
        /// Names the operation.
        operation: u64,
        /// Who calls.
        process: u64,
        /// What.
        text: String,
    },
    /// A caller was answered, or gave up.
    Return {
        /// Which operation.
        operation: u64,
        /// How it ended.
        text: String,
    },
    /// A fault begins, or strikes.
    Fault {
        /// Which.
        fault: &'static str,
        /// What it means here.
        text: String,
        /// How long it lasts, in nanoseconds.
        lasts: u64,
    },
    /// The node's process ended.
    Down {
        /// Why.
        text: String,
    },
    /// The node's process started.
    Up {
        /// What it recovered.
        text: String,
    },
    /// From here on everything is mended.
    Mended,
    /// What must hold does not.
    Broken {
        /// What.
        text: String,
    },
}

/// The events of a run so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    digest: u64,
    lines: Option<Vec<Line>>,
}

impl Trace {
    /// Starts a trace that keeps its lines, or one that keeps a digest alone.
    pub(super) fn new(recording: bool) -> Self {
        Self { digest: 0, lines: recording.then(Vec::new) }
    }

    /// Adds an event: the numbers that tell it from others always, the line where lines are kept.
    pub(super) fn note(
        &mut self,
        now: Time,
        node: Option<NodeId>,
        numbers: [u64; 3],
        what: impl FnOnce() -> What,
    ) {
        let time = nanoseconds(now);
        let on = node.map_or(0, NodeId::number);
        let [first, second, third] = numbers;
        let mut bytes = [0_u8; 40];
        let words = [time, on, first, second, third];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        self.digest = twox_hash::XxHash3_64::oneshot_with_seed(self.digest, &bytes);
        if let Some(lines) = &mut self.lines {
            lines.push(Line { time, node: node.map(NodeId::number), what: what() });
        }
    }

    /// Returns the digest of all events.
    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// Returns the lines, if they were kept.
    pub(super) fn into_lines(self) -> Vec<Line> {
        self.lines.unwrap_or_default()
    }
}

/// Returns a moment in nanoseconds from the start.
pub(super) fn nanoseconds(at: Time) -> u64 {
    at.since(Time::ZERO).as_nanos() as u64
}
