//! A simulated node whose roles stand side by side, each with records of its own.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;

use super::{decision::Event, host::CrashPoint, random::Random};
use crate::{
    codec::{Decode, DecodeError, Encode},
    process::{Address, Process, Seat, Ticket, Token},
    time::Time,
};

/// A node.
#[derive(Debug)]
pub(super) struct Sides<P: Process> {
    pub(super) sides: BTreeMap<Seat, Side<P>>,
    pub(super) is_up: bool,
    /// Its peers refuse it for good: its disk is gone.
    pub(super) is_barred: bool,
    /// How often it was started.
    pub(super) life: u64,
    pub(super) started: Time,
    /// How much faster or slower than true time its clock runs, in millionths.
    drift: i64,
    /// What reaches it while it stands still.
    pub(super) parked: Option<Vec<Event>>,
    pub(super) armed: Option<CrashPoint>,
    pub(super) slow_until: Time,
    pub(super) late_until: Time,
    /// What was decided, as this life knows.
    pub(super) applied: Option<Bytes>,
    /// The operations that callers of this life wait for.
    pub(super) open: BTreeMap<Ticket, usize>,
    /// Of those the ones that are answered as soon as it knows.
    pub(super) ready: Vec<Ticket>,
    /// How its callers' role stood when it was looked at last.
    pub(super) standing: (&'static str, u64),
    pub(super) random: Random,
}

const NODES: u64 = 8 << 32;

impl<P: Process> Sides<P> {
    /// Makes the node of this number, its disks empty.
    pub(super) fn new(seed: u64, number: u64, seats: &[Seat], drift: i64) -> Self {
        Self {
            sides: seats.iter().map(|seat| (*seat, Side::default())).collect(),
            is_up: false,
            is_barred: false,
            life: 0,
            started: Time::ZERO,
            drift,
            parked: None,
            armed: None,
            slow_until: Time::ZERO,
            late_until: Time::ZERO,
            applied: None,
            open: BTreeMap::new(),
            ready: Vec::new(),
            standing: ("", 0),
            random: Random::new(seed, NODES + number),
        }
    }

    /// Tells whether that life of the process goes on.
    pub(super) fn lives(&self, life: u64) -> bool {
        self.is_up && self.life == life
    }

    /// Reads the node's own clock.
    pub(super) fn clock(&self, now: Time) -> Time {
        let true_time = i128::try_from(now.since(self.started).as_nanos()).unwrap_or_default();
        let own = true_time * i128::from(1_000_000 + self.drift) / 1_000_000;
        Time::after_start(Duration::from_nanos(u64::try_from(own).unwrap_or_default()))
    }

    pub(super) fn side(&mut self, seat: Seat) -> &mut Side<P> {
        self.sides.get_mut(&seat).expect("a node has all seats")
    }
}

/// A role, and what it made durable.
#[derive(Debug)]
pub(super) struct Side<P: Process> {
    /// Nothing while the node is down.
    pub(super) role: Option<P>,
    written: Vec<(Token, Bytes)>,
    queue: VecDeque<(Token, Bytes)>,
    /// Messages that wait for a record.
    pub(super) held: VecDeque<(Token, Address, P::Message)>,
    pub(super) is_committing: bool,
    /// What is on the disk, and what the role was told of that.
    upto: Token,
    pub(super) told: Token,
}

impl<P: Process> Default for Side<P> {
    fn default() -> Self {
        Self {
            role: None,
            written: Vec::new(),
            queue: VecDeque::new(),
            held: VecDeque::new(),
            is_committing: false,
            upto: Token::default(),
            told: Token::default(),
        }
    }
}

impl<P: Process<Record: Encode + Decode>> Side<P> {
    /// Takes a record over.
    pub(super) fn push(&mut self, token: Token, record: &P::Record) {
        self.queue.push_back((token, Bytes::from(record.encoded())));
    }

    /// Returns how many records wait to be durable.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Makes the oldest `count` records that wait durable; returns up to which all are.
    pub(super) fn write(&mut self, count: usize) -> Token {
        for (token, bytes) in self.queue.drain(..count.min(self.queue.len())) {
            self.upto = token;
            self.written.push((token, bytes));
        }
        self.upto
    }

    /// Drops records that are not needed to recover.
    pub(super) fn compact(&mut self, before: Token) {
        self.written.retain(|(token, _)| *token >= before);
    }

    /// Ends the role; returns how many records are lost.
    pub(super) fn crash(&mut self) -> usize {
        self.role = None;
        self.held.clear();
        self.is_committing = false;
        self.told = self.upto;
        self.queue.drain(..).count()
    }

    /// Loses everything.
    pub(super) fn wipe(&mut self) {
        (self.written, self.upto) = (Vec::new(), Token::default());
    }

    /// Reads the records back.
    pub(super) fn records(&self) -> Result<Vec<(Token, P::Record)>, DecodeError> {
        let records = self.written.iter();
        records.map(|(token, bytes)| Ok((*token, P::Record::decode_all(bytes.clone())?))).collect()
    }
}
