//! Clients: what a program calls a group with.

use std::{cell::RefCell, sync::Arc, time::Duration};

use actix::{Addr, Context, ResponseFuture};
use bytes::Bytes;
use consensus_core::{
    NodeId, Outcome, StateMachine,
    client::{Admin, Ask},
    operation_name,
    replica::KEY_BYTES_MAX,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::oneshot;

use crate::{
    call::{Call, Reads, received},
    error::{Code, Error, Result},
    inbox::{Courses, Inbox, Taker},
    remote::Connecting,
    replica::Replica,
    replicated::{Command, Query, Replicated},
};

/// The largest command or query, encoded: it must fit into a log entry, and that into a frame.
pub const COMMAND_BYTES_MAX: usize = 1 << 20;

/// A client of a group: cheap to clone, usable from any thread and any runtime.
///
/// Calls are routed to the leader and sent again under the same request number when an answer is
/// lost, so that a command is applied once. `#[replicated]` wraps it in a client with a method for
/// each command and query.
///
/// It calls a replica in this process, where [`Node::host`](crate::Node::host) returned it, or is
/// remote, where [`Client::connect`] did: the calls are the same.
pub struct Client<S: StateMachine> {
    /// Who takes calls, whichever it is.
    taker: Arc<dyn Taker>,
    /// The inbox of the replica in this process, unless the client is remote.
    here: Option<Arc<Inbox<S>>>,
}

impl<S: StateMachine> Clone for Client<S> {
    fn clone(&self) -> Self {
        Self { taker: Arc::clone(&self.taker), here: self.here.clone() }
    }
}

impl<S: StateMachine> std::fmt::Debug for Client<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client<{}>", std::any::type_name::<S>())
    }
}

impl<S: StateMachine> From<Addr<Replica<S>>> for Client<S> {
    fn from(addr: Addr<Replica<S>>) -> Self {
        let inbox = Arc::new(Inbox::new(addr));
        Self { taker: Arc::clone(&inbox) as _, here: Some(inbox) }
    }
}

impl<S: StateMachine> Client<S> {
    /// Finds the group `name` from a program that is no member: at any of `addresses`, which are
    /// peer ports of its nodes.
    ///
    /// One address that answers is enough; the client learns the others, and goes on with them
    /// whichever node dies. Queries are read at the levels of [`Call`], by the leader; while none is
    /// found, by a node that is reached, if it can serve the level. It has a session of its own, so that every command is applied once, and
    /// a thread of its own, which ends with the last clone. Nodes listen on loopback only until
    /// there is TLS: so far such programs run on the machine of a node.
    ///
    /// ```no_run
    /// # use consensus_actors::prelude::*;
    /// # #[derive(Clone, Default, Serialize, Deserialize, Replicated)]
    /// # struct Counter { value: i64 }
    /// # #[replicated]
    /// # impl Counter {
    /// #     #[command]
    /// #     fn add(&mut self, by: i64) -> i64 { self.value += by; self.value }
    /// # }
    /// # fn main() {}
    /// # async fn example() -> consensus_actors::Result {
    /// let hits = CounterClient::connect(["127.0.0.1:4801", "127.0.0.1:4802"], "hits").await?;
    /// let total = hits.add(1).deadline("2s").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Code::Unreachable`] with what is wrong at each address when none answers in time;
    /// [`Code::UnknownGroup`], [`Code::OtherType`], [`Code::OtherCluster`] and
    /// [`Code::OtherVersion`] when all say so.
    pub fn connect(
        addresses: impl IntoIterator<Item = impl Into<String>>,
        name: impl Into<String>,
    ) -> Connecting<S>
    where
        S: Replicated,
    {
        Connecting::new(addresses, name)
    }

    pub(crate) fn remote(courses: Arc<Courses>) -> Self {
        Self { taker: courses, here: None }
    }

    /// Returns the address of this node's replica, which takes the group's messages.
    ///
    /// # Panics
    /// If the client is remote: the replicas are actors of other programs then.
    pub fn addr(&self) -> Addr<Replica<S>> {
        match &self.here {
            Some(inbox) => inbox.replica().clone(),
            None => panic!("a remote client has no replica in this process; call its methods"),
        }
    }

    /// Applies a command that `#[replicated]` made.
    pub fn command<C: Command<State = S>>(&self, command: C) -> Call<C::Reply> {
        self.start(once(&command.into()))
    }

    /// Answers a query that `#[replicated]` made.
    pub fn query<Q: Query<State = S>>(&self, query: Q) -> Call<Q::Reply, Reads> {
        self.start(question::<S>(&query.into()))
    }

    /// Applies a command of a state machine that was written by hand.
    pub fn apply(&self, command: &S::Command) -> Call<S::Reply>
    where
        S: StateMachine<Reply: DeserializeOwned>,
    {
        self.start(once(command))
    }

    /// Answers a query of a state machine that was written by hand.
    pub fn answer(&self, query: &S::Query) -> Call<S::Answer, Reads>
    where
        S: StateMachine<Answer: DeserializeOwned>,
    {
        self.start(question::<S>(query))
    }

