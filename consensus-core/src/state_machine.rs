//! What an application replicates: a deterministic state machine.

use std::fmt;

use rand_chacha::{ChaCha12Rng, rand_core::SeedableRng};
use serde::{Serialize, de::DeserializeOwned};

use crate::{log::Index, process::GroupId, read::ReadLevel, time::WallTime};

/// A deterministic state machine: the same commands in the same order give the same state and the
/// same replies.
///
/// `#[replicated]` writes this implementation; it can as well be written by hand, with an enum of
/// commands and an enum of queries. Enums use serde's default (externally tagged) form, so that the
/// name of a variant names the command, in the log and over HTTP alike.
pub trait StateMachine: Clone + Default + Serialize + DeserializeOwned + Send + 'static {
    /// A command: what changes the state, one variant each.
    type Command: Serialize + DeserializeOwned + Send + 'static;
    /// What a command answers.
    type Reply: Serialize;
    /// A query: what reads the state, one variant each.
    type Query: Serialize + DeserializeOwned + Send + 'static;
    /// What a query answers.
    type Answer: Serialize;

    /// The commands and queries by name, for people and tools.
    const INTERFACE: Interface;

    /// Applies a decided command.
    ///
    /// A panic is caught and becomes the command's outcome on every replica; what the command had
    /// changed by then stays changed, so check before you change.
    fn apply(&mut self, cx: &mut Cx, command: Self::Command) -> Self::Reply;

    /// Answers a query.
    fn answer(&self, query: Self::Query) -> Self::Answer;

    /// Returns what the query of this name is promised unless its caller asks for something else;
    /// linearizability by default.
    fn read_level(query: &str) -> ReadLevel {
        let _ = query;
        ReadLevel::Linearizable
    }

    /// Returns the part of the state that a command touches; `None` if it may touch all of it.
    ///
    /// Who names keys promises that commands and queries under different ones are independent:
    /// their order makes no difference to the state, and none reads what another writes. The state
    /// machine runs the same without; histories of it are checked key by key, which is much faster.
    fn command_key(command: &Self::Command) -> Option<Key> {
        let _ = command;
        None
    }

    /// Returns the part of the state that a query reads; `None` if it may read all of it.
    fn query_key(query: &Self::Query) -> Option<Key> {
        let _ = query;
        None
    }
}

/// Returns the name of an operation in named MessagePack: that of its variant, which stands first.
///
/// `None` for what is no variant of an enum in serde's default form.
pub fn operation_name(encoded: &[u8]) -> Option<&str> {
    // A variant without data is a text, one with data a map of one entry.
    let text = encoded.strip_prefix(&[0x81]).unwrap_or(encoded);
    let (length, text) = match text.split_first()? {
        (mark @ 0xa0..=0xbf, text) => (usize::from(mark & 0x1f), text),
        (0xd9, text) => {
            let (length, text) = text.split_first()?;
            (usize::from(*length), text)
        }
        (_, _) => return None,
    };
    std::str::from_utf8(text.get(..length)?).ok()
}

/// A part of a state machine's state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// Names the part. Two that have one name count as one part, which is always right.
    pub fn new(name: impl fmt::Display) -> Self {
        Self(name.to_string())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The names and arguments of a state machine's commands and queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The commands.
    pub commands: &'static [Operation],
    /// The queries.
    pub queries: &'static [Operation],
}

/// One command or query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its name, on the wire and in the log.
    pub name: &'static str,
    /// Its arguments in order.
    pub arguments: &'static [Argument],
    /// What its author says of it.
    pub doc: &'static str,
}

impl Interface {
    /// Returns a number for each command and query, which tells whether two programs mean the same
    /// by it: its kind, its name, and its arguments with their types as written.
    ///
    /// Who calls a state machine needs all that it calls to be there; more does not matter.
    pub fn fingerprints(&self) -> impl Iterator<Item = u64> {
        let of = |kind: &'static str| {
            move |operation: &Operation| {
                let text = format!("{kind} {operation}");
                twox_hash::XxHash3_64::oneshot(text.as_bytes())
            }
        };
        let commands = self.commands.iter().map(of("command"));
        commands.chain(self.queries.iter().map(of("query")))
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name)?;
        for (place, Argument { name, kind }) in self.arguments.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{name}: {kind}")?;
        }
        f.write_str(")")
    }
}

/// One argument of a command or query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// Its type as written in the source.
    pub kind: &'static str,
}

/// What a command may know besides the state and its arguments; the same on every replica.
#[derive(Debug)]
pub struct Cx {
    group: GroupId,
    index: Index,
    now: WallTime,
    rng: Option<ChaCha12Rng>,
}

impl Cx {
    /// Makes the context of the command at `index` of `group`, born at `now`.
    pub fn new(group: GroupId, index: Index, now: WallTime) -> Self {
        Self { group, index, now, rng: None }
    }

    /// Returns the wall-clock time at which the command was born, recorded in the log, never
    /// decreasing.
    ///
    /// It is the clock of the node that the client called, no later than the leader's: as good as
    /// those machines' clocks, and equal on all replicas.
    #[expect(clippy::disallowed_types, reason = "it is made of what the log says, not read")]
    pub fn now(&self) -> std::time::SystemTime {
        std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(self.now.0)
    }

    /// Returns the same time as the log has it.
    pub(crate) fn wall(&self) -> WallTime {
        self.now
    }

    /// Returns the position of the command in the log, unique within the group.
    pub fn index(&self) -> u64 {
        self.index.0
    }

    /// Returns a random generator seeded by the group and the command's position: the same numbers
    /// on every replica.
    ///
    /// They are unpredictable to nobody who can read the log; do not make secrets of them.
    pub fn rng(&mut self) -> &mut ChaCha12Rng {
        let (group, index) = (self.group.0, self.index.0);
        self.rng.get_or_insert_with(|| {
            let mut seed = [0_u8; 32];
            let (low, high) = seed.split_at_mut(16);
            low.copy_from_slice(&u128::from(group).to_le_bytes());
            high.copy_from_slice(&u128::from(index).to_le_bytes());
            ChaCha12Rng::from_seed(seed)
        })
    }
}
