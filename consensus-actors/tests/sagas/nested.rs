//! Sagas that are steps of sagas.

use std::time::Duration;

use consensus_actors::{
    MemoryCluster,
    prelude::*,
    saga::{Holds, Outcome, Record, Saga, SagaCx, SagaId, Sagas, Undo},
};

use crate::order::{Store, StoreClient, hasty};

/// What steps work with.
#[derive(Clone)]
struct Hotels {
    rooms: StoreClient,
    seats: StoreClient,
}

/// A booking: rooms and seats.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Booking {
    rooms: i64,
    seats: i64,
    key: Option<String>,
}

#[saga(version = 1, holds = keys)]
impl Booking {
    fn keys(&self) -> Holds {
        Holds::waiting(self.key.clone())
    }

    #[step(undo = free_rooms, retry(max = 20, backoff = "5ms..50ms"))]
    async fn rooms(&self, cx: &SagaCx) -> Outcome<i64> {
        cx.get::<Hotels>().rooms.take(cx.request(), self.rooms).await.into()
    }

    async fn free_rooms(&self, cx: &SagaCx) -> Undo {
        cx.get::<Hotels>().rooms.put_back(cx.request()).await.into()
    }

    #[step(undo = free_seats, retry(max = 20, backoff = "5ms..50ms"), after(rooms))]
    async fn seats(&self, cx: &SagaCx) -> Outcome<i64> {
        cx.get::<Hotels>().seats.take(cx.request(), self.seats).await.into()
    }

    async fn free_seats(&self, cx: &SagaCx) -> Undo {
        cx.get::<Hotels>().seats.put_back(cx.request()).await.into()
    }
}

/// A journey: a booking, and what may be refused behind it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Journey {
    booking: Booking,
    key: Option<String>,
    refused: bool,
    /// Confirming takes so many milliseconds.
    lasts: u64,
    /// The booking waits for so many milliseconds before it begins.
    delay: u64,
}

#[saga(version = 1, holds = keys)]
impl Journey {
    fn keys(&self) -> Holds {
        Holds::waiting(self.key.clone())
    }

    #[step(undo = unbook, timeout = "20s", retry(max = 20, backoff = "5ms..50ms"))]
    async fn book(&self, cx: &SagaCx) -> Outcome<i64> {
        tokio::time::sleep(Duration::from_millis(self.delay)).await;
        cx.saga(self.booking.clone()).await
    }

    async fn unbook(&self, cx: &SagaCx) -> Undo {
        cx.undo_saga().await
    }

    #[step(pivot, retry(max = 20, backoff = "5ms..50ms"))]
    async fn confirm(&self, book: &i64) -> Outcome<i64> {
        tokio::time::sleep(Duration::from_millis(self.lasts)).await;
        match self.refused {
            true => Outcome::Rejected("no visa".to_owned()),
            false => Outcome::Done(*book),
        }
    }
}

fn booking(rooms: i64, seats: i64) -> Booking {
    Booking { rooms, seats, key: None }
}

fn journey(booking: Booking) -> Journey {
    Journey { booking, key: None, refused: false, lasts: 0, delay: 0 }
}

struct Agency {
    sagas: Vec<Sagas>,
    hotels: Hotels,
    _cluster: MemoryCluster,
}

impl Agency {
    async fn open() -> Self {
        let cluster = MemoryCluster::configured(3, hasty).unwrap();
        let (mut all, mut sagas) = (Vec::new(), Vec::new());
        for node in cluster.nodes() {
            let hotels = Hotels {
                rooms: node.host::<Store>("rooms").await.unwrap(),
                seats: node.host::<Store>("seats").await.unwrap(),
            };
            let hosting = node.sagas("journeys").with(hotels.clone()).register::<Journey>();
            sagas.push(hosting.register::<Booking>().snapshot_every(40).await.unwrap());
            all.push(hotels);
        }
        let hotels = all.remove(0);
        hotels.rooms.fill(100).deadline("20s").await.unwrap();
        hotels.seats.fill(100).deadline("20s").await.unwrap();
        Self { sagas, hotels, _cluster: cluster }
    }

    /// Returns what is left of rooms and seats, and how often they were taken and put back.
    async fn told(&self) -> ((i64, u32, u32), (i64, u32, u32)) {
        (self.hotels.rooms.told().await.unwrap(), self.hotels.seats.told().await.unwrap())
    }

    async fn travel(&self, journey: Journey) -> Saga<i64> {
        self.sagas[0].start(journey).await.unwrap().wait().await.unwrap()
    }

    /// Returns the sagas that have not ended, and whose steps they are.
    async fn under_way(&self) -> Vec<(SagaId, Option<SagaId>)> {
        let mut all = Vec::new();
        for listed in self.sagas[0].list(None).await.unwrap() {
            let shown = self.sagas[0].show(listed.id).await.unwrap();
            let parent = shown.log.first().and_then(|first| match &first.record {
                Record::Begun { parent, .. } => parent.map(|step| step.saga),
                other => panic!("it begins with {other:?}"),
            });
            all.push((listed.id, parent));
        }
        all
    }
}

