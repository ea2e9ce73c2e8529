//! The state that is replicated: the names of all commands in the order in which they were applied.

use consensus_core::{Argument, Cx, Interface, Operation, StateMachine};
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

use crate::{Client, Command, Replicated};

/// The names of all commands, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chronicle {
    names: Vec<u64>,
    digest: u64,
    /// The time of the last command, in milliseconds.
    now: u64,
}

/// Adds a name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) name: u64,
    /// Takes room, so that the disk is in need of it.
    pub(super) padding: String,
}

/// The commands.
#[derive(Serialize, Deserialize)]
pub(super) enum Commands {
    Note(Note),
}

/// The queries.
#[derive(Serialize, Deserialize)]
pub(super) enum Queries {
    /// Where the chronicle stands; `asked` comes back.
    Standing { asked: u64 },
}

/// Where the chronicle stood, behind a command or at a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Standing {
    /// The command's name, or what was asked: an answer to another call would have another.
    pub(super) of: u64,
    /// How many names there were.
    pub(super) length: u64,
    /// Which ones.
    pub(super) digest: u64,
    /// The time of the last command, in milliseconds.
    pub(super) now: u64,
}

impl Chronicle {
    /// Returns the names in order.
    pub(super) fn names(&self) -> &[u64] {
        &self.names
    }

    fn standing(&self, of: u64) -> Standing {
        Standing { of, length: self.names.len() as u64, digest: self.digest, now: self.now }
    }
}

/// Adds a name to the digest of those before it.
pub(super) fn digest(before: u64, name: u64) -> u64 {
    XxHash3_64::oneshot_with_seed(before, &name.to_le_bytes())
}

impl StateMachine for Chronicle {
    type Command = Commands;
    type Reply = Standing;
    type Query = Queries;
    type Answer = Standing;

    const INTERFACE: Interface = Interface {
        commands: &[Operation {
            name: "Note",
            arguments: &[
                Argument { name: "name", kind: "u64" },
                Argument { name: "padding", kind: "String" },
            ],
            doc: "Adds a name.",
        }],
        queries: &[Operation {
            name: "Standing",
            arguments: &[Argument { name: "asked", kind: "u64" }],
            doc: "Tells where the chronicle stands.",
        }],
    };

    fn apply(&mut self, cx: &mut Cx, command: Commands) -> Standing {
        let Commands::Note(Note { name, .. }) = command;
        let now = cx.now().duration_since(std::time::SystemTime::UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_millis() as u64);
        assert!(now >= self.now, "time in the log went back");
        self.names.push(name);
        (self.digest, self.now) = (digest(self.digest, name), now);
        self.standing(name)
    }

    fn answer(&self, query: Queries) -> Standing {
        let Queries::Standing { asked } = query;
        self.standing(asked)
    }
}

impl Replicated for Chronicle {
    type Client = Client<Self>;

    const NAME: &'static str = "chronicle";
}

impl From<Note> for Commands {
    fn from(note: Note) -> Self {
        Self::Note(note)
    }
}

impl Command for Note {
    type State = Chronicle;
    type Reply = Standing;

    const NAME: &'static str = "Note";
}
