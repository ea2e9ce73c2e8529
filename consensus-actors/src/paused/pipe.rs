//! One direction of a connection: frames on their way, each with the moment at which it arrives.

use std::{
    collections::VecDeque,
    io,
    task::{Poll, Waker},
};

use tokio::{io::ReadBuf, time::Instant};

use super::{network::Life, random::Random};

/// What may be on its way; beyond, a writer waits as a full socket makes it wait.
const BYTES_MAX: usize = 64 << 10;

/// Bytes before a frame's body, of which the first four are its length.
pub(super) const HEADER_BYTES: usize = 12;

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Pipe {
    from: Life,
    to: Life,
    way: Way,
    /// What was written of the frame that is not whole yet.
    written: Vec<u8>,
    /// Frames in order, each due at some moment or held back.
    frames: VecDeque<(Option<Instant>, Vec<u8>)>,
    /// How much of the first one is read.
    read: usize,
    bytes: usize,
    state: State,
    reader: Option<Waker>,
    writer: Option<Waker>,
    halves: u8,
}

/// Which of a connection's directions a pipe is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// From the caller.
    There,
    /// To the caller.
    Back,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Nothing follows what is on its way.
    Ended,
    Reset,
    /// An end is dead, and the other does not know.
    Silent,
}

/// What reading comes to.
pub(super) enum Reading {
    Done(io::Result<()>),
    /// Nothing is there before this moment, if it is known.
    Wait(Option<Instant>),
}

impl Pipe {
    /// Makes the pipe of a new connection.
    pub(super) fn new(from: Life, to: Life, way: Way) -> Self {
        Self {
            from,
            to,
            way,
            written: Vec::new(),
            frames: VecDeque::new(),
            read: 0,
            bytes: 0,
            state: State::Open,
            reader: None,
            writer: None,
            halves: 2,
        }
    }

    pub(super) fn nodes(&self) -> (u64, u64) {
        (self.from.node, self.to.node)
    }

    pub(super) fn is_between(&self, one: u64, other: u64) -> bool {
        self.nodes() == (one, other) || self.nodes() == (other, one)
    }

    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }

    /// Takes what fits, or some of it.
    pub(super) fn write(
        &mut self,
        bytes: &[u8],
        random: &mut Random,
        waker: &Waker,
    ) -> Poll<io::Result<usize>> {
        match self.state {
            State::Ended | State::Reset => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            State::Silent => Poll::Ready(Ok(bytes.len())),
            State::Open if self.bytes > BYTES_MAX => {
                self.writer = Some(waker.clone());
                Poll::Pending
            }
            State::Open => {
                let taken = some_of(bytes.len(), random);
                self.written.extend_from_slice(&bytes[..taken]);
                Poll::Ready(Ok(taken))
            }
        }
    }

    /// Returns the next frame that was written whole.
    pub(super) fn next_written(&mut self) -> Option<Vec<u8>> {
        let length = self.written.first_chunk::<4>().copied().map(u32::from_le_bytes)?;
        let length = HEADER_BYTES + length as usize;
        if self.written.len() < length {
            return None;
        }
        let rest = self.written.split_off(length);
        Some(std::mem::replace(&mut self.written, rest))
    }

    /// Puts a frame on its way, behind those before it.
    pub(super) fn send(&mut self, frame: Vec<u8>, due: Option<Instant>) {
        let last = self.frames.back().map_or(due, |(last, _)| *last);
        // What is held back holds back what follows.
        let due = due.zip(last).map(|(due, last)| due.max(last));
        self.bytes += frame.len();
        self.frames.push_back((due, frame));
        if self.frames.len() == 1 {
            self.reader.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Lets everything that was held back arrive at `due`; returns how many frames that are.
    pub(super) fn release(&mut self, due: Instant) -> u64 {
        let mut released = 0;
        for (held, _) in self.frames.iter_mut().filter(|(due, _)| due.is_none()) {
            *held = Some(due);
            released += 1;
        }
        if released > 0 {
            self.reader.take().into_iter().for_each(Waker::wake);
        }
        released
    }

    /// Reads what has arrived, or some of it.
    pub(super) fn read(
        &mut self,
        now: Instant,
        random: &mut Random,
        buffer: &mut ReadBuf<'_>,
        waker: &Waker,
    ) -> Reading {
        match (self.state, self.frames.front()) {
            (State::Reset, _) => Reading::Done(Err(io::ErrorKind::ConnectionReset.into())),
            (_, Some((Some(due), frame))) if *due <= now => {
                let rest = &frame[self.read..];
                let taken = some_of(rest.len().min(buffer.remaining()), random);
                buffer.put_slice(&rest[..taken]);
                self.read += taken;
                if self.read == frame.len() {
                    self.bytes -= frame.len();
                    self.read = 0;
                    self.frames.pop_front();
                    self.writer.take().into_iter().for_each(Waker::wake);
                }
                Reading::Done(Ok(()))
            }
            (State::Ended, None) => Reading::Done(Ok(())),
            (State::Open | State::Ended | State::Silent, front) => {
                let due = front.and_then(|(due, _)| *due);
                self.reader = Some(waker.clone());
                Reading::Wait(due)
            }
        }
    }

    /// Ends the connection at once, for both ends.
    pub(super) fn reset(&mut self) {
        self.state = State::Reset;
        self.frames.clear();
        self.wake();
    }

    /// Takes note that an end is dead. What it had sent arrives, with nothing behind it, or with
    /// the end of the connection; what was sent to it is lost.
    pub(super) fn lose(&mut self, dead: Life, silently: bool) {
        if (self.from != dead && self.to != dead) || self.state == State::Reset {
            return;
        }
        if self.to == dead && !silently {
            return self.reset();
        }
        if self.to == dead {
            self.frames.clear();
        }
        self.written.clear();
        self.state = if silently { State::Silent } else { State::Ended };
        self.wake();
    }

    /// A machine that is back answers with a reset what comes to it over a connection of its former
    /// life. Over one that it made itself nothing comes, for callees only listen: they never know.
    pub(super) fn notice_restart(&mut self, life: Life) {
        let Self { from, to, way, .. } = *self;
        let callee = match way {
            Way::There => to,
            Way::Back => from,
        };
        if callee.node == life.node && callee.generation < life.generation {
            self.reset();
        }
    }

    /// Ends the connection within the last frame, of which the first part arrives.
    pub(super) fn tear(&mut self, random: &mut Random) {
        let unread = if self.frames.len() == 1 { self.read } else { 0 };
        if let Some((_, last)) = self.frames.back_mut() {
            let kept = random.between(unread as u64 + 1, last.len() as u64 - 1) as usize;
            self.bytes -= last.len() - kept;
            last.truncate(kept);
        }
        self.state = State::Ended;
        self.wake();
    }

    pub(super) fn reader_is_gone(&mut self) {
        if self.state != State::Silent {
            self.reset();
        }
    }

    pub(super) fn writer_is_gone(&mut self) {
        if self.state == State::Open {
            self.state = State::Ended;
            self.wake();
        }
    }

    /// Counts the halves that are dropped; true at the last.
    pub(super) fn is_dropped(&mut self) -> bool {
        self.halves -= 1;
        self.halves == 0
    }
}

/// A socket takes and gives less than it is asked for now and then.
fn some_of(length: usize, random: &mut Random) -> usize {
    if length > 1 && random.chance(30) { random.between(1, length as u64) as usize } else { length }
}
