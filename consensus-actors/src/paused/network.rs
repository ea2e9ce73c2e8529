//! A network in memory that knows frames: it loses them, delays them, holds them back, cuts
//! connections in the middle of one, and keeps parted nodes apart.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    future::pending,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep, sleep_until},
};

use super::{
    pipe::{HEADER_BYTES, Pipe, Reading, Way},
    random::{Random, Trace},
    tally::Tally,
};
use crate::{
    sync::lock,
    transport::network::{Dialing, Incoming, Network, Stream},
};

/// A node from one start to its end: no two lives of a node share a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) node: u64,
    pub(super) generation: u64,
}

/// What becomes of frames between parted nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parting {
    /// They are lost.
    Lose,
    /// They arrive once the nodes are together again.
    Hold,
}

/// How likely what is, in thousandths of the frames.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Odds {
    pub(super) loss: u64,
    pub(super) delay: u64,
    /// The longest delay, in milliseconds.
    pub(super) delay_max: u64,
}

/// The network between all nodes.
#[derive(Clone)]
pub(super) struct Wire(Arc<Mutex<Inner>>);

struct Inner {
    began: Instant,
    random: Random,
    trace: Trace,
    tally: Tally,
    odds: Odds,
    parted: BTreeMap<(u64, u64), Parting>,
    /// The ways on which the next frame is torn.
    tearing: BTreeSet<(u64, u64)>,
    ports: BTreeMap<u64, Port>,
    pipes: BTreeMap<u64, Pipe>,
    next_pipe: u64,
}

struct Port {
    life: Life,
    waiting: VecDeque<(Stream, SocketAddr)>,
    waker: Option<Waker>,
}

/// What a connection attempt comes to.
enum Attempt {
    Connected(Stream),
    Refused,
    Unanswered,
}

/// Returns the address that `node` listens on.
pub(super) fn address(node: u64) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 4_800 + node as u16))
}

impl Wire {
    /// Makes a network without faults.
    pub(super) fn new(random: Random) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            began: Instant::now(),
            random,
            trace: Trace::default(),
            tally: Tally::default(),
            odds: Odds::default(),
            parted: BTreeMap::new(),
            tearing: BTreeSet::new(),
            ports: BTreeMap::new(),
            pipes: BTreeMap::new(),
            next_pipe: 0,
        })))
    }

    /// Lets `life` be called, and resets what a former life left open.
    pub(super) fn listen(&self, life: Life) -> Listening {
        let port = Port { life, waiting: VecDeque::new(), waker: None };
        let mut inner = lock(&self.0);
        let former = inner.ports.insert(life.node, port);
        inner.pipes.values_mut().for_each(|pipe| pipe.notice_restart(life));
        // What waits in a port locks the network when it is dropped.
        drop(inner);
        drop(former);
        Listening { wire: self.clone(), life }
    }

    /// Returns the network as `life` calls others over it.
    pub(super) fn of(&self, life: Life) -> Arc<dyn Network> {
        Arc::new(Caller { wire: self.clone(), life })
    }

    /// Ends all connections of `life`; `silently` if its peers are not to notice before it is back.
    pub(super) fn kill(&self, life: Life, silently: bool) {
        let mut inner = lock(&self.0);
        let gone = match inner.ports.get(&life.node) {
            Some(port) if port.life == life => inner.ports.remove(&life.node),
            Some(_) | None => None,
        };
        inner.pipes.values_mut().for_each(|pipe| pipe.lose(life, silently));
        drop(inner);
        drop(gone);
    }

    /// Sets the faults of all frames.
    pub(super) fn set_odds(&self, odds: Odds) {
        lock(&self.0).odds = odds;
    }

    /// Parts nodes, in the direction of each pair.
    pub(super) fn part(&self, pairs: &[(u64, u64)], parting: Parting) {
        lock(&self.0).parted.extend(pairs.iter().map(|pair| (*pair, parting)));
    }

    /// Brings all nodes together again.
    pub(super) fn heal(&self) {
        let mut inner = lock(&self.0);
        inner.parted.clear();
        let due = Instant::now() + Duration::from_millis(1);
        let released: u64 = inner.pipes.values_mut().map(|pipe| pipe.release(due)).sum();
        inner.tally.add("frame held back and delivered", released);
    }

    /// Cuts all connections between two nodes.
    pub(super) fn cut(&self, one: u64, other: u64) {
        let mut guard = lock(&self.0);
        let Inner { pipes, tally, .. } = &mut *guard;
        for pipe in pipes.values_mut().filter(|pipe| pipe.is_between(one, other)) {
            pipe.reset();
            tally.add("connection cut", 1);
        }
    }

    /// Cuts the connection from one node to another in the middle of the next frame.
    pub(super) fn tear(&self, from: u64, to: u64) {
        lock(&self.0).tearing.insert((from, to));
    }

    /// Returns the hash of everything that was sent, and what was counted.
    pub(super) fn seen(&self) -> (Trace, Tally) {
        let inner = lock(&self.0);
        (inner.trace, inner.tally.clone())
    }

    fn connect(&self, from: Life, to: SocketAddr) -> Attempt {
        let mut guard = lock(&self.0);
        let inner = &mut *guard;
        let node = u64::from(to.port()) - 4_800;
        let parted = |one, other| inner.parted.contains_key(&(one, other));
        if parted(from.node, node) || parted(node, from.node) {
            let refused = inner.random.chance(500);
            inner.tally.add("connection attempt between parted nodes", 1);
            return if refused { Attempt::Refused } else { Attempt::Unanswered };
        }
        let Some(peer) = inner.ports.get(&node).map(|port| port.life) else {
            return Attempt::Refused;
        };
        let (there, back) = (inner.next_pipe, inner.next_pipe + 1);
        inner.next_pipe += 2;
        inner.pipes.insert(there, Pipe::new(from, peer, Way::There));
        inner.pipes.insert(back, Pipe::new(peer, from, Way::Back));
        let half = |pipe| Half { wire: self.clone(), pipe, timer: None };
        let stream = |read, write| Stream {
            read: Box::new(ReadHalf(half(read))),
            write: Box::new(WriteHalf(half(write))),
        };
        if let Some(port) = inner.ports.get_mut(&node) {
            port.waiting.push_back((stream(there, back), address(from.node)));
            port.waker.take().into_iter().for_each(Waker::wake);
        }
        Attempt::Connected(stream(back, there))
    }
}

