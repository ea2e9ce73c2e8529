//! Raft's safety properties (figure 3), checked after every step of every test.

use std::collections::BTreeMap;

use super::{
    Raft, Role,
    message::{Entry, Term},
};
use crate::{log::Index, members::NodeId};

/// A property that does not hold, by its name in the paper where it has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// At most one leader can be elected in a given term.
    #[error("election safety: both {first} and {second} lead term {}", term.0)]
    ElectionSafety {
        /// The term.
        term: Term,
        /// Its first leader.
        first: NodeId,
        /// Another one.
        second: NodeId,
    },
    /// A leader never overwrites or deletes entries in its log.
    #[error("leader append-only: {node} changed its own log while it led term {}", term.0)]
    LeaderAppendOnly {
        /// The leader.
        node: NodeId,
        /// Its term.
        term: Term,
    },
    /// Logs that agree on the term at an index agree on everything up to it.
    #[error("log matching: {left} and {right} agree on the term at {at} but not before")]
    LogMatching {
        /// A replica.
        left: NodeId,
        /// Another.
        right: NodeId,
        /// Where they agree.
        at: Index,
    },
    /// A committed entry is in the log of every leader of a later term.
    #[error("leader completeness: {leader} leads term {} without committed entry {at}", term.0)]
    LeaderCompleteness {
        /// The leader.
        leader: NodeId,
        /// Its term.
        term: Term,
        /// The entry that it lacks.
        at: Index,
    },
    /// Replicas commit the same entry at an index, and it never changes.
    #[error(
        "state machine safety: {node} committed another entry at {at} than was committed before"
    )]
    StateMachineSafety {
        /// The replica.
        node: NodeId,
        /// The index.
        at: Index,
    },
    /// A replica votes once a term, restarts included.
    #[error("one vote: {node} voted for {first} and for {second} in term {}", term.0)]
    OneVote {
        /// The voter.
        node: NodeId,
        /// The term.
        term: Term,
        /// Its first vote.
        first: NodeId,
        /// Another.
        second: NodeId,
    },
    /// A term, or the commit index of a running replica, went back; or cursors are out of order.
    #[error("{node}: {what}")]
    Order {
        /// The replica.
        node: NodeId,
        /// What is out of order.
        what: &'static str,
    },
    /// A committed entry is durable on a majority.
    #[error("entry {at} is committed, but durable on {held} replicas only")]
    CommittedOnMajority {
        /// The entry.
        at: Index,
        /// How many replicas hold it durably.
        held: usize,
    },
}

/// What has been seen of a group so far; it judges each new sight against it.
#[derive(Clone, Debug, Default)]
pub struct Observer {
    leaders: BTreeMap<Term, NodeId>,
    votes: BTreeMap<(NodeId, Term), NodeId>,
    committed: Vec<Entry>,
    last: BTreeMap<NodeId, Sight>,
}

#[derive(Clone, Debug, Default)]
struct Sight {
    term: Term,
    /// The latest term that is durable: what a restart may go back to, and no further.
    durable_term: Term,
    committed: Index,
    leads: bool,
    log: Vec<Entry>,
}

impl Observer {
    /// Forgets what a replica loses in a crash: what was not durable, and the commit index, which
    /// it learns anew.
    pub fn restarted(&mut self, node: NodeId) {
        if let Some(sight) = self.last.get_mut(&node) {
            sight.term = sight.durable_term;
            sight.committed = Index::ZERO;
            sight.leads = false;
        }
    }

    /// Looks at all replicas of a group, those that are down included, as their disks would bring
    /// them back.
    ///
    /// # Errors
    /// The first [`Violation`] found.
    pub fn observe(&mut self, replicas: &[&Raft]) -> Result<(), Violation> {
        // What was judged before and has not changed since is not judged again.
        let changed: Vec<bool> = replicas.iter().map(|replica| self.has_changed(replica)).collect();
        for (replica, changed) in replicas.iter().zip(&changed) {
            self.election_safety(replica)?;
            self.one_vote(replica)?;
            self.order(replica)?;
            if *changed {
                self.log_order(replica)?;
                self.leader_append_only(replica)?;
            }
            self.state_machine_safety(replica, *changed)?;
        }
        self.committed_on_majority(replicas)?;
        log_matching(replicas, &changed)?;
        for replica in replicas {
            self.leader_completeness(replica)?;
        }
        for (replica, changed) in replicas.iter().zip(&changed) {
            self.remember(replica, *changed);
        }
        Ok(())
    }

    fn has_changed(&self, replica: &Raft) -> bool {
        let state = replica.state();
        let last = self.last.get(&state.config().id());
        last.is_none_or(|sight| sight.log != state.log().from(Index(1)))
    }

    fn remember(&mut self, replica: &Raft, changed: bool) {
        let state = replica.state();
        let sight = self.last.entry(state.config().id()).or_default();
        sight.term = state.term();
        if state.vote_is_durable() {
            sight.durable_term = state.term();
        }
        sight.committed = state.committed();
        sight.leads = matches!(replica.role(), Role::Leader(_));
        if changed {
            sight.log = state.log().from(Index(1)).to_vec();
        }
    }

    fn election_safety(&mut self, replica: &Raft) -> Result<(), Violation> {
        let (Role::Leader(_), state) = (replica.role(), replica.state()) else { return Ok(()) };
        let (term, second) = (state.term(), state.config().id());
        let first = *self.leaders.entry(term).or_insert(second);
        if first == second {
            Ok(())
        } else {
            Err(Violation::ElectionSafety { term, first, second })
        }
    }

