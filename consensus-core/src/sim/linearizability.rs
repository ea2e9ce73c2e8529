//! Whether a history can be explained by operations that took effect one at a time, each between
//! its invocation and its end.
//!
//! The search is Wing and Gong's ("Testing and Verifying Concurrent Objects", 1993) with Lowe's
//! memoization ("Testing for Linearizability", 2017): a depth-first walk over the operations that
//! may come next, which never visits the same set of operations with the same state twice. A
//! history over independent keys is checked key by key (Herlihy and Wing 1990: linearizability is
//! local).
//!
//! Operations of unknown outcome may take effect at any moment after their invocation, or never. So
//! the walk is done when all operations that returned are placed.

use std::collections::BTreeSet;

use super::history::{Moment, Operation};

/// A sequential object: what histories are checked against.
pub trait Model {
    /// Its state.
    type State: Clone;
    /// What is called.
    type Call;
    /// What a call returns.
    type Return;

    /// Returns the state before the first operation.
    fn initial(&self) -> Self::State;

    /// Applies `call`; `None` if it could not have returned `returned` in this state. With
    /// `returned` unknown, whatever it returns is possible.
    fn apply(
        &self,
        state: &Self::State,
        call: &Self::Call,
        returned: Option<&Self::Return>,
    ) -> Option<Self::State>;

    /// Returns a digest of the state; equal states have equal digests, and different ones different
    /// digests but for chances that do not matter.
    fn digest(&self, state: &Self::State) -> u128;
}

/// The answer to whether a history is linearizable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Linearizable,
    /// It is not.
    NotLinearizable {
        /// Where it goes wrong, by place in the history: the operation that ended last before, and
        /// then the first one whose result nothing explains with all that overlap it.
        window: Vec<usize>,
    },
    /// The search was given up: too many steps. Count it as a failure.
    Unknown,
}

/// Checks `history` against `model`, giving up after `steps_max` applications of the model.
///
/// The steps bound the time and, with it, the memory: each is remembered in sixteen bytes.
pub fn check<M: Model>(
    model: &M,
    history: &[Operation<M::Call, M::Return>],
    steps_max: u64,
) -> Verdict {
    let places: Vec<usize> = (0..history.len()).collect();
    match Search::new(model, history, &places, &BTreeSet::new()).run(steps_max) {
        Found::Order => Verdict::Linearizable,
        Found::GaveUp => Verdict::Unknown,
        Found::NoOrder => Verdict::NotLinearizable { window: window(model, history, steps_max) },
    }
}

/// What a search came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Order,
    NoOrder,
    GaveUp,
}

/// A search for an order of some operations of a history.
struct Search<'a, M: Model> {
    model: &'a M,
    history: &'a [Operation<M::Call, M::Return>],
    /// Operations that returned, by invocation, and when each did.
    returned: Vec<(usize, Moment)>,
    /// Operations that may take effect or not, by invocation.
    optional: Vec<usize>,
}

/// A point of the walk: what is placed, and what may come next.
struct Point<S> {
    state: S,
    /// Every returned operation before this one is placed.
    base: usize,
    /// Returned operations beyond it that are placed, ascending.
    ahead: Vec<usize>,
    /// Optional operations that are placed, ascending.
    taken: Vec<usize>,
    /// What may come next, and how many of them were tried.
    candidates: Vec<Candidate>,
    tried: usize,
}

/// An operation that may come next, by its position among its kind.
#[derive(Clone, Copy)]
enum Candidate {
    Returned(usize),
    Optional(usize),
}

impl<'a, M: Model> Search<'a, M> {
    /// Prepares the search over the operations at `places`; the results of those that are
    /// `weakened` count as unknown.
    fn new(
        model: &'a M,
        history: &'a [Operation<M::Call, M::Return>],
        places: &[usize],
        weakened: &BTreeSet<usize>,
    ) -> Self {
        let (mut returned, mut optional) = (Vec::new(), Vec::new());
        for place in places {
            let ended = history.get(*place).and_then(Operation::ended);
            match ended.filter(|_| !weakened.contains(place)) {
                Some(ended) => returned.push((*place, ended)),
                None => optional.push(*place),
            }
        }
        let invoked = |place: &usize| history.get(*place).map(|operation| operation.invoked);
        returned.sort_by_key(|(place, _)| invoked(place));
        optional.sort_by_key(invoked);
        Self { model, history, returned, optional }
    }

    fn run(&self, steps_max: u64) -> Found {
        let (mut steps, mut seen) = (0, BTreeSet::new());
        let mut path = vec![self.point(self.model.initial(), 0, Vec::new(), Vec::new())];
        while let Some(point) = path.last_mut() {
            if point.base == self.returned.len() {
                return Found::Order;
            }
            let Some(candidate) = point.candidates.get(point.tried).copied() else {
                path.pop();
                continue;
            };
            point.tried += 1;
            steps += 1;
            if steps > steps_max {
                return Found::GaveUp;
            }
            let Some(next) = self.place(point, candidate) else { continue };
            if seen.insert(self.fingerprint(&next)) {
                path.push(next);
            }
        }
        Found::NoOrder
    }

