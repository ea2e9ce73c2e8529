//! The test of a saga finds what is wrong with its steps, its participants and its definition, and
//! names the run that shows it.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use consensus_actors::{
    MemoryCluster,
    prelude::*,
    saga::{
        BoxFuture, Broken, Bytes, Graph, Outcome, Report, Saga, SagaCx, SagaDefinition, SagaTest,
        StepId, Trial, Undo,
    },
};

use crate::{
    flawed::{Fetch, Flaw, Shop, fetch, put_back, take},
    order::{self, Services},
};

async fn flaw_of(test: SagaTest<Fetch>) -> Broken {
    test.await.expect_err("there is something wrong")
}

const ALL: [Trial; 6] = [
    Trial::Plain,
    Trial::FailEachStep,
    Trial::RepeatEachStep,
    Trial::LoseEachReply,
    Trial::CrashAfterEachRecord,
    Trial::FailEachUndo,
];

fn counts(report: &Report) -> [usize; 6] {
    ALL.map(|trial| {
        assert_eq!(report.left_out(trial), 0);
        report.runs(trial)
    })
}

// Goal: a saga whose participants have guards passes, and the runs are as many as the graph says.
// Method: `goods`, `money` and `ship` one behind the other. Requests: 3 of the plain run; 0, 2 and 4
// where `goods`, `money`, `ship` is refused. Records: 7, 3, 6 and 9; of those behind which a request
// is on its way 3, 1, 3 and 5.
#[tokio::test]
async fn a_guarded_saga_passes_in_all_runs() {
    let report = fetch(Flaw::None).all().await.unwrap();
    assert_eq!(counts(&report), [1, 3 * 3, 3 + 2 + 4, 3 + 2 + 4, 10 + 4 + 9 + 14, 2 * 2]);
    let told = report.to_string();
    assert!(told.contains("fetch version 1") && told.contains("37  crash after each"), "{told}");
    let report = fetch(Flaw::None).fail_each_undo().await.unwrap();
    assert_eq!(counts(&report), [1, 0, 0, 0, 0, 4]);
}

/// Steps of all classes, some beside others, some of which are asked for once.
#[derive(Clone, Serialize, Deserialize)]
struct Order {
    goods: u32,
}

#[saga]
impl Order {
    #[step(no_effect)]
    async fn look(&self) -> Outcome<u32> {
        Outcome::Done(self.goods)
    }

    #[step(undo = put_goods_back)]
    async fn goods(&self, cx: &SagaCx, look: &u32) -> Outcome<u32> {
        take(cx, |shop| &shop.goods, *look)
    }

    async fn put_goods_back(&self, cx: &SagaCx) -> Undo {
        put_back(cx, |shop| &shop.goods, self.goods)
    }

    #[step(undo = refund, retry(max = 1))]
    async fn money(&self, cx: &SagaCx) -> Outcome<u32> {
        take(cx, |shop| &shop.money, 20)
    }

    async fn refund(&self, cx: &SagaCx) -> Undo {
        put_back(cx, |shop| &shop.money, 20)
    }

    #[step(pivot)]
    async fn ship(&self, cx: &SagaCx) -> Outcome<u32> {
        take(cx, |shop| &shop.lorries, 1)
    }

    #[step(retriable)]
    async fn mail(&self, cx: &SagaCx) -> Outcome<u32> {
        take(cx, |shop| &shop.stamps, 1)
    }

    #[step(retriable, retry(max = 1))]
    async fn mail_again(&self, cx: &SagaCx) -> Outcome<u32> {
        take(cx, |shop| &shop.stamps, 1)
    }
}

/// Two steps beside each other, and nothing that decides.
#[derive(Clone, Serialize, Deserialize)]
struct Swap;

#[saga]
impl Swap {
    #[step(undo = put_goods_back, retry(max = 4000000000))]
    async fn goods(&self, cx: &SagaCx) -> Outcome<u32> {
        take(cx, |shop| &shop.goods, 1)
    }

    async fn put_goods_back(&self, cx: &SagaCx) -> Undo {
        put_back(cx, |shop| &shop.goods, 1)
    }

    #[step(undo = refund)]
    async fn money(&self, cx: &SagaCx) -> Outcome<u32> {
        take(cx, |shop| &shop.money, 1)
    }

    async fn refund(&self, cx: &SagaCx) -> Undo {
        put_back(cx, |shop| &shop.money, 1)
    }
}

