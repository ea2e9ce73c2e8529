//! What is said to the book of sagas, and what it answers.

use bytes::Bytes;
use consensus_core::saga::{
    AppendError, CoordinatorId, Entry, Epoch, Order, Parent, Place, Record, SagaId, Seq, StartError,
};
use serde::{Deserialize, Serialize};

use super::super::holds::Holds;

/// How a saga ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::saga) enum Ending {
    Completed(Bytes),
    Compensated { failed: Option<String>, cause: String },
    Abandoned,
}

/// Why a saga does not go on by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::saga) struct Note {
    pub(in crate::saga) step: Option<String>,
    pub(in crate::saga) cause: String,
    /// Whether it would where its definition is registered.
    pub(in crate::saga) is_unknown: bool,
}

/// What an operator wants of a saga.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::saga) struct Wish {
    pub(in crate::saga) saga: SagaId,
    pub(in crate::saga) order: Order,
    pub(in crate::saga) reason: String,
}

/// What the executor has to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::saga) enum Fact {
    Entry(SagaId, Entry),
    /// It is stuck, or no longer.
    Stuck(SagaId, Option<Note>),
    Ended(SagaId, Ending),
    /// A wish was carried out, or refused for this reason.
    Granted(u64, Option<String>),
}

impl Fact {
    /// Returns about how many bytes it takes.
    pub(in crate::saga) fn weight(&self) -> usize {
        let of = match self {
            Self::Entry(_, entry) => weight(entry),
            Self::Ended(_, ending) => ending.weight(),
            Self::Stuck(_, note) => note.as_ref().map_or(0, |note| note.cause.len()),
            Self::Granted(_, refusal) => refusal.as_ref().map_or(0, String::len),
        };
        64 + of
    }
}

impl Ending {
    pub(in crate::saga) fn weight(&self) -> usize {
        match self {
            Self::Completed(output) => output.len(),
            Self::Compensated { failed, cause } => {
                failed.as_ref().map_or(0, String::len) + cause.len()
            }
            Self::Abandoned => 0,
        }
    }
}

/// Returns about how many bytes a record takes.
pub(super) fn weight(entry: &Entry) -> usize {
    let payload = match &entry.record {
        Record::Begun { input, .. } => input.len(),
        Record::Done { output, .. } => output.len(),
        Record::Rejected { cause, .. } | Record::UndoFailed { cause, .. } => cause.len(),
        Record::Ordered { reason, .. } => reason.len(),
        Record::Intended(_)
        | Record::Unresolved { .. }
        | Record::Turned(_)
        | Record::Undone { .. }
        | Record::Resumed => 0,
    };
    64 + payload
}

/// A saga that is to be carried out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::saga) struct Begin {
    pub(in crate::saga) definition: String,
    pub(in crate::saga) digest: u128,
    pub(in crate::saga) input: Bytes,
    pub(in crate::saga) holds: Holds,
    pub(in crate::saga) parent: Option<Parent>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::saga) enum Command {
    /// A saga is to be carried out.
    Begin(SagaId, Begin),
    /// An executor begins an epoch; the first gives the coordinator its id.
    Claim(CoordinatorId),
    /// The executor of an epoch says what happened.
    Write { epoch: Epoch, facts: Vec<Fact> },
    /// An operator steps in.
    Want(Wish),
}

/// Why something is not taken in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::saga) enum Refusal {
    /// There are too many.
    Busy(usize),
    /// The id was used with another input or definition.
    Reused,
    /// There is no such saga.
    Unknown,
    /// It has ended.
    Over,
    /// A saga holds this key.
    Held(String, SagaId),
    /// A saga that it would wait for waits for it.
    Circle,
    /// The saga whose step it is asks for that step no more.
    Late,
}

impl From<StartError> for Refusal {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Held { key, holder } => Self::Held(key, holder),
            StartError::Circle => Self::Circle,
            StartError::Late => Self::Late,
        }
    }
}

/// What an executor has claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::saga) struct Claimed {
    pub(in crate::saga) coordinator: CoordinatorId,
    pub(in crate::saga) epoch: Epoch,
    /// The saga that was begun last before.
    pub(in crate::saga) begun: Place,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::saga) enum Reply {
    Begun(Result<(), Refusal>),
    Claimed(Claimed),
    Written(Result<(), AppendError>),
    /// The number of the wish.
    Wanted(Result<u64, Refusal>),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::saga) enum Query {
    /// Records from a place on, of all sagas or of one.
    Records { from: (SagaId, Seq), only: bool },
    /// What has happened that this node waits for.
    News { sagas: Vec<SagaId>, wishes: Vec<u64>, execute: Option<After> },
    /// The sagas behind one, those that are stuck or all.
    List { after: Option<SagaId>, stuck: bool },
    /// One saga.
    Look(SagaId),
    /// What sagas that have not ended rest on.
    Needs,
}

/// What an executor knows already: sagas that were begun up to here, wishes up to there.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(in crate::saga) struct After {
    pub(in crate::saga) begun: Place,
    pub(in crate::saga) wish: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::saga) enum Answer {
    Records(Vec<(SagaId, Place, Entry)>),
    News(News),
    Rows(Vec<Row>),
    Row(Option<Row>),
    Needs(Vec<Need>),
}

/// A definition that sagas rest on which have not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::saga) struct Need {
    pub(in crate::saga) digest: u128,
    pub(in crate::saga) definition: String,
    pub(in crate::saga) sagas: usize,
    /// Whether some are stuck because who carries them out does not know it.
    pub(in crate::saga) is_unknown: bool,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(in crate::saga) struct News {
    /// How those stand that were asked for and are not simply under way.
    pub(in crate::saga) told: Vec<(SagaId, Standing)>,
    pub(in crate::saga) granted: Vec<(u64, Option<String>)>,
    /// Sagas that were begun, in their order, with their first records.
    pub(in crate::saga) begun: Vec<(Place, SagaId, Entry)>,
    pub(in crate::saga) wishes: Vec<(u64, Wish)>,
    /// Whether there is more than makes a page.
    pub(in crate::saga) more: bool,
}

/// How a saga stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::saga) enum Standing {
    Unknown,
    UnderWay,
    Stuck(Note),
    Ended(Ending),
}

/// A saga in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::saga) struct Row {
    pub(in crate::saga) saga: SagaId,
    pub(in crate::saga) definition: String,
    pub(in crate::saga) records: u64,
    pub(in crate::saga) standing: Standing,
    /// A key that it waits for before it begins, and who holds it.
    pub(in crate::saga) waits: Option<(String, SagaId)>,
}
