//! What a caller or an operator is told when something did not work.

use std::fmt;

use consensus_core::{
    ChangeError, Outcome, SubmitError, TransferError,
    client::CallError,
    replica::{REPLY_BYTES_MAX, Rejection},
};

/// The result of an operation of this crate.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// What went wrong: a code to search for, whether the command was applied, and a sentence that says
/// what to do.
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    code: Code,
    outcome: Outcome,
    message: String,
}

/// The kinds of errors; `CX1..` concern a call, `CX4..` a node that cannot start or go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// CX101: no leader took the call before its deadline.
    NoLeader,
    /// CX102: the deadline passed while the command was on its way.
    Deadline,
    /// CX103: the session expired while the command was retried.
    SessionExpired,
    /// CX110: too many calls are in flight.
    Busy,
    /// CX111: the leader's disk is full.
    StorageFull,
    /// CX112: the command is larger than a log entry may be.
    TooLarge,
    /// CX113: the state could not be proven to be as fresh as a query wants it.
    TooStale,
    /// CX114: the node has not applied what a query must see.
    Behind,
    /// CX115: a query is to rest on a lease, and the group's members keep none.
    NoLeases,
    /// CX120: only a voting member of the group can lead it.
    NotAVoter,
    /// CX121: the leader has heard of nobody lately who could lead.
    NoSuccessor,
    /// CX122: leadership is on its way to another node.
    TransferUnderWay,
    /// CX123: the node that was to lead did not take the lead in time.
    TransferAborted,
    /// CX130: another change of the membership is under way.
    ChangeUnderWay,
    /// CX131: a learner lacks too much to vote.
    CatchingUp,
    /// CX132: the change would leave too few voters that are up.
    NoMajority,
    /// CX133: the id was a member's that was removed.
    IdUsed,
    /// CX134: the node takes no part.
    NotAMember,
    /// CX135: the change makes no sense for the membership as it is.
    BadChange,
    /// CX136: the node that is to be added is not there, or not fit.
    CannotJoin,
    /// CX138: a snapshot could not be taken.
    SnapshotFailed,
    /// CX140: the command panicked, on every replica alike.
    Panicked,
    /// CX141: the command was applied before and its reply is gone.
    AlreadyAnswered,
    /// CX150: an argument is missing, unknown, or of the wrong type.
    InvalidArgument,
    /// CX151: no such group on this node.
    UnknownGroup,
    /// CX152: the group has no such command or query.
    UnknownOperation,
    /// CX153: the body is no JSON.
    MalformedBody,
    /// CX154: no such page.
    UnknownPath,
    /// CX155: the page takes another HTTP method.
    WrongMethod,
    /// CX156: the request comes from a web page of another machine's.
    ForeignOrigin,
    /// CX157: nothing is decided under the name.
    Undecided,
    /// CX158: no such saga, or it ended so long ago that it is forgotten.
    UnknownSaga,
    /// CX159: a saga does not stand so that it can be done what an operator asks.
    OrderRefused,
    /// CX160: the idempotency key was used with another body.
    KeyReused,
    /// CX161: the idempotency key is not usable.
    InvalidKey,
    /// CX162: a commit token is of another group than is asked, or is none.
    ForeignToken,
    /// CX163: another saga holds a key that this one is to hold.
    KeyHeld,
    /// CX170: the node is stopping.
    Stopping,
    /// CX171: the node has just started and may host the group in a moment.
    Starting,
    /// CX172: the node takes no part in its cluster.
    NoPart,
    /// CX180: a reply that this program cannot decode.
    Undecodable,
    /// CX190: no node answers at the address.
    Unreachable,
    /// CX191: the nodes speak another version of the protocol.
    OtherVersion,
    /// CX192: the group is of another type than the client.
    OtherType,
    /// CX193: the node has as many clients as it takes.
    TooManyClients,
    /// CX401: the data directory, or the node that was called, belongs to another cluster.
    OtherCluster,
    /// CX402: the data directory belongs to another node.
    OtherNode,
    /// CX403: the data directory is in use by another process.
    DirectoryInUse,
    /// CX404: an address cannot be listened on.
    AddressInUse,
    /// CX405: the configuration cannot work.
    Config,
    /// CX406: the journal is damaged.
    JournalCorrupt,
    /// CX407: an address beyond loopback, without TLS.
    NotLoopback,
    /// CX408: a group of that name is hosted already.
    GroupExists,
    /// CX409: the disk failed.
    Disk,
    /// CX410: the application's own error.
    Application,
}

