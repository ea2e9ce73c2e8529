//! What an executor has in hand from when it claimed an epoch until it is replaced: the sagas, what
//! is to be written, and whom to ask. It knows no actor, and reads no clock.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    mem,
    sync::Arc,
};

use bytes::Bytes;
use consensus_core::{
    Time,
    saga::{
        Age, Call, CoordinatorId, Effect, Entry, Epoch, Event, Graph, Order, Outcome, Place,
        Reason, Record, Request, Saga, SagaId, Seq, State, UnderWay, Verdict,
    },
};

use super::{
    book::{After, Claimed, Ending, Fact, News, Note, Wish},
    cx::{Common, SagaCx},
    definition::{Definitions, Registered},
    telling::text,
};

/// How many bytes of facts are written at once: a command holds more than twice that.
const WRITE_BYTES: usize = 384 << 10;

/// A step that is to be asked for.
#[derive(Clone)]
pub(super) struct Attempt {
    pub(super) registered: Registered,
    pub(super) input: Bytes,
    pub(super) cx: SagaCx,
    pub(super) call: Call,
}

/// A saga in hand.
struct Held {
    saga: Saga,
    registered: Registered,
    place: Place,
    due: Option<Time>,
    note: Option<Note>,
    /// The saga whose step it is.
    parent: Option<SagaId>,
    /// Whether it has ended, and is here because that one may turn back.
    rests: bool,
}

/// What an executor begins with: what it has claimed, and all logs as they were then or later, with
/// their places.
pub(super) struct Claim {
    pub(super) claimed: Claimed,
    pub(super) logs: BTreeMap<SagaId, (Place, Vec<Entry>)>,
}

/// An executor's reign.
pub(super) struct Reign {
    coordinator: CoordinatorId,
    pub(super) epoch: Epoch,
    definitions: Arc<Definitions>,
    common: Arc<Common>,
    held: BTreeMap<SagaId, Held>,
    /// Sagas that nobody here can go on with.
    parked: BTreeMap<SagaId, Place>,
    /// The places of all that have not ended, or of which that is not written.
    open: BTreeSet<Place>,
    /// Sagas that have ended, with whether that is written: news that were asked for before may
    /// still tell of them.
    ended: BTreeMap<SagaId, bool>,
    /// With which saga's end that is written: its own, or that of the one whose step it is.
    dropped: BTreeMap<SagaId, Vec<(SagaId, Place)>>,
    /// The sagas that are steps of one.
    children: BTreeMap<SagaId, BTreeSet<SagaId>>,
    dues: BTreeSet<(Time, SagaId)>,
    /// What is to be written, in its order.
    gathered: VecDeque<Fact>,
    /// What is being written.
    writing: Vec<Fact>,
    attempts: Vec<Attempt>,
    after: After,
}

impl Reign {
    /// Begins a reign with what was claimed.
    pub(super) fn new(
        Claim { claimed: Claimed { coordinator, epoch, begun }, logs }: Claim,
        (definitions, common): (Arc<Definitions>, Arc<Common>),
        now: Time,
    ) -> Self {
        let mut reign = Self {
            coordinator,
            epoch,
            definitions,
            common,
            held: BTreeMap::new(),
            parked: BTreeMap::new(),
            open: BTreeSet::new(),
            ended: BTreeMap::new(),
            dropped: BTreeMap::new(),
            children: BTreeMap::new(),
            dues: BTreeSet::new(),
            gathered: VecDeque::new(),
            writing: Vec::new(),
            attempts: Vec::new(),
            after: After { begun, wish: 0 },
        };
        // A saga that has ended is kept for the one whose step it is, which may come behind it.
        let taken: Vec<_> =
            logs.iter().map(|(id, log)| (*id, reign.take_up((*id, log.0), &log.1, now))).collect();
        taken.into_iter().for_each(|(id, out)| reign.absorb(id, out));
        reign
    }

