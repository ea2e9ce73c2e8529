//! Where the messages of a replica go: to the inboxes of others in this process, or over TCP.

use std::{collections::BTreeMap, io, mem, net::TcpStream as StdTcpStream};

use omnipaxos::messages::Message;
use tokio::{
    io::AsyncWriteExt,
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
};

use super::replica::Event;
use crate::{
    Result,
    durable::{Incoming, Seat, frame},
    put::Put,
};

/// The links of a replica to the others.
#[derive(Debug)]
pub(super) struct Links(BTreeMap<u64, Link>);

/// A link, and what waits to be sent by it.
#[derive(Debug)]
enum Link {
    Near(mpsc::UnboundedSender<Event>, Vec<Message<Put>>),
    Far(mpsc::UnboundedSender<Vec<u8>>, Vec<u8>),
}

impl Links {
    /// Makes links to replicas of this process, whose inboxes are in the order of their ids.
    pub(super) fn near(inboxes: &[mpsc::UnboundedSender<Event>]) -> Self {
        let link = |inbox: &mpsc::UnboundedSender<_>| Link::Near(inbox.clone(), Vec::new());
        Self((1..).zip(inboxes.iter().map(link)).collect())
    }

    /// Connects to the others, and hands the inbox what they send.
    ///
    /// # Errors
    /// If one of them does not listen.
    pub(super) async fn far(seat: &Seat, inbox: &mpsc::UnboundedSender<Event>) -> Result<Self> {
        let mut links = BTreeMap::new();
        for (id, address) in (1..).zip(&seat.addresses) {
            if id != seat.id {
                // They listen since before their addresses were told, whatever else they do.
                let stream = StdTcpStream::connect(address)?;
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                let (_, write) = TcpStream::from_std(stream)?.into_split();
                let (sender, waiting) = mpsc::unbounded_channel();
                tokio::spawn(send(write, waiting));
                links.insert(id, Link::Far(sender, Vec::new()));
            }
        }
        let listener = seat.listener.try_clone()?;
        listener.set_nonblocking(true)?;
        tokio::spawn(accept(TcpListener::from_std(listener)?, inbox.clone()));
        Ok(Self(links))
    }

    /// Adds a message to those that wait.
    ///
    /// # Panics
    /// If there is no such replica.
    pub(super) fn push(&mut self, message: Message<Put>) {
        match self.0.get_mut(&message.get_receiver()).expect("messages are for others of the three")
        {
            Link::Near(_, waiting) => waiting.push(message),
            Link::Far(_, waiting) => frame(&message, waiting),
        }
    }

    /// Sends what waits, to each replica at once. What is for one that has ended is lost.
    pub(super) fn flush(&mut self) {
        for link in self.0.values_mut() {
            let _ = match link {
                Link::Near(inbox, waiting) if !waiting.is_empty() => {
                    inbox.send(Event::Messages(mem::take(waiting))).is_ok()
                }
                Link::Far(sender, waiting) if !waiting.is_empty() => {
                    sender.send(mem::take(waiting)).is_ok()
                }
                Link::Near(..) | Link::Far(..) => true,
            };
        }
    }
}

async fn send(mut stream: OwnedWriteHalf, mut waiting: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(bytes) = waiting.recv().await {
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

async fn accept(listener: TcpListener, inbox: mpsc::UnboundedSender<Event>) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(receive(stream.into_split(), inbox.clone()));
    }
}

/// Hands over what comes over a connection, for as long as it does. Its other half is kept: who
/// sends would take it for lost.
async fn receive(
    (read, _write): (OwnedReadHalf, OwnedWriteHalf),
    inbox: mpsc::UnboundedSender<Event>,
) -> io::Result<()> {
    let mut incoming = Incoming::new(read);
    while incoming.wait().await? {
        let mut messages = Vec::new();
        while let Some(message) = incoming.take()? {
            messages.push(message);
        }
        if inbox.send(Event::Messages(messages)).is_err() {
            break;
        }
    }
    Ok(())
}
