//! The middleware of a service that holds its state elsewhere: it has a handler run once for all
//! requests that mean one effect.

use std::{
    collections::BTreeMap,
    future::{Ready, ready},
    rc::Rc,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_web::{
    Error as ActixError,
    body::{BoxBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform},
    error::ErrorBadRequest,
    http::header::HeaderMap,
    rt,
};
use consensus_core::saga::{Answer, Request};
use tokio::time::Instant;

use super::{
    SAGA_COORDINATOR, SAGA_EPOCH,
    carrying::Carrying,
    requests::{Command, Query, Reply, Requests, Runner},
    serving::read,
};
use crate::{
    client::Client,
    error::{Code, Error, Result},
    node::Node,
    sync::lock,
};

/// How many runners are watched that others wait for.
const WATCHED_MAX: usize = 4_096;

/// Middleware that has a handler run once for all requests of a saga that mean one effect: for
/// services that hold their state elsewhere, where neither a [`Guard`](crate::saga::Guard) nor a
/// transaction with rows of its own can be.
///
/// ```no_run
/// use actix_web::{App, HttpResponse, HttpServer, Responder, web};
/// use consensus_actors::{
///     Node,
///     saga::{FromSaga, http::{Brought, Once}},
/// };
///
/// async fn book(FromSaga(of): FromSaga, nights: web::Json<u32>) -> impl Responder {
///     // .. asks somebody else, with `of.key` as idempotency key
///     # let _ = (of, nights);
///     HttpResponse::Ok().json("room 17")
/// }
///
/// async fn cancel(Brought(room): Brought<String>, FromSaga(of): FromSaga) -> impl Responder {
///     // .. frees the room, or whatever was booked under the key if nobody knows which
///     # let _ = (room, of);
///     HttpResponse::Ok().json(())
/// }
///
/// # async fn serve(node: Node) -> Result<(), Box<dyn std::error::Error>> {
/// let once = Once::host(&node, "hotel-requests").await?;
/// HttpServer::new(move || {
///     App::new().service(
///         web::scope("/rooms")
///             .wrap(once.clone())
///             .route("/book", web::post().to(book))
///             .route("/cancel", web::post().to(cancel)),
///     )
/// })
/// .bind(("127.0.0.1", 8080))?
/// .run()
/// .await?;
/// # Ok(())
/// # }
/// ```
///
/// The group that it hosts remembers each request by its key. What is repeated is answered as it
/// was first: 2xx, and 409 with `{"rejected": ..}`, with their content type and a body of at most
/// 64 KiB. A step that comes after its compensation is refused, as [`Guarded::Refused`] is, a
/// compensation without its step does nothing, and an executor that was replaced has no say. A
/// request that comes while another for the same is under way is refused, too, and asked for again
/// by its saga. A compensation's handler finds in [`Brought`](super::Brought) what the step
/// answered.
///
/// # What does not hold
///
/// The effect and the note of its answer are no one transaction. A service that dies in between has
/// the effect, but no answer, and the next request runs the handler once more. So it does after any
/// answer that is not kept (5xx, say), and when a handler stood still longer than
/// [`limit`](Once::limit) and went on later. So a handler must bear to be run again for the same
/// key: it passes the key on to somebody who looks at it, or has an effect that is the same twice.
/// What cannot, belongs into a replicated state with a `Guard`, or into PostgreSQL with its
/// barrier. A replaced executor's request that was let through before the next was heard of runs to
/// its end.
///
/// A step that was begun and never answered counts as done when it is undone: the compensation
/// runs, and finds `None` in `Brought`.
///
/// [`Guarded::Refused`]: crate::saga::Guarded::Refused
#[derive(Clone)]
pub struct Once {
    client: Client<Requests>,
    limit: Duration,
    only_sagas: bool,
    /// Since when this process knows that others wait for a runner.
    watched: Arc<Mutex<BTreeMap<Runner, Instant>>>,
}

impl std::fmt::Debug for Once {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { limit, only_sagas, .. } = self;
        write!(f, "Once(limit {limit:?}, only sagas: {only_sagas})")
    }
}

