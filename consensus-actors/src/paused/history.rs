//! What callers asked and were told, and whether that can be: linearizable, each command at most
//! once, nothing acknowledged lost, no outcome misstated.
//!
//! The chronicle is the witness: it says in which order the commands took effect, and every answer
//! says how many were before it. So no order has to be searched for: operations must fit into this
//! one without one that ended standing behind one that began later.

use std::collections::{BTreeMap, BTreeSet};

use consensus_core::{CommitToken, Outcome};

use super::{
    chronicle::{Standing, digest},
    random::Trace,
    tally::Tally,
};
use crate::{Code, Error};

/// What a call asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Adds a name.
    Note(u64),
    /// Adds a name under a key, which several calls may do.
    Keyed(u64),
    /// Asks how things stand; the number comes back.
    Query(u64),
    /// Asks how things stood after a command; the number comes back.
    After {
        name: u64,
        token: CommitToken,
        /// How many commands there were with that one.
        seen: u64,
    },
}

/// Calls in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct History {
    calls: Vec<Call>,
    now: u64,
    trace: Trace,
}

#[derive(Debug)]
struct Call {
    ask: Ask,
    began: u64,
    /// When it ended, and with what; `None` if its caller died before.
    ended: Option<(u64, Result<Standing, Outcome>)>,
}

impl Ask {
    /// Returns the name that a command adds.
    fn name(self) -> Option<u64> {
        match self {
            Self::Note(name) | Self::Keyed(name) => Some(name),
            Self::Query(_) | Self::After { .. } => None,
        }
    }
}

impl History {
    /// Notes that a call begins.
    pub(super) fn begin(&mut self, ask: Ask) -> usize {
        self.now += 1;
        self.calls.push(Call { ask, began: self.now, ended: None });
        self.calls.len() - 1
    }

    /// Notes how a call ended, `moment` after the start.
    pub(super) fn end(&mut self, call: usize, result: Result<Standing, Error>, moment: u64) {
        self.now += 1;
        let Call { ask, ended, .. } = &mut self.calls[call];
        let result = result.map_err(|error| {
            assert!(is_expected(*ask, error.code()), "{ask:?} ended with {error:?}");
            error.outcome()
        });
        if let Ok(standing) = result {
            let (Ask::Note(of) | Ask::Keyed(of) | Ask::Query(of) | Ask::After { name: of, .. }) =
                *ask;
            assert_eq!(standing.of, of, "{ask:?} got the answer to another call");
        }
        let told = match &result {
            Ok(standing) => [0, standing.length, standing.digest],
            Err(outcome) => [1 + *outcome as u64, 0, 0],
        };
        self.trace.note(&[call as u64, moment], &told.map(u64::to_le_bytes).concat());
        *ended = Some((self.now, result));
    }

    /// Returns the hash of what all callers were told.
    pub(super) fn trace(&self) -> Trace {
        self.trace
    }

    /// Counts what callers were told.
    pub(super) fn count(&self, tally: &mut Tally) {
        for call in &self.calls {
            tally.add("call", 1);
            let told = match &call.ended {
                Some((_, Ok(_))) => "call answered",
                Some((_, Err(Outcome::NotApplied))) => "call not applied",
                Some((_, Err(_))) => "call of unknown outcome",
                None => "call whose caller died",
            };
            tally.add(told, 1);
        }
    }

    /// Judges all calls by the names that the replicas hold in the end.
    pub(super) fn check(&self, names: &[u64]) {
        let place: BTreeMap<u64, u64> = names.iter().copied().zip(1..).collect();
        assert_eq!(place.len(), names.len(), "a command was applied twice");
        let mut digests = vec![0];
        for name in names {
            digests.push(digest(digests[digests.len() - 1], *name));
        }
        let called: BTreeSet<u64> = self.calls.iter().filter_map(|call| call.ask.name()).collect();
        assert!(names.iter().all(|name| called.contains(name)), "nobody asked for a command");
        self.check_answers(&place, &digests);
        self.check_order(&place);
    }

    /// What callers were told is what happened.
    fn check_answers(&self, place: &BTreeMap<u64, u64>, digests: &[u64]) {
        let mut callers: BTreeMap<u64, u64> = BTreeMap::new();
        for name in self.calls.iter().filter_map(|call| call.ask.name()) {
            *callers.entry(name).or_default() += 1;
        }
        for Call { ask, ended, .. } in &self.calls {
            match (ended, ask.name()) {
                (Some((_, Ok(standing))), name) => {
                    let told = digests.get(standing.length as usize);
                    assert_eq!(told, Some(&standing.digest), "{ask:?} saw what never was");
                    if let Ask::After { seen, .. } = ask {
                        assert!(standing.length >= *seen, "{ask:?} saw {standing:?}: too little");
                    }
                    let stands = name.map(|name| place.get(&name).copied());
                    assert!(
                        stands.is_none_or(|stands| stands == Some(standing.length)),
                        "{ask:?} was acknowledged at {standing:?} and is at {stands:?}"
                    );
                }
                // Another call under the key may have been applied.
                (Some((_, Err(Outcome::NotApplied))), Some(name)) => assert!(
                    callers[&name] > 1 || !place.contains_key(&name),
                    "{ask:?} was denied and is applied"
                ),
                (Some((_, Err(_))), _) | (None, _) => {}
            }
        }
    }

    /// If one call ended before another began, it does not stand behind it.
    fn check_order(&self, place: &BTreeMap<u64, u64>) {
        // Those who repeat a key ask for one operation: it began with the first of them.
        let mut first_began: BTreeMap<u64, u64> = BTreeMap::new();
        for call in &self.calls {
            if let Some(name) = call.ask.name() {
                first_began.entry(name).or_insert(call.began);
            }
        }
        let mut stands = Vec::new();
        for Call { ask, began, ended } in &self.calls {
            let (ended, standing) = match ended {
                Some((ended, Ok(standing))) => (*ended, Some(standing)),
                Some((_, Err(_))) | None => (u64::MAX, None),
            };
            match (ask.name(), standing) {
                (Some(name), _) => {
                    let at = place.get(&name).map(|place| place * 2);
                    stands.extend(at.map(|at| (at, first_began[&name], ended, ask)));
                }
                // Behind what it saw, before what it did not see.
                (None, Some(standing)) => {
                    // What is read after a token may be as old as that.
                    let began = if matches!(ask, Ask::After { .. }) { 0 } else { *began };
                    stands.push((standing.length * 2 + 1, began, ended, ask));
                }
                (None, None) => {}
            }
        }
        stands.sort_unstable_by_key(|(at, ..)| *at);
        let mut began_before = 0;
        for equal in stands.chunk_by(|left, right| left.0 == right.0) {
            let ended = equal.iter().map(|(_, _, ended, _)| *ended).min();
            assert!(
                ended >= Some(began_before),
                "{equal:?} ended before what it stands behind began: not linearizable"
            );
            let began = equal.iter().map(|(_, began, ..)| *began).max();
            began_before = began_before.max(began.unwrap_or_default());
        }
    }
}

/// Tells whether faults explain the code: no session or key is old enough to expire, and nobody
/// gives a call up before it ends.
fn is_expected(ask: Ask, code: Code) -> bool {
    match code {
        Code::NoLeader | Code::Deadline | Code::Busy | Code::StorageFull | Code::Stopping => true,
        Code::Behind => matches!(ask, Ask::After { .. }),
        _ => false,
    }
}
