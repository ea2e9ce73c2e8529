//! A small state machine for tests: numbers under names.

use std::{collections::BTreeMap, fmt};

use bytes::Bytes;
use consensus_core::{
    Cx, Interface, Key, StateMachine, WallTime,
    codec::{Decode, Encode},
    replica::{Body, Envelope},
};
use rand_chacha::rand_core::Rng;
use serde::{Deserialize, Serialize};

/// Numbers under names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kv {
    pub(crate) values: BTreeMap<String, u64>,
    /// The keys in the order in which they were added to.
    pub(crate) history: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Command {
    /// Sets a key; answers what it was.
    Put { key: String, value: u64 },
    /// Adds to a key; answers the sum.
    Add { key: String, by: u64 },
    /// Sets a key to 1, notes it like an addition, and panics.
    Panic { key: String },
    /// Sets a key to the milliseconds of `cx.now`.
    Stamp { key: String },
    /// Sets a key to a number from `cx.rng`.
    Draw { key: String },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Query {
    /// Answers the value of a key.
    Get { key: String },
    /// Answers the keys in the order in which they were added to.
    History,
    /// Panics.
    Panic,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    Value(Option<u64>),
    History(Vec<String>),
}

impl StateMachine for Kv {
    type Command = Command;
    type Reply = Option<u64>;
    type Query = Query;
    type Answer = Answer;

    const INTERFACE: Interface = Interface { commands: &[], queries: &[] };

    fn apply(&mut self, cx: &mut Cx, command: Command) -> Option<u64> {
        match command {
            Command::Put { key, value } => self.values.insert(key, value),
            Command::Add { key, by } => {
                self.history.push(key.clone());
                let value = self.values.entry(key).or_default();
                *value += by;
                Some(*value)
            }
            Command::Panic { key } => {
                self.history.push(key.clone());
                self.values.insert(key, 1);
                // A panic that prints nothing.
                std::panic::resume_unwind(Box::new("a command that panics"));
            }
            Command::Stamp { key } => {
                #[expect(
                    clippy::disallowed_types,
                    reason = "the time is the command's, not the clock's"
                )]
                let since = cx.now().duration_since(std::time::SystemTime::UNIX_EPOCH);
                self.values.insert(key, since.expect("after 1970").as_millis() as u64)
            }
            Command::Draw { key } => {
                let number = cx.rng().next_u64();
                self.values.insert(key, number)
            }
        }
    }

    fn answer(&self, query: Query) -> Answer {
        match query {
            Query::Get { key } => Answer::Value(self.values.get(&key).copied()),
            Query::History => Answer::History(self.history.clone()),
            Query::Panic => std::panic::resume_unwind(Box::new("a query that panics")),
        }
    }

    fn command_key(command: &Command) -> Option<Key> {
        match command {
            Command::Put { key, .. } | Command::Stamp { key } | Command::Draw { key } => {
                Some(Key::new(key))
            }
            // They are noted in one list.
            Command::Add { .. } | Command::Panic { .. } => None,
        }
    }

    fn query_key(query: &Query) -> Option<Key> {
        match query {
            Query::Get { key } => Some(Key::new(key)),
            Query::History | Query::Panic => None,
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { key, value } => write!(f, "put {key} {value}"),
            Self::Add { key, by } => write!(f, "add {key} {by}"),
            Self::Panic { key } => write!(f, "panic {key}"),
            Self::Stamp { key } => write!(f, "stamp {key}"),
            Self::Draw { key } => write!(f, "draw {key}"),
        }
    }
}

/// Encodes what a caller hands to a client.
pub(crate) fn encode<T: Serialize>(value: &T) -> Bytes {
    rmp_serde::to_vec_named(value).expect("test values encode").into()
}

/// Decodes a reply of [`Kv`] to a command.
pub(crate) fn number(reply: &[u8]) -> Option<u64> {
    rmp_serde::from_slice(reply).expect("a reply of the state machine")
}

/// Wraps a command as it stands in the log, applied once under `key`.
pub(crate) fn keyed(key: &str, at: WallTime, command: &Command) -> Bytes {
    let command = encode(command);
    let digest = twox_hash::XxHash3_128::oneshot(&command);
    let key = Bytes::copy_from_slice(key.as_bytes());
    envelope(at, Body::Keyed { key, digest, command })
}

/// Encodes an envelope.
pub(crate) fn envelope(at: WallTime, body: Body) -> Bytes {
    let mut bytes = Vec::new();
    let envelope = Envelope { at, body };
    envelope.encode(&mut bytes);
    let bytes = Bytes::from(bytes);
    assert_eq!(Envelope::decode_all(bytes.clone()), Ok(envelope), "envelopes survive the wire");
    bytes
}

/// Tells what an encoded envelope holds, for traces.
pub(crate) fn describe(envelope: &Bytes) -> String {
    let Ok(Envelope { body, .. }) = Envelope::decode_all(envelope.clone()) else {
        return format!("{} bytes", envelope.len());
    };
    let (prefix, command) = match body {
        Body::Open => return "open a session".into(),
        Body::InSession { session, request, command, .. } => {
            (format!("{}.{} ", session.0, request.0), command)
        }
        Body::Keyed { command, .. } => (String::new(), command),
    };
    match rmp_serde::from_slice::<Command>(&command) {
        Ok(command) => format!("{prefix}{command}"),
        Err(_) => format!("{prefix}{} bytes", command.len()),
    }
}
