//! Trips: the sagas of paused clusters, and the services that they book at, which are beyond all
//! nodes and lose, delay and double what they are asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_local,
    time::sleep,
};

use super::{random::Random, tally::Tally};
use crate::{
    saga::{
        BoxFuture, Class, EffectKey, Graph, Guard, Guarded, Op, Outcome, Request, Retry, Saga,
        SagaCx, SagaDefinition, SagaId, Step, StepId, Undo,
    },
    sync::lock,
};

/// How many steps a trip has, of which the first three can be undone.
pub(super) const STEPS: u16 = 5;
pub(super) const UNDONE: u16 = 3;

/// A trip that is not paid for by then is undone.
pub(super) const DEADLINE: Duration = Duration::from_secs(120);

/// A flight and a room side by side, a seat behind the flight; then they are paid for, then a letter
/// is sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Trip {
    /// The step that is refused, if one is.
    pub(super) refused: Option<u16>,
}

impl SagaDefinition for Trip {
    type Output = u16;

    fn graph() -> Graph {
        let retry = Retry {
            attempts_max: 60,
            base: Duration::from_millis(100),
            cap: Duration::from_secs(5),
        };
        let step = |name: &str, class, after: &[u16]| Step {
            name: name.to_owned(),
            class,
            after: after.iter().copied().map(StepId).collect(),
            timeout: Duration::from_secs(5),
            retry,
        };
        let steps = vec![
            step("flight", Class::Compensatable, &[]),
            step("room", Class::Compensatable, &[]),
            step("seat", Class::Compensatable, &[0]),
            step("pay", Class::Pivot, &[]),
            step("mail", Class::Retriable, &[3]),
        ];
        Graph::new(("trip", 1), Some(DEADLINE), steps).expect("the steps make a saga")
    }

    fn act<'a>(&'a self, step: StepId, cx: &'a SagaCx) -> BoxFuture<'a, Outcome<Bytes>> {
        let refuses = self.refused == Some(step.0);
        Box::pin(async move {
            let reply = cx.get::<Door>().ask(cx.request(), refuses).await;
            reply.map_or(Outcome::Unknown, Outcome::from).encoded()
        })
    }

    fn undo<'a>(&'a self, _: StepId, cx: &'a SagaCx, _: Option<Bytes>) -> BoxFuture<'a, Undo> {
        Box::pin(async move {
            let reply = cx.get::<Door>().ask(cx.request(), false).await;
            match reply {
                Some(Guarded::Done(_)) => Undo::Done,
                Some(Guarded::Rejected(cause)) => Undo::Failed(cause),
                Some(Guarded::Refused) | None => Undo::Unknown,
            }
        })
    }
}

/// Three steps, one after the other, which have nothing to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Errand;

impl SagaDefinition for Errand {
    type Output = u16;

    fn graph() -> Graph {
        let classes = [Class::Compensatable, Class::Compensatable, Class::Pivot];
        let step = |(place, class): (u16, Class)| Step {
            name: format!("step-{place}"),
            class,
            after: (0..place).map(StepId).collect(),
            timeout: Duration::from_secs(5),
            retry: Retry::default(),
        };
        let steps = (0..).zip(classes).map(step).collect();
        Graph::new(("errand", 1), None, steps).expect("the steps make a saga")
    }

    fn act<'a>(&'a self, step: StepId, _: &'a SagaCx) -> BoxFuture<'a, Outcome<Bytes>> {
        Box::pin(async move { Outcome::<u16>::Done(step.0).encoded() })
    }

    fn undo<'a>(&'a self, _: StepId, _: &'a SagaCx, _: Option<Bytes>) -> BoxFuture<'a, Undo> {
        Box::pin(async { Undo::Done })
    }
}

/// A request on its way.
struct Asked {
    of: Request,
    refuses: bool,
    reply: oneshot::Sender<Guarded<u16>>,
}

/// Where the steps that a node carries out ask.
pub(super) struct Door {
    node: u64,
    services: Services,
    to: mpsc::UnboundedSender<Asked>,
}

impl Door {
    async fn ask(&self, of: Request, refuses: bool) -> Option<Guarded<u16>> {
        let (reply, answer) = oneshot::channel();
        lock(&self.services.0).asked.entry(of.key).or_default().insert(self.node);
        self.to.send(Asked { of, refuses, reply }).ok()?;
        answer.await.ok()
    }
}