    /// Goes on with a saga where its log ends, and returns what is to be done for it; one that
    /// cannot be gone on with is reported, and concerns no other.
    fn take_up(&mut self, (id, place): (SagaId, Place), log: &[Entry], now: Time) -> Vec<Effect> {
        let (held, parked) = (self.held.contains_key(&id), self.parked.contains_key(&id));
        if held || parked || self.ended.contains_key(&id) {
            return Vec::new();
        }
        self.open.insert(place);
        let (saga, registered, out) = match self.resumed(id, log, now) {
            Ok(resumed) => resumed,
            Err(note) => {
                let (saga, cause) = (format!("{:032x}", id.0), &note.cause);
                // Of definitions that are not registered is told once, whatever rests on them.
                match note.is_unknown {
                    true => tracing::debug!(saga, "a saga cannot go on: {cause}"),
                    false => tracing::error!(saga, "a saga cannot go on: {cause}"),
                }
                self.parked.insert(id, place);
                self.gathered.push_back(Fact::Stuck(id, Some(note)));
                return Vec::new();
            }
        };
        let parent = parent(log);
        if let Some(parent) = parent {
            self.children.entry(parent).or_default().insert(id);
        }
        // A note of a former executor's is taken back, or written anew, by what is found now.
        let note = Some(Note::default());
        let held = Held { saga, registered, place, due: None, note, parent, rests: false };
        self.held.insert(id, held);
        out
    }

    fn resumed(
        &self,
        id: SagaId,
        log: &[Entry],
        now: Time,
    ) -> Result<(Saga, Registered, Vec<Effect>), Note> {
        let whole = |cause| Note { cause, ..Note::default() };
        let Some(Record::Begun { digest, input, .. }) = log.first().map(|first| &first.record)
        else {
            return Err(whole("its log does not begin at its beginning".to_owned()));
        };
        let registered = self.definitions.find(*digest).ok_or_else(|| {
            let cause = format!(
                "no saga of digest {digest:032x} is registered on the node in charge; register the \
                 type and version that it was begun with on a node, and it goes on there"
            );
            Note { is_unknown: true, ..whole(cause) }
        })?;
        registered.definition.check(input).map_err(|error| whole(error.message().to_owned()))?;
        let (graph, mut out) = (Arc::clone(registered.graph()), Vec::new());
        let saga = Saga::resume((id, graph), self.epoch, log, now, &mut out);
        let saga = saga.map_err(|error| whole(error.to_string()))?;
        Ok((saga, registered.clone(), out))
    }

    /// Returns what it knows of what happens in the book, to ask for the rest.
    pub(super) fn asks(&mut self) -> After {
        self.ended.retain(|_, is_written| !*is_written);
        self.after
    }

    /// Takes in what has happened in the book.
    pub(super) fn hear(&mut self, news: &News, now: Time) {
        for (place, saga, first) in &news.begun {
            self.after.begun = self.after.begun.max(*place);
            let out = self.take_up((*saga, *place), std::slice::from_ref(first), now);
            self.absorb(*saga, out);
        }
        for (number, wish) in &news.wishes {
            self.after.wish = self.after.wish.max(*number);
            let refusal = self.grant(wish, now).err();
            self.gathered.push_back(Fact::Granted(*number, refusal));
        }
    }

    fn grant(&mut self, wish: &Wish, now: Time) -> Result<(), String> {
        let Wish { saga, order, reason } = wish;
        if self.parked.contains_key(saga) {
            if *order != Order::Abandon {
                return Err("it cannot go on here, so it can only be abandoned".to_owned());
            }
            self.end(*saga, Ending::Abandoned);
            return Ok(());
        }
        let Some(held) = self.held.get_mut(saga) else {
            return Err("the saga has ended; nothing is left to be done about it".to_owned());
        };
        let mut out = Vec::new();
        let ordered = held.saga.order(now, order.clone(), reason, &mut out);
        ordered.map_err(|error| error.to_string())?;
        held.rests = false;
        self.absorb(*saga, out);
        Ok(())
    }

    /// Takes in what came of an attempt.
    pub(super) fn replied(&mut self, call: &Call, outcome: Outcome, now: Time) {
        let (key, attempt) = (call.key, call.attempt);
        self.step(key.saga, now, Event::Replied { key, attempt, outcome });
    }