// Goal: steps of all classes pass, also such as are asked for once only, or for ever, beside each
// other, and without one that decides.
#[tokio::test]
async fn guarded_sagas_of_any_shape_pass() {
    let test = Order { goods: 2 }.test().with(async || Shop::new(Flaw::None));
    let report = test
        .check(async |shop: &Shop, ended: &Saga<u32>| shop.whole(ended, [8, 80, 4, 3]))
        .all()
        .await
        .unwrap();
    assert_eq!((report.runs(Trial::FailEachStep), report.runs(Trial::FailEachUndo)), (18, 4));

    let test = Swap.test().with(async || Shop::new(Flaw::None));
    let report = test
        .check(async |shop: &Shop, ended: &Saga<u32>| shop.whole(ended, [9, 99, 5, 5]))
        .all()
        .await
        .unwrap();
    // Two requests of the plain run, two where one is refused, each; and four where both are done
    // and undone, of which `money` is not heard of and so has no reply to lose.
    assert_eq!(report.runs(Trial::RepeatEachStep), 2 + 2 + 2 + 4);
    assert_eq!(report.runs(Trial::LoseEachReply), 2 + 2 + 2 + 3);
}

// Goal: participants of production can be tested as they are. Method: a node in memory for each
// run, whose groups are taken from.
#[tokio::test]
async fn replicated_participants_pass() {
    let test = order::PlaceOrder { goods: 1, money: 2, ..Default::default() }.test();
    let cluster = Rc::new(RefCell::new(None));
    let report = test
        .with(async move || {
            let next = MemoryCluster::start(1).unwrap();
            let node = &next.nodes()[0];
            let goods = node.host::<order::Store>("goods").await.unwrap();
            let money = node.host::<order::Store>("money").await.unwrap();
            goods.fill(10).await.unwrap();
            money.fill(10).await.unwrap();
            // The one of the run before ends.
            cluster.replace(Some(next));
            Services { goods, money, shipped: Arc::default(), healed: Arc::default() }
        })
        .check(async |services: &Services, ended: &Saga<String>| {
            let goods = services.goods.told().await.map_err(|error| error.to_string())?.0;
            let money = services.money.told().await.map_err(|error| error.to_string())?.0;
            let whole = if matches!(ended, Saga::Completed(_)) { (9, 8) } else { (10, 10) };
            if (goods, money) == whole { Ok(()) } else { Err(format!("{goods} and {money}")) }
        })
        .all()
        .await
        .unwrap();
    assert_eq!(report.runs(Trial::FailEachStep), 9);
}

// Goal: a step that is carried out whenever it is asked for is found wherever requests come twice,
// and the run is named; where none does, it is not.
#[tokio::test]
async fn a_step_without_a_guard_is_found() {
    fetch(Flaw::Unguarded).await.unwrap();
    let late = ", and goods comes late";
    for (test, run, when) in [
        (fetch(Flaw::Unguarded).repeat_each_step(), "goods comes twice", ""),
        (fetch(Flaw::Unguarded).lose_each_reply(), "the first reply of goods is lost", ""),
        (
            fetch(Flaw::Unguarded).crash_after_each_record(),
            "crash after record 2 (goods intended)",
            late,
        ),
    ] {
        let broken = flaw_of(test).await;
        assert_eq!(broken.run(), run);
        assert!(broken.expected().ends_with(&format!("when it has completed{when}")), "{broken}");
        assert!(broken.came().contains("[6, 80, 4, 5] are left"), "{broken}");
    }
}

// Goal: a step that is carried out once for each executor is found where one of them is not heard.
#[tokio::test]
async fn a_step_that_each_executor_has_done_is_found() {
    let broken = flaw_of(fetch(Flaw::TakesForEach).all()).await;
    assert_eq!(broken.run(), "crash after record 2 (goods intended), its requests unheard");
    assert!(broken.came().contains("[6, 80, 4, 5] are left"), "{broken}");
}

// Goal: a compensation that does nothing is found where a step fails behind what it is to undo.
#[tokio::test]
async fn an_undo_that_does_nothing_is_found() {
    let broken = flaw_of(fetch(Flaw::Keeps).fail_each_step()).await;
    // The step was carried out, and nobody heard of it.
    assert_eq!(broken.run(), "no reply of goods arrives");
    assert!(broken.expected().contains("is undone because of goods"), "{broken}");
    assert!(broken.came().contains("[8, 100, 5, 5] are left"), "{broken}");
    let broken = flaw_of(fetch(Flaw::Keeps).crash_after_each_record()).await;
    assert_eq!(broken.run(), "money is refused");
}

