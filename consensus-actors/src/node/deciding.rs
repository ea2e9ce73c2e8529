//! Decisions: values that a cluster agrees upon once, by name.

use std::{future::IntoFuture, marker::PhantomData, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use consensus_core::{
    Members, NodeId, Outcome,
    decisions::{NAME_BYTES_MAX, is_name},
    paxos,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{Node, Shared};
use crate::{
    client::{IntoDuration, decode, encode},
    config::{
        Settings,
        table::{ELECTION_TIMEOUT, HEARTBEAT},
    },
    decisions::{Chosen, group},
    error::{Code, Error, Result},
};

impl Node {
    /// Has the cluster decide on a value, once and for all, by [Basic Paxos](consensus_core::paxos):
    /// returns the value that is chosen under `name`, this one or another's that came before.
    ///
    /// Every caller on every node gets the same, whatever fails meanwhile, as long as a majority of
    /// the nodes that founded the cluster is there. What was decided stays: there is no way to take
    /// it back, nor to forget a name, of which there may be 65,536. To repeat it is always safe.
    ///
    /// ```no_run
    /// # use consensus_actors::prelude::*;
    /// # async fn example(node: Node) -> consensus_actors::Result {
    /// let shards: u32 = node.decide("shards", &16).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Code::Deadline`] when no majority answers in time: the value may still be decided.
    /// [`Code::NoPart`] on a node that has not founded the cluster, and [`Code::Undecodable`] where
    /// what was decided is of another type.
    pub fn decide<T: Serialize + DeserializeOwned>(
        &self,
        name: impl AsRef<str>,
        value: &T,
    ) -> Deciding<T> {
        let asked = checked(name.as_ref()).and_then(|name| Ok((name, Some(encode(value)?))));
        Deciding::new(self, asked)
    }

    /// Returns what was decided under `name`, linearizably; `None` if nothing had been when it was
    /// asked.
    ///
    /// # Errors
    /// As [`Node::decide`]; nothing is changed by it.
    pub fn decided<T: DeserializeOwned>(&self, name: impl AsRef<str>) -> Decided<T> {
        Decided(Deciding::new(self, checked(name.as_ref()).map(|name| (name, None))))
    }
}

/// A decision about to be asked for: `.await` gives the value that is chosen.
#[must_use = "nothing is decided until this is awaited"]
pub struct Deciding<T> {
    shared: Arc<Shared>,
    asked: Result<(Arc<str>, Option<Bytes>)>,
    deadline: Option<Result<Duration>>,
    value: PhantomData<fn() -> T>,
}

/// A question about to be asked: `.await` gives what was decided, if anything was.
#[must_use = "nothing is asked until this is awaited"]
pub struct Decided<T>(Deciding<T>);

impl<T> Deciding<T> {
    fn new(node: &Node, asked: Result<(Arc<str>, Option<Bytes>)>) -> Self {
        let shared = Arc::clone(&node.shared);
        Self { shared, asked, deadline: None, value: PhantomData }
    }

    /// Sets how long to wait, instead of what the setting `deadline` says.
    pub fn deadline(mut self, deadline: impl IntoDuration) -> Self {
        self.deadline = Some(deadline.into_duration());
        self
    }

    async fn encoded(self) -> Result<Option<Bytes>> {
        let deadline = self.deadline.transpose()?;
        let (name, value) = self.asked?;
        self.shared.decide(name, value, deadline).await
    }
}

impl<T> Decided<T> {
    /// Sets how long to wait, instead of what the setting `deadline` says.
    pub fn deadline(self, deadline: impl IntoDuration) -> Self {
        Self(self.0.deadline(deadline))
    }
}

impl<T> std::fmt::Debug for Deciding<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deciding").field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl<T> std::fmt::Debug for Decided<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Decided").field(&self.0).finish()
    }
}

impl<T: DeserializeOwned + 'static> IntoFuture for Deciding<T> {
    type Output = Result<T>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let encoded = self.encoded();
        Box::pin(async move {
            let chosen = encoded.await?.expect("whoever proposes is told what is chosen");
            decode(&chosen)
        })
    }
}

impl<T: DeserializeOwned + 'static> IntoFuture for Decided<T> {
    type Output = Result<Option<T>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Option<T>>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let encoded = self.0.encoded();
        Box::pin(async move { encoded.await?.map(|chosen| decode(&chosen)).transpose() })
    }
}

/// Checks what a decision is to be called.
pub(crate) fn checked(name: &str) -> Result<Arc<str>> {
    if is_name(name) {
        return Ok(name.into());
    }
    let message = format!(
        "{name:?} is no name for a decision; take 1 to {NAME_BYTES_MAX} bytes without control \
         characters"
    );
    Err(Error::new(Code::InvalidArgument, message))
}

impl Shared {
    /// Has something chosen, `value` if one is given; else asks what is.
    pub(crate) async fn decide(
        &self,
        name: Arc<str>,
        value: Option<Bytes>,
        deadline: Option<Duration>,
    ) -> Result<Option<Bytes>> {
        let Some(desk) = &self.desk else {
            let message = format!(
                "node {} joined its cluster later, and decisions are made among those that founded \
                 it; call one of them",
                self.id.number()
            );
            return Err(Error::new(Code::NoPart, message));
        };
        self.check_part()?;
        let proposes = value.is_some();
        let doubt = if proposes { Outcome::Unknown } else { Outcome::NotApplied };
        let mut waiter = match value {
            Some(value) => desk.decide(Arc::clone(&name), value),
            None => desk.read(Arc::clone(&name)),
        };
        let deadline = deadline.unwrap_or_else(|| self.deadline());
        let answered: std::result::Result<Chosen, _> =
            match tokio::time::timeout(deadline, &mut waiter.answer).await {
                Ok(answered) => answered,
                Err(_) => {
                    let then = if proposes {
                        "the value may still be chosen: ask again, which is safe"
                    } else {
                        "ask again"
                    };
                    let message = format!(
                        "no majority of the nodes that founded the cluster answered about the \
                         decision {name:?} within {deadline:?}; {then}"
                    );
                    return Err(Error::new(Code::Deadline, message).with_outcome(doubt));
                }
            };
        match answered {
            Ok(Ok(chosen)) => Ok(chosen),
            Ok(Err(error)) => {
                let message = format!("the decision {name:?} is not taken up: {error}");
                Err(Error::new(Code::Busy, message))
            }
            Err(_) => Err(Error::stopping(doubt)),
        }
    }
}

/// Returns what the roles of this node's decisions are built from, if it has any.
pub(super) fn config(
    settings: &Settings,
    founders: impl IntoIterator<Item = NodeId>,
) -> Option<paxos::Config> {
    let founders = Members::new(founders).filter(|founders| founders.is_voter(settings.id))?;
    let config = paxos::Config::builder(settings.id, group(), founders)
        .retry(settings.get(&HEARTBEAT) * 2)
        .pause_max(settings.get(&ELECTION_TIMEOUT) * 4)
        .build();
    Some(config.expect("a heartbeat is well below the election timeout"))
}