impl Once {
    /// Hosts the group `name`, which remembers what was answered. All nodes that serve the same
    /// requests host it under the same name.
    ///
    /// # Errors
    /// Those of hosting any group.
    pub async fn host(node: &Node, name: &str) -> Result<Self> {
        let client = node.host::<Requests>(name).await?;
        let limit = Duration::from_secs(15);
        Ok(Self { client, limit, only_sagas: false, watched: Arc::default() })
    }

    /// Sets how long a request may take, 15 s by default; all nodes set the same. A handler that
    /// takes longer is dropped. One of a process that is gone is taken over when the same is asked
    /// for at another that has waited for it so long.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Refuses requests that come from no saga, with 400. They are left alone otherwise.
    #[must_use]
    pub fn only_sagas(mut self) -> Self {
        self.only_sagas = true;
        self
    }

    /// Returns how many steps are remembered.
    ///
    /// # Errors
    /// Those of any call.
    pub async fn len(&self) -> Result<usize> {
        self.client.answer(&Query::Len).await
    }

    /// Tells whether no step is remembered.
    ///
    /// # Errors
    /// Those of any call.
    pub async fn is_empty(&self) -> Result<bool> {
        Ok(self.len().await? == 0)
    }

    /// Returns which effect is asked for; `None` if a request comes from no saga and may.
    pub(super) fn asked(&self, headers: &HeaderMap) -> Result<Option<Request>, ActixError> {
        // Others have idempotency keys, too.
        let of_saga = [SAGA_COORDINATOR, SAGA_EPOCH].iter().any(|name| headers.contains_key(*name));
        if !of_saga && !self.only_sagas {
            return Ok(None);
        }
        read(headers).map(Some).map_err(ErrorBadRequest)
    }

    /// Returns when a handler that is asked for now is dropped.
    pub(super) fn until(&self) -> Instant {
        Instant::now() + self.limit
    }

    /// Asks what to do about a request.
    pub(super) async fn admit(&self, of: Request, runner: Runner) -> Result<Reply> {
        let mut gone = None;
        loop {
            let reply = self.client.apply(&Command::Admit { of, runner, gone }).await;
            match reply {
                Ok(Reply::Busy(other)) if gone.is_none() && self.is_gone(other) => {
                    gone = Some(other);
                }
                Ok(reply) => return Ok(reply),
                Err(error) => {
                    // It may have been let through all the same.
                    self.give_up(of, runner);
                    return Err(error);
                }
            }
        }
    }

    /// Notes that a runner is no longer about a request, for who cannot wait for that. If it is not
    /// noted after all, others take the request over in time.
    pub(super) fn give_up(&self, of: Request, runner: Runner) {
        let once = self.clone();
        rt::spawn(async move { once.finish(of, runner, None).await });
    }

    /// Notes an answer, or that there is none to keep; returns whether it counts.
    pub(super) async fn finish(
        &self,
        of: Request,
        runner: Runner,
        answer: Option<Answer>,
    ) -> Result<bool> {
        match self.client.apply(&Command::Finish { of, runner, answer }).await? {
            Reply::Finished(counts) => Ok(counts),
            reply => Err(odd(&reply)),
        }
    }

    /// Tells whether a runner must have ended by now: it had begun when it was first heard of here,
    /// and takes no longer than the limit, which it counts from before it began. So no clock needs
    /// to agree with another, only to go as fast.
    fn is_gone(&self, runner: Runner) -> bool {
        let mut watched = lock(&self.watched);
        let now = Instant::now();
        if let Some(since) = watched.get(&runner) {
            let gone = now.duration_since(*since) > self.limit;
            if gone {
                watched.remove(&runner);
            }
            return gone;
        }
        if watched.len() >= WATCHED_MAX {
            // Who asks again begins to wait again, at worst.
            watched.retain(|_, since| now.duration_since(*since) <= self.limit * 2);
        }
        if watched.len() < WATCHED_MAX {
            watched.insert(runner, now);
        }
        false
    }
}

/// Says that the group answered what it was not asked.
fn odd(reply: &Reply) -> Error {
    Error::new(Code::Undecodable, format!("the group of requests answered {reply:?}"))
}

impl<S, B> Transform<S, ServiceRequest> for Once
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = ActixError> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = ActixError;
    type Transform = Carrying<S>;
    type InitError = ();
    type Future = Ready<Result<Carrying<S>, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(Carrying::new(Rc::new(service), self.clone())))
    }
}
