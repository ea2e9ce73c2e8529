//! A client's connection to a node: called, greeted, listened to.

use std::{io, pin::Pin, sync::Arc, time::Duration};

use tokio::time::timeout;

use crate::{
    error::Code,
    transport::{
        FRAME_BYTES_MAX, Network,
        admission::{self, Greeting, Host, Refusal},
        conversation::{Conversation, Turn},
    },
};

/// How long a node may take to be reached, and to answer the greeting.
const CALL_PATIENCE: Duration = Duration::from_secs(2);

/// How the client stands with the one node that it talks to at a time.
pub(super) enum Line {
    Down,
    /// A node is called and greeted.
    Calling(Calling),
    /// A node has admitted the client.
    Up(Conversation, Host),
}

/// A call that is not answered yet.
pub(super) type Calling =
    Pin<Box<dyn Future<Output = Result<(Conversation, Host), Trouble>> + Send>>;

/// Why a client does not talk to a node.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) code: Code,
    /// Whether it would be the same another time.
    pub(super) lasting: bool,
    pub(super) reason: String,
}

/// What happened on the line.
pub(super) enum Event {
    Answered(Result<(Conversation, Host), Trouble>),
    Turned(io::Result<Turn>),
}

impl Line {
    /// Waits until something happens. To drop what this returns loses nothing.
    pub(super) async fn next(&mut self) -> Event {
        match self {
            Self::Down => std::future::pending().await,
            Self::Calling(calling) => Event::Answered(calling.await),
            Self::Up(conversation, _) => Event::Turned(conversation.next(true).await),
        }
    }

    /// Returns the connection if a frame may be written to it.
    pub(super) fn free(&mut self) -> Option<&mut Conversation> {
        match self {
            Self::Up(conversation, _) if !conversation.is_writing() => Some(conversation),
            Self::Up(..) | Self::Down | Self::Calling(_) => None,
        }
    }
}

/// Calls the node at `address` and greets it.
pub(super) fn call(network: &Arc<dyn Network>, address: String, greeting: &Greeting) -> Calling {
    let (network, greeting) = (Arc::clone(network), greeting.clone());
    Box::pin(async move {
        let called = timeout(CALL_PATIENCE, greet(network.as_ref(), &address, &greeting)).await;
        match called {
            Ok(Ok(Ok((conversation, host)))) => Ok((conversation, host)),
            Ok(Ok(Err(refusal))) => Err(Trouble::refused(refusal)),
            Ok(Err(error)) => Err(Trouble::unreachable(&error)),
            Err(_) => Err(Trouble::unreachable(&io::ErrorKind::TimedOut.into())),
        }
    })
}

async fn greet(
    network: &dyn Network,
    address: &str,
    greeting: &Greeting,
) -> io::Result<Result<(Conversation, Host), Refusal>> {
    let mut stream = network.dial(address).await?;
    let host = admission::call(&mut stream, greeting).await?;
    Ok(host.map(|host| (Conversation::new(stream, FRAME_BYTES_MAX), host)))
}

impl Trouble {
    fn refused(refusal: Refusal) -> Self {
        let Refusal { ground, reason } = refusal;
        Self { code: ground.code(), lasting: ground.is_lasting(), reason }
    }

    /// Says why a node was not reached, or no longer is.
    pub(super) fn unreachable(error: &io::Error) -> Self {
        let reason = match error.kind() {
            io::ErrorKind::TimedOut => "no answer in time".to_owned(),
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                format!("what answers there is no peer port of a node ({error})")
            }
            _ => error.to_string(),
        };
        Self { code: Code::Unreachable, lasting: false, reason }
    }
}