// Goal: a compensation that fails without its step, or undoes what was not done, is found.
#[tokio::test]
async fn an_undo_without_its_step_is_found() {
    let broken = flaw_of(fetch(Flaw::NeedsStep).fail_each_step()).await;
    assert_eq!(broken.run(), "no request for goods arrives");
    assert_eq!(broken.came(), "it is stuck at goods: nothing was taken");
    assert!(broken.expected().contains("is undone because of goods"), "{broken}");
    let broken = flaw_of(fetch(Flaw::GivesAnyway).fail_each_step()).await;
    assert_eq!(broken.run(), "no request for goods arrives");
    assert!(broken.came().contains("[12, 100, 5, 5] are left"), "{broken}");
}

// Goal: a compensation is found that is carried out once for each key, though the key is another
// when an operator has it tried again.
#[tokio::test]
async fn an_undo_that_is_done_again_is_found() {
    let broken = flaw_of(fetch(Flaw::GivesAnyway).fail_each_undo()).await;
    assert_eq!(broken.run(), "no reply of undo of goods arrives, where ship is refused");
    assert!(broken.came().contains("[12, 100, 5, 5] are left"), "{broken}");
}

// Goal: a step that answers a repeated request with another value is found.
#[tokio::test]
async fn a_step_that_answers_differently_is_found() {
    let broken = flaw_of(fetch(Flaw::Counts).repeat_each_step()).await;
    assert_eq!(broken.run(), "goods comes twice");
    assert!(broken.expected().starts_with("goods is answered alike"), "{broken}");
    assert_eq!(broken.came(), "done 2 at first, then done 3");
}

// Goal: a step that can be carried out behind its compensation is found when a request comes late.
#[tokio::test]
async fn a_step_behind_its_undo_is_found() {
    let broken = flaw_of(fetch(Flaw::Open).fail_each_step()).await;
    assert_eq!(broken.run(), "no request for goods arrives");
    assert!(broken.expected().ends_with(", and goods comes late"), "{broken}");
    assert!(broken.came().contains("[8, 100, 5, 5] are left"), "{broken}");
    let late = broken.story().iter().position(|line| line.contains("come late")).unwrap();
    assert!(broken.story()[late + 1].contains("goods: done 2"), "{broken}");

    let broken = flaw_of(fetch(Flaw::Forgets).repeat_each_step()).await;
    assert_eq!(broken.run(), "goods comes twice, where money is refused");
    assert!(broken.expected().ends_with(", and goods comes late"), "{broken}");
    assert!(broken.came().contains("[8, 100, 5, 5] are left"), "{broken}");
}

// Goal: a step that panics is asked for again, since what came of it is unknown; one that always
// does is told of, with what it says.
#[tokio::test]
async fn a_step_that_panics_is_asked_for_again() {
    fetch(Flaw::Panics).lose_each_reply().await.unwrap();
    let test = Fetch { goods: 2 }.test().with(async || ()).check(async |(): &(), _| Ok(()));
    let broken = flaw_of(test).await;
    assert!(broken.came().starts_with("it is stuck at goods"), "{broken}");
    // Eight attempts at the step, and as many at its compensation.
    let panicked =
        broken.story().iter().filter(|line| line.contains("goods: unknown, it panicked"));
    assert_eq!(panicked.clone().count(), 16, "{broken}");
    assert!(panicked.clone().all(|line| line.contains("were given no")), "{broken}");
}

// Goal: what is checked and does not hold is told with the run, its records by number and the names
// of steps; so is a check that panics, or that looks at what steps do not have.
#[tokio::test]
async fn a_check_that_fails_is_told_with_its_run() {
    let check = async |_: &Shop, ended: &Saga<String>| match ended {
        Saga::Compensated { failed, .. } if failed.as_deref() == Some("ship") => {
            Err("I want my parcel".to_owned())
        }
        Saga::Completed(_) | Saga::Compensated { .. } | Saga::Stuck { .. } | Saga::Abandoned => {
            Ok(())
        }
    };
    let broken = flaw_of(fetch(Flaw::None).check(check).fail_each_step()).await;
    assert_eq!((broken.run(), broken.came()), ("ship is refused", "I want my parcel"));
    let told = format!("{broken:?}");
    let first = "saga fetch version 1 does not hold in the run: ship is refused";
    assert!(told.starts_with(first), "{told}");
    for line in ["   1  begun", "   7  ship rejected \"the test refuses it\"", "   9  goods undone"]
    {
        assert!(told.contains(line), "{line} is not in {told}");
    }

    let check = async |_: &Shop, _: &Saga<String>| panic!("out of order");
    let broken = flaw_of(fetch(Flaw::None).check(check)).await;
    assert_eq!((broken.run(), broken.came()), ("plain", "it panicked: out of order"));
    let check = async |_: &AtomicU32, _: &Saga<String>| Ok(());
    let broken = flaw_of(fetch(Flaw::None).check(check)).await;
    assert!(broken.came().contains("AtomicU32, and steps have none"), "{broken}");
}