    /// Looks at the time.
    pub(super) fn tick(&mut self, now: Time) {
        let due = self.dues.iter().take_while(|(due, _)| *due <= now);
        for saga in due.map(|(_, saga)| *saga).collect::<Vec<_>>() {
            self.step(saga, now, Event::Tick);
        }
    }

    /// Returns when it must look at the time next.
    pub(super) fn due(&self) -> Option<Time> {
        self.dues.first().map(|(due, _)| *due)
    }

    /// Returns what is to be written, unless a write is under way.
    pub(super) fn next_write(&mut self) -> Option<Vec<Fact>> {
        if !self.writing.is_empty() {
            return None;
        }
        let mut bytes = 0;
        while let Some(fact) = self.gathered.front() {
            bytes += fact.weight();
            if bytes > WRITE_BYTES && !self.writing.is_empty() {
                break;
            }
            self.writing.extend(self.gathered.pop_front());
        }
        self.rewrite()
    }

    /// Returns what was being written, which may be written or not: to write it again is harmless.
    pub(super) fn rewrite(&self) -> Option<Vec<Fact>> {
        (!self.writing.is_empty()).then(|| self.writing.clone())
    }

    /// What was being written is durable.
    pub(super) fn written(&mut self, now: Time) {
        let mut durable: BTreeMap<SagaId, Seq> = BTreeMap::new();
        for fact in mem::take(&mut self.writing) {
            match fact {
                Fact::Entry(saga, entry) => drop(durable.insert(saga, entry.seq)),
                Fact::Ended(saga, _) => {
                    let with_it = self.dropped.remove(&saga).unwrap_or_default();
                    for (gone, place) in with_it {
                        self.ended.insert(gone, true);
                        self.open.remove(&place);
                    }
                }
                Fact::Stuck(..) | Fact::Granted(..) => {}
            }
        }
        for (saga, upto) in durable {
            self.step(saga, now, Event::Appended(upto));
        }
    }

    /// Returns what is being asked for on behalf of a saga.
    pub(super) fn under_way(&self, id: SagaId) -> Vec<UnderWay> {
        self.held.get(&id).into_iter().flat_map(|held| held.saga.under_way()).collect()
    }

    /// Returns the steps that are to be asked for.
    pub(super) fn take_attempts(&mut self) -> Vec<Attempt> {
        mem::take(&mut self.attempts)
    }

    fn step(&mut self, id: SagaId, now: Time, event: Event) {
        let Some(held) = self.held.get_mut(&id) else { return };
        let mut out = Vec::new();
        held.saga.step(now, event, &mut out);
        self.absorb(id, out);
    }

    fn absorb(&mut self, id: SagaId, out: Vec<Effect>) {
        let Some(held) = self.held.get_mut(&id) else { return };
        for effect in out {
            match effect {
                Effect::Append(entry) => self.gathered.push_back(Fact::Entry(id, entry)),
                Effect::Call(call) => {
                    let oldest = self.open.first().copied().unwrap_or_default();
                    let age = Age { place: held.place, oldest };
                    let (of, whose) = ((&held.saga, &held.registered), (self.coordinator, age));
                    self.attempts.push(Attempt::new(of, call, whose, Arc::clone(&self.common)));
                }
                // It is written with the record that ends it, as soon as that is decided.
                Effect::Ended(_) => {}
            }
        }
        if let Some(due) = held.due.take() {
            self.dues.remove(&(due, id));
        }
        if held.rests {
            return;
        }
        if let Some(verdict) = held.saga.state().verdict(held.saga.graph()) {
            let ending = ended(&held.saga, &verdict);
            return self.end(id, ending);
        }
        held.due = held.saga.due();
        self.dues.extend(held.due.map(|due| (due, id)));
        let note = stuck(&held.saga);
        if note != held.note {
            held.note.clone_from(&note);
            self.gathered.push_back(Fact::Stuck(id, note));
        }
    }

