//! The state machine of simulations that are not about a user's: texts under keys.

use std::{collections::BTreeMap, fmt};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    random::Random,
    workload::{Body, Operation, Workload},
};
use crate::state_machine::{Cx, Interface, StateMachine};

/// Texts under keys, and what commands were told of time and chance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    texts: BTreeMap<String, String>,
    stamps: BTreeMap<String, u64>,
}

/// A command of [`Store`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Sets a text; answers what it was.
    Put {
        /// The key.
        key: String,
        /// The text.
        value: String,
    },
    /// Adds to the end of a text; answers the whole.
    Append {
        /// The key.
        key: String,
        /// The end.
        value: String,
    },
    /// Removes a text; answers what it was.
    Delete {
        /// The key.
        key: String,
    },
    /// Sets a text, and panics.
    Panic {
        /// The key.
        key: String,
        /// The text.
        value: String,
    },
    /// Notes the time and a random number, of which every replica must get the same.
    Stamp {
        /// The key.
        key: String,
    },
}

/// A query of [`Store`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// Answers a text.
    Get {
        /// The key.
        key: String,
    },
}

impl StateMachine for Store {
    type Command = Change;
    type Reply = Option<String>;
    type Query = Look;
    type Answer = Option<String>;

    const INTERFACE: Interface = Interface { commands: &[], queries: &[] };

    fn apply(&mut self, cx: &mut Cx, command: Change) -> Option<String> {
        match command {
            Change::Put { key, value } => self.texts.insert(key, value),
            Change::Append { key, value } => {
                let text = self.texts.entry(key).or_default();
                text.push_str(&value);
                Some(text.clone())
            }
            Change::Delete { key } => self.texts.remove(&key),
            Change::Panic { key, value } => {
                self.texts.insert(key, value);
                // A panic that prints nothing.
                std::panic::resume_unwind(Box::new("a command that panics"));
            }
            Change::Stamp { key } => {
                let drawn = crate::Rng::next_u64(cx.rng());
                // To the minute: whoever was asked a little earlier may come a little later.
                let stamp = drawn ^ (cx.wall().0 / 60_000) ^ cx.index();
                self.stamps.insert(key, stamp).map(|stamp| stamp.to_string())
            }
        }
    }

    fn answer(&self, query: Look) -> Option<String> {
        let Look::Get { key } = query;
        self.texts.get(&key).cloned()
    }
}

/// Callers of a [`Store`]: few keys, so that they meet, and no text twice, so that each tells who
/// wrote it.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoreWorkload;

const KEYS: u64 = 8;

impl Workload<Store> for StoreWorkload {
    fn ask(&self, random: &mut Random) -> Result<Operation<Change, Look>, String> {
        let key = format!("k{}", random.below(KEYS));
        let mut value = format!("{:x},", random.below(1 << 24));
        if random.below(16) == 0 {
            // Long enough for several sectors of a disk.
            value = value.repeat(1 + random.place(200));
        }
        Ok(match random.below(40) {
            0..14 => Operation::Query(Look::Get { key }),
            14..26 => Operation::Command(Change::Put { key, value }),
            26..34 => Operation::Command(Change::Append { key, value }),
            34..37 => Operation::Command(Change::Delete { key }),
            37 => Operation::Command(Change::Panic { key, value }),
            _ => Operation::Command(Change::Stamp { key }),
        })
    }

    fn describe(&self, body: &Body) -> String {
        let described = match body {
            Body::Command(bytes) => rmp_serde::from_slice::<Change>(bytes).map(|c| c.to_string()),
            Body::Query(bytes) => rmp_serde::from_slice::<Look>(bytes).map(|q| q.to_string()),
        };
        described.unwrap_or_else(|_| "something else".to_owned())
    }

    fn describe_reply(&self, _: &Body, reply: &Bytes) -> String {
        match rmp_serde::from_slice::<Option<String>>(reply) {
            Ok(Some(text)) => format!("{text:?}"),
            Ok(None) => "nothing".to_owned(),
            Err(_) => "something else".to_owned(),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { key, value } => write!(f, "put {key} {value:?}"),
            Self::Append { key, value } => write!(f, "append {key} {value:?}"),
            Self::Delete { key } => write!(f, "delete {key}"),
            Self::Panic { key, value } => write!(f, "put {key} {value:?} and panic"),
            Self::Stamp { key } => write!(f, "stamp {key}"),
        }
    }
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Get { key } = self;
        write!(f, "get {key}")
    }
}
