//! Clients in programs that are no members: `CounterClient::connect(addresses, "hits").await?`.
//!
//! A client is a thread of its own with one task, the [`Courier`](courier::Courier): so it works
//! under any runtime and in a plain `main`, and clients of one program share nothing. What it does
//! with calls is decided by the core ([`consensus_core::client`]), as in a node; here are only the
//! connection, the clock and the way back to callers.

mod courier;
mod line;

use std::{future::IntoFuture, io, marker::PhantomData, pin::Pin, sync::Arc, time::Duration};

use consensus_core::GroupId;
use tokio::{runtime::Handle, sync::oneshot};

pub(crate) use self::courier::{Courier, Parts};
use crate::{
    client::{Client, IntoDuration},
    clock::{MachineCalendar, NodeClock},
    error::{Code, Error, Result},
    inbox::Courses,
    replicated::Replicated,
    transport::{Tcp, admission::Greeting},
};

/// How long a client looks for its group unless it is told otherwise.
const DEADLINE: Duration = Duration::from_secs(5);

/// How often a client with calls looks at the time.
const TICK: Duration = Duration::from_millis(10);

/// A client about to be connected: `.await` finds its group and gives the typed client.
///
/// It is ready once any node that hosts the group was reached; there need not be a leader yet.
#[must_use = "a client is connected once this is awaited"]
pub struct Connecting<S> {
    addresses: Vec<String>,
    group: String,
    cluster: Option<String>,
    deadline: Result<Duration>,
    /// Whether no thread of its own serves the client.
    here: bool,
    state: PhantomData<fn() -> S>,
}

impl<S: Replicated> Connecting<S> {
    pub(crate) fn new(
        addresses: impl IntoIterator<Item = impl Into<String>>,
        group: impl Into<String>,
    ) -> Self {
        Self {
            addresses: addresses.into_iter().map(Into::into).collect(),
            group: group.into(),
            cluster: None,
            deadline: Ok(DEADLINE),
            here: false,
            state: PhantomData,
        }
    }

    /// Insists on the cluster of this name. Without, the client takes the cluster of the first node
    /// that it reaches, and insists on that from then on.
    pub fn cluster(mut self, name: impl Into<String>) -> Self {
        self.cluster = Some(name.into());
        self
    }

    /// Serves the client on the tokio runtime that this is awaited on, instead of a thread of its
    /// own: who calls from there wakes no other thread. The client ends with that runtime, and is as
    /// late as its tasks let it be.
    pub fn on_this_runtime(mut self) -> Self {
        self.here = true;
        self
    }

    /// Gives the search so much time, 5 s if this is not called: a `Duration`, or text such as
    /// `"250ms"`, `"2s"`, `"1m"`.
    pub fn deadline(mut self, deadline: impl IntoDuration) -> Self {
        self.deadline = deadline.into_duration();
        self
    }

    /// Starts the thread of a client, and waits until it has found its group.
    async fn connect(self) -> Result<Client<S>> {
        let deadline = self.deadline?;
        if self.addresses.is_empty() {
            let message = "a client needs the address of at least one node; name the peer ports";
            return Err(Error::new(Code::Config, message));
        }
        let seed = getrandom::u64().map_err(io::Error::other)?;
        let greeting = Greeting::new(&self.group, S::NAME, S::INTERFACE).wanting(self.cluster);
        let group = GroupId::named(&self.group);
        let (name, seeds) = (self.group.as_str().into(), self.addresses);
        let (calls, called) = Courses::new();
        let (found, finding) = oneshot::channel();
        let parts = move || Parts {
            name,
            group,
            seeds,
            seed,
            greeting,
            network: Arc::new(Tcp),
            clock: NodeClock::start(Arc::new(MachineCalendar)),
            tick: TICK,
        };
        let run = async move { Courier::new(parts()).run(called, (found, deadline)).await };
        if self.here {
            let runtime = Handle::try_current().map_err(|_| {
                let message = "there is no tokio runtime here to serve the client; leave \
                               `on_this_runtime` out, and it has a thread of its own";
                Error::new(Code::Config, message)
            })?;
            runtime.spawn(run);
        } else {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let thread = std::thread::Builder::new().name("consensus-client".to_owned());
            thread.spawn(move || runtime.block_on(run))?;
        }
        let ended = || Error::new(Code::Application, "the client's thread has ended; report it");
        finding.await.unwrap_or_else(|_| Err(ended()))?;
        Ok(Client::remote(calls))
    }
}

impl<S> std::fmt::Debug for Connecting<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { addresses, group, .. } = self;
        f.debug_struct("Connecting")
            .field("addresses", addresses)
            .field("group", group)
            .finish_non_exhaustive()
    }
}

impl<S: Replicated> IntoFuture for Connecting<S> {
    type Output = Result<S::Client>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async { self.connect().await.map(S::Client::from) })
    }
}
