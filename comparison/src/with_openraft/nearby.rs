//! Links between replicas of one process: calls, and for entries a stream of requests and one of
//! answers, which openraft moves by channels.

use std::sync::{Arc, OnceLock};

use futures::{Stream, StreamExt, future::BoxFuture, stream::BoxStream};
use openraft::{
    OptionalSend, RaftNetworkFactory, RaftNetworkV2,
    error::{RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::RPCOption,
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
        VoteRequest, VoteResponse,
    },
};

use super::{
    Raft,
    types::{Snapshot, Types, Vote},
};

/// All replicas of this process, once they are there, in the order of their ids.
#[derive(Clone, Default)]
pub(super) struct Nearby(Arc<OnceLock<Vec<Raft>>>);

/// A link to one of them.
pub(super) struct Link {
    to: usize,
    all: Nearby,
}

impl Nearby {
    /// Says who is there. Whatever was sent before is lost.
    ///
    /// # Panics
    /// If it was said already.
    pub(super) fn are(&self, replicas: Vec<Raft>) {
        assert!(self.0.set(replicas).is_ok(), "replicas of a process are made once");
    }
}

impl Link {
    fn target(&self) -> Result<&Raft, RPCError<Types>> {
        self.all.0.get().map(|all| &all[self.to]).ok_or_else(|| unreachable("not there yet"))
    }
}

fn unreachable(why: impl ToString) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::from_string(why))
}

impl RaftNetworkFactory<Types> for Nearby {
    type Network = Link;

    async fn new_client(&mut self, target: u64, (): &()) -> Link {
        Link { to: target as usize - 1, all: self.clone() }
    }
}

impl RaftNetworkV2<Types> for Link {
    type SnapshotData = ();

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        self.target()?.append_entries(request).await.map_err(unreachable)
    }

    fn stream_append<'s, S>(
        &'s mut self,
        requests: S,
        _: RPCOption,
    ) -> BoxFuture<
        's,
        Result<BoxStream<'s, Result<StreamAppendResult<Types>, RPCError<Types>>>, RPCError<Types>>,
    >
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            let answers = self.target()?.stream_append(requests);
            Ok(answers.map(|answer| answer.map_err(unreachable)).boxed())
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        _: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.target()?.vote(request).await.map_err(unreachable)
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
