//! Raft's safety properties (figure 3), checked after every step of every test.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Raft, Role,
    leases::Leases,
    message::{AppendResult, Message, Term},
    mirror::{Committed, Link, Mirror},
};
use crate::{
    log::Index,
    members::NodeId,
    membership::Membership,
    process::{Effect, Token},
    time::Time,
};

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
    /// A message promises what its sender's disk does not hold yet.
    #[error("persist before promise: {node} {what}")]
    Promise {
        /// The sender.
        node: NodeId,
        /// What it says.
        what: &'static str,
    },
    /// A snapshot covers committed entries.
    #[error(
        "{node} lets its log rest on a snapshot up to {at}, and another entry is committed there"
    )]
    SnapshotOfCommitted {
        /// The replica.
        node: NodeId,
        /// The index.
        at: Index,
    },
    /// While a leader holds a lease nobody leads a later term (dissertation 6.4.1).
    #[error(
        "leases are disjoint: {leader} leads term {}, and {holder} holds a lease of term {} still",
        later.0,
        term.0
    )]
    LeaseOverlap {
        /// Who holds the lease.
        holder: NodeId,
        /// Its term.
        term: Term,
        /// Who leads.
        leader: NodeId,
        /// Its term.
        later: Term,
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
///
/// It is told of everything that happens to a replica: each step with its effects, each sync of its
/// disk, each message at the moment it leaves, and each recovery. It judges what changed, so that
/// its cost does not grow with the log.
#[derive(Clone, Debug, Default)]
pub struct Observer {
    leaders: BTreeMap<Term, NodeId>,
    votes: BTreeMap<(NodeId, Term), NodeId>,
    committed: Committed,
    /// The configuration that decided what was committed last.
    deciding: Membership,
    /// The latest configuration that is committed, and its place.
    membership: (Index, Membership),
    mirrors: BTreeMap<NodeId, Mirror>,
    leases: Leases,
}

impl Observer {
    /// Looks at a replica that was rebuilt from its disk: at the start, and after each crash as its
    /// disk would bring it back.
    ///
    /// # Errors
    /// The first [`Violation`] found.
    pub fn recovered(&mut self, replica: &Raft) -> Result<(), Violation> {
        let node = replica.state().config().id();
        let first = replica.state().config().membership();
        if self.membership.1.is_empty() {
            self.membership.1 = first.clone();
            self.committed.first = first.clone();
        }
        let mirror = Mirror::of(replica, &self.committed);
        let known = self.mirrors.get(&node);
        if known.is_some_and(|known| !known.may_become(&mirror)) {
            return Err(Violation::Order {
                node,
                what: "the restart does not find what was written",
            });
        }
        self.mirrors.insert(node, mirror);
        self.log_matching(node, Index::ZERO)?;
        self.committed_on_majority()
    }

    /// Notes until when a replica answers reads under a lease, if it does, by a clock that is the
    /// same for all.
    ///
    /// # Errors
    /// [`Violation::LeaseOverlap`].
    pub fn leased(
        &mut self,
        node: NodeId,
        now: Time,
        until: Option<Time>,
    ) -> Result<(), Violation> {
        let Some(mirror) = self.mirrors.get(&node) else { return Ok(()) };
        self.leases.note(node, mirror.term, until);
        let leaders = self.mirrors.iter().filter(|(_, mirror)| mirror.leads);
        self.leases.judge(now, leaders.map(|(leader, mirror)| (*leader, mirror.term)))
    }

    /// Returns the latest configuration that is committed.
    pub(super) fn membership(&self) -> &Membership {
        &self.membership.1
    }

    /// Returns the configurations that follow it in any log.
    pub(super) fn pending(&self) -> Vec<Membership> {
        let (at, _) = &self.membership;
        self.mirrors.values().flat_map(|mirror| mirror.configured_after(*at)).collect()
    }

    /// Tells what each replica has at `at`, and what was committed there.
    pub(super) fn holders(&self, at: Index) -> Vec<String> {
        let entry = |link: Option<Link>| match link {
            Some(link) => format!("an entry of term {} ({:08x})", link.term.0, link.prefix >> 32),
            None => "nothing".to_owned(),
        };
        let mut lines = vec![format!("committed at {at}: {}", entry(self.committed.chain.at(at)))];
        for (node, mirror) in &self.mirrors {
            let (log, disk) = (mirror.log.at(at), mirror.durable.log.at(at));
            let on_disk = if disk == log {
                "on its disk too".to_owned()
            } else {
                format!("on its disk {}", entry(disk))
            };
            lines.push(format!("{node} has at {at}: {} ({on_disk})", entry(log)));
        }
        lines
    }

    /// Forgets what was seen of a replica: its disk was given other contents by hand.
    pub fn forget(&mut self, node: NodeId) {
        self.mirrors.remove(&node);
    }

    /// Looks at a replica after a step that asked for `effects`.
    ///
    /// # Errors
    /// The first [`Violation`] found.
    pub fn observe(&mut self, replica: &Raft, effects: &[Effect<Raft>]) -> Result<(), Violation> {
        let (node, state) = (replica.state().config().id(), replica.state());
        let known = self.mirrors.remove(&node);
        let mut mirror = known.unwrap_or_else(|| Mirror::of(replica, &self.committed));
        let last = mirror.log.last();
        // What a leader commits is decided under what it had before it went on.
        let deciding = mirror.membership().clone();
        let followed = mirror.follow(effects, &self.committed);
        let rewritten = followed.map_err(|at| Violation::SnapshotOfCommitted { node, at })?;
        let judged = order(node, &mirror, replica)
            .and_then(|()| leader_append_only(&mirror, replica, rewritten, last));
        let committed = mirror.committed;
        mirror.term = state.term();
        mirror.committed = state.committed();
        mirror.stable = state.stable();
        mirror.leads = matches!(replica.role(), Role::Leader(_));
        self.mirrors.insert(node, mirror);
        judged?;
        self.compaction(node, effects)?;

        self.election_safety(node)?;
        if let Some(after) = rewritten {
            self.log_order(node, after)?;
            self.log_matching(node, after)?;
        }
        let known = self.committed.chain.last();
        self.state_machine_safety(node, committed, rewritten)?;
        if self.committed.chain.last() > known {
            // Whoever is the first to know has decided it.
            self.deciding = deciding;
        }
        self.committed_on_majority()?;
        self.leader_completeness()
    }

    fn compaction(&self, node: NodeId, effects: &[Effect<Raft>]) -> Result<(), Violation> {
        let Some(mirror) = self.mirrors.get(&node) else { return Ok(()) };
        let early = effects.iter().any(
            |effect| matches!(effect, Effect::Compact { before } if !mirror.may_compact(*before)),
        );
        let what = "gives up records that a restart would need";
        if early { Err(Violation::Promise { node, what }) } else { Ok(()) }
    }

    /// Notes that a replica's records up to `upto` are durable.
    ///
    /// # Errors
    /// [`Violation::OneVote`].
    pub fn durable(&mut self, node: NodeId, upto: Token) -> Result<(), Violation> {
        let Some(mirror) = self.mirrors.get_mut(&node) else { return Ok(()) };
        mirror.persist(upto);
        let (term, voted_for) = (mirror.durable.term, mirror.durable.voted_for);
        voted_for.map_or(Ok(()), |candidate| self.one_vote(node, term, candidate))
    }

    /// Looks at a message at the moment it leaves: what it promises must be durable.
    ///
    /// # Errors
    /// [`Violation::Promise`] and [`Violation::OneVote`].
    pub fn sent(&mut self, node: NodeId, to: NodeId, message: &Message) -> Result<(), Violation> {
        let Some(mirror) = self.mirrors.get(&node) else { return Ok(()) };
        if message.is_tentative() {
            return Ok(());
        }
        let (durable, term) = (&mirror.durable, message.term());
        let fail = |what| Err(Violation::Promise { node, what });
        if durable.term < term {
            return fail("speaks in a term that is not durable");
        }
        // What is of an earlier term was true when it was said, and nobody counts it any more.
        let is_present = durable.term == term;
        let candidate = match message {
            Message::Vote { last_index, last_term, .. } => {
                let held = durable.log.at(*last_index);
                if is_present && held.is_none_or(|held| held.term != *last_term) {
                    return fail("boasts of entries that are not durable");
                }
                node
            }
            Message::VoteReply { granted: true, .. } => to,
            Message::AppendReply { result: AppendResult::Matched(index), .. } => {
                if is_present && durable.log.last() < *index {
                    return fail("acknowledges entries that are not durable");
                }
                return Ok(());
            }
            Message::PreVote { .. }
            | Message::PreVoteReply { .. }
            | Message::VoteReply { granted: false, .. }
            | Message::Append { .. }
            | Message::AppendReply { result: AppendResult::Conflict { .. }, .. }
            | Message::Heartbeat { .. }
            | Message::HeartbeatReply { .. }
            | Message::ReadIndex { .. }
            | Message::ReadIndexReply { .. }
            | Message::TimeoutNow { .. }
            | Message::Rest { .. }
            | Message::RestReply { .. }
            | Message::InstallSnapshot { .. }
            | Message::SnapshotReply { .. } => return Ok(()),
        };
        if is_present && durable.voted_for != Some(candidate) {
            return fail("gives a vote that its disk does not know");
        }
        self.one_vote(node, term, candidate)
    }

    fn one_vote(&mut self, node: NodeId, term: Term, second: NodeId) -> Result<(), Violation> {
        let first = *self.votes.entry((node, term)).or_insert(second);
        if first == second { Ok(()) } else { Err(Violation::OneVote { node, term, first, second }) }
    }

    fn election_safety(&mut self, second: NodeId) -> Result<(), Violation> {
        let Some(mirror) = self.mirrors.get(&second).filter(|mirror| mirror.leads) else {
            return Ok(());
        };
        let term = mirror.term;
        let first = *self.leaders.entry(term).or_insert(second);
        if first == second {
            Ok(())
        } else {
            Err(Violation::ElectionSafety { term, first, second })
        }
    }

    fn log_order(&self, node: NodeId, after: Index) -> Result<(), Violation> {
        let Some(mirror) = self.mirrors.get(&node) else { return Ok(()) };
        let written = (after.0..=mirror.log.last().0).filter_map(|at| mirror.log.at(Index(at)));
        if written.is_sorted_by_key(|link| link.term) {
            return Ok(());
        }
        Err(Violation::Order { node, what: "terms decrease along the log" })
    }

    /// Compares what was written after `after` with every other log: at the last index where the
    /// terms agree, all before must.
    fn log_matching(&self, left: NodeId, after: Index) -> Result<(), Violation> {
        let Some(mirror) = self.mirrors.get(&left) else { return Ok(()) };
        for (right, other) in self.mirrors.iter().filter(|(node, _)| **node != left) {
            let last = mirror.log.last().min(other.log.last());
            let pairs = (after.0 + 1..=last.0).rev().filter_map(|at| {
                Some((Index(at), mirror.log.at(Index(at))?, other.log.at(Index(at))?))
            });
            let mut agreeing = pairs.filter(|(_, mine, theirs)| mine.term == theirs.term);
            if let Some((at, mine, theirs)) = agreeing.next()
                && mine != theirs
            {
                return Err(Violation::LogMatching { left, right: *right, at });
            }
        }
        Ok(())
    }

    fn state_machine_safety(
        &mut self,
        node: NodeId,
        before: Index,
        rewritten: Option<Index>,
    ) -> Result<(), Violation> {
        let Some(mirror) = self.mirrors.get(&node) else { return Ok(()) };
        let from = rewritten.map_or(before, |after| before.min(after));
        for at in (from.0 + 1..=mirror.committed.0).map(Index) {
            let link = mirror.log.at(at);
            match (link, self.committed.chain.at(at)) {
                (Some(link), Some(known)) if link == known => {}
                (Some(link), None) => {
                    self.committed.push(at, link, mirror);
                    if let Some(membership) = mirror.configured_at(at) {
                        self.membership = (at, membership);
                    }
                }
                (Some(_), Some(_)) | (None, _) => {
                    return Err(Violation::StateMachineSafety { node, at });
                }
            }
        }
        Ok(())
    }

    fn committed_on_majority(&self) -> Result<(), Violation> {
        let at = self.committed.chain.last();
        let holds = |mirror: &Mirror| {
            mirror.stable >= at && mirror.log.at(at) == self.committed.chain.at(at)
        };
        let held: BTreeSet<NodeId> = self
            .mirrors
            .iter()
            .filter(|(_, mirror)| holds(mirror))
            .map(|(node, _)| *node)
            .collect();
        if at == Index::ZERO || self.deciding.reached_by_majority(|node| held.contains(&node)) {
            Ok(())
        } else {
            Err(Violation::CommittedOnMajority { at, held: held.len() })
        }
    }

    /// A leader of the latest term has everything that was committed; older ones may lack what came
    /// after them.
    fn leader_completeness(&self) -> Result<(), Violation> {
        let Some((term, leader)) = self.leaders.last_key_value() else { return Ok(()) };
        let leads = |mirror: &&Mirror| mirror.leads && mirror.term == *term;
        let Some(mirror) = self.mirrors.get(leader).filter(leads) else { return Ok(()) };
        let last = self.committed.chain.last();
        if mirror.log.at(last) == self.committed.chain.at(last) {
            return Ok(());
        }
        let lacks = |at: &Index| mirror.log.at(*at) != self.committed.chain.at(*at);
        let at = (1..=last.0).map(Index).find(lacks).unwrap_or(last);
        Err(Violation::LeaderCompleteness { leader: *leader, term: *term, at })
    }
}

/// Judges a replica against what was seen of it last, its log followed already.
fn order(node: NodeId, mirror: &Mirror, replica: &Raft) -> Result<(), Violation> {
    let state = replica.state();
    let fail = |what| Err(Violation::Order { node, what });
    let last = state.log().last_index();
    let end = mirror.log.at(last).map(|link| link.term);
    if mirror.log.last() != last || end != Some(state.log().last_term()) {
        return fail("the log is not what was handed to the disk");
    }
    if state.committed() > last || state.stable() > last {
        return fail("the commit index or the durable index lies beyond the log");
    }
    if state.log().last_term() > state.term() {
        return fail("an entry is of a later term than the replica");
    }
    if let Role::Leader(leader) = replica.role()
        && leader
            .progress()
            .any(|(_, progress)| progress.matched() >= progress.next() || progress.matched() > last)
    {
        return fail("a follower's progress is ahead of itself or of the leader");
    }
    if state.membership() != mirror.membership() {
        return fail("the configuration is not the latest one in the log");
    }
    if state.term() < mirror.term {
        return fail("the term went back");
    }
    if state.committed() < mirror.committed {
        return fail("the commit index went back");
    }
    Ok(())
}

fn leader_append_only(
    mirror: &Mirror,
    replica: &Raft,
    rewritten: Option<Index>,
    last: Index,
) -> Result<(), Violation> {
    let state = replica.state();
    let leads = matches!(replica.role(), Role::Leader(_));
    if leads && mirror.leads && mirror.term == state.term() && rewritten.is_some_and(|at| at < last)
    {
        return Err(Violation::LeaderAppendOnly { node: state.config().id(), term: state.term() });
    }
    Ok(())
}
