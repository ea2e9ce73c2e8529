//! The walk that looks for an order of the operations of a history.
//!
//! Depth first over what may come next, never twice from the same set of placed operations with the
//! same state (Lowe 2017, "Testing for Linearizability"). It judges nothing: [`super::window`] asks
//! it about histories in which some operations are weakened, [`super::levels`] about reads that may
//! stand earlier than they were invoked.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{
    history::{Moment, Operation},
    levels::Level,
    linearizability::Model,
};

/// How many points a search remembers, of some forty bytes each. A full memory is given up and
/// begun anew, which costs steps and changes no answer.
pub const REMEMBERED_MAX: usize = 2_000_000;

/// How many points it remembers that differ only in the optional operations that were placed.
const ALIKE_MAX: usize = 32;

/// How many of the operations that must still come are asked whether a state leads to them: the
/// next few tell, and all would cost as much as the search saves.
const LOOKED_AT_MAX: usize = 8;

/// Which operations of a history are to be ordered, and by which rules.
pub(super) struct Problem<'a, M: Model> {
    pub(super) model: &'a M,
    pub(super) history: &'a [Operation<M::Call, M::Return>],
    /// The operations, by place in the history, ascending.
    pub(super) places: Vec<usize>,
    /// What each operation is held to, by place; beyond the end, all are linearizable.
    pub(super) levels: &'a [Level],
}

/// How much of an operation counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strength {
    /// It took effect between its invocation and its end, and returned what it did.
    Kept,
    /// It may have taken effect between its invocation and its end.
    Weakened,
    /// It may take effect at any moment after its invocation.
    Open,
    /// It may take effect at any moment.
    Free,
    /// It is not looked at.
    Absent,
}

/// What a search came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Order,
    NoOrder,
    GaveUp,
}

/// An operation that must be placed.
struct Required {
    place: usize,
    /// The first moment at which it may take effect.
    from: Moment,
    ended: Moment,
    is_read: bool,
    /// What must be placed before it whatever its moments say, by position among the required.
    after: Vec<usize>,
    hash: u128,
}

/// An operation that may be placed.
struct Optional {
    place: usize,
    from: Moment,
    /// The last moment at which it may take effect.
    until: Option<Moment>,
}

/// An operation that may come next, by its position among its kind.
#[derive(Clone, Copy)]
enum Candidate {
    Required(usize),
    Optional(usize),
}

/// A point of the walk.
struct Point<S> {
    state: Rc<S>,
    /// The latest first moment of all that is placed.
    latest: Moment,
    /// What was placed last.
    placed: Option<Candidate>,
    /// What may come next, and how many of them were tried.
    candidates: Vec<Candidate>,
    tried: usize,
}

/// A search for an order.
pub(super) struct Search<'a, M: Model> {
    model: &'a M,
    history: &'a [Operation<M::Call, M::Return>],
    /// By first moment.
    required: Vec<Required>,
    optional: Vec<Optional>,
    /// The last moments of the optional operations, ascending.
    untils: Vec<Moment>,
    /// The required operations that are not placed.
    open: BTreeSet<usize>,
    /// The optional operations that are placed.
    taken: BTreeSet<usize>,
    /// Combines the hashes of the required operations that are placed.
    hash: u128,
}

impl<'a, M: Model> Problem<'a, M> {
    /// Makes the problem of ordering a whole history.
    pub(super) fn new(model: &'a M, history: &'a [Operation<M::Call, M::Return>]) -> Self {
        Self { model, history, places: (0..history.len()).collect(), levels: &[] }
    }

    /// Returns the level of the operation at `place`.
    fn level(&self, place: usize) -> Level {
        self.levels.get(place).copied().unwrap_or(Level::Linearizable)
    }

