//! What callers asked and were told, and whether that can be: linearizable, each command at most
//! once.
//!
//! Every command appends its own name to a list, and every query returns the list. The order of the
//! list is the witness: operations must fit into it without one that ended standing behind one that
//! began later.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use consensus_core::{Outcome, client::CallError, replica::Rejection};

use crate::kv::{self, Answer};

/// Calls in the order in which they began.
#[derive(Debug, Default)]
pub(crate) struct History {
    calls: Vec<Call>,
    now: u64,
}

/// One call.
#[derive(Debug)]
struct Call {
    /// The command's name; `None` for a query.
    operation: Option<String>,
    began: u64,
    ended: Option<(u64, Result<Bytes, CallError>)>,
}

impl History {
    fn stamp(&mut self) -> u64 {
        self.now += 1;
        self.now
    }

    /// Notes that a call begins, a query if it has no operation.
    pub(crate) fn begin(&mut self, operation: Option<&str>) -> usize {
        let operation = operation.map(str::to_owned);
        let began = self.stamp();
        self.calls.push(Call { operation, began, ended: None });
        self.calls.len() - 1
    }

    /// Notes how a call ended.
    pub(crate) fn end(&mut self, at: usize, result: Result<Bytes, CallError>) {
        let now = self.stamp();
        let ended = self.calls[at].ended.replace((now, result));
        assert!(ended.is_none(), "a call ends once");
    }

    /// Tells how many calls began.
    pub(crate) fn len(&self) -> usize {
        self.calls.len()
    }

    /// Tells whether a call ended with a reply.
    pub(crate) fn is_answered(&self, at: usize) -> bool {
        matches!(self.calls[at].ended, Some((_, Ok(_))))
    }

    /// Tells how many calls ended with a reply.
    pub(crate) fn answered(&self) -> usize {
        self.calls.iter().filter(|call| matches!(call.ended, Some((_, Ok(_))))).count()
    }

    /// Judges all calls by the list that the replicas hold in the end.
    pub(crate) fn check(&self, list: &[String]) {
        let place: BTreeMap<&str, u64> = list.iter().map(String::as_str).zip(1..).collect();
        assert_eq!(place.len(), list.len(), "each command is applied once");
        self.check_outcomes(&place);
        self.check_order(list, &place);
    }

    /// What callers were told of a command's effect is true.
    fn check_outcomes(&self, place: &BTreeMap<&str, u64>) {
        let mut applied = BTreeSet::new();
        let mut denied = BTreeSet::new();
        for call in &self.calls {
            let (Some(operation), Some((_, result))) = (&call.operation, &call.ended) else {
                continue;
            };
            match result {
                Ok(reply) => {
                    assert_eq!(kv::number(reply), Some(1), "{operation} was applied once");
                    applied.insert(operation.as_str());
                }
                Err(error) => match error.outcome() {
                    Outcome::Applied => {
                        assert_eq!(*error, CallError::Rejected(Rejection::Panicked));
                        applied.insert(operation);
                    }
                    Outcome::NotApplied => {
                        denied.insert(operation.as_str());
                    }
                    Outcome::Unknown => {}
                },
            }
        }
        for operation in &applied {
            assert!(place.contains_key(operation), "{operation} was acknowledged and is lost");
        }
        // Who repeats a key may be refused while another's attempt under it is applied.
        let calls = |operation: &&str| {
            let same = |call: &&Call| call.operation.as_deref() == Some(*operation);
            self.calls.iter().filter(same).count()
        };
        for operation in denied.iter().filter(|operation| calls(operation) == 1) {
            assert!(!place.contains_key(operation), "{operation} was denied and is applied");
        }
    }

    /// The list's order fits the order in which calls ended and began: if one ended before another
    /// began, it does not stand behind it.
    fn check_order(&self, list: &[String], place: &BTreeMap<&str, u64>) {
        let mut stands: Vec<(u64, u64, u64)> = Vec::new();
        for call in &self.calls {
            let ended = match &call.ended {
                Some((ended, Ok(_) | Err(CallError::Rejected(Rejection::Panicked)))) => *ended,
                Some((_, Err(_))) | None => u64::MAX,
            };
            match (&call.operation, &call.ended) {
                (Some(operation), _) => {
                    if let Some(place) = place.get(operation.as_str()) {
                        stands.push((place * 2, self.first_began(operation), ended));
                    }
                }
                (None, Some((_, Ok(answer)))) => {
                    let Ok(Answer::History(saw)) = rmp_serde::from_slice(answer) else {
                        panic!("the query is for the list");
                    };
                    assert!(list.starts_with(&saw), "a query saw what never was");
                    // Behind what it saw, before what it did not see.
                    stands.push((saw.len() as u64 * 2 + 1, call.began, ended));
                }
                (None, _) => {}
            }
        }

        stands.sort_unstable();
        let mut began_before = 0;
        for equal in stands.chunk_by(|left, right| left.0 == right.0) {
            let ended = equal.iter().map(|(_, _, ended)| *ended).min();
            assert!(
                ended >= Some(began_before),
                "{equal:?} ended before what it stands behind began"
            );
            let began = equal.iter().map(|(_, began, _)| *began).max();
            began_before = began_before.max(began.unwrap_or(0));
        }
    }

    /// Callers that repeat a key ask for one operation, which began with the first of them.
    fn first_began(&self, operation: &str) -> u64 {
        let same = |call: &&Call| call.operation.as_deref() == Some(operation);
        self.calls.iter().find(same).map_or(0, |call| call.began)
    }
}
