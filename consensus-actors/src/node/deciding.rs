//! Decisions: values that a cluster agrees upon once, by name.

use std::{future::IntoFuture, marker::PhantomData, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use consensus_core::{
    Members, Outcome,
    decisions::{Decisions, NAME_BYTES_MAX, is_name},
    fast_paxos, paxos,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{Node, Shared, host::NodeActor};
use crate::{
    client::{IntoDuration, decode, encode},
    clock,
    config::table::{DECISIONS_PROTOCOL, ELECTION_TIMEOUT, HEARTBEAT},
    decisions::{
        Chosen, DecisionInlet, DecisionOutlets, DecisionProtocol, Desk, Makes, OtherInlet,
    },
    error::{Code, Error, Result},
    role::{Labels, Post},
    seat::Seat,
    transport::{Arena, Inlet},
};

impl Node {
    /// Has the cluster decide on a value, once and for all: returns the value that is chosen under
    /// `name`, this one or another's that came before. It is chosen by
    /// [Basic Paxos](consensus_core::paxos), or by [Fast Paxos](consensus_core::fast_paxos) if the
    /// setting `decisions.protocol` says so.
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
                    let message = match desk.discord() {
                        Some(discord) => format!("{message}. And {discord}"),
                        None => message,
                    };
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

impl NodeActor {
    /// Starts what this node has of decisions, if it takes part in any.
    pub(super) fn seat_decisions(&mut self) -> Result<Option<Arc<Desk>>> {
        let founders = Members::new(self.founders.keys().copied());
        let founders = founders.filter(|founders| founders.is_voter(self.settings.id));
        let Some(founders) = founders else { return Ok(None) };
        let desk = match self.settings.get(&DECISIONS_PROTOCOL) {
            DecisionProtocol::Paxos => self.seat_decisions_by::<paxos::Role>(founders),
            DecisionProtocol::FastPaxos => self.seat_decisions_by::<fast_paxos::Role>(founders),
        }?;
        self.desk = Some(Arc::clone(&desk));
        Ok(Some(desk))
    }

    fn seat_decisions_by<R: Makes>(&mut self, founders: Members) -> Result<Arc<Desk>> {
        let (group, other) = (R::PROTOCOL.group(), R::PROTOCOL.other());
        let of_other = self.recovered.records.get(&other.group());
        if of_other.is_some_and(|records| !records.is_empty()) {
            let message = format!(
                "this data directory holds decisions that were made by {0}, and the node is to \
                 make them by {1}; set `decisions.protocol` to {0} as it was, since what was decided \
                 stays, and so does how",
                other.name(),
                R::PROTOCOL.name()
            );
            return Err(Error::new(Code::Config, message));
        }
        let retry = self.settings.get(&HEARTBEAT) * 2;
        let pause_max = self.settings.get(&ELECTION_TIMEOUT) * 4;
        let common = R::common(self.settings.id, founders, retry, pause_max);
        let (process, durable) = self.recover::<Decisions<R>>(common, "decisions", group)?;
        let seat = Arc::new(Seat::vacant());
        let desk = Arc::new(Desk::new(&seat));
        self.records.register(group, Arc::clone(&seat) as _);
        let outlets = Box::new(DecisionOutlets {
            records: self.records.clone(),
            links: self.links.clone(),
            desk: Arc::clone(&desk),
            arena: Arena::default(),
        });
        let labels = Labels { node: self.settings.id, group: "decisions".into() };
        Post::take(process, Arc::clone(&seat), self.time.clone(), durable, outlets, labels);
        let inlet = Arc::new(DecisionInlet { seat, desk: Arc::clone(&desk) });
        self.inlets.add(group, Arc::clone(&inlet) as Arc<dyn Inlet>);
        let elsewhere = OtherInlet { desk: Arc::clone(&desk), links: self.links.clone() };
        self.inlets.add(other.group(), Arc::new(elsewhere));
        self.clock.do_send(clock::Register(inlet));
        Ok(desk)
    }
}
