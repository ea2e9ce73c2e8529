//! The link to one peer: connects, reconnects, and writes one frame for all that waits.

use std::{io, sync::Arc, time::Duration};

use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, WrapFuture,
};
use consensus_core::NodeId;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{sleep, timeout},
};

use super::{
    exclusion::{Cause, Exclusion},
    frame,
    handshake::{self, Identity},
    network::{Network, Stream},
    queue::Queue,
    roster::Standing,
};
use crate::abort::AbortOnPanic;

/// Something waits for the peer.
pub(crate) struct Look;

impl Message for Look {
    type Result = ();
}

/// The peer listens elsewhere from now on.
pub(super) struct Move(pub(super) String);

impl Message for Move {
    type Result = ();
}

/// The peer is nobody's concern any more.
pub(super) struct Close;

impl Message for Close {
    type Result = ();
}

/// An occasion to say that this node is here.
struct Sign;

impl Message for Sign {
    type Result = ();
}

/// The pause before the first attempt to reconnect, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// The pause after a refusal that only an operator can change.
const REFUSED_PAUSE: Duration = Duration::from_secs(10);

/// How long a frame may take to be written. A peer that reads nothing for so long is not there, and
/// its connection is closed: what waits for it is better lost than kept.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);

/// How long a connection attempt may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// The actor of the connection to one peer.
pub(crate) struct Link {
    network: Arc<dyn Network>,
    identity: Identity,
    peer: NodeId,
    address: String,
    queue: Arc<Queue>,
    connection: Connection,
    /// Whether anything was written since the last occasion to give a sign of life.
    has_spoken: bool,
    backoff: Duration,
    /// Counts connections: what a former one reports does not concern the present one.
    generation: u64,
}

enum Connection {
    Down,
    /// Nothing is being written; here is the stream and the buffer of the last frame.
    Idle(Box<dyn AsyncWrite + Send + Unpin>, Vec<u8>),
    Writing,
}

impl Link {
    /// Starts the link to `peer`, which listens on `address`; what is for it waits in `queue`.
    pub(crate) fn launch(
        network: Arc<dyn Network>,
        identity: Identity,
        (peer, address): (NodeId, String),
        queue: Arc<Queue>,
    ) -> Addr<Self> {
        Self {
            network,
            identity,
            peer,
            address,
            queue,
            connection: Connection::Down,
            has_spoken: false,
            backoff: BACKOFF.0,
            generation: 0,
        }
        .start()
    }

    fn connect(&mut self, ctx: &mut Context<Self>) {
        self.generation += 1;
        let (identity, peer) = (self.identity.clone(), self.peer);
        let dialing = timeout(CONNECT_PATIENCE, self.network.dial(&self.address));
        let connect = async move {
            let mut stream = dialing.await??;
            handshake::call(&mut stream, &identity, peer).await?;
            io::Result::Ok(stream)
        };
        let generation = self.generation;
        ctx.spawn(connect.into_actor(self).map(move |connected, link, ctx| {
            if link.generation != generation {
                return;
            }
            match connected {
                Ok(stream) => link.on_connected(stream, ctx),
                Err(error) => link.on_lost(&error, ctx),
            }
        }));
    }

    fn on_connected(&mut self, stream: Stream, ctx: &mut Context<Self>) {
        let _guard = AbortOnPanic("link");
        tracing::debug!(node = %self.identity.node, peer = %self.peer, "connected");
        self.backoff = BACKOFF.0;
        self.identity.roster.connected(self.peer);
        self.identity.presence.reached(self.peer, true);
        self.queue.open();
        let Stream { read, write } = stream;
        self.connection = Connection::Idle(write, Vec::new());
        self.watch(read, ctx);
        // The peer hears at once that this node is here.
        self.write(ctx);
    }

    /// The peer sends nothing here: what can be read is the end of the connection.
    fn watch(&self, mut read: impl AsyncRead + Unpin + 'static, ctx: &mut Context<Self>) {
        let generation = self.generation;
        let end = async move {
            match read.read(&mut [0]).await {
                Ok(_) => io::Error::new(io::ErrorKind::ConnectionReset, "the peer closed"),
                Err(error) => error,
            }
        };
        ctx.spawn(end.into_actor(self).map(move |end, link, ctx| {
            if link.generation == generation {
                link.on_lost(&end, ctx);
            }
        }));
    }

