//! What orders take from, and what is wrong with it: participants for the test of a saga.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use consensus_actors::{
    prelude::*,
    saga::{EffectKey, Epoch, Guard, Guarded, Outcome, Request, Saga, SagaCx, SagaTest, Undo},
};

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// It takes whenever it is asked.
    Unguarded,
    /// It says that it puts back, and keeps everything.
    Keeps,
    /// It cannot put back what was not taken.
    NeedsStep,
    /// It puts back what was not taken.
    GivesAnyway,
    /// It answers a request that is repeated with another value each time.
    Counts,
    /// What was to be put back can still be taken.
    Open,
    /// It takes once for each executor.
    TakesForEach,
    /// It forgets what it has put back.
    Forgets,
    /// It panics whenever it is asked for the first time.
    Panics,
}

/// An amount that is taken from and put back.
pub(crate) struct Store {
    left: u32,
    guard: Guard,
    flaw: Flaw,
    asked: u32,
    taken: BTreeSet<EffectKey>,
    put_back: BTreeSet<EffectKey>,
    /// Those that it has taken for.
    epochs: BTreeSet<Epoch>,
}

impl Store {
    fn new(left: u32, flaw: Flaw) -> Mutex<Self> {
        Mutex::new(Self {
            left,
            guard: Guard::default(),
            flaw,
            asked: 0,
            taken: BTreeSet::new(),
            put_back: BTreeSet::new(),
            epochs: BTreeSet::new(),
        })
    }

    fn take(&mut self, of: Request, count: u32) -> Guarded<u32> {
        self.asked += 1;
        let Self { left, guard, .. } = self;
        match self.flaw {
            Flaw::Unguarded => {
                *left -= count;
                return Guarded::Done(count);
            }
            Flaw::Open | Flaw::Forgets => {
                if self.taken.insert(of.key) {
                    *left -= count;
                }
                return Guarded::Done(count);
            }
            Flaw::TakesForEach => {
                let is_late = self.epochs.last().is_some_and(|latest| of.epoch < *latest);
                if is_late || !self.put_back.is_empty() {
                    return Guarded::Refused;
                }
                if self.epochs.insert(of.epoch) {
                    *left -= count;
                }
                self.taken.insert(of.key);
                return Guarded::Done(count);
            }
            Flaw::Panics => assert!(self.asked > 1, "on purpose"),
            Flaw::None | Flaw::Keeps | Flaw::NeedsStep | Flaw::GivesAnyway | Flaw::Counts => {}
        }
        let taken = guard.act(of, || {
            *left = left.checked_sub(count).ok_or_else(|| format!("only {left} left"))?;
            Ok::<_, String>(count)
        });
        self.taken.insert(of.key);
        match taken {
            Guarded::Done(_) if self.flaw == Flaw::Counts => Guarded::Done(count + self.asked - 1),
            other => other,
        }
    }

    fn put_back(&mut self, of: Request, count: u32) -> Guarded<()> {
        let Self { left, guard, .. } = self;
        match self.flaw {
            Flaw::Keeps => return guard.undo(of, |_: u32| Ok::<_, &str>(())),
            Flaw::NeedsStep if self.taken.is_empty() => {
                return Guarded::Rejected("nothing was taken".to_owned());
            }
            Flaw::Forgets => {
                if !std::mem::take(&mut self.taken).is_empty() {
                    *left += count;
                }
                return Guarded::Done(());
            }
            Flaw::Open | Flaw::Unguarded | Flaw::GivesAnyway | Flaw::TakesForEach => {
                let is_blind = matches!(self.flaw, Flaw::Unguarded | Flaw::GivesAnyway);
                let was_taken = is_blind || !self.taken.is_empty();
                if self.put_back.insert(of.key) && was_taken {
                    *left += count;
                }
                return Guarded::Done(());
            }
            Flaw::None | Flaw::NeedsStep | Flaw::Counts | Flaw::Panics => {}
        }
        guard.undo(of, |_: u32| {
            *left += count;
            Ok::<_, &str>(())
        })
    }
}

/// What orders work with.
pub(crate) struct Shop {
    pub(crate) goods: Mutex<Store>,
    pub(crate) money: Mutex<Store>,
    /// What shipping, and mailing, take from.
    pub(crate) lorries: Mutex<Store>,
    pub(crate) stamps: Mutex<Store>,
}

impl Shop {
    pub(crate) fn new(of_goods: Flaw) -> Self {
        Self {
            goods: Store::new(10, of_goods),
            money: Store::new(100, Flaw::None),
            lorries: Store::new(5, Flaw::None),
            stamps: Store::new(5, Flaw::None),
        }
    }

    /// Returns what is left of goods, money, lorries and stamps.
    fn left(&self) -> [u32; 4] {
        [&self.goods, &self.money, &self.lorries, &self.stamps].map(|it| locked(it).left)
    }

    /// Tells whether all of it was done, or nothing.
    pub(crate) fn whole<T>(&self, ended: &Saga<T>, done: [u32; 4]) -> Result<(), String> {
        let whole = if matches!(ended, Saga::Completed(_)) { done } else { [10, 100, 5, 5] };
        let left = self.left();
        if left == whole { Ok(()) } else { Err(format!("{left:?} are left, not {whole:?}")) }
    }
}

/// Locks a store, also one that has panicked.
fn locked(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has a step take from a store.
pub(crate) fn take(cx: &SagaCx, of: impl Fn(&Shop) -> &Mutex<Store>, count: u32) -> Outcome<u32> {
    locked(of(cx.get())).take(cx.request(), count).into()
}

/// Has a compensation put back.
pub(crate) fn put_back(cx: &SagaCx, of: impl Fn(&Shop) -> &Mutex<Store>, count: u32) -> Undo {
    locked(of(cx.get())).put_back(cx.request(), count).into()
}

/// One step behind the other, of which the last decides.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Fetch {
    pub(crate) goods: u32,
}

#[saga(deadline = "1ms")]
impl Fetch {
    #[step(undo = put_goods_back)]
    async fn goods(&self, cx: &SagaCx) -> Outcome<u32> {
        take(cx, |shop| &shop.goods, self.goods)
    }

    async fn put_goods_back(&self, cx: &SagaCx) -> Undo {
        put_back(cx, |shop| &shop.goods, self.goods)
    }

    #[step(undo = refund)]
    async fn money(&self, cx: &SagaCx, goods: &u32) -> Outcome<u32> {
        take(cx, |shop| &shop.money, goods * 10)
    }

    async fn refund(&self, cx: &SagaCx) -> Undo {
        put_back(cx, |shop| &shop.money, self.goods * 10)
    }

    #[step(pivot)]
    async fn ship(&self, cx: &SagaCx, goods: &u32, money: &u32) -> Outcome<String> {
        match take(cx, |shop| &shop.lorries, 1) {
            Outcome::Done(_) => Outcome::Done(format!("{goods} for {money}")),
            Outcome::Rejected(cause) => Outcome::Rejected(cause),
            Outcome::Unknown => Outcome::Unknown,
        }
    }
}

/// Tests it with what is wrong with the goods.
pub(crate) fn fetch(flaw: Flaw) -> SagaTest<Fetch> {
    Fetch { goods: 2 }
        .test()
        .with(async move || Shop::new(flaw))
        .check(async |shop: &Shop, ended: &Saga<String>| shop.whole(ended, [8, 80, 4, 5]))
}