impl Code {
    /// Returns the code as users search for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoLeader => "CX101",
            Self::Deadline => "CX102",
            Self::SessionExpired => "CX103",
            Self::Busy => "CX110",
            Self::StorageFull => "CX111",
            Self::TooLarge => "CX112",
            Self::TooStale => "CX113",
            Self::Behind => "CX114",
            Self::NoLeases => "CX115",
            Self::NotAVoter => "CX120",
            Self::NoSuccessor => "CX121",
            Self::TransferUnderWay => "CX122",
            Self::TransferAborted => "CX123",
            Self::ChangeUnderWay => "CX130",
            Self::CatchingUp => "CX131",
            Self::NoMajority => "CX132",
            Self::IdUsed => "CX133",
            Self::NotAMember => "CX134",
            Self::BadChange => "CX135",
            Self::CannotJoin => "CX136",
            Self::SnapshotFailed => "CX138",
            Self::Panicked => "CX140",
            Self::AlreadyAnswered => "CX141",
            Self::InvalidArgument => "CX150",
            Self::UnknownGroup => "CX151",
            Self::UnknownOperation => "CX152",
            Self::MalformedBody => "CX153",
            Self::UnknownPath => "CX154",
            Self::WrongMethod => "CX155",
            Self::ForeignOrigin => "CX156",
            Self::Undecided => "CX157",
            Self::UnknownSaga => "CX158",
            Self::OrderRefused => "CX159",
            Self::KeyReused => "CX160",
            Self::InvalidKey => "CX161",
            Self::ForeignToken => "CX162",
            Self::KeyHeld => "CX163",
            Self::Stopping => "CX170",
            Self::Starting => "CX171",
            Self::NoPart => "CX172",
            Self::Undecodable => "CX180",
            Self::Unreachable => "CX190",
            Self::OtherVersion => "CX191",
            Self::OtherType => "CX192",
            Self::TooManyClients => "CX193",
            Self::OtherCluster => "CX401",
            Self::OtherNode => "CX402",
            Self::DirectoryInUse => "CX403",
            Self::AddressInUse => "CX404",
            Self::Config => "CX405",
            Self::JournalCorrupt => "CX406",
            Self::NotLoopback => "CX407",
            Self::GroupExists => "CX408",
            Self::Disk => "CX409",
            Self::Application => "CX410",
        }
    }
}

impl Error {
    /// Makes an error of something that has not been applied.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, outcome: Outcome::NotApplied, message: message.into() }
    }

    /// Makes an error of the application's own, to return from `main`.
    pub fn application(message: impl fmt::Display) -> Self {
        Self::new(Code::Application, message.to_string())
    }

    /// Returns the error with another outcome.
    pub(crate) fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// Words why the membership of `group` does not change.
    pub(crate) fn of_change(error: &ChangeError, group: &str) -> Self {
        let (code, message) = words_of_change(error, group);
        Self::new(code, message)
    }

    /// Returns the error with the place that it concerns before its sentence.
    pub(crate) fn within(mut self, place: &str) -> Self {
        self.message.insert_str(0, place);
        self
    }

    /// Returns the kind of error.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Tells whether the command was applied.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Returns the sentence that says what happened and what to do.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Words what a client of `group` met.
    pub(crate) fn of_call(error: &CallError, group: &str) -> Self {
        let outcome = error.outcome();
        let (code, message) = match error {
            CallError::Deadline { leader: None, outcome: Outcome::NotApplied } => (
                Code::NoLeader,
                format!(
                    "no leader of {group:?} took the call before its deadline: fewer than a \
                     majority of its members can be reached; start the missing nodes, then call \
                     again"
                ),
            ),
            CallError::Deadline { leader: Some(leader), outcome: Outcome::NotApplied } => (
                Code::Deadline,
                format!(
                    "{leader}, the leader of {group:?}, did not answer before the deadline; call \
                     again, or allow more time"
                ),
            ),
            CallError::Deadline { leader, .. } => {
                let leader = leader.map_or_else(|| "none known".to_owned(), |id| id.to_string());
                let message = format!(
                    "the deadline passed while the command was on its way (leader of {group:?}: \
                     {leader}); it may be applied or not: read the state before you repeat it, or \
                     use an idempotency key"
                );
                (Code::Deadline, message)
            }
            CallError::Busy { limit } => (
                Code::Busy,
                format!(
                    "{limit} calls to {group:?} are in flight, the most it takes; back off, then \
                     call again"
                ),
            ),
            CallError::StorageFull => (
                Code::StorageFull,
                format!(
                    "the disk of the leader of {group:?} is full; free space there, then call again"
                ),
            ),
            CallError::SessionExpired => (
                Code::SessionExpired,
                "the client's session expired while the command was retried; it may be applied or \
                 not: read the state before you repeat it"
                    .to_owned(),
            ),
            CallError::TooStale { max_lag, age } => {
                let known = match age {
                    Some(age) => format!("the state of this node is at most {age:.1?} old"),
                    None => "nothing is known of the age of this node's state".to_owned(),
                };
                let message = format!(
                    "no state of {group:?} was proven to be at most {max_lag:?} old before the \
                     deadline: {known}, and no leader confirmed another; allow more lag, or call \
                     a node that reaches the leader"
                );
                (Code::TooStale, message)
            }
            CallError::Behind { index } => {
                let message = format!(
                    "this node has not applied {group:?} up to {index}, where the commit token \
                     stands, before the deadline; allow more time, or call another node"
                );
                (Code::Behind, message)
            }
            CallError::Refused(SubmitError::Transfer(error)) => words_of_transfer(error, group),
            CallError::Refused(SubmitError::Change(error)) => words_of_change(error, group),
            CallError::Refused(SubmitError::NoLeases) => {
                let message = format!(
                    "the members of {group:?} keep no leases; set `lease` to true on all nodes, or \
                     read linearizably"
                );
                (Code::NoLeases, message)
            }
            CallError::Unanswered(Rejection::Panicked) => (
                Code::Panicked,
                "the query panicked and has no answer; see the log of the node that was asked for \
                 the place"
                    .to_owned(),
            ),
            CallError::Rejected(rejection) | CallError::Unanswered(rejection) => {
                Self::words_of(*rejection)
            }
            _ => (Code::Deadline, error.to_string()),
        };
        Self { code, outcome, message }
    }

    fn words_of(rejection: Rejection) -> (Code, String) {
        let (code, message) = match rejection {
            Rejection::Panicked => (
                Code::Panicked,
                "the command panicked, on every replica alike; what it had changed by then stays: \
                 see the log of a node for the place, and check before you change in the command",
            ),
            Rejection::Malformed => (
                Code::InvalidArgument,
                "the bytes are no command of this state machine; use a client built from the same \
                 version",
            ),
            Rejection::ReplyTooLarge => {
                let message = format!(
                    "the reply takes more than {REPLY_BYTES_MAX} bytes; ask for less at a time (a \
                     command was applied all the same)"
                );
                return (Code::TooLarge, message);
            }
            Rejection::AlreadyAnswered => (
                Code::AlreadyAnswered,
                "the command was answered or given up before, and its reply is gone; read the state",
            ),
            Rejection::KeyReused => (
                Code::KeyReused,
                "this idempotency key was used with another body; take a new key for a new command",
            ),
            Rejection::UnknownSession | Rejection::SessionWindow | Rejection::RequestReused => {
                (Code::SessionExpired, "the session refused the request; call again")
            }
            _ => (Code::Application, "the replicas rejected the command"),
        };
        (code, message.to_owned())
    }

    /// Says that more calls wait to be looked at than the node takes.
    pub(crate) fn no_place(limit: usize) -> Self {
        let message = format!(
            "{limit} calls wait for this node to look at them, the most it takes; back \
             off, then call again"
        );
        Self::new(Code::Busy, message)
    }

    /// Says that a call which has no place in the log was asked for a token.
    pub(crate) fn no_token() -> Self {
        let message = "what was asked is no command or query, and has no commit token";
        Self::new(Code::InvalidArgument, message)
    }

    /// Says that a node is stopping while a call was in flight.
    pub(crate) fn stopping(outcome: Outcome) -> Self {
        Self::new(Code::Stopping, "the node is stopping; call another node").with_outcome(outcome)
    }
}

