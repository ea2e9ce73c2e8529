//! The work that is measured, the same for everybody: closed-loop clients, each of which puts a
//! value under a key, waits for the answer, and puts the next.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

/// How many keys there are; a client's puts go over all of them.
pub(crate) const KEYS: u64 = 10_000;

/// How long a key is.
pub(crate) const KEY_BYTES: usize = 16;

/// How long a value is where nothing else is said.
pub(crate) const VALUE_BYTES: usize = 64;

/// When clients work, and when it counts.
#[derive(Debug)]
pub(crate) struct Load {
    from: Instant,
    until: Instant,
}

/// What one client, or several, have done while it counted.
#[derive(Debug)]
pub(crate) struct Tally {
    operations: u64,
    latencies: Histogram<u64>,
}

impl Load {
    /// Makes a load that begins now and counts after `warm_up` for as long as `measured`.
    pub(crate) fn begin(warm_up: Duration, measured: Duration) -> Arc<Self> {
        let from = Instant::now() + warm_up;
        Arc::new(Self { from, until: from + measured })
    }

    /// Runs the client called `number`: makes call after call, which get a number of their own each.
    ///
    /// # Panics
    /// If a call fails: a figure of a cluster that refuses work would mean nothing.
    pub(crate) async fn client<F, A, T, E>(self: Arc<Self>, number: u64, mut call: F) -> Tally
    where
        F: FnMut(u64) -> A,
        A: Future<Output = Result<T, E>>,
        E: std::fmt::Debug,
    {
        let mut tally = Tally::default();
        // Clients begin apart, so that they do not all write the same keys.
        let mut operation = number.wrapping_mul(7_919);
        let mut begun = Instant::now();
        while begun < self.until {
            call(operation).await.expect("the cluster serves while it is measured");
            operation = operation.wrapping_add(1);
            let ended = Instant::now();
            if begun >= self.from && ended < self.until {
                tally.operations += 1;
                tally.latencies.saturating_record((ended - begun).as_nanos() as u64);
            }
            begun = ended;
        }
        tally
    }

    /// How long it counts.
    fn seconds(&self) -> f64 {
        (self.until - self.from).as_secs_f64()
    }
}

impl Default for Tally {
    fn default() -> Self {
        // Two digits: what clients write while they are measured must not fill the caches.
        let latencies = Histogram::new_with_bounds(1, 60_000_000_000, 2);
        Self { operations: 0, latencies: latencies.expect("the bounds are in order") }
    }
}

impl Tally {
    /// Adds what another client has done.
    pub(crate) fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.latencies.add(&other.latencies).expect("all have the same bounds");
    }

    /// Says what came of it: operations a second, the median and the 99th percentile in
    /// microseconds.
    pub(crate) fn figures(&self, load: &Load) -> (f64, f64, f64) {
        let micros = |quantile| self.latencies.value_at_quantile(quantile) as f64 / 1_000.0;
        (self.operations as f64 / load.seconds(), micros(0.5), micros(0.99))
    }
}

/// Returns the key of an operation.
pub(crate) fn key(operation: u64) -> String {
    let number = operation.wrapping_mul(0x9e37_79b9_7f4a_7c15) % KEYS;
    format!("{number:0width$}", width = KEY_BYTES)
}
