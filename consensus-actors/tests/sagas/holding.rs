//! Sagas that keep others from what they have half done.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use consensus_actors::{
    Code, MemoryCluster,
    prelude::*,
    saga::{Holds, Outcome, Saga, SagaCx, SagaId, Sagas, Undo},
};
use tokio::sync::{Barrier, Notify};

use crate::order::hasty;

/// An account that is read and written, as services of others are.
#[derive(Default)]
struct Account {
    cents: Mutex<i64>,
    visits: Mutex<Visits>,
}

/// Which sagas are between reading and writing, which were, and how many were at once.
#[derive(Default)]
struct Visits {
    within: BTreeSet<SagaId>,
    gone: BTreeSet<SagaId>,
    crowd: usize,
}

impl Account {
    fn read(&self, saga: SagaId) -> i64 {
        let mut visits = self.visits.lock().unwrap();
        // Of an executor that was replaced something may come late.
        if !visits.gone.contains(&saga) {
            visits.within.insert(saga);
        }
        visits.crowd = visits.crowd.max(visits.within.len());
        *self.cents.lock().unwrap()
    }

    fn leave(&self, saga: SagaId) {
        let mut visits = self.visits.lock().unwrap();
        visits.within.remove(&saga);
        visits.gone.insert(saga);
    }
}

/// How a deposit keeps others away.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Care {
    None,
    Waits,
    Refuses,
    /// It adds to what there is then, not to what it read.
    Adds,
}

/// Reads, and writes what it read and some more.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Deposit {
    cents: i64,
    care: Care,
    /// Both are to have read before either writes.
    meets: bool,
    /// It stays there until it is let go.
    stays: bool,
    refused: bool,
}

#[saga(version = 1, holds = keys)]
impl Deposit {
    fn keys(&self) -> Holds {
        match self.care {
            Care::None | Care::Adds => Holds::nothing(),
            Care::Waits => Holds::waiting(["account"]),
            Care::Refuses => Holds::or_refused(["account"]),
        }
    }

    #[step(undo = forget)]
    async fn read(&self, cx: &SagaCx) -> Outcome<i64> {
        let read = cx.get::<Arc<Account>>().read(cx.key().saga);
        if self.meets {
            cx.get::<Arc<Barrier>>().wait().await;
        }
        if self.stays {
            cx.get::<Arc<Notify>>().notified().await;
        }
        Outcome::Done(read)
    }

    async fn forget(&self, cx: &SagaCx) -> Undo {
        cx.get::<Arc<Account>>().leave(cx.key().saga);
        Undo::Done
    }

    #[step(pivot)]
    async fn write(&self, cx: &SagaCx, read: &i64) -> Outcome<i64> {
        if self.refused {
            return Outcome::Rejected("no".to_owned());
        }
        let account = cx.get::<Arc<Account>>();
        let mut cents = account.cents.lock().unwrap();
        *cents = match self.care {
            Care::Adds => *cents + self.cents,
            Care::None | Care::Waits | Care::Refuses => read + self.cents,
        };
        account.leave(cx.key().saga);
        Outcome::Done(*cents)
    }
}

fn deposit(cents: i64, care: Care) -> Deposit {
    Deposit { cents, care, meets: false, stays: false, refused: false }
}

struct Bank {
    sagas: Vec<Sagas>,
    account: Arc<Account>,
    go: Arc<Notify>,
    _cluster: MemoryCluster,
}

impl Bank {
    async fn open() -> Self {
        let cluster = MemoryCluster::configured(3, hasty).unwrap();
        let (account, go) = (Arc::<Account>::default(), Arc::<Notify>::default());
        let meeting = Arc::new(Barrier::new(2));
        let mut sagas = Vec::new();
        for node in cluster.nodes() {
            let hosting = node.sagas("deposits").with(Arc::clone(&account)).with(Arc::clone(&go));
            let hosting = hosting.with(Arc::clone(&meeting)).register::<Deposit>();
            sagas.push(hosting.await.unwrap());
        }
        sagas[0].list(None).await.unwrap();
        Self { sagas, account, go, _cluster: cluster }
    }

    fn cents(&self) -> i64 {
        *self.account.cents.lock().unwrap()
    }

