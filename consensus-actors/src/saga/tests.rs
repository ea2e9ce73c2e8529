//! Executors that fall asleep after any write, and wake when others have gone on.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use consensus_core::{
    Cx, GroupId, Index, StateMachine, Time, WallTime,
    saga::{
        Age, AppendError, Class, CoordinatorId, Entry, Epoch, Graph, Op, Order, Outcome as Came,
        Place, Record, Retry, SagaId, Seq, Step, StepId,
    },
};
use serde::{Deserialize, Serialize};

use super::{
    BoxFuture, Guard, Guarded, Outcome, Request, SagaCx, SagaDefinition, Undo,
    book::{
        ACTIVE_MAX, Answer, Begin, Book, Claimed, Command, Ending, Fact, News, Note, Query,
        Refusal, Reply, Standing, Wish,
    },
    cx::Common,
    definition::Definitions,
    holds::Holds,
    reign::{Attempt, Claim, Reign},
};
use crate::{paused::Inspect, sync::lock};

mod ages;
mod many;

const SAGA: SagaId = SagaId(7);

/// When an executor falls asleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// Before it is told of its last write.
    Untold,
    /// Before it asks for what rests on it.
    BeforeCalls,
    /// Before it writes what came of that.
    BeforeWrite,
}

/// After how many writes an executor falls asleep, and when.
type Sleep = (usize, When);

/// Never.
const AWAKE: Sleep = (usize::MAX, When::Untold);

/// A purse that steps take from, one each.
#[derive(Clone, Debug, Default)]
struct Purse {
    guard: Guard,
    taken: BTreeMap<StepId, u32>,
    put_back: BTreeMap<StepId, u32>,
}

impl Purse {
    fn take(&mut self, of: Request, refuses: bool) -> Guarded<u16> {
        let Self { guard, taken, .. } = self;
        guard.act(of, || {
            if refuses {
                return Err("no");
            }
            *taken.entry(of.key.step).or_default() += 1;
            Ok(of.key.step.0)
        })
    }

    fn put_back(&mut self, of: Request) -> Guarded<()> {
        let Self { guard, put_back, .. } = self;
        guard.undo(of, |step: u16| {
            *put_back.entry(StepId(step)).or_default() += 1;
            Ok::<_, &str>(())
        })
    }
}

/// Three steps, of which the last may be refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Three {
    refused: bool,
}

impl SagaDefinition for Three {
    type Output = u16;

    fn graph() -> Graph {
        let step = |name: &str, class, after: &[u16]| Step {
            name: name.to_owned(),
            class,
            after: after.iter().copied().map(StepId).collect(),
            timeout: Duration::from_secs(1),
            retry: Retry::default(),
        };
        let steps = vec![
            step("a", Class::Compensatable, &[]),
            step("b", Class::Compensatable, &[0]),
            step("c", Class::Pivot, &[]),
        ];
        Graph::new(("three", 1), None, steps).unwrap()
    }

    fn act<'a>(&'a self, step: StepId, cx: &'a SagaCx) -> BoxFuture<'a, Outcome<Bytes>> {
        let purse = cx.get::<Arc<Mutex<Purse>>>();
        let reply = lock(purse).take(cx.request(), self.refused && step == StepId(2));
        Box::pin(async { Outcome::<u16>::from(reply).encoded() })
    }

    fn undo<'a>(&'a self, _: StepId, cx: &'a SagaCx, _: Option<Bytes>) -> BoxFuture<'a, Undo> {
        let reply = lock(cx.get::<Arc<Mutex<Purse>>>()).put_back(cx.request());
        Box::pin(async { reply.into() })
    }
}

/// The book, and what executors need.
struct Stage {
    book: Book,
    index: u64,
    now: Time,
    purse: Arc<Mutex<Purse>>,
    definitions: Arc<Definitions>,
    common: Arc<Common>,
    runtime: tokio::runtime::Runtime,
}