    /// Has it written how a saga ended. It is done with, unless it is a step of another that may
    /// turn back; with it go those that are steps of it.
    fn end(&mut self, id: SagaId, ending: Ending) {
        self.gathered.push_back(Fact::Ended(id, ending));
        let parent = self.held.get(&id).and_then(|held| held.parent);
        let is_kept =
            parent.is_some_and(|it| self.held.contains_key(&it) || self.parked.contains_key(&it));
        if let Some(held) = self.held.get_mut(&id).filter(|_| is_kept) {
            held.rests = true;
            return;
        }
        let (mut gone, mut next) = (Vec::new(), vec![id]);
        while let Some(id) = next.pop() {
            let held = self.held.remove(&id).map(|held| held.place);
            gone.extend(held.or_else(|| self.parked.remove(&id)).map(|place| (id, place)));
            self.ended.insert(id, false);
            let children = self.children.remove(&id).unwrap_or_default();
            let rests = |child: &SagaId| self.held.get(child).is_some_and(|held| held.rests);
            next.extend(children.into_iter().filter(rests));
        }
        self.dropped.insert(id, gone);
    }
}

/// Returns the saga whose step it is that this log is of.
fn parent(log: &[Entry]) -> Option<SagaId> {
    let Record::Begun { parent, .. } = &log.first()?.record else { return None };
    Some((*parent)?.saga)
}

impl Attempt {
    /// Makes what a planner asks for: a step is given what those before it have brought by now.
    pub(super) fn new(
        (saga, registered): (&Saga, &Registered),
        call: Call,
        (coordinator, age): (CoordinatorId, Age),
        common: Arc<Common>,
    ) -> Self {
        let state = saga.state();
        let before = registered.before(call.key.step);
        let outputs = before.filter_map(|step| Some((step, state.step(step).output.clone()?)));
        let Call { key, epoch, attempt, .. } = call;
        let request = Request { key, coordinator, epoch, age };
        let cx = SagaCx { request, attempt, outputs: outputs.collect(), common };
        Self { registered: registered.clone(), input: state.input.clone(), cx, call }
    }
}

/// Says why a saga does not go on by itself, if it does not.
pub(super) fn stuck(saga: &Saga) -> Option<Note> {
    let (state, graph) = (saga.state(), saga.graph());
    if let Some(step) = state.stuck(graph).first() {
        let step = *step;
        let cause = match &state.step(step).cause {
            Some(cause) if !cause.is_empty() => text(cause),
            _ => "nobody could say what came of it, however often it was asked for".to_owned(),
        };
        let step = graph.step(step).map(|step| step.name.clone());
        return Some(Note { step, cause, is_unknown: false });
    }
    state.is_quarantined().then(|| {
        let cause = "executors took it up again and again, and nothing came of it; whatever it \
                     does may be what ends them";
        Note { cause: cause.to_owned(), ..Note::default() }
    })
}

/// Says how a saga has ended.
pub(super) fn ended(saga: &Saga, verdict: &Verdict) -> Ending {
    let (state, graph) = (saga.state(), saga.graph());
    match verdict {
        Verdict::Completed => {
            let last = graph.steps().next_back().expect("a saga has at least one step").0;
            Ending::Completed(state.step(last).output.clone().unwrap_or_default())
        }
        Verdict::Compensated(reason) => compensated(state, graph, reason),
        Verdict::Abandoned => Ending::Abandoned,
    }
}

fn compensated(state: &State, graph: &Graph, reason: &Reason) -> Ending {
    let name = |step| graph.step(step).map(|step| step.name.clone());
    let (failed, cause) = match reason {
        Reason::Rejected(step) => {
            let cause = state.step(*step).cause.as_ref().map(text);
            (name(*step), cause.unwrap_or_default())
        }
        Reason::Unresolved(step) => (name(*step), "nobody could say what came of it".to_owned()),
        Reason::Deadline => (None, "it was not decided before its deadline".to_owned()),
        Reason::Cancelled => (None, "it was cancelled".to_owned()),
        Reason::Revoked => (None, "the saga whose step it is turned back".to_owned()),
    };
    Ending::Compensated { failed, cause }
}
