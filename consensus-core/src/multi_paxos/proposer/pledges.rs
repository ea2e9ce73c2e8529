//! What acceptors that promised have accepted before, put together slot by slot.

use std::collections::BTreeMap;

use crate::{
    log::Index,
    members::NodeId,
    multi_paxos::{Ballot, Config, Value, Vote, mutant::Mutant},
    mutants::Bugs,
};

/// A Promise without its ballot.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) first: Index,
    pub(super) votes: Vec<Vote>,
    pub(super) upto: Index,
    pub(super) last: Index,
    pub(super) base: Index,
}

/// The promises of one ballot.
#[derive(Clone, Debug)]
pub(super) struct Pledges {
    pledges: BTreeMap<NodeId, Pledge>,
    /// Of each slot, what was accepted in the latest ballot.
    votes: BTreeMap<Index, (Ballot, Value)>,
    /// Slots up to here were let go by somebody: they are chosen.
    base: Index,
    /// The slot of the configuration under which is asked.
    era: Index,
    bugs: Bugs<Mutant>,
}

/// What one acceptor has said.
#[derive(Clone, Copy, Debug)]
struct Pledge {
    /// The slot from which on it has not spoken.
    next: Index,
    /// Whether there is nothing from there on.
    is_complete: bool,
    /// Slots up to here it has let go.
    base: Index,
}

/// How many slots nobody has accepted anything in, at most, may lie before one in which somebody
/// has: leaders have fewer in flight, and more than that are made up.
const GAPS_MAX: u64 = 1 << 20;

impl Pledges {
    /// Begins to ask the acceptors of the configuration in slot `era` for what they have from `first`
    /// on.
    pub(super) fn begin(config: &Config, (era, first): (Index, Index)) -> Self {
        let pledge = Pledge { next: first, is_complete: false, base: Index::ZERO };
        let pledges = config.acceptors().map(|acceptor| (acceptor, pledge)).collect();
        Self { pledges, votes: BTreeMap::new(), base: Index::ZERO, era, bugs: config.bugs() }
    }

    /// Takes one part of a promise; true if the acceptor has spoken of more than before.
    pub(super) fn take(&mut self, from: NodeId, page: Page) -> bool {
        let Some(pledge) = self.pledges.get_mut(&from).filter(|it| !it.is_complete) else {
            return false;
        };
        // A part that does not follow the ones before says nothing of what lies between.
        if page.first > pledge.next && !self.bugs.has(Mutant::PartSkipped) {
            return false;
        }
        // By their slots, wherever the parts of others begin (MPX-P08).
        for (place, Vote { slot, ballot, value }) in (0..).zip(page.votes) {
            // What earlier eras have left behind the configuration of this one cannot be chosen, and
            // of later ones nothing is known here.
            if ballot.era != self.era {
                continue;
            }
            let by_place = self.bugs.has(Mutant::MergedByPosition);
            let slot = if by_place { Index(page.first.0 + place) } else { slot };
            let earliest = self.bugs.has(Mutant::EarliestVoteWins);
            match self.votes.get_mut(&slot) {
                Some((latest, _)) if *latest >= ballot || earliest => {}
                Some(vote) => *vote = (ballot, value),
                None => drop(self.votes.insert(slot, (ballot, value))),
            }
        }
        self.base = self.base.max(page.base);
        pledge.base = pledge.base.max(page.base);
        let is_news = page.upto >= pledge.next;
        pledge.next = pledge.next.max(page.upto.next());
        pledge.is_complete = page.upto >= page.last || self.bugs.has(Mutant::FirstPartIsAll);
        is_news || pledge.is_complete
    }

    /// Returns the acceptors that have still to speak, each with the slot from which.
    pub(super) fn missing(&self) -> impl Iterator<Item = (NodeId, Index)> {
        let missing = self.pledges.iter().filter(|(_, pledge)| !pledge.is_complete);
        missing.map(|(acceptor, pledge)| (*acceptor, pledge.next))
    }

    /// Returns the acceptors that have spoken of all, each with the slot after that.
    pub(super) fn done(&self) -> impl Iterator<Item = (NodeId, Index)> {
        let done = self.pledges.iter().filter(|(_, pledge)| pledge.is_complete);
        done.map(|(acceptor, pledge)| (*acceptor, pledge.next))
    }

    /// Returns the slot from which an acceptor has still to speak.
    pub(super) fn missing_of(&self, acceptor: NodeId) -> Option<Index> {
        let pledge = self.pledges.get(&acceptor).filter(|pledge| !pledge.is_complete)?;
        Some(pledge.next)
    }

    /// Returns how many acceptors have promised and spoken of all slots after `known`: of what one has
    /// let go beyond that it says nothing (MPX-P02).
    pub(super) fn complete(&self, known: Index) -> usize {
        let blind = self.bugs.has(Mutant::ForgottenReadAsNothing);
        let tells = |it: &&Pledge| it.is_complete && (it.base <= known || blind);
        self.pledges.values().filter(tells).count()
    }

    /// Returns up to where slots were let go by somebody.
    pub(super) fn base(&self) -> Index {
        self.base
    }

