//! The replicated state behind sagas: their logs, how those that ended did, what is stuck, and what
//! operators wish.
//!
//! Anybody may begin a saga or wish something; all else is written by the executor of the latest
//! epoch, as [`Ledger`] demands.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use consensus_core::{
    Cx, Interface, Operation, StateMachine,
    saga::{AppendError, Entry, Epoch, Ledger, Order, Record, SagaId, Seq},
};
use serde::{Deserialize, Serialize};

use crate::{client::Client, replicated::Replicated};

/// How many sagas may be under way, besides those that are stuck.
pub(super) const ACTIVE_MAX: usize = 8_192;
/// How many sagas there may be that have not ended.
pub(super) const HELD_MAX: usize = 65_536;
/// How many wishes of operators may wait for the executor.
const WISHES_MAX: usize = 1_024;
/// How many answers to wishes are kept.
const GRANTED_MAX: usize = 1_024;
/// How many sagas that ended are remembered, and how many bytes of what they brought.
const ENDED_MAX: usize = 65_536;
const ENDED_BYTES_MAX: usize = 32 << 20;
/// How many bytes of a log are read at a time; a reply holds more than twice that.
const PAGE_BYTES: usize = 512 << 10;
/// How many rows a list has.
const ROWS_MAX: usize = 1_024;

/// How a saga ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Ending {
    Completed(Bytes),
    Compensated { failed: Option<String>, cause: String },
    Abandoned,
}

/// Why a saga does not go on by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) step: Option<String>,
    pub(super) cause: String,
}

/// What an operator wants of a saga.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wish {
    pub(super) saga: SagaId,
    pub(super) order: Order,
    pub(super) reason: String,
}

/// What the executor has to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Fact {
    Entry(SagaId, Entry),
    /// It is stuck, or no longer.
    Stuck(SagaId, Option<Note>),
    Ended(SagaId, Ending),
    /// A wish was carried out, or refused for this reason.
    Granted(u64, Option<String>),
}

impl Fact {
    /// Returns about how many bytes it takes.
    pub(super) fn weight(&self) -> usize {
        let of = match self {
            Self::Entry(_, entry) => weight(entry),
            Self::Ended(_, ending) => ending.weight(),
            Self::Stuck(_, note) => note.as_ref().map_or(0, |note| note.cause.len()),
            Self::Granted(_, refusal) => refusal.as_ref().map_or(0, String::len),
        };
        64 + of
    }
}

impl Ending {
    fn weight(&self) -> usize {
        match self {
            Self::Completed(output) => output.len(),
            Self::Compensated { failed, cause } => {
                failed.as_ref().map_or(0, String::len) + cause.len()
            }
            Self::Abandoned => 0,
        }
    }
}

