//! The replicated state behind sagas: their logs, how those that ended did, what is stuck, what
//! waits for what others hold, and what operators wish.
//!
//! Anybody may begin a saga or wish something; all else is written by the executor of the latest
//! epoch, as [`Ledger`] demands.

mod family;
mod past;
mod said;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use consensus_core::{
    Cx, Interface, Operation, StateMachine,
    saga::{AppendError, CoordinatorId, Entry, Epoch, Families, Ledger, Place, SagaId, Seq, Start},
};
use serde::{Deserialize, Serialize};

use self::past::Past;
pub(super) use self::said::{
    After, Answer, Begin, Claimed, Command, Ending, Fact, Need, News, Note, Query, Refusal, Reply,
    Row, Standing, Wish,
};
use crate::{client::Client, replicated::Replicated};

/// How many sagas may be under way, besides those that are stuck.
pub(super) const ACTIVE_MAX: usize = 16_384;
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

/// What is kept of a saga besides its log.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Cover {
    definition: String,
    digest: u128,
    /// Tells another input from its own.
    print: u128,
    note: Option<Note>,
    /// How it ended, if it is kept because the saga whose step it is may turn back.
    ending: Option<Ending>,
}

/// What is kept of a saga that has ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Epitaph {
    definition: String,
    print: u128,
    ending: Ending,
}

/// The state.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Book {
    /// From what its first executor's node has drawn, so that a group that is made anew under its old
    /// name, and counts from one again, is not taken for itself as it was.
    coordinator: Option<CoordinatorId>,
    ledger: Ledger,
    covers: BTreeMap<SagaId, Cover>,
    /// How many are stuck, and how many have ended and are kept.
    stuck: usize,
    kept: usize,
    families: Families,
    ended: BTreeMap<SagaId, Epitaph>,
    /// The oldest first.
    ended_order: VecDeque<SagaId>,
    ended_bytes: usize,
    /// The logs of the last of them.
    past: Past,
    wishes: BTreeMap<u64, Wish>,
    granted: BTreeMap<u64, Option<String>>,
}

/// Returns what tells an input and its definition from others.
fn print(digest: u128, input: &Bytes) -> u128 {
    twox_hash::XxHash3_128::oneshot_with_seed(digest as u64 ^ (digest >> 64) as u64, input)
}

impl Book {
    fn begin(&mut self, saga: SagaId, begin: Begin) -> Result<(), Refusal> {
        let Begin { definition, digest, input, holds, parent } = begin;
        let print = print(digest, &input);
        let known = self.covers.get(&saga).map(|cover| cover.print);
        if let Some(known) = known.or_else(|| Some(self.ended.get(&saga)?.print)) {
            return if known == print { Ok(()) } else { Err(Refusal::Reused) };
        }
        if self.covers.len() >= HELD_MAX {
            return Err(Refusal::Busy(HELD_MAX));
        }
        if self.covers.len().saturating_sub(self.stuck + self.kept) >= ACTIVE_MAX {
            return Err(Refusal::Busy(ACTIVE_MAX));
        }
        let (refuses, keys) = (holds.refuses(), holds.into_keys());
        let start = Start { digest, input, keys, refuses, parent };
        self.families.start(&mut self.ledger, saga, start)?;
        let (note, ending) = (None, None);
        self.covers.insert(saga, Cover { definition, digest, print, note, ending });
        Ok(())
    }