/// What the services know, and what came about.
#[derive(Clone, Default)]
pub(super) struct Services(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    guard: Guard,
    /// How often each was carried out.
    effects: BTreeMap<EffectKey, u32>,
    /// Which nodes have asked for it.
    asked: BTreeMap<EffectKey, BTreeSet<u64>>,
    tally: Tally,
}

impl Services {
    /// Opens them; returns who hands a node its door.
    pub(super) fn open(mut random: Random) -> (Self, impl Fn(u64) -> Door) {
        let (services, (to, mut asked)) = (Self::default(), mpsc::unbounded_channel());
        let at_work = services.clone();
        spawn_local(async move {
            while let Some(asked) = asked.recv().await {
                at_work.serve(asked, random.fork());
            }
        });
        let of = services.clone();
        let door = move |node| Door { node, services: of.clone(), to: to.clone() };
        (services, door)
    }

    /// Has a request arrive, later, and perhaps twice, or never; and its reply.
    fn serve(&self, Asked { of, refuses, reply }: Asked, mut random: Random) {
        let services = self.clone();
        spawn_local(async move {
            let lost = Duration::from_secs(60);
            if random.chance(50) {
                services.count("request lost");
                return sleep(lost).await;
            }
            let long = if random.chance(50) { 20_000 } else { 300 };
            sleep(Duration::from_millis(random.between(0, long))).await;
            let told = services.carry_out(of, refuses);
            if random.chance(50) {
                services.count("reply lost");
                sleep(lost).await;
            }
            sleep(Duration::from_millis(random.between(0, 300))).await;
            reply.send(told).ok();
            if random.chance(100) {
                services.count("request doubled");
                sleep(Duration::from_millis(random.between(0, 90_000))).await;
                services.carry_out(of, refuses);
            }
        });
    }

    fn carry_out(&self, of: Request, refuses: bool) -> Guarded<u16> {
        let mut inner = lock(&self.0);
        let Inner { guard, effects, tally, .. } = &mut *inner;
        let step = of.key.step.0;
        let told = match of.key.op {
            Op::Action => guard.act(of, || {
                if refuses {
                    return Err("booked out");
                }
                *effects.entry(of.key).or_default() += 1;
                Ok(step)
            }),
            Op::Undo => {
                let undone = guard.undo(of, |_: u16| {
                    *effects.entry(of.key).or_default() += 1;
                    Ok::<_, &str>(())
                });
                match undone {
                    Guarded::Done(()) => Guarded::Done(step),
                    Guarded::Rejected(cause) => Guarded::Rejected(cause),
                    Guarded::Refused => Guarded::Refused,
                }
            }
        };
        tally.add("request too late", u64::from(told == Guarded::Refused));
        told
    }

    fn count(&self, what: &'static str) {
        lock(&self.0).tally.add(what, 1);
    }

    pub(super) fn tally(&self) -> Tally {
        lock(&self.0).tally.clone()
    }

    /// Returns what a node has asked for.
    pub(super) fn asked_by(&self, node: u64) -> BTreeSet<EffectKey> {
        let inner = lock(&self.0);
        let by = inner.asked.iter().filter(|(_, nodes)| nodes.contains(&node));
        by.map(|(key, _)| *key).collect()
    }

    /// Returns the steps, and compensations, that more than one node has asked for.
    pub(super) fn handed_over(&self) -> BTreeSet<(StepId, bool)> {
        let inner = lock(&self.0);
        let several = inner.asked.iter().filter(|(_, nodes)| nodes.len() > 1);
        several.map(|(key, _)| (key.step, key.op == Op::Undo)).collect()
    }

    /// Demands that a saga came about whole, each effect of it once.
    pub(super) fn check(&self, saga: SagaId, ended: &Saga<u16>) {
        let inner = lock(&self.0);
        let count = |step, op| {
            let of = inner
                .effects
                .iter()
                .filter(|(key, _)| (key.saga, key.step, key.op) == (saga, StepId(step), op));
            of.map(|(_, times)| *times).sum::<u32>()
        };
        for step in 0..STEPS {
            let (done, undone) = (count(step, Op::Action), count(step, Op::Undo));
            let whole = match ended {
                Saga::Completed(_) => (done, undone) == (1, 0),
                Saga::Compensated { .. } if step < UNDONE => done <= 1 && undone == done,
                Saga::Compensated { .. } => (done, undone) == (0, 0),
                Saga::Stuck { .. } | Saga::Abandoned => false,
            };
            assert!(
                whole,
                "{saga:?} {ended:?}: step {step} was done {done}, undone {undone} times"
            );
        }
    }
}
