//! Where a history without an order goes wrong: few operations that cannot be reconciled.
//!
//! An operation cannot simply be left out: of a read whose write is missing nothing is left that
//! explains it. So those outside the window are *weakened*: what they returned does not count, and
//! each may have taken effect between its invocation and its end, or never. What still has no order
//! then contradicts itself, whatever the others did.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    history::{Moment, Operation},
    linearizability::Model,
    search::{Found, Problem, Strength},
};

/// How many of the last operations before the contradiction may be weakened. What ended before them
/// counts as it is: a search over many weakened ones tries too many states.
const WEAKENED_MAX: usize = 512;
/// How many steps all searches for the smallest window may take.
const STEPS_MAX: u64 = 8_000_000;
/// How many of them one search may take, beyond one for each operation.
const SEARCH_STEPS_MAX: u64 = 600_000;
/// How many steps the searches for the operations around the window may take.
const CONTEXT_STEPS_MAX: u64 = 100_000;
/// How many operations around the window are worth reading.
const CONTEXT_MAX: usize = 8;

/// Operations that cannot be ordered, by place in the history.
///
/// Operations outside it are *weakened*: what they returned does not count, and each may have taken
/// effect between its invocation and its end, or never. Those in it still have no order. If the
/// window is minimal, weakening any one of them too gives them one.
///
/// What ended before the contradiction's last 512 operations is not weakened but counts as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// The operations, by invocation.
    pub operations: Vec<usize>,
    /// Operations to read beside them, by invocation: those that would explain the window if they
    /// might have taken effect at any other time. If there are none, those around it.
    pub context: Vec<usize>,
    /// Whether each operation was shown to be needed. If not, the search for the smallest window
    /// took too many steps.
    pub minimal: bool,
}

/// A prefix of a history that has no order.
struct Stuck<'a, M: Model> {
    problem: Problem<'a, M>,
    /// Its operations that ended, by end; the last one is what nothing explains.
    ended: Vec<usize>,
    /// The last of them, which may be weakened.
    droppable: BTreeSet<usize>,
    /// Operations that ended later, or never.
    open: BTreeSet<usize>,
    /// How many steps are left.
    left: u64,
}

/// Finds the smallest window of a problem that has no order.
pub(super) fn find<M: Model>(problem: &Problem<'_, M>, steps_max: u64) -> Window {
    let Some(mut stuck) = prefix(problem, steps_max) else { return Window::default() };
    let (mut kept, mut minimal) = stuck.shrink();
    let around = stuck.around();
    if !minimal && kept.len() > around.len() {
        (kept, minimal) = (around.clone(), false);
    }
    let mut context = if minimal { stuck.context(&kept) } else { BTreeSet::new() };
    if context.is_empty() {
        context = around.difference(&kept).copied().collect();
    }
    let history = problem.history;
    Window {
        operations: by_invocation(history, kept),
        context: by_invocation(history, context),
        minimal,
    }
}

fn by_invocation<C, R>(history: &[Operation<C, R>], places: BTreeSet<usize>) -> Vec<usize> {
    let mut places: Vec<usize> = places.into_iter().collect();
    places.sort_by_key(|place| history.get(*place).map(|operation| operation.invoked));
    places
}

/// Finds the shortest prefix, by end of operations, that has no order.
fn prefix<'a, M: Model>(problem: &Problem<'a, M>, steps_max: u64) -> Option<Stuck<'a, M>> {
    let history = problem.history;
    let operation = |place: &usize| history.get(*place);
    let mut ends: Vec<(Moment, usize)> =
        problem.places.iter().filter_map(|at| Some((operation(at)?.ended()?, *at))).collect();
    ends.sort_unstable();
    let rank: BTreeMap<usize, usize> =
        ends.iter().enumerate().map(|(rank, (_, place))| (*place, rank)).collect();
    let strength = |place: usize, length: usize| {
        let last = length.checked_sub(1).and_then(|last| ends.get(last)).map(|(end, _)| *end);
        if operation(&place).map(|operation| operation.invoked) > last {
            Strength::Absent
        } else if rank.get(&place).is_some_and(|rank| *rank < length) {
            Strength::Kept
        } else {
            Strength::Open
        }
    };
    // A history has an order only if every prefix has one, so the longest that has one can be
    // halved for; one that took too many steps is taken for one that has.
    let (mut orderable, mut length) = (0, ends.len());
    while length - orderable > 1 {
        let middle = orderable + (length - orderable) / 2;
        match problem.search(|place| strength(place, middle)).run(&mut { steps_max }) {
            Found::NoOrder => length = middle,
            Found::Order | Found::GaveUp => orderable = middle,
        }
    }
    let of = |wanted: Strength| {
        let places = problem.places.iter().copied();
        places.filter(move |place| strength(*place, length) == wanted)
    };
    let open: BTreeSet<usize> = of(Strength::Open).collect();
    let places = problem.places.iter().copied();
    let places = places.filter(|place| strength(*place, length) != Strength::Absent).collect();
    let ended: Vec<usize> = ends.iter().take(length).map(|(_, place)| *place).collect();
    let droppable = ended.iter().rev().take(WEAKENED_MAX).copied().collect();
    let problem = Problem { places, ..*problem };
    (!ended.is_empty()).then_some(Stuck { problem, ended, droppable, open, left: STEPS_MAX })
}