    fn on_lost(&mut self, error: &io::Error, ctx: &mut Context<Self>) {
        let _guard = AbortOnPanic("link");
        let (node, peer) = (self.identity.node, self.peer);
        let refusal = Exclusion::find(error);
        // What is repeated at every attempt is said once; and who waits to be added knows why.
        let roster = &self.identity.roster;
        let waits = refusal.is_some_and(|refusal| refusal.cause == Cause::Unknown)
            && roster.standing() == Standing::Waiting;
        if refusal.is_some_and(|refusal| roster.refused(peer, refusal)) && !waits {
            tracing::error!(%node, %peer, reason = %error, "refused");
        } else {
            tracing::debug!(%node, %peer, %error, "not connected");
        }
        self.connection = Connection::Down;
        self.generation += 1;
        self.queue.close();
        self.identity.presence.reached(peer, false);
        let is_final =
            refusal.is_some_and(|refusal| matches!(refusal.cause, Cause::Wiped | Cause::Removed));
        let pause = if is_final { REFUSED_PAUSE } else { self.backoff };
        self.backoff = (self.backoff * 2).min(BACKOFF.1);
        let generation = self.generation;
        ctx.spawn(sleep(pause).into_actor(self).map(move |(), link, ctx| {
            // A peer that has moved is called without waiting.
            if link.generation == generation {
                link.connect(ctx);
            }
        }));
    }

    /// Writes what waits, unless something is being written; what waits then goes next.
    fn write_waiting(&mut self, ctx: &mut Context<Self>) {
        if matches!(self.connection, Connection::Idle(..)) && !self.queue.is_empty() {
            self.write(ctx);
        }
    }

    /// Writes one frame with what waits, as much as fits; an empty one is a sign of life.
    fn write(&mut self, ctx: &mut Context<Self>) {
        let _guard = AbortOnPanic("link");
        let Connection::Idle(mut stream, mut frame) =
            std::mem::replace(&mut self.connection, Connection::Writing)
        else {
            unreachable!("only an idle connection is written to");
        };
        self.has_spoken = true;
        frame.clear();
        frame::begin(&mut frame);
        self.queue.fill(&mut frame);
        frame::finish(&mut frame);

        let generation = self.generation;
        let write = async move {
            timeout(WRITE_PATIENCE, stream.write_all(&frame)).await??;
            io::Result::Ok((stream, frame))
        };
        ctx.spawn(write.into_actor(self).map(move |written, link, ctx| {
            if link.generation != generation {
                return;
            }
            match written {
                Ok((stream, frame)) => {
                    link.connection = Connection::Idle(stream, frame);
                    link.write_waiting(ctx);
                }
                Err(error) => link.on_lost(&error, ctx),
            }
        }));
    }
}

impl Actor for Link {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.connect(ctx);
        // A task of its own: an actor's own timers wait until its mailbox is empty.
        let (link, pause) = (ctx.address().downgrade(), self.identity.presence.sign_every());
        actix_rt::spawn(async move {
            loop {
                sleep(pause).await;
                let Some(link) = link.upgrade() else { return };
                link.do_send(Sign);
            }
        });
    }
}

impl Handler<Look> for Link {
    type Result = ();

    fn handle(&mut self, _: Look, ctx: &mut Self::Context) {
        let _guard = AbortOnPanic("link");
        self.write_waiting(ctx);
    }
}

impl Handler<Sign> for Link {
    type Result = ();

    fn handle(&mut self, _: Sign, ctx: &mut Self::Context) {
        let _guard = AbortOnPanic("link");
        if !std::mem::take(&mut self.has_spoken) && matches!(self.connection, Connection::Idle(..))
        {
            self.write(ctx);
            self.has_spoken = false;
        }
    }
}

impl Handler<Move> for Link {
    type Result = ();

    fn handle(&mut self, Move(address): Move, ctx: &mut Self::Context) {
        let _guard = AbortOnPanic("link");
        (self.address, self.backoff) = (address, BACKOFF.0);
        // A connection that stands is one to the node itself, wherever that listens now.
        if matches!(self.connection, Connection::Down) {
            self.connect(ctx);
        }
    }
}

impl Handler<Close> for Link {
    type Result = ();

    fn handle(&mut self, _: Close, ctx: &mut Self::Context) {
        let _guard = AbortOnPanic("link");
        self.queue.close();
        self.identity.presence.reached(self.peer, false);
        ctx.stop();
    }
}
