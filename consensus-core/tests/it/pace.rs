//! How often snapshots are taken of a large state.

use bytes::Bytes;
use consensus_core::{
    Effect, Effects, GroupId, Input, Members, Process, Submission, Ticket, Time, Token,
    raft::{Config, Raft},
    snapshot::{Cut, Order, Report, Saved, SnapshotId},
};

use crate::node::id;

const MEBIBYTE: usize = 1 << 20;

/// A group of one replica, whose disk is as quick as it is asked.
struct Alone {
    raft: Raft,
    submitted: u64,
}

impl Alone {
    fn new() -> Self {
        let members = Members::new([id(1)]).expect("one is some");
        let config = Config::builder(id(1), GroupId(1), members);
        let config = config.snapshot_entries(4).snapshot_bytes(3 * MEBIBYTE).build();
        let raft = Raft::recover(config.expect("valid"), Time::ZERO, []).expect("nothing is wrong");
        let mut alone = Self { raft, submitted: 0 };
        let later = Time::ZERO + alone.raft.state().config().election_timeout() * 2;
        alone.step(later, Input::Tick);
        alone
    }

    /// Makes a step, and all that are persisted by it durable; returns what is to be taken.
    fn step(&mut self, now: Time, input: Input<Raft>) -> Option<Cut> {
        let (mut next, mut taken) = (Some(input), None);
        while let Some(input) = next.take() {
            let mut out = Effects::default();
            self.raft.step(now, input, &mut out);
            for effect in out.drain() {
                match effect {
                    Effect::Persist { token, .. } => next = Some(persisted(token)),
                    Effect::Snapshot(Order::Take(cut)) => taken = Some(cut),
                    _ => {}
                }
            }
        }
        taken
    }

    /// Has commands of so many bytes committed until a snapshot is to be taken; returns how many
    /// that took.
    fn until_taken(&mut self, bytes: usize) -> (u64, Cut) {
        for count in 1..=1_000 {
            self.submitted += 1;
            let (ticket, command) = (Ticket(self.submitted), Bytes::from(vec![7; bytes]));
            let submission = Submission { ticket, command };
            if let Some(cut) = self.step(Time::ZERO, Input::Submit(vec![submission])) {
                return (count, cut);
            }
        }
        panic!("no snapshot is taken");
    }

    /// Tells that the snapshot is durable, and how long it is.
    fn saved(&mut self, cut: Cut, length: usize) {
        let id = SnapshotId { index: cut.index, term: cut.term, digest: 7 };
        let saved = Saved { id, cut, parts: 2, length: length as u64 };
        self.step(Time::ZERO, Input::Snapshot(Report::Saved(saved)));
    }
}

fn persisted(upto: Token) -> Input<Raft> {
    Input::Persisted { upto }
}

// Goal: of a large state no more is written for snapshots than for commands, but for a very large
// one, whose log would become too long.
// Method: a snapshot is due after four entries or 3 MiB; the last one was short, large, very large.
#[test]
fn snapshots_repay_what_they_cost() {
    let mut alone = Alone::new();
    let mut last = alone.until_taken(1_000).1;
    for (length, bytes, expected) in [
        (1_000, 1_000, 4),
        (MEBIBYTE, 1_000, 4),
        // Four entries are too little by themselves.
        (2 * MEBIBYTE, MEBIBYTE / 4, 8),
        (5 * MEBIBYTE, MEBIBYTE, 5),
        // So many bytes would be due after three entries.
        (1_000, MEBIBYTE, 3),
        (100 * MEBIBYTE, MEBIBYTE, 12),
    ] {
        alone.saved(last, length);
        let (count, cut) = alone.until_taken(bytes);
        assert_eq!(count, expected, "after one of {length} bytes, by entries of {bytes}");
        last = cut;
    }
}