fn weight(entry: &Entry) -> usize {
    let payload = match &entry.record {
        Record::Begun { input, .. } => input.len(),
        Record::Done { output, .. } => output.len(),
        Record::Rejected { cause, .. } | Record::UndoFailed { cause, .. } => cause.len(),
        Record::Ordered { reason, .. } => reason.len(),
        Record::Intended(_)
        | Record::Unresolved(_)
        | Record::Turned(_)
        | Record::Undone(_)
        | Record::Resumed => 0,
    };
    64 + payload
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Command {
    /// A saga is to be carried out.
    Begin { saga: SagaId, definition: String, digest: u128, input: Bytes },
    /// An executor begins an epoch.
    Claim,
    /// The executor of an epoch says what happened.
    Write { epoch: Epoch, facts: Vec<Fact> },
    /// An operator steps in.
    Want(Wish),
}

/// Why something is not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Refusal {
    /// There are too many.
    Busy(usize),
    /// The id was used with another input or definition.
    Reused,
    /// There is no such saga.
    Unknown,
    /// It has ended.
    Over,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reply {
    Begun(Result<(), Refusal>),
    Claimed(Epoch),
    Written(Result<(), AppendError>),
    /// The number of the wish.
    Wanted(Result<u64, Refusal>),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Query {
    /// Records from a place on, of all sagas or of one.
    Records { from: (SagaId, Seq), only: bool },
    /// What has happened that this node waits for.
    News { sagas: Vec<SagaId>, wishes: Vec<u64>, execute: Option<After> },
    /// The sagas behind one, those that are stuck or all.
    List { after: Option<SagaId>, stuck: bool },
    /// One saga.
    Look(SagaId),
}

/// What an executor knows already: sagas that were begun up to here, wishes up to there.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct After {
    pub(super) born: u64,
    pub(super) wish: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Records(Vec<(SagaId, Entry)>),
    News(News),
    Rows(Vec<Row>),
    Row(Option<Row>),
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct News {
    /// How those stand that were asked for and are not simply under way.
    pub(super) told: Vec<(SagaId, Standing)>,
    pub(super) granted: Vec<(u64, Option<String>)>,
    /// Sagas that were begun, in their order, with their first records.
    pub(super) begun: Vec<(u64, SagaId, Entry)>,
    pub(super) wishes: Vec<(u64, Wish)>,
    /// Whether there is more than makes a page.
    pub(super) more: bool,
}

/// How a saga stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Standing {
    Unknown,
    UnderWay,
    Stuck(Note),
    Ended(Ending),
}

/// A saga in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) saga: SagaId,
    pub(super) definition: String,
    pub(super) records: u64,
    pub(super) standing: Standing,
}

/// What is kept of a saga besides its log.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Cover {
    definition: String,
    born: u64,
    note: Option<Note>,
}

/// What is kept of a saga that has ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Epitaph {
    definition: String,
    /// Tells another input from its own.
    print: u128,
    ending: Ending,
}

/// The state.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Book {
    ledger: Ledger,
    covers: BTreeMap<SagaId, Cover>,
    /// By when each was begun, which is what an executor goes by.
    births: BTreeMap<u64, SagaId>,
    stuck: u64,
    ended: BTreeMap<SagaId, Epitaph>,
    /// The oldest first.
    ended_order: VecDeque<SagaId>,
    ended_bytes: usize,
    wishes: BTreeMap<u64, Wish>,
    granted: BTreeMap<u64, Option<String>>,
}

/// Returns what tells an input and its definition from others.
fn print(digest: u128, input: &Bytes) -> u128 {
    twox_hash::XxHash3_128::oneshot_with_seed(digest as u64 ^ (digest >> 64) as u64, input)
}

impl Book {
    fn begin(
        &mut self,
        born: u64,
        (saga, definition): (SagaId, String),
        (digest, input): (u128, Bytes),
    ) -> Result<(), Refusal> {
        let same = |same: bool| if same { Ok(()) } else { Err(Refusal::Reused) };
        if let Some(epitaph) = self.ended.get(&saga) {
            return same(epitaph.print == print(digest, &input));
        }
        if let Some(first) = self.ledger.log(saga).first() {
            return same(first.record == Record::Begun { digest, input });
        }
        let (held, stuck) = (self.covers.len(), usize::try_from(self.stuck).unwrap_or(usize::MAX));
        if held >= HELD_MAX {
            return Err(Refusal::Busy(HELD_MAX));
        }
        if held.saturating_sub(stuck) >= ACTIVE_MAX {
            return Err(Refusal::Busy(ACTIVE_MAX));
        }
        self.ledger.enqueue(saga, digest, input);
        self.covers.insert(saga, Cover { definition, born, note: None });
        self.births.insert(born, saga);
        Ok(())
    }

