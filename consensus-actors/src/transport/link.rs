//! The link to one peer: connects, reconnects, and writes one frame for all that waits.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, WrapFuture,
};
use consensus_core::NodeId;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{sleep, timeout},
};

use super::{
    FRAME_BYTES_MAX, Item, frame,
    handshake::{self, Identity},
    network::{Network, Stream},
    roster::{Cause, Exclusion, Standing},
};
use crate::abort::AbortOnPanic;

/// Items for the peer.
pub(crate) struct Outgoing(pub(crate) Vec<Item>);

impl Message for Outgoing {
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

/// What may wait for a peer; beyond, new items are dropped as a network would, and protocols send
/// again.
const WAITING_BYTES_MAX: usize = 64 << 20;

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
    waiting: VecDeque<Item>,
    waiting_bytes: usize,
    connection: Connection,
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
    /// Starts the link to `peer`, which listens on `address`.
    pub(crate) fn launch(
        network: Arc<dyn Network>,
        identity: Identity,
        peer: NodeId,
        address: String,
    ) -> Addr<Self> {
        Self {
            network,
            identity,
            peer,
            address,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            connection: Connection::Down,
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
        let Stream { read, write } = stream;
        self.connection = Connection::Idle(write, Vec::new());
        self.watch(read, ctx);
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
        if roster.disconnected(peer, refusal) && !waits {
            tracing::error!(%node, %peer, reason = %error, "refused");
        } else {
            tracing::debug!(%node, %peer, %error, "not connected");
        }
        self.connection = Connection::Down;
        self.generation += 1;
        // What waited may be stale by the time the peer is back; protocols and clients send again.
        self.waiting.clear();
        self.waiting_bytes = 0;
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

    /// Writes one frame with what waits, as much as fits.
    fn write(&mut self, ctx: &mut Context<Self>) {
        let _guard = AbortOnPanic("link");
        if self.waiting.is_empty() {
            return;
        }
        let Connection::Idle(mut stream, mut frame) =
            std::mem::replace(&mut self.connection, Connection::Writing)
        else {
            unreachable!("only an idle connection is written to");
        };
        frame.clear();
        frame::begin(&mut frame);
        let mut room = FRAME_BYTES_MAX;
        while let Some(item) = self.waiting.front()
            && item.size() <= room
        {
            room -= item.size();
            item.encode(&mut frame);
            self.waiting_bytes -= item.size();
            self.waiting.pop_front();
        }
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
                    link.write(ctx);
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
    }
}

impl Handler<Outgoing> for Link {
    type Result = ();

    fn handle(&mut self, Outgoing(items): Outgoing, ctx: &mut Self::Context) {
        let _guard = AbortOnPanic("link");
        if matches!(self.connection, Connection::Down) {
            return;
        }
        for item in items {
            let size = item.size();
            if size > FRAME_BYTES_MAX || self.waiting_bytes + size > WAITING_BYTES_MAX {
                tracing::debug!(peer = %self.peer, size, "an item is dropped: no room");
                continue;
            }
            self.waiting_bytes += size;
            self.waiting.push_back(item);
        }
        if matches!(self.connection, Connection::Idle(..)) {
            self.write(ctx);
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
        self.identity.roster.disconnected(self.peer, None);
        ctx.stop();
    }
}