// Goal: a saga carries another out as its step, brings what that brings, and says in the log whose
// step it is; when both have ended nothing is left.
#[tokio::test]
async fn s31_a_saga_is_a_step() {
    let agency = Agency::open().await;
    let run =
        agency.sagas[1].start(Journey { lasts: 200, ..journey(booking(2, 3)) }).await.unwrap();
    while agency.under_way().await != [(run.id(), None)]
        || agency.told().await != ((98, 1, 0), (97, 1, 0))
    {
        let under_way = agency.under_way().await;
        assert!(under_way.iter().all(|(id, parent)| *id == run.id() || *parent == Some(run.id())));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(run.wait().await.unwrap(), Saga::Completed(3));
    assert_eq!(agency.told().await, ((98, 1, 0), (97, 1, 0)));
    assert_eq!(agency.under_way().await, []);
}

// Goal: a saga that is completed is undone when the one turns back whose step it is; one that was
// refused undoes itself, and its refusal is that of the step.
#[tokio::test]
async fn s31_what_is_completed_is_undone_with_its_saga() {
    let agency = Agency::open().await;
    let told = agency.travel(Journey { refused: true, ..journey(booking(2, 3)) }).await;
    let (failed, cause) = (Some("confirm".to_owned()), "no visa".to_owned());
    assert_eq!(told, Saga::Compensated { failed, cause });
    assert_eq!(agency.told().await, ((100, 1, 1), (100, 1, 1)));

    let told = agency.travel(journey(booking(2, 300))).await;
    let Saga::Compensated { failed: Some(failed), cause } = told else { panic!("{told:?}") };
    assert_eq!(failed, "book");
    assert!(cause.contains("\"seats\"") && cause.contains("only 100 left"), "{cause}");
    assert_eq!(agency.told().await, ((100, 2, 2), (100, 1, 1)));
    assert_eq!(agency.under_way().await, []);
}

// Goal: a saga that was not begun yet when its step is undone is not begun any more.
// Method: the journey is cancelled before the step begins its booking, and the attempt outlives that.
#[tokio::test]
async fn s31_what_is_undone_is_not_begun() {
    let agency = Agency::open().await;
    let late = Journey { delay: 300, ..journey(booking(2, 3)) };
    let run = agency.sagas[0].start(late).await.unwrap();
    agency.sagas[0].cancel(run.id(), "changed my mind").await.unwrap();
    let told = run.wait().await.unwrap();
    assert!(matches!(told, Saga::Compensated { failed: None, .. }), "{told:?}");
    let ((rooms, taken, put_back), _) = agency.told().await;
    assert_eq!((rooms, taken), (100, put_back));
    assert_eq!(agency.under_way().await, []);
}

// Goal: sagas and their steps that are sagas go on while they are handed from node to node; each
// step is one saga, never two and never none.
// Method: journeys of which every third is refused at the end, and a transfer every few milliseconds.
#[tokio::test]
async fn s31_each_step_is_one_saga_whoever_carries_it_out() {
    let agency = Agency::open().await;
    let journeys = (0..30).map(|n| {
        let sagas = agency.sagas[n % 3].clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(25 * n as u64)).await;
            let refused = n % 3 == 0;
            let journey = Journey { refused, lasts: 40, ..journey(booking(1, 2)) };
            (refused, sagas.start(journey).await.unwrap().wait().await.unwrap())
        })
    });
    let journeys: Vec<_> = journeys.collect();
    for round in 0..8 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        // One that is under way already is as good.
        agency.sagas[0].transfer(Some(round % 3 + 1)).await.ok();
    }
    for journey in journeys {
        let (refused, told) = journey.await.unwrap();
        let (failed, cause) = (Some("confirm".to_owned()), "no visa".to_owned());
        let undone = Saga::Compensated { failed, cause };
        assert_eq!(told, if refused { undone } else { Saga::Completed(2) });
    }
    assert_eq!(agency.told().await, ((80, 30, 10), (60, 30, 10)));
    assert_eq!(agency.under_way().await, []);
}

// Goal: sagas that would wait for each other through their steps do not: one of them is undone.
// Method: two journeys hold a key each, and their bookings want each other's.
#[tokio::test]
async fn s29_no_circle_of_sagas_waits() {
    let agency = Agency::open().await;
    let crossing = |own: &str, other: &str| Journey {
        key: Some(own.to_owned()),
        booking: Booking { key: Some(other.to_owned()), ..booking(1, 1) },
        delay: 100,
        ..journey(booking(1, 1))
    };
    let first = agency.sagas[0].start(crossing("a", "b")).await.unwrap();
    let second = agency.sagas[1].start(crossing("b", "a")).await.unwrap();
    let told = [first.wait().await.unwrap(), second.wait().await.unwrap()];
    let refused = |it: &Saga<i64>| {
        let Saga::Compensated { failed: Some(failed), cause } = it else { return false };
        failed == "book" && cause.contains("waits for it")
    };
    let done = told.iter().filter(|it| **it == Saga::Completed(1)).count();
    let refused = told.iter().filter(|it| refused(it)).count();
    assert_eq!((done, refused), (1, 1), "{told:?}");
    assert_eq!(agency.told().await.0.0, 99);
}