    fn one_vote(&mut self, replica: &Raft) -> Result<(), Violation> {
        let state = replica.state();
        // A vote that is not durable was told to nobody, and may be lost in a crash.
        let Some(second) = state.voted_for().filter(|_| state.vote_is_durable()) else {
            return Ok(());
        };
        let (node, term) = (state.config().id(), state.term());
        let first = *self.votes.entry((node, term)).or_insert(second);
        if first == second { Ok(()) } else { Err(Violation::OneVote { node, term, first, second }) }
    }

    fn order(&self, replica: &Raft) -> Result<(), Violation> {
        let state = replica.state();
        let node = state.config().id();
        let fail = |what| Err(Violation::Order { node, what });
        let last = state.log().last_index();
        if state.committed() > last || state.stable() > last {
            return fail("the commit index or the durable index lies beyond the log");
        }
        if state.log().last_term() > state.term() {
            return fail("an entry is of a later term than the replica");
        }
        if let Role::Leader(leader) = replica.role()
            && leader.progress().any(|(_, progress)| {
                progress.matched() >= progress.next() || progress.matched() > last
            })
        {
            return fail("a follower's progress is ahead of itself or of the leader");
        }
        match self.last.get(&node) {
            Some(sight) if state.term() < sight.term => fail("the term went back"),
            Some(sight) if state.committed() < sight.committed => {
                fail("the commit index went back")
            }
            Some(_) | None => Ok(()),
        }
    }

    fn log_order(&self, replica: &Raft) -> Result<(), Violation> {
        let state = replica.state();
        if state.log().from(Index(1)).is_sorted_by_key(|entry| entry.term) {
            return Ok(());
        }
        let node = state.config().id();
        Err(Violation::Order { node, what: "terms decrease along the log" })
    }

    fn leader_append_only(&self, replica: &Raft) -> Result<(), Violation> {
        let state = replica.state();
        let (node, term) = (state.config().id(), state.term());
        let leads = matches!(replica.role(), Role::Leader(_));
        match self.last.get(&node) {
            Some(sight)
                if leads
                    && sight.leads
                    && sight.term == term
                    && !state.log().from(Index(1)).starts_with(&sight.log) =>
            {
                Err(Violation::LeaderAppendOnly { node, term })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn state_machine_safety(&mut self, replica: &Raft, changed: bool) -> Result<(), Violation> {
        let state = replica.state();
        let log = state.log().from(Index(1));
        let before = self.last.get(&state.config().id()).filter(|_| !changed);
        let before = before.map_or(Index::ZERO, |sight| sight.committed);
        let committed = log.iter().enumerate().take(state.committed().0 as usize);
        for (offset, entry) in committed.skip(before.0 as usize) {
            match self.committed.get(offset) {
                Some(known) if known != entry => {
                    let at = Index(offset as u64 + 1);
                    return Err(Violation::StateMachineSafety { node: state.config().id(), at });
                }
                Some(_) => {}
                None => self.committed.push(entry.clone()),
            }
        }
        Ok(())
    }

    fn committed_on_majority(&self, replicas: &[&Raft]) -> Result<(), Violation> {
        let Some(members) = replicas.first().map(|any| any.state().config().members()) else {
            return Ok(());
        };
        let Some(last) = self.committed.last() else { return Ok(()) };
        let at = Index(self.committed.len() as u64);
        let holds = |replica: &&&Raft| {
            let state = replica.state();
            state.stable() >= at && state.log().get(at) == Some(last)
        };
        let held = replicas.iter().filter(holds).count();
        if held >= members.majority() {
            Ok(())
        } else {
            Err(Violation::CommittedOnMajority { at, held })
        }
    }

    /// A leader of the latest term has everything that was committed; older ones may lack what came
    /// after them.
    fn leader_completeness(&self, replica: &Raft) -> Result<(), Violation> {
        let state = replica.state();
        let newest = self.leaders.last_key_value().map(|(term, _)| *term);
        if !matches!(replica.role(), Role::Leader(_)) || Some(state.term()) != newest {
            return Ok(());
        }
        let log = state.log().from(Index(1));
        for (offset, entry) in self.committed.iter().enumerate() {
            if log.get(offset) != Some(entry) {
                return Err(Violation::LeaderCompleteness {
                    leader: state.config().id(),
                    term: state.term(),
                    at: Index(offset as u64 + 1),
                });
            }
        }
        Ok(())
    }
}

fn log_matching(replicas: &[&Raft], changed: &[bool]) -> Result<(), Violation> {
    for (position, (left, left_changed)) in replicas.iter().zip(changed).enumerate() {
        for (right, right_changed) in replicas.iter().zip(changed).skip(position + 1) {
            if !left_changed && !right_changed {
                continue;
            }
            let (left_log, right_log) =
                (left.state().log().from(Index(1)), right.state().log().from(Index(1)));
            let agree = left_log.iter().zip(right_log).rposition(|(l, r)| l.term == r.term);
            let Some(agree) = agree else { continue };
            if left_log.get(..=agree) != right_log.get(..=agree) {
                return Err(Violation::LogMatching {
                    left: left.state().config().id(),
                    right: right.state().config().id(),
                    at: Index(agree as u64 + 1),
                });
            }
        }
    }
    Ok(())
}
