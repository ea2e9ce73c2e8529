//! Sagas written with the macro.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use consensus_actors::{
    MemoryCluster,
    prelude::*,
    saga::{Class, Outcome, Saga, SagaCx, Sagas, StepId, Undo},
};
use tokio::sync::Barrier;

use crate::order::hasty;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Hold {
    goods: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Receipt(String);

/// Why somebody refuses.
#[derive(Debug, thiserror::Error)]
#[error("refused: {0}")]
struct Refusal(&'static str);

/// What becomes of a payment, under a name that hides what it is.
type Paid = Outcome<Receipt, Refusal>;

/// What was asked for, in order.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Notes {
    fn add(&self, cx: &SagaCx, text: impl Into<String>) {
        assert!(cx.attempt() > 0);
        self.0.lock().unwrap().push(text.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// Lets those that reserve and charge go on when both are there.
struct Meeting(Barrier);

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Order {
    goods: u32,
    /// Paying is refused.
    broke: bool,
    /// Shipping is refused.
    stranded: bool,
}

#[saga(name = "order", version = 3, deadline = "2m", lock = "tests/sagas/saga.lock")]
impl Order {
    /// Says what this note is about.
    fn note(cx: &SagaCx, text: impl Into<String>) {
        cx.get::<Arc<Notes>>().add(cx, text);
    }

    #[step(no_effect, name = "look-up")]
    async fn look(&self) -> Outcome<String> {
        Outcome::Done(format!("{} goods", self.goods))
    }

    #[step(undo = release)]
    async fn reserve(&self, cx: &SagaCx, look: &str) -> Outcome<Hold, Refusal> {
        assert_eq!(look, "2 goods");
        cx.get::<Meeting>().0.wait().await;
        Outcome::Done(Hold { goods: self.goods })
    }

    async fn release(&self, cx: &SagaCx, reserve: Option<&Hold>, look: &str) -> Undo {
        Self::note(cx, format!("release {reserve:?} {look:?}"));
        Undo::Done
    }

    #[step(undo = refund, timeout = "4s", retry(max = 5, backoff = "10ms..1s"), after(look))]
    async fn charge(&self, cx: &SagaCx) -> Paid {
        cx.get::<Meeting>().0.wait().await;
        match self.broke {
            true => Outcome::Rejected(Refusal("no money")),
            false => Outcome::Done(Receipt("R-17".to_owned())),
        }
    }

    async fn refund(&self, charge: Option<&Receipt>, cx: &SagaCx) -> Outcome<(), Refusal> {
        Self::note(cx, format!("refund {charge:?}"));
        Outcome::Done(())
    }

    #[step(pivot)]
    async fn ship(&self, cx: &SagaCx, reserve: &Hold, charge: &Receipt) -> Outcome<u64, Refusal> {
        Self::note(cx, format!("ship {reserve:?} {charge:?}"));
        match self.stranded {
            true => Outcome::Rejected(Refusal("no lorry")),
            false => Outcome::Done(99),
        }
    }

    #[step(retriable)]
    async fn mail(&self, cx: &SagaCx, ship: &u64, look: &String) -> Outcome<String> {
        Self::note(cx, format!("mail {ship} {look:?}"));
        Outcome::Done(format!("shipped as {ship}"))
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct HTTPProbe;

#[saga]
impl HTTPProbe {
    #[step(no_effect)]
    async fn r#try(&self) -> Outcome<()> {
        Outcome::Done(())
    }
}

async fn open() -> (MemoryCluster, Sagas, Arc<Notes>) {
    let cluster = MemoryCluster::configured(3, hasty).unwrap();
    let notes = Arc::<Notes>::default();
    let mut all = Vec::new();
    for node in cluster.nodes() {
        let hosting = node.sagas("orders").with(Arc::clone(&notes)).with(Meeting(Barrier::new(2)));
        all.push(hosting.register::<Order>().register::<HTTPProbe>().await.unwrap());
    }
    (cluster, all.remove(0), notes)
}

async fn ended(sagas: &Sagas, order: Order) -> Saga<String> {
    sagas.start(order).await.unwrap().wait().await.unwrap()
}

// Goal: outputs go along edges, and steps without an edge between them run at the same time.
// Method: two of them wait for each other.
#[tokio::test]
async fn a_written_saga_is_carried_out() {
    let (_cluster, sagas, notes) = open().await;
    let told = ended(&sagas, Order { goods: 2, ..Order::default() }).await;
    assert_eq!(told, Saga::Completed("shipped as 99".to_owned()));
    let asked = ["ship Hold { goods: 2 } Receipt(\"R-17\")", "mail 99 \"2 goods\""];
    assert_eq!(notes.take(), asked);
    let probed = sagas.start(HTTPProbe).await.unwrap().wait().await.unwrap();
    assert_eq!(probed, Saga::Completed(()));
}

// Goal: what was done is undone by the methods named for it, which are given what the step brought.
#[tokio::test]
async fn a_written_saga_is_undone() {
    let (_cluster, sagas, notes) = open().await;
    let told = ended(&sagas, Order { goods: 2, broke: true, stranded: false }).await;
    let (failed, cause) = (Some("charge".to_owned()), "refused: no money".to_owned());
    assert_eq!(told, Saga::Compensated { failed, cause });
    assert_eq!(notes.take(), ["release Some(Hold { goods: 2 }) \"2 goods\""]);

    let told = ended(&sagas, Order { goods: 2, broke: false, stranded: true }).await;
    let (failed, cause) = (Some("ship".to_owned()), "refused: no lorry".to_owned());
    assert_eq!(told, Saga::Compensated { failed, cause });
    let mut asked = notes.take();
    asked.sort_unstable();
    let expected = [
        "refund Some(Receipt(\"R-17\"))",
        "release Some(Hold { goods: 2 }) \"2 goods\"",
        "ship Hold { goods: 2 } Receipt(\"R-17\")",
    ];
    assert_eq!(asked, expected);
}

// Goal: the graph is what the attributes and the parameters say, and the rest is the default.
#[test]
fn a_written_saga_has_the_graph_it_says() {
    let graph = Order::graph();
    assert_eq!((graph.name(), graph.version()), ("order", 3));
    assert_eq!(graph.deadline(), Some(Duration::from_secs(120)));
    let steps = graph.steps().map(|(_, step)| (&*step.name, step.class, &*step.after));
    let expected = [
        ("look-up", Class::NoEffect, &[] as &[StepId]),
        ("reserve", Class::Compensatable, &[StepId(0)]),
        ("charge", Class::Compensatable, &[StepId(0)]),
        ("ship", Class::Pivot, &[StepId(1), StepId(2)]),
        ("mail", Class::Retriable, &[StepId(0), StepId(3)]),
    ];
    assert!(steps.eq(expected), "{graph:?}");
    let (reserve, charge) = (graph.step(StepId(1)).unwrap(), graph.step(StepId(2)).unwrap());
    assert_eq!((reserve.timeout, charge.timeout).0, Duration::from_secs(5));
    assert_eq!(charge.timeout, Duration::from_secs(4));
    assert_eq!(reserve.retry, Default::default());
    assert_eq!((charge.retry.attempts_max, charge.retry.cap), (5, Duration::from_secs(1)));
    assert!(graph.mermaid().contains("ship --> mail"), "{}", graph.mermaid());

    let graph = HTTPProbe::graph();
    assert_eq!((graph.name(), graph.version(), graph.deadline()), ("http-probe", 1, None));
    assert_eq!(graph.step(StepId(0)).unwrap().name, "try");
}