    /// Prepares the search for an order in which operations count as `strength` says.
    pub(super) fn search(&self, strength: impl Fn(usize) -> Strength) -> Search<'a, M> {
        let (mut required, mut optional) = (Vec::new(), Vec::new());
        for &place in &self.places {
            let Some(operation) = self.history.get(place) else { continue };
            let (invoked, is_read) = (operation.invoked, self.model.is_read(&operation.call));
            let hash = twox_hash::XxHash3_128::oneshot(&(place as u64).to_le_bytes());
            let (from, until) = match (strength(place), operation.ended()) {
                (Strength::Absent, _) => continue,
                (Strength::Kept, Some(ended)) => {
                    let from = match self.level(place) {
                        Level::Linearizable => invoked,
                        Level::Session | Level::Stale { since: None } => Moment(0),
                        Level::Stale { since: Some(since) } => since.min(invoked),
                    };
                    let after = Vec::new();
                    required.push(Required { place, from, ended, is_read, after, hash });
                    continue;
                }
                (Strength::Weakened, until) => (invoked, until),
                (Strength::Kept, None) | (Strength::Open, _) => (invoked, None),
                (Strength::Free, _) => (Moment(0), None),
            };
            // A read whose result does not count explains nothing.
            if !is_read {
                optional.push(Optional { place, from, until });
            }
        }
        required.sort_by_key(|operation| (operation.from, operation.place));
        optional.sort_by_key(|operation| (operation.from, operation.place));
        self.follow(&mut required);
        let mut untils: Vec<_> = optional.iter().filter_map(|operation| operation.until).collect();
        untils.sort_unstable();
        Search {
            model: self.model,
            history: self.history,
            open: (0..required.len()).collect(),
            taken: BTreeSet::new(),
            required,
            optional,
            untils,
            hash: 0,
        }
    }

    /// Says what each session's read must follow: all that its process has completed.
    fn follow(&self, required: &mut [Required]) {
        /// What the next read of a session must follow; the rest stands before these anyway.
        #[derive(Default)]
        struct Completed {
            /// The last linearizable operation: real time has all that ended before it go before.
            linearizable: Option<usize>,
            /// The weak reads since, from the session's last one on.
            reads: Vec<usize>,
        }

        if self.levels.is_empty() {
            return;
        }
        let mut by_invocation: Vec<(Moment, u64, usize)> = required
            .iter()
            .enumerate()
            .filter_map(|(at, required)| {
                let operation = self.history.get(required.place)?;
                Some((operation.invoked, operation.process, at))
            })
            .collect();
        by_invocation.sort_unstable();
        let mut processes = BTreeMap::<u64, Completed>::new();
        for (_, process, at) in by_invocation {
            let Some(required) = required.get_mut(at) else { continue };
            let completed = processes.entry(process).or_default();
            match self.level(required.place) {
                Level::Linearizable => {
                    *completed = Completed { linearizable: Some(at), reads: Vec::new() };
                }
                Level::Stale { .. } => completed.reads.push(at),
                Level::Session => {
                    required.after = std::mem::replace(&mut completed.reads, vec![at]);
                    required.after.extend(completed.linearizable);
                }
            }
        }
    }
}

