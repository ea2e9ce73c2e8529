//! What one cell of the comparison comes to.

use serde::{Deserialize, Serialize};

use crate::cell::{Mode, Peer};

/// The figures of one run of one cell; a line of JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figures {
    /// Whose figures these are.
    pub peer: Peer,
    /// The protocol that it speaks.
    pub protocol: String,
    /// How it was run.
    pub mode: Mode,
    /// How many clients there were, each of which waits for its answer.
    pub clients: usize,
    /// Answered puts a second.
    pub ops_per_s: f64,
    /// The median of the time from a put to its answer, in microseconds.
    pub p50_us: f64,
    /// The 99th percentile of that time, in microseconds.
    pub p99_us: f64,
}