impl Inner {
    /// Decides what becomes of the frames that were completed on `pipe`.
    fn dispatch(&mut self, pipe: u64) {
        let now = Instant::now();
        let moment = (now - self.began).as_millis() as u64;
        let Self { random, trace, tally, odds, parted, tearing, pipes, .. } = self;
        let Some(pipe) = pipes.get_mut(&pipe) else { return };
        let (from, to) = pipe.nodes();
        while let Some(frame) = pipe.next_written() {
            // Its header holds the checksum of the rest.
            trace.note(&[from, to, moment], &frame[..HEADER_BYTES]);
            tally.add("frame", 1);
            match parted.get(&(from, to)) {
                Some(Parting::Lose) => tally.add("frame lost between parted nodes", 1),
                Some(Parting::Hold) => pipe.send(frame, None),
                None if random.chance(odds.loss) => tally.add("frame lost", 1),
                None => {
                    let mut latency = random.between(0, 4);
                    if random.chance(odds.delay) {
                        latency += random.between(1, odds.delay_max);
                        tally.add("frame delayed", 1);
                    }
                    pipe.send(frame, Some(now + Duration::from_millis(latency)));
                    if tearing.remove(&(from, to)) {
                        pipe.tear(random);
                        tally.add("frame torn", 1);
                    }
                }
            }
        }
    }
}

/// The network as one life of a node calls others over it.
struct Caller {
    wire: Wire,
    life: Life,
}

impl Network for Caller {
    fn dial(&self, address: &str) -> Dialing {
        let (wire, life, address) = (self.wire.clone(), self.life, address.parse());
        Box::pin(async move {
            sleep(Duration::from_millis(1)).await;
            match wire.connect(life, address.expect("tests have addresses without names")) {
                Attempt::Connected(stream) => Ok(stream),
                Attempt::Refused => Err(io::ErrorKind::ConnectionRefused.into()),
                Attempt::Unanswered => pending().await,
            }
        })
    }
}

/// The port of one life of a node.
pub(super) struct Listening {
    wire: Wire,
    life: Life,
}

impl Incoming for Listening {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, SocketAddr)>> {
        let mut inner = lock(&self.wire.0);
        match inner.ports.get_mut(&self.life.node) {
            Some(port) if port.life == self.life => match port.waiting.pop_front() {
                Some(accepted) => Poll::Ready(Ok(accepted)),
                None => {
                    port.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            },
            Some(_) | None => Poll::Pending,
        }
    }
}

struct Half {
    wire: Wire,
    pipe: u64,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Drop for Half {
    fn drop(&mut self) {
        let mut inner = lock(&self.wire.0);
        if let Some(pipe) = inner.pipes.get_mut(&self.pipe)
            && pipe.is_dropped()
        {
            inner.pipes.remove(&self.pipe);
        }
    }
}

struct ReadHalf(Half);

impl Drop for ReadHalf {
    fn drop(&mut self) {
        if let Some(pipe) = lock(&self.0.wire.0).pipes.get_mut(&self.0.pipe) {
            pipe.reader_is_gone();
        }
    }
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let reading = {
                let mut guard = lock(&self.0.wire.0);
                let Inner { pipes, random, .. } = &mut *guard;
                let pipe = pipes.get_mut(&self.0.pipe).expect("a pipe outlives its halves");
                pipe.read(Instant::now(), random, buffer, cx.waker())
            };
            match reading {
                Reading::Done(result) => return Poll::Ready(result),
                Reading::Wait(None) => return Poll::Pending,
                Reading::Wait(Some(due)) => {
                    let timer = self.0.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
                    if timer.deadline() != due {
                        timer.as_mut().reset(due);
                    }
                    std::task::ready!(timer.as_mut().poll(cx));
                    self.0.timer = None;
                }
            }
        }
    }
}

struct WriteHalf(Half);

impl Drop for WriteHalf {
    fn drop(&mut self) {
        if let Some(pipe) = lock(&self.0.wire.0).pipes.get_mut(&self.0.pipe) {
            pipe.writer_is_gone();
        }
    }
}

impl AsyncWrite for WriteHalf {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut guard = lock(&self.0.wire.0);
        let Inner { pipes, random, .. } = &mut *guard;
        let pipe = pipes.get_mut(&self.0.pipe).expect("a pipe outlives its halves");
        let written = std::task::ready!(pipe.write(bytes, random, cx.waker()));
        guard.dispatch(self.0.pipe);
        Poll::Ready(written)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