    fn write(&mut self, epoch: Epoch, facts: Vec<Fact>) -> Result<(), AppendError> {
        if epoch != self.ledger.epoch() {
            return Err(AppendError::Stale(self.ledger.epoch()));
        }
        for fact in facts {
            match fact {
                Fact::Entry(saga, entry) => self.ledger.append(saga, entry)?,
                Fact::Stuck(saga, note) => self.note(saga, note),
                Fact::Ended(saga, ending) => self.end(saga, epoch, ending)?,
                Fact::Granted(wish, refusal) => {
                    self.wishes.remove(&wish);
                    self.granted.insert(wish, refusal);
                    if self.granted.len() > GRANTED_MAX {
                        self.granted.pop_first();
                    }
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, saga: SagaId, note: Option<Note>) {
        let Some(cover) = self.covers.get_mut(&saga) else { return };
        match (cover.note.is_some(), note.is_some()) {
            (false, true) => self.stuck += 1,
            (true, false) => self.stuck -= 1,
            (_, _) => {}
        }
        cover.note = note;
    }

    fn end(&mut self, saga: SagaId, epoch: Epoch, ending: Ending) -> Result<(), AppendError> {
        let Some(Record::Begun { digest, input }) =
            self.ledger.log(saga).first().map(|first| first.record.clone())
        else {
            return Ok(());
        };
        self.ledger.put_away(saga, epoch)?;
        self.note(saga, None);
        let Some(Cover { definition, born, .. }) = self.covers.remove(&saga) else { return Ok(()) };
        self.births.remove(&born);
        self.ended_bytes += ending.weight();
        self.ended.insert(saga, Epitaph { definition, print: print(digest, &input), ending });
        self.ended_order.push_back(saga);
        while self.ended_order.len() > ENDED_MAX || self.ended_bytes > ENDED_BYTES_MAX {
            let Some(oldest) = self.ended_order.pop_front() else { break };
            let bytes = self.ended.remove(&oldest).map_or(0, |it| it.ending.weight());
            self.ended_bytes = self.ended_bytes.saturating_sub(bytes);
        }
        Ok(())
    }

    fn want(&mut self, number: u64, wish: Wish) -> Result<u64, Refusal> {
        if !self.covers.contains_key(&wish.saga) {
            let over = self.ended.contains_key(&wish.saga);
            return Err(if over { Refusal::Over } else { Refusal::Unknown });
        }
        if self.wishes.len() >= WISHES_MAX {
            return Err(Refusal::Busy(WISHES_MAX));
        }
        self.wishes.insert(number, wish);
        Ok(number)
    }

    fn records(&self, (from, seq): (SagaId, Seq), only: bool) -> Vec<(SagaId, Entry)> {
        let sagas = self.ledger.sagas().skip_while(|(saga, _)| *saga < from);
        let sagas = sagas.take_while(|(saga, _)| !only || *saga == from);
        let entries = sagas.flat_map(|(saga, log)| log.iter().map(move |entry| (saga, entry)));
        let entries = entries.filter(|(saga, entry)| *saga != from || entry.seq >= seq);
        paged(entries.map(|(saga, entry)| (saga, entry.clone())), |(_, entry)| weight(entry)).0
    }

    fn news(&self, sagas: Vec<SagaId>, wishes: Vec<u64>, execute: Option<After>) -> News {
        let told = sagas.into_iter().map(|saga| (saga, self.standing(saga)));
        let told = told.filter(|(_, standing)| *standing != Standing::UnderWay);
        let (told, more) = paged(told, |(_, standing)| match standing {
            Standing::Ended(ending) => 64 + ending.weight(),
            Standing::Stuck(_) | Standing::Unknown | Standing::UnderWay => 64,
        });
        let granted = |wish: u64| Some((wish, self.granted.get(&wish)?.clone()));
        let granted = wishes.into_iter().filter_map(granted).collect();
        let Some(After { born, wish }) = execute else {
            return News { told, granted, more, ..News::default() };
        };
        let first = |(born, saga): (&u64, &SagaId)| {
            Some((*born, *saga, self.ledger.log(*saga).first()?.clone()))
        };
        let begun = self.births.range(born.saturating_add(1)..).filter_map(first);
        let (begun, more_begun) = paged(begun, |(_, _, entry)| weight(entry));
        // A wish may be about a saga that was begun just before it.
        let wishes = self.wishes.range(wish.saturating_add(1)..).filter(|_| !more_begun);
        let wishes = wishes.map(|(number, wish)| (*number, wish.clone()));
        let (wishes, more_wishes) = paged(wishes, |(_, wish)| 128 + wish.reason.len());
        News { told, granted, begun, wishes, more: more || more_begun || more_wishes }
    }

    fn standing(&self, saga: SagaId) -> Standing {
        if let Some(epitaph) = self.ended.get(&saga) {
            return Standing::Ended(epitaph.ending.clone());
        }
        match self.covers.get(&saga) {
            Some(Cover { note: Some(note), .. }) => Standing::Stuck(note.clone()),
            Some(_) => Standing::UnderWay,
            None => Standing::Unknown,
        }
    }

    fn look(&self, saga: SagaId) -> Option<Row> {
        let definition = match self.covers.get(&saga) {
            Some(cover) => cover.definition.clone(),
            None => self.ended.get(&saga)?.definition.clone(),
        };
        let records = self.ledger.log(saga).last().map_or(0, |last| last.seq.0);
        Some(Row { saga, definition, records, standing: self.standing(saga) })
    }

    fn list(&self, after: Option<SagaId>, stuck: bool) -> Vec<Row> {
        let behind = self.covers.iter().filter(|(saga, _)| after.is_none_or(|it| **saga > it));
        let wanted = behind.filter(|(_, cover)| !stuck || cover.note.is_some());
        wanted.take(ROWS_MAX).filter_map(|(saga, _)| self.look(*saga)).collect()
    }
}

/// Takes as many as make a page, and at least one if there is any; tells whether there are more.
fn paged<T>(all: impl Iterator<Item = T>, weight: impl Fn(&T) -> usize) -> (Vec<T>, bool) {
    let (mut page, mut bytes) = (Vec::new(), 0);
    for it in all {
        bytes += weight(&it);
        if bytes > PAGE_BYTES && !page.is_empty() {
            return (page, true);
        }
        page.push(it);
    }
    (page, false)
}

const fn operation(name: &'static str, doc: &'static str) -> Operation {
    Operation { name, arguments: &[], doc }
}

impl StateMachine for Book {
    type Command = Command;
    type Reply = Reply;
    type Query = Query;
    type Answer = Answer;

    const INTERFACE: Interface = Interface {
        commands: &[
            operation("Begin", "Begins a saga; `node.sagas` does."),
            operation("Claim", "Begins an executor's epoch; executors do."),
            operation("Write", "Says what happened; executors do."),
            operation("Want", "Steps in; `Sagas::cancel` and its siblings do."),
        ],
        queries: &[
            operation("Records", "Reads records; executors do."),
            operation("News", "Tells what happened; `node.sagas` asks."),
            operation("List", "Lists sagas that have not ended; `Sagas::list` does."),
            operation("Look", "Tells how a saga stands; `Sagas::show` does."),
        ],
    };

    fn apply(&mut self, cx: &mut Cx, command: Command) -> Reply {
        match command {
            Command::Begin { saga, definition, digest, input } => {
                Reply::Begun(self.begin(cx.index(), (saga, definition), (digest, input)))
            }
            Command::Claim => Reply::Claimed(self.ledger.claim()),
            Command::Write { epoch, facts } => Reply::Written(self.write(epoch, facts)),
            Command::Want(wish) => Reply::Wanted(self.want(cx.index(), wish)),
        }
    }

    fn answer(&self, query: Query) -> Answer {
        match query {
            Query::Records { from, only } => Answer::Records(self.records(from, only)),
            Query::News { sagas, wishes, execute } => {
                Answer::News(self.news(sagas, wishes, execute))
            }
            Query::List { after, stuck } => Answer::Rows(self.list(after, stuck)),
            Query::Look(saga) => Answer::Row(self.look(saga)),
        }
    }
}

impl Replicated for Book {
    type Client = Client<Self>;

    const NAME: &'static str = "sagas";
}
