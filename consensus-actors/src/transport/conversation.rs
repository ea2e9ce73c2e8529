//! A connection on which both ends speak, served by one task: a client's with a node.
//!
//! It reads and writes as far as the socket goes, keeps what is half done, and may be left at any
//! moment to look at something else. What comes is allocated as it comes, not as it is announced.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWrite},
    time::Instant,
};

use super::{
    frame::{self, HEADER_BYTES, Header},
    network::Stream,
};

/// How much of a frame is allocated before any of its body is there.
const CHUNK_BYTES: usize = 16 << 10;

/// How much room for frames a connection keeps that is silent.
const KEPT_BYTES: usize = 64 << 10;

/// Both directions of a connection.
pub(crate) struct Conversation {
    stream: Stream,
    /// The longest body that is taken.
    bytes_max: usize,
    header: BytesMut,
    /// The frame whose body is on its way.
    body: Option<(Header, BytesMut)>,
    outgoing: Vec<u8>,
    written: usize,
    /// When a frame came last.
    heard: Instant,
    /// When the frame that is being written was begun.
    said: Instant,
}

/// What happened next.
pub(crate) enum Turn {
    /// A frame came; this is its body.
    Heard(Bytes),
    /// All that was to be written is.
    Said,
    /// The other end has closed the connection between frames.
    Ended,
}

impl Conversation {
    /// Takes a connection that has been greeted; frames of more than `bytes_max` end it.
    pub(crate) fn new(stream: Stream, bytes_max: usize) -> Self {
        let now = Instant::now();
        Self {
            stream,
            bytes_max,
            header: BytesMut::with_capacity(HEADER_BYTES),
            body: None,
            outgoing: Vec::new(),
            written: 0,
            heard: now,
            said: now,
        }
    }

    /// Tells whether the last frame is still being written.
    pub(crate) fn is_writing(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Returns when a frame came last.
    pub(crate) fn heard(&self) -> Instant {
        self.heard
    }

    /// Returns when the last frame was begun.
    pub(crate) fn said(&self) -> Instant {
        self.said
    }

    /// Begins to write the frame whose body `fill` appends.
    pub(crate) fn say(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        frame::begin(&mut self.outgoing);
        fill(&mut self.outgoing);
        frame::finish(&mut self.outgoing);
        self.said = Instant::now();
    }

    /// Goes on writing and, if `listening`, reading, until there is something to tell. To drop what
    /// this returns loses nothing.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] with the reason when what came is no frame, and whatever the
    /// socket says.
    pub(crate) async fn next(&mut self, listening: bool) -> io::Result<Turn> {
        poll_fn(|cx| self.poll_next(cx, listening)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, listening: bool) -> Poll<io::Result<Turn>> {
        let said = self.is_writing() && self.poll_write(cx)?.is_ready();
        if listening && let Poll::Ready(read) = self.poll_read(cx) {
            return Poll::Ready(read.map(|body| body.map_or(Turn::Ended, Turn::Heard)));
        }
        if said { Poll::Ready(Ok(Turn::Said)) } else { Poll::Pending }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.outgoing.get(self.written..).filter(|rest| !rest.is_empty()) {
            let written = ready!(Pin::new(&mut self.stream.write).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
        }
        ready!(Pin::new(&mut self.stream.write).poll_flush(cx))?;
        self.outgoing.clear();
        self.outgoing.shrink_to(KEPT_BYTES);
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Reads the next frame; `None` where the connection ends.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            let Self { stream, header, body, bytes_max, .. } = self;
            let (buffer, wanted) = match body {
                None => (&mut *header, HEADER_BYTES),
                Some((announced, body)) => (body, announced.length),
            };
            while buffer.len() < wanted {
                if buffer.len() == buffer.capacity() {
                    buffer.reserve(buffer.len().max(CHUNK_BYTES).min(wanted - buffer.len()));
                }
                let missing = wanted - buffer.len();
                let mut rest = (&mut *buffer).limit(missing);
                if ready!(pin!(stream.read.read_buf(&mut rest)).poll(cx))? == 0 {
                    let between = body.is_none() && header.is_empty();
                    let cut = || Err(io::ErrorKind::UnexpectedEof.into());
                    return Poll::Ready(if between { Ok(None) } else { cut() });
                }
            }
            match body.take() {
                None => {
                    let announced = Header::read(header, *bytes_max)?;
                    header.clear();
                    let first = announced.length.min(CHUNK_BYTES);
                    *body = Some((announced, BytesMut::with_capacity(first)));
                }
                Some((announced, body)) => {
                    announced.check(&body)?;
                    self.heard = Instant::now();
                    return Poll::Ready(Ok(Some(body.freeze())));
                }
            }
        }
    }
}
