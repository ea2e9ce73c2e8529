//! Links between replicas of different processes, over TCP. Each call has a connection of its own;
//! so has each stream of entries, which lasts for as long as a leader does: requests go out as they
//! come, and answers come in the same order.

use std::{io, net::SocketAddr, pin::pin};

use futures::{Stream, StreamExt, future::BoxFuture, stream, stream::BoxStream};
use openraft::{
    OptionalSend, RaftNetworkFactory, RaftNetworkV2,
    error::{RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::RPCOption,
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
        VoteRequest, VoteResponse,
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream, tcp::OwnedWriteHalf},
    task::JoinSet,
};

use super::{
    Raft,
    types::{Snapshot, Types, Vote},
};
use crate::durable::{Incoming, frame};

/// Where all replicas listen, in the order of their ids.
#[derive(Clone, Debug)]
pub(super) struct Far(pub(super) Vec<SocketAddr>);

/// A link to one of them.
#[derive(Debug)]
pub(super) struct Link(SocketAddr);

/// What a connection is for; its first message.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
enum Purpose {
    /// This vote, which is answered.
    Vote(VoteRequest<Types>),
    /// These entries, which are answered.
    Append(AppendEntriesRequest<Types>),
    /// A stream of entries, each of which is answered.
    Stream,
}

type Answers<'s> = BoxStream<'s, Result<StreamAppendResult<Types>, RPCError<Types>>>;

impl Link {
    /// Opens a connection and says what it is for.
    async fn open(&self, purpose: &Purpose) -> io::Result<(Incoming, OwnedWriteHalf)> {
        let stream = TcpStream::connect(self.0).await?;
        stream.set_nodelay(true)?;
        let (read, mut write) = stream.into_split();
        say(&mut write, purpose).await?;
        Ok((Incoming::new(read), write))
    }

    async fn ask<T: DeserializeOwned>(&self, question: Purpose) -> Result<T, RPCError<Types>> {
        let asked = async {
            // The half that writes is kept until there is an answer.
            let (mut incoming, _write) = self.open(&question).await?;
            if incoming.wait().await? { incoming.take() } else { Ok(None) }
        };
        asked.await.map_err(unreachable)?.ok_or_else(|| unreachable("no answer"))
    }
}

impl RaftNetworkFactory<Types> for Far {
    type Network = Link;

    async fn new_client(&mut self, target: u64, (): &()) -> Link {
        Link(self.0[target as usize - 1])
    }
}

impl RaftNetworkV2<Types> for Link {
    type SnapshotData = ();

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        self.ask(Purpose::Append(request)).await
    }

    fn stream_append<'s, S>(
        &'s mut self,
        requests: S,
        _: RPCOption,
    ) -> BoxFuture<'s, Result<Answers<'s>, RPCError<Types>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            let (incoming, write) = self.open(&Purpose::Stream).await.map_err(unreachable)?;
            // The task that sends ends with the stream of answers.
            let mut sending = JoinSet::new();
            sending.spawn(send(write, requests));
            let answers =
                stream::try_unfold((incoming, sending), async |(mut incoming, sending)| {
                    if !incoming.wait().await? {
                        return Ok(None);
                    }
                    let answer = incoming.take()?;
                    Ok(answer.map(|answer| (answer, (incoming, sending))))
                });
            Ok(answers.map(|answer: io::Result<_>| answer.map_err(unreachable)).boxed())
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        _: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask(Purpose::Vote(request)).await
    }

    async fn full_snapshot(
        &mut self,
        _: Vote,
        _: Snapshot,
        _: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        Err(StreamingError::Unreachable(Unreachable::from_string("nobody takes snapshots")))
    }
}

/// Serves the others, for as long as the listener lasts.
pub(super) async fn serve(listener: TcpListener, raft: Raft) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (read, write) = stream.into_split();
        tokio::spawn(answer(Incoming::new(read), write, raft.clone()));
    }
}

/// Serves a connection.
async fn answer(mut incoming: Incoming, mut write: OwnedWriteHalf, raft: Raft) -> io::Result<()> {
    if !incoming.wait().await? {
        return Ok(());
    }
    match incoming.take()? {
        Some(Purpose::Vote(request)) => {
            let answer = raft.vote(request).await.map_err(io::Error::other)?;
            say(&mut write, &answer).await
        }
        Some(Purpose::Append(request)) => {
            let answer = raft.append_entries(request).await.map_err(io::Error::other)?;
            say(&mut write, &answer).await
        }
        Some(Purpose::Stream) => {
            let requests = stream::unfold(incoming, async |mut incoming| {
                // A connection that is lost ends the stream, as one does that is closed.
                incoming.wait().await.ok()?;
                let request = incoming.take().ok()??;
                Some((request, incoming))
            });
            let mut answers = pin!(raft.stream_append(requests).ready_chunks(64));
            while let Some(ready) = answers.next().await {
                let mut bytes = Vec::new();
                for answer in ready {
                    frame(&answer.map_err(io::Error::other)?, &mut bytes);
                }
                write.write_all(&bytes).await?;
            }
            Ok(())
        }
        None => Ok(()),
    }
}

/// Sends requests as they come.
async fn send(
    mut write: OwnedWriteHalf,
    mut requests: impl Stream<Item = AppendEntriesRequest<Types>> + Unpin,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    while let Some(request) = requests.next().await {
        frame(&request, &mut bytes);
        write.write_all(&bytes).await?;
        bytes.clear();
    }
    Ok(())
}

async fn say(write: &mut OwnedWriteHalf, message: &impl Serialize) -> io::Result<()> {
    let mut bytes = Vec::new();
    frame(message, &mut bytes);
    write.write_all(&bytes).await
}

fn unreachable(why: impl ToString) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::from_string(why))
}