impl<M: Model> Stuck<'_, M> {
    /// Tells whether there is an order if only `kept` of the droppable operations count, and `free`
    /// may have taken effect at any moment.
    fn search(&mut self, kept: &BTreeSet<usize>, free: Option<usize>) -> Found {
        let strength = |place: usize| {
            if self.open.contains(&place) {
                Strength::Open
            } else if free == Some(place) {
                Strength::Free
            } else if self.droppable.contains(&place) && !kept.contains(&place) {
                Strength::Weakened
            } else {
                Strength::Kept
            }
        };
        let allowed = self.left.min(SEARCH_STEPS_MAX + self.ended.len() as u64);
        let mut left = allowed;
        let found = self.problem.search(strength).run(&mut left);
        self.left -= allowed - left;
        found
    }

    /// Finds few operations without an order, and tells whether each of them is needed.
    fn shrink(&mut self) -> (BTreeSet<usize>, bool) {
        // What contradicts the last operation is most often near to it.
        let (mut kept, mut nearest) = (self.droppable.clone(), 1);
        while nearest < self.droppable.len() {
            let near = self.ended.iter().rev().take(nearest).copied().collect();
            if self.search(&near, None) == Found::NoOrder {
                kept = near;
                break;
            }
            nearest *= 2;
        }
        // Weakening more keeps an order that there is, so what was needed once stays needed, and
        // one look at each operation is enough in the end.
        let mut size = kept.len().div_ceil(2);
        loop {
            let mut minimal = true;
            let before: Vec<usize> = kept.iter().copied().collect();
            for part in before.chunks(size) {
                let mut fewer = kept.clone();
                part.iter().for_each(|place| {
                    fewer.remove(place);
                });
                match self.search(&fewer, None) {
                    Found::NoOrder => kept = fewer,
                    Found::Order => {}
                    Found::GaveUp => minimal = false,
                }
            }
            if size == 1 {
                return (kept, minimal);
            }
            size = size.div_ceil(2);
        }
    }

    /// Finds the operations whose times matter: if one of them might have taken effect at any other
    /// moment, the window would have an order.
    fn context(&mut self, kept: &BTreeSet<usize>) -> BTreeSet<usize> {
        self.left = CONTEXT_STEPS_MAX;
        let mut others: Vec<usize> = self.droppable.difference(kept).copied().collect();
        others.extend(&self.open);
        others.retain(|place| {
            let operation = self.problem.history.get(*place);
            operation.is_some_and(|operation| !self.problem.model.is_read(&operation.call))
        });
        // What explains a result alone comes first; then, what is nearest.
        others.sort_by_cached_key(|place| {
            let invoked = self.problem.history.get(*place).map(|operation| operation.invoked);
            (!self.explains(*place, kept), Reverse(invoked))
        });
        let mut context = BTreeSet::new();
        for place in others {
            if context.len() == CONTEXT_MAX || self.left == 0 {
                break;
            }
            if self.search(kept, Some(place)) == Found::Order {
                context.insert(place);
            }
        }
        context
    }

    /// Tells whether the operation at `place` alone explains what one of `kept` returned.
    fn explains(&self, place: usize, kept: &BTreeSet<usize>) -> bool {
        let Problem { model, history, .. } = self.problem;
        let before = model.initial();
        let after = history.get(place).and_then(|cause| model.apply(&before, &cause.call, None));
        kept.iter().filter_map(|place| history.get(*place)).any(|effect| {
            let result = effect.returned.as_ref().map(|(_, result)| result);
            let fits = |state| model.apply(state, &effect.call, result).is_some();
            !fits(&before) && after.as_ref().is_some_and(fits)
        })
    }

    /// Returns the last operation, those that overlap it, and the one that ended last before it.
    fn around(&self) -> BTreeSet<usize> {
        let operation = |place: &usize| self.problem.history.get(*place);
        let last = self.ended.last();
        let Some(began) = last.and_then(operation).map(|operation| operation.invoked) else {
            return BTreeSet::new();
        };
        let ended = |place: &usize| operation(place).and_then(Operation::ended);
        let overlapping =
            self.problem.places.iter().filter(|at| ended(at).is_none_or(|at| at > began));
        let before = self.ended.iter().rev().find(|place| ended(place) < Some(began));
        overlapping.chain(before).copied().collect()
    }
}