    fn write(&mut self, epoch: Epoch, facts: Vec<Fact>) -> Result<(), AppendError> {
        if epoch != self.ledger.epoch() {
            return Err(AppendError::Stale(self.ledger.epoch()));
        }
        for fact in facts {
            match fact {
                Fact::Entry(saga, entry) => {
                    self.families.append(&mut self.ledger, saga, entry)?;
                    self.look_back(saga);
                }
                Fact::Stuck(saga, note) => self.note(saga, note),
                Fact::Ended(saga, ending) => self.end(saga, epoch, ending)?,
                Fact::Granted(wish, refusal) => self.grant(wish, refusal),
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

    /// Remembers how a saga ended.
    fn remember(&mut self, saga: SagaId, (definition, print): (String, u128), ending: Ending) {
        self.ended_bytes += ending.weight();
        self.ended.insert(saga, Epitaph { definition, print, ending });
        self.ended_order.push_back(saga);
        while self.ended_order.len() > ENDED_MAX || self.ended_bytes > ENDED_BYTES_MAX {
            let Some(oldest) = self.ended_order.pop_front() else { break };
            let bytes = self.ended.remove(&oldest).map_or(0, |it| it.ending.weight());
            self.past.forget(oldest);
            self.ended_bytes = self.ended_bytes.saturating_sub(bytes);
        }
    }

    fn want(&mut self, number: u64, wish: Wish) -> Result<u64, Refusal> {
        if !self.covers.contains_key(&wish.saga) {
            let over = self.ended.contains_key(&wish.saga);
            return Err(if over { Refusal::Over } else { Refusal::Unknown });
        }
        if self.families.is_waiting(wish.saga) {
            let refusal = self.want_of_waiting(wish.saga, &wish.order);
            self.grant(number, refusal);
            return Ok(number);
        }
        if self.wishes.len() >= WISHES_MAX {
            return Err(Refusal::Busy(WISHES_MAX));
        }
        self.wishes.insert(number, wish);
        Ok(number)
    }

    fn grant(&mut self, number: u64, refusal: Option<String>) {
        self.wishes.remove(&number);
        self.granted.insert(number, refusal);
        if self.granted.len() > GRANTED_MAX {
            self.granted.pop_first();
        }
    }

    fn records(&self, (from, seq): (SagaId, Seq), only: bool) -> Vec<(SagaId, Place, Entry)> {
        let sagas = self.ledger.sagas().skip_while(|(saga, _)| *saga < from);
        let sagas = sagas.take_while(|_| !only).chain(only.then(|| (from, self.log(from))));
        let entries = sagas.flat_map(|(saga, log)| {
            let place = self.ledger.place(saga).unwrap_or_default();
            log.iter().map(move |entry| (saga, place, entry))
        });
        let entries = entries.filter(|(saga, _, entry)| *saga != from || entry.seq >= seq);
        let entries = entries.map(|(saga, place, entry)| (saga, place, entry.clone()));
        paged(entries, |(_, _, entry)| said::weight(entry)).0
    }

    /// Returns the log of a saga, also of one that has ended if it is kept.
    fn log(&self, saga: SagaId) -> &[Entry] {
        match self.ledger.log(saga) {
            [] => self.past.log(saga),
            log => log,
        }
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
        let Some(After { begun, wish }) = execute else {
            return News { told, granted, more, ..News::default() };
        };
        let first = |(place, saga)| Some((place, saga, self.ledger.log(saga).first()?.clone()));
        let begun = self.ledger.behind(begun).filter_map(first);
        let (begun, more_begun) = paged(begun, |(_, _, entry)| said::weight(entry));
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
            Some(Cover { ending: Some(ending), .. }) => Standing::Ended(ending.clone()),
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
        let records = self.log(saga).last().map_or(0, |last| last.seq.0);
        let waits = self.families.waits(saga);
        let waits = waits.map(|(key, holder)| (key.to_owned(), holder));
        Some(Row { saga, definition, records, standing: self.standing(saga), waits })
    }

    fn list(&self, after: Option<SagaId>, stuck: bool) -> Vec<Row> {
        let behind = self.covers.iter().filter(|(saga, _)| after.is_none_or(|it| **saga > it));
        let wanted = behind.filter(|(_, cover)| match stuck {
            true => cover.note.is_some(),
            false => cover.ending.is_none(),
        });
        wanted.take(ROWS_MAX).filter_map(|(saga, _)| self.look(*saga)).collect()
    }
}

/// Adds a saga to what is needed.
fn need(needs: &mut BTreeMap<u128, Need>, cover: &Cover) {
    let Cover { digest, definition, note, .. } = cover;
    let need = needs.entry(*digest).or_insert_with(|| Need {
        digest: *digest,
        definition: definition.clone(),
        sagas: 0,
        is_unknown: false,
    });
    need.sagas += 1;
    need.is_unknown |= note.as_ref().is_some_and(|note| note.is_unknown);
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
            operation("Needs", "Tells what sagas rest on; `node.sagas` asks."),
        ],
    };

    fn apply(&mut self, cx: &mut Cx, command: Command) -> Reply {
        match command {
            Command::Begin(saga, begin) => Reply::Begun(self.begin(saga, begin)),
            Command::Claim(drawn) => {
                let coordinator = *self.coordinator.get_or_insert(drawn);
                let (epoch, begun) = (self.ledger.claim(), self.ledger.last());
                Reply::Claimed(Claimed { coordinator, epoch, begun })
            }
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
            Query::Needs => {
                let mut needs = BTreeMap::new();
                self.covers.values().for_each(|cover| need(&mut needs, cover));
                Answer::Needs(needs.into_values().collect())
            }
        }
    }
}

impl Replicated for Book {
    type Client = Client<Self>;

    const NAME: &'static str = "sagas";
}
