//! What callers asked and were told, and whether that can be: linearizable, each command at most once.
//!
//! Every command appends its own name to a list, and every query returns the list. The order of the list is the
//! witness: operations must fit into it without one that ended standing behind one that began later.

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
    /// Lets time pass: what ends now is before what begins from now on.
    pub(crate) fn advance(&mut self) {
        self.now += 1;
    }

    /// Notes that a call begins, a query if it has no operation.
    pub(crate) fn begin(&mut self, operation: Option<&str>) -> usize {
        let operation = operation.map(str::to_owned);
        self.calls.push(Call { operation, began: self.now, ended: None });
        self.calls.len() - 1
    }

    /// Notes how a call ended.
    pub(crate) fn end(&mut self, at: usize, result: Result<Bytes, CallError>) {
        let ended = self.calls[at].ended.replace((self.now, result));
        assert!(ended.is_none(), "a call ends once");
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

    /// The list's order fits the order in which calls ended and began.
    fn check_order(&self, list: &[String], place: &BTreeMap<&str, u64>) {
        // For each place of the list: what was seen there, from when to when. A query stands behind what it saw.
        let mut seen: Vec<(u64, u64, u64)> = Vec::new();
        let mut first_begin: BTreeMap<&str, u64> = BTreeMap::new();
        for call in &self.calls {
            if let Some(operation) = &call.operation {
                first_begin.entry(operation).or_insert(call.began);
            }
        }
        for call in &self.calls {
            let ended = match &call.ended {
                Some((ended, Ok(_))) => *ended,
                Some((_, Err(_))) | None => u64::MAX,
            };
            match (&call.operation, &call.ended) {
                (Some(operation), _) => {
                    let operation = operation.as_str();
                    if let Some(place) = place.get(operation) {
                        seen.push((*place, first_begin[operation], ended));
                    }
                }
                (None, Some((_, Ok(answer)))) => {
                    let Ok(Answer::History(saw)) = rmp_serde::from_slice(answer) else {
                        panic!("the query is for the list");
                    };
                    assert!(list.starts_with(&saw), "a query saw what never was");
                    seen.push((saw.len() as u64, call.began, ended));
                }
                (None, _) => {}
            }
        }
        seen.sort_unstable();
        // Whatever stands further on must not have ended before something earlier in the list began.
        let mut latest_begin = (0, 0);
        for (place, began, ended) in seen {
            if place > latest_begin.1 {
                assert!(ended >= latest_begin.0, "place {place} ended before place {} began", latest_begin.1);
            }
            latest_begin = latest_begin.max((began, place));
        }
    }
}