impl Stage {
    fn new(knows: bool) -> Self {
        let purse = Arc::<Mutex<Purse>>::default();
        let (mut definitions, mut common) = (Definitions::default(), Common::default());
        if knows {
            definitions.add::<Three>().unwrap();
            definitions.add::<many::Stubborn>().unwrap();
        }
        common.add(Arc::clone(&purse));
        Self {
            book: Book::default(),
            index: 0,
            now: Time::ZERO,
            purse,
            definitions: Arc::new(definitions),
            common: Arc::new(common),
            runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
        }
    }

    fn apply(&mut self, command: Command) -> Reply {
        self.index += 1;
        let mut cx = Cx::new(GroupId::named("sagas"), Index(self.index), WallTime(0));
        self.book.apply(&mut cx, command)
    }

    fn begin(&mut self, saga: SagaId, refused: bool) -> Reply {
        self.begin_with(saga, &Three { refused })
    }

    fn begin_with<S: SagaDefinition>(&mut self, saga: SagaId, input: &S) -> Reply {
        let (definition, digest) = (S::graph().to_string(), S::graph().digest());
        let input = crate::client::encode(input).unwrap();
        self.apply(Command::Begin(
            saga,
            Begin { definition, digest, input, holds: Holds::nothing(), parent: None },
        ))
    }

    fn write(&mut self, epoch: Epoch, facts: Vec<Fact>) -> Result<(), AppendError> {
        match self.apply(Command::Write { epoch, facts }) {
            Reply::Written(written) => written,
            other => panic!("{other:?}"),
        }
    }

    fn logs(&self) -> BTreeMap<SagaId, (Place, Vec<Entry>)> {
        let mut logs: BTreeMap<SagaId, (Place, Vec<Entry>)> = BTreeMap::new();
        let mut from = (SagaId(0), Seq(1));
        loop {
            let query = Query::Records { from, only: false };
            let Answer::Records(records) = self.book.answer(query) else { panic!("records") };
            let Some((saga, _, last)) = records.last() else { return logs };
            from = (*saga, last.seq.next());
            for (saga, place, entry) in records {
                logs.entry(saga).or_insert_with(|| (place, Vec::new())).1.push(entry);
            }
        }
    }

    fn claimed(&mut self) -> Claimed {
        match self.apply(Command::Claim(CoordinatorId(1))) {
            Reply::Claimed(claimed) => claimed,
            other => panic!("{other:?}"),
        }
    }

    fn claim(&mut self) -> Reign {
        let claimed = self.claimed();
        let means = (Arc::clone(&self.definitions), Arc::clone(&self.common));
        let claim = Claim { claimed, logs: self.logs() };
        Reign::new(claim, means, self.now)
    }

    fn news(&self, reign: &mut Reign) -> News {
        let execute = Some(reign.asks());
        let query = Query::News { sagas: vec![SAGA], wishes: Vec::new(), execute };
        let Answer::News(news) = self.book.answer(query) else { panic!("news") };
        news
    }

    fn run(&self, attempt: Attempt) -> Came {
        let Attempt { registered, input, cx, call } = attempt;
        self.runtime.block_on(registered.definition.run(input, cx, call.output))
    }

    /// Has an executor do what it can, for so many writes at most; tells whether it did them all.
    /// Returns what it was about to ask for, too.
    fn carry_on(&mut self, reign: &mut Reign, (writes, when): Sleep) -> (bool, Vec<Attempt>) {
        let mut done = 0;
        loop {
            self.now = self.now + Duration::from_millis(10);
            let news = self.news(reign);
            reign.hear(&news, self.now);
            let attempts = reign.take_attempts();
            let Some(facts) = reign.next_write() else {
                if attempts.is_empty() && reign.due().is_none() {
                    return (false, attempts);
                }
                for attempt in attempts {
                    let call = attempt.call.clone();
                    let came = self.run(attempt);
                    reign.replied(&call, came, self.now);
                }
                reign.tick(self.now);
                continue;
            };
            if done == writes {
                return (true, attempts);
            }
            done += 1;
            assert_eq!(self.write(reign.epoch, facts), Ok(()));
            if done == writes && when == When::Untold {
                return (true, attempts);
            }
            reign.written(self.now);
            if done == writes && when == When::BeforeCalls {
                return (true, reign.take_attempts());
            }
            for attempt in attempts {
                let call = attempt.call.clone();
                let came = self.run(attempt);
                reign.replied(&call, came, self.now);
            }
        }
    }
}

