//! How fresh the answer to a query must be, and the token by which a caller reads its own writes.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    log::Index,
    process::{GroupId, Ticket},
};

/// What a query is promised. A replica that cannot keep it refuses the query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReadLevel {
    /// It sees every command that was answered anywhere before it was asked.
    #[default]
    Linearizable,
    /// As linearizable, as long as clocks differ in rate by no more than the group declares: the
    /// leader may answer without a word to others (dissertation 6.4.1). Where it cannot, it has a
    /// majority confirm the read. For groups whose members keep leases.
    Lease,
    /// It sees every command that was answered anywhere up to `max_lag` before it was asked, by the
    /// clock of the replica that answers.
    Stale {
        /// How old the state may be.
        max_lag: Duration,
    },
    /// It sees everything up to this index: what a [`CommitToken`] stands for.
    After {
        /// The index.
        index: Index,
    },
}

impl fmt::Display for ReadLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linearizable => f.write_str("linearizable"),
            Self::Lease => f.write_str("lease"),
            Self::Stale { max_lag } => write!(f, "stale {max_lag:?}"),
            Self::After { index } => write!(f, "after {index}"),
        }
    }
}

/// A read as a protocol takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Read {
    /// Correlates the answer.
    pub ticket: Ticket,
    /// What it is promised.
    pub level: ReadLevel,
}

/// A place in the log of a group at or after the entry of a command: whoever reads after it sees
/// what the command did, on any replica.
///
/// It is opaque, and good for as long as the group lives. As text, in headers and in what serde
/// writes for people, it is what [`Display`](fmt::Display) writes and [`FromStr`] reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CommitToken {
    group: GroupId,
    index: Index,
}

impl CommitToken {
    /// Makes the token of what `group` has at `index`.
    pub fn new(group: GroupId, index: Index) -> Self {
        Self { group, index }
    }

    /// Returns the group whose token it is.
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// Returns the index that a read after it must see.
    pub fn index(&self) -> Index {
        self.index
    }
}

impl fmt::Display for CommitToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.group.0, self.index.0)
    }
}

/// A text is no commit token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no commit token; pass one on as it came with the answer to a command")]
pub struct InvalidCommitToken;

impl FromStr for CommitToken {
    type Err = InvalidCommitToken;

    fn from_str(text: &str) -> Result<Self, InvalidCommitToken> {
        let (group, index) = text.split_once('-').ok_or(InvalidCommitToken)?;
        let digits = |text: &str, radix| text.bytes().all(|byte| char::from(byte).is_digit(radix));
        if group.len() != 16 || !digits(group, 16) || !digits(index, 10) {
            return Err(InvalidCommitToken);
        }
        let group = u64::from_str_radix(group, 16).map_err(|_| InvalidCommitToken)?;
        let index = index.parse().map_err(|_| InvalidCommitToken)?;
        Ok(Self::new(GroupId(group), Index(index)))
    }
}

impl Serialize for CommitToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CommitToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a token comes back from its text, and what is none is refused, whatever it is.
    #[test]
    fn token_is_read_as_it_is_written() {
        let token = CommitToken::new(GroupId::named("hits"), Index(42));
        assert_eq!(token.to_string().parse(), Ok(token));
        for text in ["", "-", "42", "0-1", "+123456789abcdef-1", "0123456789abcdef-", "x-1"] {
            assert_eq!(text.parse::<CommitToken>(), Err(InvalidCommitToken), "{text}");
        }
        let beyond = format!("{:016x}-{}0", 7, u64::MAX);
        assert_eq!(beyond.parse::<CommitToken>(), Err(InvalidCommitToken));
        assert_eq!("0123456789abcdef-+1".parse::<CommitToken>(), Err(InvalidCommitToken));
        assert_eq!("é123456789abcde-1".parse::<CommitToken>(), Err(InvalidCommitToken));
    }
}