    /// Applies a command once for a key of the caller's, whoever repeats it, for a day.
    ///
    /// The same key with another command is refused.
    pub fn command_once<C: Command<State = S>>(&self, key: &str, command: C) -> Call<C::Reply> {
        self.start(keyed(key, &command.into()))
    }

    /// Hands the group's lead over: to this node, or to whichever is fit best. Returns the node that
    /// leads then.
    ///
    /// Calls wait meanwhile, for milliseconds as a rule.
    ///
    /// # Errors
    /// [`Code::NotAVoter`], [`Code::NoSuccessor`], [`Code::TransferUnderWay`] and
    /// [`Code::TransferAborted`], after which the former leader goes on; and those of any call.
    pub fn transfer(&self, to: Option<u64>) -> Call<Option<u64>> {
        let to = to.map(|number| {
            let zero = || Error::new(Code::InvalidArgument, "0 is no node; ids count from 1");
            NodeId::new(number).ok_or_else(zero)
        });
        self.start(to.transpose().map(|to| Ask::Admin(Admin::Transfer { to })))
    }

    pub(crate) fn start<R, K>(&self, ask: Result<Ask>) -> Call<R, K> {
        Call::new(Arc::clone(&self.taker), ask)
    }
}

/// Something that says how long: a `Duration`, or text with a unit.
pub trait IntoDuration {
    /// Reads the duration.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] when the text is no duration.
    fn into_duration(self) -> Result<Duration>;
}

impl IntoDuration for Duration {
    fn into_duration(self) -> Result<Duration> {
        Ok(self)
    }
}

impl IntoDuration for &str {
    fn into_duration(self) -> Result<Duration> {
        let digits = self.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.len());
        let (number, unit) = self.split_at(digits);
        let number: Option<u64> = number.parse().ok();
        let duration = match (number, unit) {
            (Some(number), "ms") => Some(Duration::from_millis(number)),
            (Some(number), "s") => Some(Duration::from_secs(number)),
            (Some(number), "m") => number.checked_mul(60).map(Duration::from_secs),
            _ => None,
        };
        duration.ok_or_else(|| {
            let message =
                format!("{self:?} is no duration; write it as \"250ms\", \"2s\" or \"1m\"");
            Error::new(Code::InvalidArgument, message)
        })
    }
}

thread_local! {
    /// The buffer that commands and queries are encoded in, before they get one of their length.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// How much of the buffer is kept.
const SCRATCH_BYTES: usize = 16 << 10;

pub(crate) fn encode(value: &impl Serialize) -> Result<Bytes> {
    // An argument may encode another while it is encoded itself.
    let mut bytes = SCRATCH.take();
    bytes.clear();
    let encoded = encode_in(&mut bytes, value);
    bytes.shrink_to(SCRATCH_BYTES);
    SCRATCH.set(bytes);
    encoded
}

fn encode_in(bytes: &mut Vec<u8>, value: &impl Serialize) -> Result<Bytes> {
    rmp_serde::encode::write_named(bytes, value).map_err(|error| {
        Error::new(Code::InvalidArgument, format!("the arguments cannot be encoded: {error}"))
    })?;
    if bytes.len() > COMMAND_BYTES_MAX {
        let message = format!(
            "the arguments take {} bytes, more than {COMMAND_BYTES_MAX}; split them over several \
             commands",
            bytes.len()
        );
        return Err(Error::new(Code::TooLarge, message));
    }
    Ok(Bytes::copy_from_slice(bytes))
}

/// Makes the call of a command under a key.
pub(crate) fn keyed(key: &str, command: &impl Serialize) -> Result<Ask> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        let message =
            format!("an idempotency key has 1 to {KEY_BYTES_MAX} bytes, this one {}", key.len());
        return Err(Error::new(Code::InvalidKey, message));
    }
    let key = Bytes::copy_from_slice(key.as_bytes());
    encode(command).map(|command| Ask::Keyed { key, command })
}

/// Makes the call of a command.
pub(crate) fn once(command: &impl Serialize) -> Result<Ask> {
    encode(command).map(Ask::Command)
}

/// Makes the call of a query, at the level that it is declared with.
pub(crate) fn question<S: StateMachine>(query: &S::Query) -> Result<Ask> {
    let query = encode(query)?;
    let level = S::read_level(operation_name(&query).unwrap_or_default());
    Ok(Ask::Query { query, level })
}

pub(crate) fn decode<R: DeserializeOwned>(reply: &[u8]) -> Result<R> {
    rmp_serde::from_slice(reply).map_err(|error| {
        let message = format!(
            "the reply cannot be decoded: {error}; use a client built from the same version as the \
             nodes"
        );
        Error::new(Code::Undecodable, message).with_outcome(Outcome::Applied)
    })
}

/// Serves a command that was sent to a replica's address.
pub(crate) fn respond<S: StateMachine, R: DeserializeOwned + 'static>(
    replica: &mut Replica<S>,
    ask: Result<Ask>,
    ctx: &mut Context<Replica<S>>,
) -> ResponseFuture<Result<R>> {
    let (answer, answered) = oneshot::channel();
    match ask {
        Ok(ask) => replica.call(ask, answer, ctx),
        Err(error) => {
            answer.send(Err(error)).ok();
        }
    }
    Box::pin(async move { decode(&received(answered).await?.reply) })
}