/// A definition whose graph is none.
#[derive(Clone, Serialize, Deserialize)]
struct Nothing;

impl SagaDefinition for Nothing {
    type Output = ();

    fn graph() -> Graph {
        Graph::new(("nothing", 1), None, Vec::new()).expect("there are steps")
    }

    fn act<'a>(&'a self, _: StepId, _: &'a SagaCx) -> BoxFuture<'a, Outcome<Bytes>> {
        Box::pin(async { Outcome::Unknown })
    }

    fn undo<'a>(&'a self, _: StepId, _: &'a SagaCx, _: Option<Bytes>) -> BoxFuture<'a, Undo> {
        Box::pin(async { Undo::Unknown })
    }
}

// Goal: what cannot be tested is refused, and it is said what is missing.
#[tokio::test]
async fn what_cannot_be_tested_is_refused() {
    let broken = Nothing.test().check(async |(): &(), _| Ok(())).await.unwrap_err();
    assert!(broken.came().contains("Empty"), "{broken}");
    let broken = flaw_of(Fetch { goods: 2 }.test()).await;
    assert!(broken.came().contains("by .check(..)"), "{broken}");
    // An input with which a step is refused.
    let test = Fetch { goods: 11 }.test().with(async || Shop::new(Flaw::None));
    let broken = flaw_of(test.check(async |_: &Shop, _| Ok(())).all()).await;
    assert_eq!(broken.run(), "plain");
    assert!(broken.expected().contains("with which all steps succeed"), "{broken}");
    assert_eq!(broken.came(), "it is undone because of goods (only 10 left)");
    let test = Fetch { goods: 2 }.test().with(async || -> Shop { panic!("no room") });
    let broken = flaw_of(test.check(async |_: &Shop, _| Ok(())).all()).await;
    assert_eq!(broken.came(), "it panicked: no room");
}

/// A step that takes its time, and one that does what it did not before.
#[derive(Clone, Serialize, Deserialize)]
struct Fickle {
    takes: Duration,
}

#[saga]
impl Fickle {
    #[step(no_effect, timeout = "2s", retry(max = 2))]
    async fn dawdle(&self, cx: &SagaCx) -> Outcome<u32> {
        if cx.attempt() == 1 {
            tokio::time::sleep(self.takes).await;
        }
        Outcome::Done(1)
    }

    #[step(pivot)]
    async fn decide(&self) -> Outcome<()> {
        Outcome::Done(())
    }

    #[step(retriable)]
    async fn mail(&self, cx: &SagaCx) -> Outcome<()> {
        match cx.get::<Arc<AtomicU32>>().fetch_add(1, Ordering::SeqCst) {
            0 => Outcome::Rejected("closed".to_owned()),
            _ => Outcome::Done(()),
        }
    }
}

// Goal: a step has its timeout, and is asked for again. Method: tokio's clock, which is paused.
#[tokio::test(start_paused = true)]
async fn a_step_has_its_time() {
    let began = tokio::time::Instant::now();
    let test = Fickle { takes: Duration::from_secs(60) }.test();
    let test = test.with(async || Arc::<AtomicU32>::default());
    test.check(async |_: &Arc<AtomicU32>, _| Ok(())).await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(2));
}

// Goal: a fault that does not come about is no run that passes. Method: a step that is refused in
// the first run only, since the runs share what it counts by; so the logs of the others are shorter.
#[tokio::test]
async fn a_saga_that_differs_between_runs_is_found() {
    let shared = Arc::<AtomicU32>::default();
    let test = Fickle { takes: Duration::ZERO }.test().with(async move || Arc::clone(&shared));
    let test = test.check(async |_: &Arc<AtomicU32>, _| Ok(()));
    let broken = test.crash_after_each_record().await.unwrap_err();
    // Without a crash the log has seven records: it begins, and three steps are intended and done.
    assert_eq!(broken.run(), "crash after record 8");
    assert!(broken.came().starts_with("it went otherwise"), "{broken}");
}
