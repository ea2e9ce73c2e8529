//! The service under test: a hotel, whose rooms are counted outside of any transaction.

use std::{
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use actix_web::{
    App, HttpResponse,
    http::StatusCode,
    middleware::Condition,
    test::{self, TestRequest},
    web,
};
use consensus_actors::{
    MemoryCluster,
    prelude::*,
    saga::{
        Age, CoordinatorId, EffectKey, Epoch, FromSaga, Op, Place, Request, SagaId, StepId,
        http::{Brought, Once},
    },
};
use tokio::sync::Semaphore;

/// What the hotel has done.
pub(crate) struct Hotel {
    /// How often the handler of a booking began.
    pub(crate) begun: AtomicU32,
    /// What was cancelled, as far as that was known.
    pub(crate) cancelled: Mutex<Vec<Option<String>>>,
    /// Has a permit for each handler that has come to where it waits.
    pub(crate) reached: Semaphore,
    /// Where slow handlers wait for a permit.
    pub(crate) gate: Semaphore,
}

impl Default for Hotel {
    fn default() -> Self {
        Self {
            begun: AtomicU32::new(0),
            cancelled: Mutex::default(),
            reached: Semaphore::new(0),
            gate: Semaphore::new(0),
        }
    }
}

impl Hotel {
    pub(crate) fn begun(&self) -> u32 {
        self.begun.load(Ordering::SeqCst)
    }

    pub(crate) fn cancelled(&self) -> Vec<Option<String>> {
        self.cancelled.lock().unwrap().clone()
    }
}

async fn book(how: web::Path<String>, hotel: web::Data<Hotel>) -> HttpResponse {
    let count = hotel.begun.fetch_add(1, Ordering::SeqCst) + 1;
    let rejected = serde_json::json!({"rejected": "no room"});
    match how.as_str() {
        "slow" => {
            hotel.reached.add_permits(1);
            hotel.gate.acquire().await.unwrap().forget();
            HttpResponse::Created().json(format!("room {count}"))
        }
        "rejected" => HttpResponse::Conflict().json(rejected),
        "in-use" => HttpResponse::Conflict().body("in use"),
        "broken" if count == 1 => HttpResponse::InternalServerError().finish(),
        "panics" if count == 1 => panic!("on purpose"),
        "large" => HttpResponse::Ok().body("x".repeat(100_000)),
        _ => HttpResponse::Created().json(format!("room {count}")),
    }
}

async fn cancel(
    Brought(room): Brought<String>,
    FromSaga(of): FromSaga,
    hotel: web::Data<Hotel>,
) -> HttpResponse {
    assert_eq!(of.key.op, Op::Undo);
    hotel.cancelled.lock().unwrap().push(room);
    HttpResponse::Ok().json(())
}

/// The routes of the hotel.
pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.route("/book/{how}", web::post().to(book)).route("/cancel", web::post().to(cancel));
}

/// A service, which is asked by its path and headers.
pub(crate) struct Door(Box<dyn Fn(TestRequest) -> Answering>);

type Answering = Pin<Box<dyn Future<Output = (StatusCode, String)>>>;

/// Opens the hotel behind `once`.
pub(crate) async fn open(once: Once, hotel: &Arc<Hotel>) -> Door {
    open_if(true, once, hotel).await
}

/// Opens the hotel, behind `once` or not.
pub(crate) async fn open_if(guarded: bool, once: Once, hotel: &Arc<Hotel>) -> Door {
    let data = web::Data::from(Arc::clone(hotel));
    let scope = web::scope("").wrap(Condition::new(guarded, once)).configure(routes);
    let app = Rc::new(test::init_service(App::new().app_data(data).service(scope)).await);
    Door(Box::new(move |request| {
        let app = Rc::clone(&app);
        Box::pin(async move {
            match test::try_call_service(&*app, request.to_request()).await {
                Ok(response) => {
                    let status = response.status();
                    let body = test::read_body(response).await;
                    (status, String::from_utf8_lossy(&body).into_owned())
                }
                // What a server makes of it.
                Err(error) => (error.error_response().status(), error.to_string()),
            }
        })
    }))
}

/// Starts a node alone, which remembers requests.
pub(crate) async fn hosted() -> (MemoryCluster, Once) {
    let cluster = MemoryCluster::configured(1, |node| {
        node.election_timeout(Duration::from_millis(300)).heartbeat(Duration::from_millis(60))
    });
    let cluster = cluster.unwrap();
    let node: &Node = &cluster.nodes()[0];
    let once = Once::host(node, "requests").await.unwrap().limit(Duration::from_secs(60));
    // Until the group has a leader.
    once.len().await.unwrap();
    (cluster, once)
}

/// Returns a request for the first step of a saga, by the first executor.
pub(crate) fn request(op: Op) -> Request {
    let key = EffectKey { saga: SagaId(7), step: StepId(0), op, round: 0 };
    let age = Age { place: Place(7), oldest: Place(7) };
    Request { key, coordinator: CoordinatorId(5), epoch: Epoch(1), age }
}

/// Returns the headers that a step sends.
pub(crate) fn headers(of: Request) -> [(&'static str, String); 5] {
    [
        ("idempotency-key", of.key.to_string()),
        ("saga-coordinator", format!("{:016x}", of.coordinator.0)),
        ("saga-epoch", of.epoch.0.to_string()),
        ("saga-place", of.age.place.0.to_string()),
        ("saga-oldest", of.age.oldest.0.to_string()),
    ]
}

impl Door {
    /// Asks, and returns the status and the body of the answer.
    pub(crate) async fn ask(
        &self,
        path: &str,
        headers: &[(&'static str, String)],
    ) -> (StatusCode, String) {
        let mut request = TestRequest::post().uri(path);
        for (name, value) in headers {
            request = request.insert_header((*name, value.as_str()));
        }
        (self.0)(request).await
    }

    /// Asks for the step that books a room.
    pub(crate) async fn book(&self, how: &str, of: Request) -> (StatusCode, String) {
        self.ask(&format!("/book/{how}"), &headers(of)).await
    }

    /// Asks for the compensation of the first step.
    pub(crate) async fn cancel(&self) -> (StatusCode, String) {
        self.ask("/cancel", &headers(request(Op::Undo))).await
    }
}

pub(crate) fn room(number: u32) -> (StatusCode, String) {
    (StatusCode::CREATED, format!("\"room {number}\""))
}

/// What is refused for the time being, or for good: the saga takes it for unknown.
pub(crate) const REFUSED: StatusCode = StatusCode::PRECONDITION_FAILED;
