//! Clients that are no members, as a node sees them: admitted to one group each, and bounded.
//!
//! A guest may not have more on its way than [`REQUESTS_WEIGHT_MAX`], nor leave more unread than a
//! frame of answers: beyond, the node stops to read from it, and TCP stops it. Whoever does not
//! read in time loses its connection. So a guest costs a node so much memory at most, and peers,
//! who have places of their own, nothing.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use consensus_core::{
    GroupId,
    client::{Attempted, Response, Whereabouts},
    codec::Decode,
};
use tokio::{
    sync::{
        OwnedSemaphorePermit, Semaphore,
        broadcast::{self, error::RecvError},
        mpsc,
    },
    time::{Instant, sleep_until},
};

use super::{
    Item, Kind,
    admission::{Greeting, Refusal},
    conversation::{Conversation, Turn},
    network::Stream,
    put_item,
};

/// How many clients a node takes.
pub(crate) const GUESTS_MAX: usize = 256;

/// The largest body of a frame from a client: the largest request, and room for what goes with it.
pub(crate) const REQUESTS_BYTES_MAX: usize = 2 << 20;

/// How many requests a client may put into a frame.
pub(crate) const REQUESTS_MAX: usize = 4_096;

/// A frame is full, for either end, when it holds this much; what is larger goes alone.
pub(crate) const BATCH_BYTES: usize = 1 << 20;

/// What a request weighs beside its bytes: it has places in tables while it is on its way.
const REQUEST_WEIGHT: usize = 512;

/// What the requests of one client may weigh that have no answer yet: two frames of the largest.
const REQUESTS_WEIGHT_MAX: usize = 2 * (REQUESTS_BYTES_MAX + REQUESTS_MAX * REQUEST_WEIGHT);

/// What may wait to be written to one client, and to all; beyond, answers are dropped as a network
/// would, and clients ask again.
const ANSWERS_BYTES_MAX: (usize, usize) = (64 << 20, 256 << 20);

/// How long a client may say nothing: one that has nothing to ask asks for whereabouts.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// How long a client may take to read a frame.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);

/// The places of a node's clients; clones are of the same node.
#[derive(Clone, Debug)]
pub(crate) struct Places(Arc<Semaphore>);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(GUESTS_MAX)))
    }
}

impl Places {
    /// Takes a place, which is free again when what is returned is dropped; none if all are taken.
    pub(super) fn take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }

    /// Returns how many are taken.
    pub(crate) fn taken(&self) -> usize {
        GUESTS_MAX - self.0.available_permits()
    }
}

/// Where clients that are no members are received.
pub(crate) trait Reception: Send + Sync {
    /// Returns the node's places for clients.
    fn places(&self) -> &Places;

    /// Finds the group that a client wants, and looks whether it is what the client takes it for.
    ///
    /// # Errors
    /// [`Refusal`] with what is wrong.
    fn receive(&self, greeting: &Greeting) -> Result<Arc<dyn Desk>, Refusal>;
}

/// Where the guests of a group are served.
pub(crate) trait Desk: Send + Sync {
    /// Takes what a client sent in one frame, in order.
    fn ask(&self, guest: Guest, requests: Vec<Attempted>);

    /// Tells where the leader and the members are.
    fn whereabouts(&self) -> Whereabouts;

    /// Follows who leads and who the members are: whereabouts are told again when that changes.
    fn follow(&self) -> broadcast::Receiver<()>;
}

/// A client that is no member, to whoever answers it.
#[derive(Clone)]
pub(crate) struct Guest {
    outlet: Arc<Outlet>,
    /// Given back when all requests of the frame are answered.
    _weight: Arc<OwnedSemaphorePermit>,
}

impl Guest {
    /// Sends an answer, which may be lost.
    pub(crate) fn answer(&self, response: Response) {
        self.outlet.send(response);
    }
}

/// The way back to a client.
struct Outlet {
    answers: mpsc::UnboundedSender<Response>,
    /// Bytes that wait to be written to this client, and to all.
    waiting: AtomicUsize,
    of_all: Arc<AtomicUsize>,
}

/// The bytes that an answer takes where it waits.
fn weight(response: &Response) -> usize {
    64 + response.result.as_ref().map_or(0, |answered| answered.reply.len())
}

impl Outlet {
    fn send(&self, response: Response) {
        let weight = weight(&response);
        let all = self.of_all.fetch_add(weight, Ordering::Relaxed) + weight;
        let own = self.waiting.fetch_add(weight, Ordering::Relaxed) + weight;
        let fits = own <= ANSWERS_BYTES_MAX.0 && all <= ANSWERS_BYTES_MAX.1;
        if !fits || self.answers.send(response).is_err() {
            tracing::debug!(own, all, "an answer to a client is dropped");
            self.release(weight);
        }
    }

    fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn release(&self, weight: usize) {
        self.waiting.fetch_sub(weight, Ordering::Relaxed);
        self.of_all.fetch_sub(weight, Ordering::Relaxed);
    }
}

/// One client's connection.
pub(super) struct Visit {
    conversation: Conversation,
    desk: Arc<dyn Desk>,
    group: GroupId,
    followed: broadcast::Receiver<()>,
    outlet: Arc<Outlet>,
    answers: mpsc::UnboundedReceiver<Response>,
    /// What the client's requests may weigh beside those that are on their way.
    room: Arc<Semaphore>,
    /// Requests that wait for room; until there is some nothing more is read.
    held: Option<(Vec<Attempted>, u32)>,
    /// When the client was last not listened to.
    since: Instant,
    /// An answer that is written next.
    next: Option<Response>,
    /// Whereabouts are written next.
    announces: bool,
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.answers.close();
        let left = std::iter::from_fn(|| self.answers.try_recv().ok());
        self.next.take().into_iter().chain(left).for_each(|response| {
            self.outlet.release(weight(&response));
        });
    }
}

