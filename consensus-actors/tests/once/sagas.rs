//! Sagas whose steps call a service over HTTP.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use actix_web::{App, HttpServer, web};
use consensus_actors::{
    MemoryCluster,
    prelude::*,
    saga::{Outcome, Saga, SagaCx, Undo, http::Once},
};

use crate::hotel::{Hotel, routes};

/// Where the hotel is.
struct Hotels(SocketAddr);

/// A room, as the hotel calls it.
#[derive(Clone, Serialize, Deserialize)]
struct Room(String);

/// A journey: a room is booked, and then the journey is confirmed, or not.
#[derive(Clone, Serialize, Deserialize)]
struct Travel {
    room: String,
    confirmed: bool,
}

#[saga(version = 1)]
impl Travel {
    #[step(undo = cancel, retry(max = 50, backoff = "5ms..50ms"))]
    async fn book(&self, cx: &SagaCx) -> Outcome<Room> {
        let (status, body) = called(cx, format!("book/{}", self.room)).await;
        // The reply to every first attempt is lost.
        if cx.attempt() == 1 { Outcome::Unknown } else { Outcome::from_response(status, &body) }
    }

    async fn cancel(&self, cx: &SagaCx) -> Undo {
        let (status, body) = called(cx, "cancel".to_owned()).await;
        if cx.attempt() == 1 {
            return Undo::Unknown;
        }
        Outcome::<()>::from_response(status, &body).into()
    }

    #[step(pivot)]
    async fn confirm(&self, _: &SagaCx, book: &Room) -> Outcome<String> {
        if self.confirmed {
            Outcome::Done(book.0.clone())
        } else {
            Outcome::Rejected("no visa".to_owned())
        }
    }
}

/// Asks the hotel for what a step is about.
async fn called(cx: &SagaCx, path: String) -> (u16, Vec<u8>) {
    let (address, headers) = (cx.get::<Hotels>().0, cx.headers());
    let call = move || {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build();
        let agent = ureq::Agent::new_with_config(agent);
        let mut request = agent.post(format!("http://{address}/{path}"));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut response = request.send_empty().expect("the hotel answers");
        (response.status().as_u16(), response.body_mut().read_to_vec().expect("a body"))
    };
    tokio::task::spawn_blocking(call).await.expect("a call")
}

// Goal: sagas of which every first reply is lost are carried out, undone, or refused, as if it were
// not: each handler runs once. Method: a real server, whose middleware rests on a group of the same
// nodes.
#[actix_web::test]
async fn sagas_end_whole_at_a_service() {
    let cluster = MemoryCluster::configured(3, |node| {
        node.election_timeout(Duration::from_millis(300)).heartbeat(Duration::from_millis(60))
    });
    let (cluster, hotel) = (cluster.unwrap(), Arc::new(Hotel::default()));
    let mut once = Vec::new();
    for node in cluster.nodes() {
        once.push(Once::host(node, "requests").await.unwrap());
    }
    let data = web::Data::from(Arc::clone(&hotel));
    let server = HttpServer::new(move || {
        let scope = web::scope("").wrap(once[1].clone()).configure(routes);
        App::new().app_data(data.clone()).service(scope)
    });
    let server = server.workers(1).disable_signals().bind(("127.0.0.1", 0)).unwrap();
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    let running = actix_web::rt::spawn(server);
    let mut sagas = Vec::new();
    for node in cluster.nodes() {
        let hosting = node.sagas("travels").with(Hotels(address)).register::<Travel>();
        sagas.push(hosting.await.unwrap());
    }
    let travel = |room: &str, confirmed| Travel { room: room.to_owned(), confirmed };
    let undone = |failed: &str, cause: &str| Saga::Compensated {
        failed: Some(failed.to_owned()),
        cause: cause.to_owned(),
    };
    for (travel, end) in [
        (travel("any", true), Saga::Completed("room 1".to_owned())),
        (travel("any", false), undone("confirm", "no visa")),
        (travel("rejected", true), undone("book", "no room")),
    ] {
        assert_eq!(sagas[0].start(travel).await.unwrap().wait().await.unwrap(), end);
    }
    assert_eq!((hotel.begun(), hotel.cancelled()), (3, vec![Some("room 2".to_owned())]));
    handle.stop(false).await;
    running.await.unwrap().unwrap();
}