fn completed() -> Ending {
    Ending::Completed(crate::client::encode(&2_u16).unwrap())
}

// Goal: wherever an executor falls asleep, the next ends its saga whole, with each effect once;
// when it wakes, what it asks for is refused by the participants and what it writes by the book.
// Method: it is put to sleep after each of its writes, at three moments, and so is the next.
#[test]
fn an_executor_that_wakes_is_refused() {
    let whens = [When::Untold, When::BeforeCalls, When::BeforeWrite];
    let sleeps = (0..14).flat_map(|writes| whens.map(|when| (writes, when)));
    let mut woken = 0;
    let twice = sleeps.clone().flat_map(|first| sleeps.clone().map(move |second| (first, second)));
    let cases = twice.flat_map(|(first, second)| [(false, first, second), (true, first, second)]);
    for (refused, first, second) in cases {
        let mut stage = Stage::new(true);
        assert_eq!(stage.begin(SAGA, refused), Reply::Begun(Ok(())));
        let mut asleep = Vec::new();
        for sleep in [first, second, AWAKE] {
            let mut reign = stage.claim();
            let (sleeps, attempts) = stage.carry_on(&mut reign, sleep);
            assert!(sleep != AWAKE || !sleeps);
            asleep.push((sleeps, reign, attempts));
        }
        let ending = match stage.book.answer(Query::Look(SAGA)) {
            Answer::Row(Some(row)) => row.standing,
            other => panic!("{other:?}"),
        };
        let (failed, cause) = (Some("c".to_owned()), "no".to_owned());
        let undone = Ending::Compensated { failed, cause };
        assert_eq!(ending, Standing::Ended(if refused { undone } else { completed() }));
        let once = |steps: u16| (0..steps).map(|step| (StepId(step), 1)).collect();
        let purse = lock(&stage.purse).clone();
        assert_eq!(purse.taken, once(if refused { 2 } else { 3 }), "{first:?} {second:?}");
        assert_eq!(purse.put_back, once(if refused { 2 } else { 0 }), "{first:?} {second:?}");

        let latest = asleep.last().unwrap().1.epoch;
        for (sleeps, mut reign, attempts) in asleep.into_iter().take(2) {
            let epoch = reign.epoch;
            assert!(epoch < latest);
            for attempt in attempts {
                let call = attempt.call.clone();
                assert_eq!(stage.run(attempt), Came::Unknown);
                woken += 1;
                reign.replied(&call, Came::Unknown, stage.now);
            }
            if let Some(facts) = reign.rewrite().filter(|_| sleeps) {
                assert_eq!(stage.write(epoch, facts), Err(AppendError::Stale(latest)));
            }
        }
        assert_eq!((purse.taken, purse.put_back), {
            let purse = lock(&stage.purse);
            (purse.taken.clone(), purse.put_back.clone())
        });
    }
    assert!(woken > 0, "some had something in hand");
}

// Goal: a group's coordinator has one id, that of its first claim, whoever claims later: participants
// know it by that, and one that is made anew draws another.
#[test]
fn a_coordinator_keeps_the_id_of_its_first_claim() {
    let mut stage = Stage::new(true);
    for (drawn, epoch) in [(7, 1), (8, 2)] {
        let reply = stage.apply(Command::Claim(CoordinatorId(drawn)));
        let Reply::Claimed(claimed) = reply else { panic!("it is claimed") };
        assert_eq!((claimed.coordinator, claimed.epoch), (CoordinatorId(7), Epoch(epoch)));
    }
}

