//! Which faults a random run has, and how many there were.

use rand_chacha::{ChaCha8Rng, rand_core::Rng};

/// How likely what is, in thousandths.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Odds {
    pub(crate) loss: u64,
    pub(crate) repetition: u64,
    pub(crate) reordering: u64,
    pub(crate) cut: u64,
    pub(crate) crash: u64,
    pub(crate) pause: u64,
    pub(crate) slow_disk: u64,
    pub(crate) full_disk: u64,
}

impl Odds {
    /// Draws them for one run, which has some kinds of fault and lacks others: together they hide
    /// what each alone would show.
    pub(crate) fn draw(rng: &mut ChaCha8Rng) -> Self {
        let mut upto = |most: u64| {
            let odds = rng.next_u64() % most;
            if rng.next_u64().is_multiple_of(3) { 0 } else { odds }
        };
        Self {
            loss: upto(150),
            repetition: upto(100),
            reordering: upto(600),
            cut: upto(120),
            crash: upto(6),
            pause: upto(30),
            slow_disk: upto(700),
            full_disk: upto(60),
        }
    }
}

/// What one run, or all, have seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// A hash of the whole trace.
    pub(crate) trace: u64,
    pub(crate) calls: u64,
    pub(crate) answered: u64,
    pub(crate) terms: u64,
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    pub(crate) reordered: u64,
    pub(crate) cuts: u64,
    pub(crate) pauses: u64,
    pub(crate) full_disks: u64,
    pub(crate) crashes: u64,
    pub(crate) crashes_with_records_waiting: u64,
    /// Calls that began on a leader while another led a later term.
    pub(crate) calls_on_deposed: u64,
}

impl Seen {
    /// Adds what another run has seen.
    pub(crate) fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.answered += other.answered;
        self.terms += other.terms;
        self.lost += other.lost;
        self.repeated += other.repeated;
        self.reordered += other.reordered;
        self.cuts += other.cuts;
        self.pauses += other.pauses;
        self.full_disks += other.full_disks;
        self.crashes += other.crashes;
        self.crashes_with_records_waiting += other.crashes_with_records_waiting;
        self.calls_on_deposed += other.calls_on_deposed;
    }

    /// Fails where a kind of fault happened in less than every other run: it is hardly tested then.
    pub(crate) fn assert_faults_happened(&self, runs: u64) {
        for (fault, count) in [
            ("lost messages", self.lost),
            ("repeated messages", self.repeated),
            ("reordered messages", self.reordered),
            ("cut links", self.cuts),
            ("paused nodes", self.pauses),
            ("full disks", self.full_disks),
            ("crashes", self.crashes),
            ("crashes with records waiting", self.crashes_with_records_waiting),
            ("calls on deposed leaders", self.calls_on_deposed),
            ("changes of leaders", self.terms / 2),
        ] {
            assert!(count * 2 >= runs, "{fault}: only {count} in {runs} runs");
        }
    }
}