/// Words why a leader of `group` does not hand over.
fn words_of_transfer(error: &TransferError, group: &str) -> (Code, String) {
    match error {
        TransferError::NotAVoter { to } => (
            Code::NotAVoter,
            format!(
                "{to} is no voting member of {group:?} and cannot lead it; name one of the members \
                 that `status` lists"
            ),
        ),
        TransferError::NoFollower => (
            Code::NoSuccessor,
            format!(
                "the leader of {group:?} has heard of no other node for an election timeout, so \
                 nobody could take over; start the missing nodes, then ask again"
            ),
        ),
        TransferError::UnderWay { to } => (
            Code::TransferUnderWay,
            format!("the lead of {group:?} is on its way to {to}; ask again when it is there"),
        ),
        TransferError::Aborted { to } => (
            Code::TransferAborted,
            format!(
                "{to} did not take the lead of {group:?} within an election timeout, or would not, so \
                 the former leader goes on; see that {to} runs and has caught up and that its disk \
                 is well, then ask again"
            ),
        ),
        other => (Code::TransferAborted, other.to_string()),
    }
}

/// Words why the membership of `group` does not change.
fn words_of_change(error: &ChangeError, group: &str) -> (Code, String) {
    match error {
        ChangeError::Underway | ChangeError::NotReady => (
            Code::ChangeUnderWay,
            format!("another change of {group:?} is under way; call again when it is over"),
        ),
        ChangeError::CatchingUp { node, matched, last } => (
            Code::CatchingUp,
            format!(
                "{node} has {matched} of the {last} log entries of {group:?} and cannot vote yet; \
                 see that it runs, and call again when it has caught up"
            ),
        ),
        ChangeError::NoMajority { voters, heard } => (
            Code::NoMajority,
            format!(
                "of the {voters} voters that {group:?} would have then, {heard} are up: nothing \
                 could be written any more; start the others first, or replace those that are lost"
            ),
        ),
        ChangeError::Retired { node } => (
            Code::IdUsed,
            format!(
                "{node} was removed from {group:?}, and an id is never used again; choose a new one"
            ),
        ),
        ChangeError::NotAMember { node } => (
            Code::NotAMember,
            format!("{node} is no member of {group:?}; name one of those that `members` lists"),
        ),
        other => (Code::BadChange, format!("{group:?} does not change: {other}")),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code.as_str(), self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} (outcome: {:?})", self.outcome)
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::application(error)
    }
}
