//! Where streams come from: TCP, unless a test puts a network of its own in its place.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, BufReader},
    net::{TcpListener, TcpStream},
};

/// A connection, in halves that are used apart.
pub(crate) struct Stream {
    pub(crate) read: Box<dyn AsyncRead + Send + Unpin>,
    pub(crate) write: Box<dyn AsyncWrite + Send + Unpin>,
}

/// A connection attempt.
pub(crate) type Dialing = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

/// Connects to peers.
pub(crate) trait Network: Send + Sync {
    /// Connects to the peer that listens on `address`, as HOST:PORT. A name is resolved anew at
    /// each attempt: it may have come to stand for another machine.
    fn dial(&self, address: &str) -> Dialing;
}

/// The connections of peers.
pub(crate) trait Incoming: Send {
    /// Takes the next one, with the address that it comes from.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, SocketAddr)>>;
}

/// No network: nobody can be called.
pub(crate) struct Nowhere;

impl Network for Nowhere {
    fn dial(&self, address: &str) -> Dialing {
        let reason = format!("{address} is out of reach: this cluster is one process");
        Box::pin(std::future::ready(Err(io::Error::new(io::ErrorKind::Unsupported, reason))))
    }
}

/// The operating system's network.
pub(crate) struct Tcp;

impl Network for Tcp {
    fn dial(&self, address: &str) -> Dialing {
        let address = address.to_owned();
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(split(stream))
        })
    }
}

impl Incoming for TcpListener {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, SocketAddr)>> {
        let (stream, address) = ready!(Self::poll_accept(self, cx))?;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%address, %error, "cannot set TCP_NODELAY");
        }
        Poll::Ready(Ok((split(stream), address)))
    }
}

/// How much is read at once: many frames are short, and a head is no reason to ask the system.
const READ_BYTES: usize = 32 << 10;

fn split(stream: TcpStream) -> Stream {
    let (read, write) = stream.into_split();
    Stream { read: Box::new(BufReader::with_capacity(READ_BYTES, read)), write: Box::new(write) }
}