    /// Returns what must be proposed from the slot after `known` on: in each slot the value of the
    /// latest ballot, or nothing where no value can have been chosen (MPX-P03); and nothing behind a
    /// configuration. `None` where the gaps are too many to be true.
    ///
    /// The votes behind one were cast in ballots of this era before the one that proposed it. Who
    /// proposes a configuration was told of no vote behind it by a quorum, or has itself come to
    /// this place and left such votes out; so none of them can be chosen, now or later.
    pub(super) fn values_after(&self, known: Index) -> Option<Vec<Value>> {
        let mut values = Vec::new();
        let (mut at, mut gaps) = (known, 0_u64);
        for (slot, (ballot, value)) in self.votes.range(known.next()..) {
            let gap = slot.0 - at.0 - 1;
            if gap > 0 && self.bugs.has(Mutant::GapEndsRecovery) {
                break;
            }
            gaps = gaps.saturating_add(gap);
            if gaps > GAPS_MAX {
                return None;
            }
            values.extend((0..gap).map(|_| Value::NoOp));
            at = *slot;
            match value {
                Value::NoOp | Value::Command(_) => values.push(value.clone()),
                Value::Membership(_) if self.is_void(*slot, *ballot) => values.push(Value::NoOp),
                Value::Membership(_) => {
                    values.push(value.clone());
                    if !self.bugs.has(Mutant::VotesBehindConfigurationKept) {
                        break;
                    }
                }
            }
        }
        Some(values)
    }

    /// Tells whether a configuration cannot have been chosen, as somebody has proposed behind it in a
    /// later ballot of the same era: that one's quorum did not tell of it, or it was void by then
    /// ("Stoppable Paxos", 4). To propose it all the same would change who was to decide what is
    /// chosen behind it, perhaps.
    fn is_void(&self, slot: Index, ballot: Ballot) -> bool {
        let mut behind = self.votes.range(slot.next()..);
        behind.any(|(_, (later, _))| *later > ballot)
            && !self.bugs.has(Mutant::VoidConfigurationRevived)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{members::Members, paxos::Round, process::GroupId};

    fn node(number: u64) -> NodeId {
        NodeId::new(number).expect("tests use positive ids")
    }

    fn pledges(first: u64) -> Pledges {
        let members = Members::new((1..=3).map(node)).expect("there are three");
        let config = Config::builder(node(1), GroupId(1), members).build().expect("it is valid");
        Pledges::begin(&config, (Index::ZERO, Index(first)))
    }

    fn vote(slot: u64, round: u64) -> Vote {
        let ballot = Ballot { era: Index::ZERO, round: Round(round), node: node(1) };
        let value = Value::Command(format!("{slot}@{round}").into());
        Vote { slot: Index(slot), ballot, value }
    }

    fn page(first: u64, votes: Vec<Vote>, upto: u64, last: u64) -> Page {
        let (first, upto, last) = (Index(first), Index(upto), Index(last));
        Page { first, votes, upto, last, base: Index::ZERO }
    }

    fn texts(pledges: &Pledges, known: u64) -> Vec<String> {
        let values = pledges.values_after(Index(known)).expect("the gaps are few");
        let text = |value: Value| match value {
            Value::NoOp => "-".to_owned(),
            Value::Command(command) => String::from_utf8_lossy(&command).into_owned(),
            Value::Membership(membership) => membership.describe(),
        };
        values.into_iter().map(text).collect()
    }

    // Goal: of each slot the latest ballot counts, gaps are filled, and what is known is left out,
    // wherever the parts of promises begin and in whichever order they come (MPX-P03, MPX-P08).
    #[test]
    fn votes_are_put_together_by_slots() {
        let parts = [
            (1, page(3, vec![vote(3, 1), vote(5, 1), vote(7, 4)], 7, 7)),
            (2, page(3, vec![vote(5, 2), vote(8, 2)], 8, 8)),
            (3, page(3, vec![], 2, 2)),
        ];
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            let mut pledges = pledges(3);
            for place in order {
                let (from, part) = &parts[place];
                let Page { first, votes, upto, last, base } = part;
                let (first, upto, last, base) = (*first, *upto, *last, *base);
                assert!(
                    pledges
                        .take(node(*from), Page { first, votes: votes.clone(), upto, last, base })
                );
            }
            assert_eq!(pledges.complete(Index(99)), 3);
            assert_eq!(texts(&pledges, 2), ["3@1", "-", "5@2", "-", "7@4", "8@2"]);
            assert_eq!(texts(&pledges, 5), ["-", "7@4", "8@2"]);
            assert_eq!(texts(&pledges, 8), Vec::<String>::new());
        }
    }

    // Goal: an acceptor counts once all parts of its promise have come, each after those before it.
    #[test]
    fn parts_count_in_their_order() {
        let mut pledges = pledges(1);
        assert!(!pledges.take(node(1), page(3, vec![vote(3, 1)], 3, 3)), "the first is missing");
        assert_eq!(pledges.complete(Index(99)), 0);
        assert!(pledges.take(node(1), page(1, vec![vote(1, 1)], 2, 3)));
        assert_eq!(pledges.missing_of(node(1)), Some(Index(3)));
        assert!(!pledges.take(node(1), page(1, vec![vote(1, 1)], 2, 3)), "it is the same again");
        assert!(pledges.take(node(1), page(3, vec![vote(3, 1)], 3, 3)));
        assert_eq!((pledges.complete(Index(99)), pledges.missing_of(node(1))), (1, None));
        assert!(!pledges.take(node(9), page(1, vec![vote(9, 9)], 9, 9)), "it is no acceptor");
        assert_eq!(texts(&pledges, 0), ["1@1", "-", "3@1"]);
    }

    // Goal: slots that nobody can have come to make no leader propose without an end.
    #[test]
    fn gaps_are_bounded() {
        let mut pledges = pledges(1);
        pledges.take(node(1), page(1, vec![vote(1, 1), vote(u64::MAX - 1, 1)], u64::MAX - 1, 2));
        assert_eq!(pledges.values_after(Index::ZERO), None);
    }
}