// Goal: news that are late tell of nothing that has ended since.
// Method: a saga is begun between a claim and the reading of the logs, and has ended when its birth
// is heard of.
#[test]
fn late_news_begin_nothing() {
    let mut stage = Stage::new(true);
    let claimed = stage.claimed();
    assert_eq!(stage.begin(SAGA, false), Reply::Begun(Ok(())));
    let means = (Arc::clone(&stage.definitions), Arc::clone(&stage.common));
    let mut reign = Reign::new(Claim { claimed, logs: stage.logs() }, means, stage.now);
    let late = stage.news(&mut reign);
    assert_eq!(late.begun.len(), 1);
    while let Some(facts) = reign.next_write() {
        assert_eq!(stage.write(claimed.epoch, facts), Ok(()));
        reign.written(stage.now);
        for attempt in reign.take_attempts() {
            let call = attempt.call.clone();
            let came = stage.run(attempt);
            reign.replied(&call, came, stage.now);
        }
    }
    reign.hear(&late, stage.now);
    assert_eq!(reign.next_write(), None);
    assert_eq!(stage.news(&mut reign).told, [(SAGA, Standing::Ended(completed()))]);
}

// Goal: what cannot be gone on with is stuck, is all an operator can abandon, and concerns no
// other.
#[test]
fn what_is_unknown_is_parked() {
    let mut stage = Stage::new(false);
    assert_eq!(stage.begin(SAGA, false), Reply::Begun(Ok(())));
    let mut reign = stage.claim();
    assert!(!stage.carry_on(&mut reign, AWAKE).0);
    let told = stage.news(&mut reign).told;
    assert!(matches!(&told[..], [(SAGA, Standing::Stuck(_))]), "{told:?}");
    for (order, refused) in [(Order::Retry(None), true), (Order::Abandon, false)] {
        let wish = Wish { saga: SAGA, order, reason: "why".to_owned() };
        let Reply::Wanted(Ok(number)) = stage.apply(Command::Want(wish)) else { panic!("wanted") };
        stage.carry_on(&mut reign, AWAKE);
        let query = Query::News { sagas: Vec::new(), wishes: vec![number], execute: None };
        let Answer::News(news) = stage.book.answer(query) else { panic!("news") };
        assert_eq!(news.granted.len(), 1);
        assert_eq!(news.granted[0].1.is_some(), refused, "{:?}", news.granted);
    }
    assert_eq!(stage.news(&mut reign).told, [(SAGA, Standing::Ended(Ending::Abandoned))]);
}

// Goal: an id begins one saga, before and after it has ended, and none with another input.
#[test]
fn an_id_begins_one_saga() {
    let mut stage = Stage::new(true);
    for _ in 0..2 {
        assert_eq!(stage.begin(SAGA, false), Reply::Begun(Ok(())));
        assert_eq!(stage.begin(SAGA, true), Reply::Begun(Err(Refusal::Reused)));
        let mut reign = stage.claim();
        assert!(!stage.carry_on(&mut reign, AWAKE).0);
    }
    assert_eq!(lock(&stage.purse).taken.values().sum::<u32>(), 3);
    let bytes = rmp_serde::to_vec_named(&stage.book).unwrap();
    let restored: Book = rmp_serde::from_slice(&bytes).unwrap();
    assert_eq!(rmp_serde::to_vec_named(&restored).unwrap(), bytes);
}

// Goal: there is a limit to how many sagas are under way, to which those that are stuck do not
// count; where one has ended there is room again.
#[test]
fn too_many_are_refused() {
    let mut stage = Stage::new(false);
    let saga = |number: usize| SagaId(number as u128);
    for number in 0..ACTIVE_MAX {
        assert_eq!(stage.begin(saga(number), false), Reply::Begun(Ok(())));
    }
    let busy = Reply::Begun(Err(Refusal::Busy(ACTIVE_MAX)));
    assert_eq!(stage.begin(saga(ACTIVE_MAX), false), busy);
    let epoch = stage.claimed().epoch;
    let note = Note { cause: "why".to_owned(), ..Note::default() };
    let facts = vec![Fact::Stuck(saga(0), Some(note)), Fact::Ended(saga(1), Ending::Abandoned)];
    assert_eq!(stage.write(epoch, facts), Ok(()));
    for number in [ACTIVE_MAX, ACTIVE_MAX + 1] {
        assert_eq!(stage.begin(saga(number), false), Reply::Begun(Ok(())));
    }
    assert_eq!(stage.begin(saga(ACTIVE_MAX + 2), false), busy);
    let facts = vec![Fact::Stuck(saga(0), None)];
    assert_eq!(stage.write(Epoch(epoch.0 - 1), facts), Err(AppendError::Stale(epoch)));
}