impl Visit {
    /// Begins to serve a client that was admitted to `group`.
    pub(super) fn new(
        stream: Stream,
        group: GroupId,
        desk: Arc<dyn Desk>,
        of_all: Arc<AtomicUsize>,
    ) -> Self {
        let (sender, answers) = mpsc::unbounded_channel();
        let outlet = Outlet { answers: sender, waiting: AtomicUsize::new(0), of_all };
        Self {
            conversation: Conversation::new(stream, REQUESTS_BYTES_MAX),
            followed: desk.follow(),
            desk,
            group,
            outlet: Arc::new(outlet),
            answers,
            room: Arc::new(Semaphore::new(REQUESTS_WEIGHT_MAX)),
            held: None,
            since: Instant::now(),
            next: None,
            announces: true,
        }
    }

    /// Serves the client until it goes.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when it sends what no client would,
    /// [`io::ErrorKind::TimedOut`] when it is silent or does not read, and whatever the socket
    /// says.
    pub(super) async fn serve(mut self) -> io::Result<()> {
        loop {
            self.write();
            let listens = self.held.is_none() && self.outlet.waiting() <= BATCH_BYTES;
            if !listens {
                // It is the node that keeps the client waiting.
                self.since = Instant::now();
            }
            let until = self.patience();
            let Self { conversation, followed, answers, room, held, .. } = &mut self;
            let (writing, room) = (conversation.is_writing(), Arc::clone(room));
            let weight = held.as_ref().map(|(_, weight)| *weight);
            tokio::select! {
                biased;
                turn = conversation.next(listens) => match turn? {
                    Turn::Heard(frame) => self.on_frame(&frame)?,
                    Turn::Said => {}
                    Turn::Ended => return Ok(()),
                },
                Some(answer) = answers.recv(), if !writing => self.next = Some(answer),
                changed = followed.recv() => match changed {
                    Ok(()) | Err(RecvError::Lagged(_)) => self.announces = true,
                    // The group is gone, and with it all that was asked.
                    Err(RecvError::Closed) => return Ok(()),
                },
                Ok(room) = room.acquire_many_owned(weight.unwrap_or(0)), if weight.is_some() => {
                    self.deliver(room);
                }
                () = sleep_until(until) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
    }

    /// Returns how long the client may go on as it does.
    fn patience(&self) -> Instant {
        let spoken = self.conversation.heard().max(self.since) + SILENCE_MAX;
        match self.conversation.is_writing() {
            true => spoken.min(self.conversation.said() + WRITE_PATIENCE),
            false => spoken,
        }
    }

    fn on_frame(&mut self, frame: &Bytes) -> io::Result<()> {
        if frame.is_empty() {
            self.announces = true;
            return Ok(());
        }
        let invalid = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
        let (mut requests, mut rest) = (Vec::new(), frame.clone());
        while !rest.is_empty() {
            let item = Item::decode(&mut rest).map_err(|error| invalid(error.to_string()))?;
            if item.group != self.group || item.kind != Kind::Request {
                return Err(invalid("an item that is no request to the client's group".to_owned()));
            }
            if requests.len() == REQUESTS_MAX {
                return Err(invalid(format!("more than {REQUESTS_MAX} requests in a frame")));
            }
            let attempted = Attempted::decode_all(own(item.bytes, frame));
            requests.push(attempted.map_err(|error| invalid(error.to_string()))?);
        }
        let weight = frame.len() + requests.len() * REQUEST_WEIGHT;
        let weight = u32::try_from(weight).map_err(|error| invalid(error.to_string()))?;
        self.held = Some((requests, weight));
        if let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(weight) {
            self.deliver(room);
        }
        Ok(())
    }

    fn deliver(&mut self, room: OwnedSemaphorePermit) {
        if let Some((requests, _)) = self.held.take() {
            let guest = Guest { outlet: Arc::clone(&self.outlet), _weight: Arc::new(room) };
            self.desk.ask(guest, requests);
        }
    }

    /// Begins a frame with what waits, unless the last is still being written.
    fn write(&mut self) {
        if self.conversation.is_writing() {
            return;
        }
        let Self { conversation, desk, group, outlet, answers, .. } = self;
        let announced = std::mem::take(&mut self.announces).then(|| desk.whereabouts());
        let mut next = self.next.take().or_else(|| answers.try_recv().ok());
        if announced.is_none() && next.is_none() {
            return;
        }
        conversation.say(|body| {
            let empty = body.len();
            if let Some(whereabouts) = announced {
                put_item(body, *group, Kind::Whereabouts, &whereabouts);
            }
            while let Some(response) = next.take_if(|response| {
                body.len() == empty || body.len() + weight(response) <= BATCH_BYTES
            }) {
                outlet.release(weight(&response));
                put_item(body, *group, Kind::Response, &response);
                next = answers.try_recv().ok();
            }
        });
        self.next = next;
    }
}

/// Returns the bytes of an item, in memory of their own unless they are much of their frame: they
/// may stand in the log for long, and must not keep there what came beside them.
fn own(bytes: Bytes, frame: &Bytes) -> Bytes {
    const SHORT: usize = 4 << 10;
    let is_much = frame.len() <= SHORT || bytes.len() >= frame.len() / 4;
    if is_much { bytes } else { Bytes::copy_from_slice(&bytes) }
}