    /// Waits until so many sagas have read and not written.
    async fn read_by(&self, count: usize) {
        while self.account.visits.lock().unwrap().within.len() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

// Goal: two sagas that both read before either writes lose an update; sagas that hold the account
// do not, nor such as add to what there is then.
#[tokio::test]
async fn s30_interleaved_sagas_lose_no_update_they_guard_against() {
    for (care, meets, cents) in
        [(Care::None, true, 5), (Care::Adds, true, 10), (Care::Waits, false, 10)]
    {
        let bank = Bank::open().await;
        let order = Deposit { meets, ..deposit(5, care) };
        let first = bank.sagas[0].start(order.clone()).await.unwrap();
        let second = bank.sagas[1].start(order).await.unwrap();
        assert!(matches!(first.wait().await.unwrap(), Saga::Completed(_)));
        assert!(matches!(second.wait().await.unwrap(), Saga::Completed(_)));
        assert_eq!(bank.cents(), cents, "{care:?}");
    }
}

// Goal: a saga that names what another holds waits, is seen to, and begins when that one has ended,
// in the order of their starts: whether it was completed, undone or given up.
#[tokio::test]
async fn s29_a_saga_waits_for_what_another_holds() {
    let bank = Bank::open().await;
    let holder = Deposit { stays: true, ..deposit(1, Care::Waits) };
    let first = bank.sagas[0].start(holder.clone()).await.unwrap();
    bank.read_by(1).await;
    let undone = Deposit { refused: true, ..deposit(10, Care::Waits) };
    let second = bank.sagas[1].start(undone).await.unwrap();
    let third = bank.sagas[2].start(holder).await.unwrap();
    let last = bank.sagas[0].start(deposit(100, Care::Waits)).await.unwrap();
    let shown = bank.sagas[0].show(last.id()).await.unwrap();
    assert_eq!(shown.listed.waits, Some(("account".to_owned(), first.id())));
    assert_eq!((shown.listed.standing, shown.log), (None, Vec::new()));

    bank.go.notify_one();
    assert_eq!(first.wait().await.unwrap(), Saga::Completed(1));
    assert!(matches!(second.wait().await.unwrap(), Saga::Compensated { .. }));
    bank.read_by(1).await;
    let shown = bank.sagas[0].show(last.id()).await.unwrap();
    assert_eq!(shown.listed.waits, Some(("account".to_owned(), third.id())));
    bank.sagas[1].abandon(third.id(), "nobody comes").await.unwrap();
    assert_eq!(last.wait().await.unwrap(), Saga::Completed(101));
    assert_eq!(third.wait().await.unwrap(), Saga::Abandoned);
}

// Goal: what waits can be cancelled and given up, and nothing else; whoever is behind it goes on.
#[tokio::test]
async fn s29_what_waits_can_be_cancelled() {
    let bank = Bank::open().await;
    let holder = Deposit { stays: true, ..deposit(1, Care::Waits) };
    let first = bank.sagas[0].start(holder).await.unwrap();
    bank.read_by(1).await;
    let second = bank.sagas[1].start(deposit(10, Care::Waits)).await.unwrap();
    let third = bank.sagas[1].start(deposit(20, Care::Waits)).await.unwrap();
    let last = bank.sagas[2].start(deposit(100, Care::Waits)).await.unwrap();
    let refused = bank.sagas[2].retry(second.id(), "go on").await.unwrap_err();
    assert_eq!(refused.code(), Code::OrderRefused);
    bank.sagas[2].cancel(second.id(), "not any more").await.unwrap();
    bank.sagas[0].abandon(third.id(), "nor this").await.unwrap();
    assert!(matches!(second.wait().await.unwrap(), Saga::Compensated { failed: None, .. }));
    assert_eq!(third.wait().await.unwrap(), Saga::Abandoned);
    bank.go.notify_one();
    assert_eq!(first.wait().await.unwrap(), Saga::Completed(1));
    assert_eq!(last.wait().await.unwrap(), Saga::Completed(101));
}

// Goal: a saga that would not wait is not started, and may be once nobody holds the key.
#[tokio::test]
async fn s29_a_saga_that_does_not_wait_is_refused() {
    let bank = Bank::open().await;
    let holder = Deposit { stays: true, ..deposit(1, Care::Refuses) };
    let first = bank.sagas[0].start(holder).await.unwrap();
    let refused = bank.sagas[1].start(deposit(10, Care::Refuses)).await.unwrap_err();
    assert_eq!(refused.code(), Code::KeyHeld);
    assert!(refused.message().contains(&format!("{:032x}", first.id().0)), "{refused}");
    bank.go.notify_one();
    assert_eq!(first.wait().await.unwrap(), Saga::Completed(1));
    let second = bank.sagas[1].start(deposit(10, Care::Refuses)).await.unwrap();
    assert_eq!(second.wait().await.unwrap(), Saga::Completed(11));
}

// Goal: what is held stays held when another node goes on, and is given back then.
// Method: many deposits that hold one account, and a transfer every few milliseconds.
#[tokio::test]
async fn s29_what_is_held_stays_so_over_executors() {
    let bank = Bank::open().await;
    let mut runs = Vec::new();
    for n in 0..30 {
        let refused = n % 4 == 0;
        let order = Deposit { refused, ..deposit(1, Care::Waits) };
        runs.push((refused, bank.sagas[n % 3].start(order).await.unwrap()));
        if n % 5 == 0 {
            bank.sagas[0].transfer(Some(n as u64 / 5 % 3 + 1)).await.ok();
        }
    }
    for (refused, run) in runs {
        let told = run.wait().await.unwrap();
        assert_eq!(matches!(told, Saga::Compensated { .. }), refused, "{told:?}");
    }
    assert_eq!(bank.account.visits.lock().unwrap().crowd, 1, "two were within at once");
}