impl<M: Model> Search<'_, M> {
    /// Walks until an order is found, none is left, or no step is `left`.
    pub(super) fn run(mut self, left: &mut u64) -> Found {
        let mut seen = Seen::default();
        let mut path = vec![self.point(Rc::new(self.model.initial()), Moment(0), None)];
        while let Some(point) = path.last_mut() {
            if self.open.is_empty() {
                return Found::Order;
            }
            let Some(candidate) = point.candidates.get(point.tried).copied() else {
                if let Some(placed) = path.pop().and_then(|point| point.placed) {
                    self.take_back(placed);
                }
                continue;
            };
            point.tried += 1;
            let Some(fewer) = left.checked_sub(1) else { return Found::GaveUp };
            *left = fewer;
            let Some((state, latest)) = self.place(point, candidate) else { continue };
            if self.settles(point.latest, candidate) {
                point.candidates.truncate(point.tried);
            }
            if seen.adds(&self, &state, latest) {
                path.push(self.point(state, latest, Some(candidate)));
            } else {
                self.take_back(candidate);
            }
        }
        Found::NoOrder
    }

    /// Places an operation, if it could have taken effect here.
    fn place(
        &mut self,
        point: &Point<M::State>,
        candidate: Candidate,
    ) -> Option<(Rc<M::State>, Moment)> {
        match candidate {
            Candidate::Required(at) => {
                let required = self.required.get(at)?;
                let operation = self.history.get(required.place)?;
                let result = operation.returned.as_ref().map(|(_, result)| result);
                let state = self.model.apply(&point.state, &operation.call, result)?;
                self.open.remove(&at);
                self.hash ^= required.hash;
                // A read's state is shared: it is as it was.
                let state = if required.is_read { Rc::clone(&point.state) } else { Rc::new(state) };
                Some((state, point.latest.max(required.from)))
            }
            Candidate::Optional(at) => {
                let optional = self.optional.get(at)?;
                let operation = self.history.get(optional.place)?;
                let state = self.model.apply(&point.state, &operation.call, None)?;
                // Without effect it explains nothing, whenever it took place.
                if self.model.digest(&state) == self.model.digest(&point.state)
                    || !self.leads_on(&state)
                {
                    return None;
                }
                self.taken.insert(at);
                Some((Rc::new(state), point.latest.max(optional.from)))
            }
        }
    }

    /// Undoes [`Search::place`].
    fn take_back(&mut self, candidate: Candidate) {
        match candidate {
            Candidate::Required(at) => {
                self.open.insert(at);
                self.hash ^= self.required.get(at).map_or(0, |required| required.hash);
            }
            Candidate::Optional(at) => {
                self.taken.remove(&at);
            }
        }
    }

    /// Tells whether `candidate`, which was just placed, need not be tried later: a read that fits
    /// leaves the state as it was, and everything may follow that might have gone before it, but
    /// for an optional operation whose last moment it lets pass.
    fn settles(&self, latest: Moment, candidate: Candidate) -> bool {
        match candidate {
            Candidate::Required(at) => self.required.get(at).is_some_and(|required| {
                let passed = |moment| self.passed(latest.max(moment));
                required.is_read && passed(required.from) == passed(latest)
            }),
            Candidate::Optional(_) => false,
        }
    }

    /// Counts the optional operations whose last moment was before `latest`.
    fn passed(&self, latest: Moment) -> usize {
        self.untils.partition_point(|until| *until < latest)
    }

    /// Tells whether what must come can come after `state`, as far as the model knows.
    fn leads_on(&self, state: &M::State) -> bool {
        let next = self.open.iter().take(LOOKED_AT_MAX);
        let next = next.filter_map(|at| self.history.get(self.required.get(*at)?.place));
        next.filter_map(|operation| Some((&operation.call, &operation.returned.as_ref()?.1)))
            .all(|(call, returned)| self.model.may_reach(state, call, returned))
    }

    /// Makes a point: what comes next may take effect before anything that is not placed has ended.
    fn point(
        &self,
        state: Rc<M::State>,
        latest: Moment,
        placed: Option<Candidate>,
    ) -> Point<M::State> {
        let (mut open, mut first_end) = (Vec::new(), None::<Moment>);
        for &at in &self.open {
            let Some(required) = self.required.get(at) else { continue };
            if first_end.is_some_and(|end| required.from > end) {
                break;
            }
            first_end = Some(first_end.map_or(required.ended, |end| end.min(required.ended)));
            open.push((!required.is_read, required.ended, at));
        }
        open.retain(|(_, _, at)| {
            self.required.get(*at).is_some_and(|required| {
                Some(required.from) <= first_end
                    && required.after.iter().all(|before| !self.open.contains(before))
            })
        });
        // Reads settle; then, what ended first most likely took effect first.
        open.sort_unstable();
        let optional = self.optional.iter().enumerate();
        let optional = optional
            .take_while(|(_, optional)| Some(optional.from) <= first_end)
            .filter(|(at, optional)| {
                optional.until.is_none_or(|until| until >= latest) && !self.taken.contains(at)
            })
            .map(|(at, _)| Candidate::Optional(at))
            // What passes over the most comes first: the ways that pass over less are then known
            // to lead nowhere new.
            .collect::<Vec<_>>()
            .into_iter()
            .rev();
        let required = open.iter().map(|(_, _, at)| Candidate::Required(*at));
        let candidates = required.chain(optional).collect();
        Point { state, latest, placed, candidates, tried: 0 }
    }

    /// Returns the last moment of an optional operation; `None` if it has none.
    fn until(&self, at: usize) -> Option<Moment> {
        self.optional.get(at)?.until
    }
}

/// The points that a search has been at.
#[derive(Default)]
struct Seen {
    /// By a hash of the state and of the required operations that were placed, the ways to get
    /// there; none stands for one that left all optional operations open.
    ways: BTreeMap<u128, Vec<Way>>,
    size: usize,
}

/// What a point took from the points after it.
struct Way {
    latest: Moment,
    /// The optional operations that were placed and could be placed after `latest` otherwise.
    taken: Vec<usize>,
}

impl Seen {
    /// Adds a point, unless from one that is known all can follow that follows from it.
    fn adds<M: Model>(&mut self, search: &Search<'_, M>, state: &M::State, latest: Moment) -> bool {
        if self.size >= REMEMBERED_MAX {
            *self = Self::default();
        }
        let mut bytes = [0; 32];
        let (digest, placed) = bytes.split_at_mut(16);
        digest.copy_from_slice(&search.model.digest(state).to_le_bytes());
        placed.copy_from_slice(&search.hash.to_le_bytes());
        let key = twox_hash::XxHash3_128::oneshot(&bytes);

        let is_live = |at: &usize| search.until(*at).is_none_or(|until| until >= latest);
        let passed = search.passed(latest);
        let covers = |way: &Way| {
            search.passed(way.latest) <= passed
                && way.taken.iter().all(|at| search.taken.contains(at) || !is_live(at))
        };
        if let Some(ways) = self.ways.get(&key)
            && (ways.is_empty() || ways.iter().any(covers))
        {
            return false;
        }
        let ways = self.ways.entry(key).or_default();
        let taken: Vec<usize> = search.taken.iter().copied().filter(is_live).collect();
        self.size += 1 + taken.len();
        if passed == 0 && taken.is_empty() {
            ways.clear();
        } else {
            if ways.len() == ALIKE_MAX {
                ways.remove(0);
            }
            ways.push(Way { latest, taken });
        }
        true
    }
}