    /// Places an operation, if it could have taken effect here.
    fn place(&self, point: &Point<M::State>, candidate: Candidate) -> Option<Point<M::State>> {
        let (mut base, mut ahead, mut taken) =
            (point.base, point.ahead.clone(), point.taken.clone());
        let state = match candidate {
            Candidate::Returned(at) => {
                let operation = self.history.get(self.returned.get(at)?.0)?;
                let result = operation.returned.as_ref().map(|(_, result)| result);
                let state = self.model.apply(&point.state, &operation.call, result)?;
                insert(&mut ahead, at);
                while ahead.first() == Some(&base) {
                    ahead.remove(0);
                    base += 1;
                }
                state
            }
            Candidate::Optional(at) => {
                let operation = self.history.get(*self.optional.get(at)?)?;
                let state = self.model.apply(&point.state, &operation.call, None)?;
                // Without effect it explains nothing, whenever it took place.
                if self.model.digest(&state) == self.model.digest(&point.state) {
                    return None;
                }
                insert(&mut taken, at);
                state
            }
        };
        Some(self.point(state, base, ahead, taken))
    }

    /// Makes a point: what comes next was invoked before anything that is not placed has ended.
    fn point(
        &self,
        state: M::State,
        base: usize,
        ahead: Vec<usize>,
        taken: Vec<usize>,
    ) -> Point<M::State> {
        let invoked = |place: usize| self.history.get(place).map(|operation| operation.invoked);
        let (mut open, mut first_end) = (Vec::new(), None::<Moment>);
        for (at, (place, ended)) in self.returned.iter().enumerate().skip(base) {
            if ahead.binary_search(&at).is_ok() {
                continue;
            }
            if first_end.is_some_and(|end| invoked(*place) > Some(end)) {
                break;
            }
            open.push((*ended, *place, at));
            first_end = Some(first_end.map_or(*ended, |end| end.min(*ended)));
        }
        open.retain(|(_, place, _)| invoked(*place) < first_end);
        // What ended first most likely took effect first.
        open.sort_unstable();
        let optional = self.optional.iter().enumerate();
        let optional = optional
            .take_while(|(_, place)| invoked(**place) < first_end)
            .filter(|(at, _)| taken.binary_search(at).is_err())
            .map(|(at, _)| Candidate::Optional(at));
        let returned = open.iter().map(|(_, _, at)| Candidate::Returned(*at));
        let candidates = returned.chain(optional).collect();
        Point { state, base, ahead, taken, candidates, tried: 0 }
    }

    /// Returns a hash of what is placed and of the state.
    fn fingerprint(&self, point: &Point<M::State>) -> u128 {
        let mut bytes = Vec::with_capacity(32 + 8 * (point.ahead.len() + point.taken.len()));
        bytes.extend_from_slice(&self.model.digest(&point.state).to_le_bytes());
        for number in [point.base, point.ahead.len()].iter().chain(&point.ahead).chain(&point.taken)
        {
            bytes.extend_from_slice(&(*number as u64).to_le_bytes());
        }
        twox_hash::XxHash3_128::oneshot(&bytes)
    }
}

fn insert(sorted: &mut Vec<usize>, value: usize) {
    let at = sorted.partition_point(|known| *known < value);
    sorted.insert(at, value);
}

/// Finds where a history without an order goes wrong: the first operation, by its end, whose result
/// nothing explains; those that overlap it; and the one that ended last before it.
fn window<M: Model>(
    model: &M,
    history: &[Operation<M::Call, M::Return>],
    steps_max: u64,
) -> Vec<usize> {
    let mut ends: Vec<(Moment, usize)> = history
        .iter()
        .enumerate()
        .filter_map(|(place, operation)| Some((operation.ended()?, place)))
        .collect();
    ends.sort_unstable();
    // A history has an order only if every prefix has one: the shortest that has none is searched.
    let (mut orderable, mut stuck) = (0, ends.len());
    while stuck - orderable > 1 {
        let middle = orderable + (stuck - orderable) / 2;
        let end = ends.get(middle - 1).map(|(end, _)| *end);
        let places: Vec<usize> = (0..history.len())
            .filter(|place| history.get(*place).map(|operation| operation.invoked) < end)
            .collect();
        let later = ends.iter().skip(middle).map(|(_, place)| *place).collect();
        if Search::new(model, history, &places, &later).run(steps_max) == Found::NoOrder {
            stuck = middle;
        } else {
            orderable = middle;
        }
    }

    let Some((end, unexplained)) = stuck.checked_sub(1).and_then(|last| ends.get(last)) else {
        return Vec::new();
    };
    let Some(began) = history.get(*unexplained).map(|operation| operation.invoked) else {
        return Vec::new();
    };
    let overlapping = (0..history.len()).filter(|place| {
        history.get(*place).is_some_and(|operation| {
            operation.invoked < *end && operation.ended().is_none_or(|ended| ended > began)
        })
    });
    let before = ends.iter().rev().find(|(ended, _)| *ended < began).map(|(_, place)| *place);
    before.into_iter().chain(overlapping).collect()
}