// Goal: what sagas brought that have ended is kept within a bound; the oldest goes first, and its
// id is as good as new then.
#[test]
fn the_oldest_are_forgotten() {
    let mut stage = Stage::new(false);
    let epoch = stage.claimed().epoch;
    let output = Bytes::from(vec![0; 64 << 10]);
    let look = |stage: &Stage, saga| match stage.book.answer(Query::Look(saga)) {
        Answer::Row(row) => row.map(|row| row.standing),
        other => panic!("{other:?}"),
    };
    for number in 0..=512 {
        let ended = Standing::Ended(Ending::Completed(output.clone()));
        assert!(number == 0 || look(&stage, SagaId(0)) == Some(ended), "{number}");
        assert_eq!(stage.begin(SagaId(number), false), Reply::Begun(Ok(())));
        let ended = Fact::Ended(SagaId(number), Ending::Completed(output.clone()));
        assert_eq!(stage.write(epoch, vec![ended]), Ok(()));
    }
    assert_eq!(look(&stage, SagaId(0)), None);
    assert!(look(&stage, SagaId(1)).is_some());
    assert_eq!(stage.begin(SagaId(0), true), Reply::Begun(Ok(())));
}

// Goal: a guard answers each request once and for good: repeated, refused, undone, come too late.
#[test]
fn a_guard_lets_each_effect_come_about_once() {
    let mut purse = Purse::default();
    let request = |step: u16, op, epoch| Request {
        key: super::EffectKey { saga: SAGA, step: StepId(step), op, round: 0 },
        coordinator: CoordinatorId(1),
        epoch: Epoch(epoch),
        age: Age { place: Place(3), oldest: Place(3) },
    };
    let (act, undo) = (request(0, Op::Action, 2), request(0, Op::Undo, 2));
    assert_eq!(purse.take(act, false), Guarded::Done(0));
    assert_eq!(purse.take(act, true), Guarded::Done(0));
    assert_eq!(purse.take(request(0, Op::Action, 1), false), Guarded::Refused);
    assert_eq!(purse.take(undo, false), Guarded::Refused);
    assert_eq!(purse.put_back(act), Guarded::Refused);
    assert_eq!(purse.put_back(undo), Guarded::Done(()));
    assert_eq!(purse.put_back(undo), Guarded::Done(()));
    assert_eq!(purse.take(act, false), Guarded::Refused);

    let (act, undo) = (request(1, Op::Action, 2), request(1, Op::Undo, 2));
    assert_eq!(purse.put_back(undo), Guarded::Done(()));
    assert_eq!(purse.put_back(undo), Guarded::Done(()));
    assert_eq!(purse.take(act, false), Guarded::Refused);

    let act = request(2, Op::Action, 2);
    assert_eq!(purse.take(act, true), Guarded::Rejected("no".to_owned()));
    assert_eq!(purse.take(act, false), Guarded::Rejected("no".to_owned()));
    assert_eq!((purse.taken.len(), purse.put_back.len()), (1, 1));
    assert_eq!(purse.guard.len(), 3);
    let age = Age { place: Place(4), oldest: Place(4) };
    let later = Request { age, ..request(3, Op::Action, 2) };
    assert_eq!(purse.take(later, false), Guarded::Done(3));
    assert_eq!(purse.guard.len(), 1, "what has ended is forgotten");
    assert_eq!(purse.take(request(3, Op::Action, 2), false), Guarded::Refused);
}

impl super::Sagas {
    /// Returns the state of this node's replica, encoded.
    pub(crate) async fn replica(&self) -> Option<Vec<u8>> {
        let book: Book = self.client.addr().send(Inspect::default()).await.ok().flatten()?;
        rmp_serde::to_vec_named(&book).ok()
    }
}
