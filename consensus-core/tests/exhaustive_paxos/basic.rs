//! Basic Paxos: three acceptors, and two proposers of which the first may give up and begin again, so
//! that there are three ballots.

use std::{collections::BTreeSet, hash::Hasher};

use bytes::Bytes;
use consensus_core::{
    GroupId, Members, NodeId, Process, Seat, Time,
    paxos::{ACCEPTOR, Ballot, Config, Message, PROPOSER, Role},
};

use crate::search::{Found, Part, Party, Scene, Search};

const ACCEPTORS: u64 = 3;

impl Party for Role {
    type Round = Ballot;

    fn fingerprint(&self, out: &mut impl Hasher) {
        Self::fingerprint(self, out);
    }

    fn vote(message: &Message) -> Option<(Ballot, &Bytes)> {
        match message {
            Message::Accepted { proposal } => Some((proposal.ballot, &proposal.value)),
            _ => None,
        }
    }

    fn claim(message: &Message) -> Option<&Bytes> {
        match message {
            Message::Chosen { proposal } => Some(&proposal.value),
            _ => None,
        }
    }

    fn needed(_: &Ballot) -> u32 {
        ACCEPTORS as u32 / 2 + 1
    }

    /// That acceptors have accepted changes nothing of what proposers propose; and whoever is
    /// refused gives up, which it may do at any time here.
    fn is_left_out(message: &Message) -> bool {
        matches!(message, Message::Accepted { .. } | Message::Nack { .. })
    }

    fn gives_up(&self) -> Option<Option<Message>> {
        let Self::Proposer(proposer) = self else { return None };
        let ballot = proposer.phase().1?;
        let promised = Ballot { round: ballot.round, node: id(ACCEPTORS) };
        Some(Some(Message::Nack { ballot, promised }))
    }
}

fn id(node: u64) -> NodeId {
    NodeId::new(node).expect("it is positive")
}

fn part(node: u64, seat: Seat, ticks: u32, bug: Bug) -> Part<Role> {
    let acceptors = Members::new((1..=ACCEPTORS).map(id)).expect("there are some");
    let config = bug.put(Config::builder(id(node), GroupId(1), acceptors)).build();
    let config = (config.expect("the values fit"), seat);
    let role = Role::recover(config, Time::ZERO, []).expect("nothing is wrong with nothing");
    Part::new(role, id(node), seat, ticks)
}

/// The bug that is put back, if there is one.
#[derive(Clone, Copy, Default)]
struct Bug {
    #[cfg(feature = "mutants")]
    put_back: Option<consensus_core::paxos::Mutant>,
}

impl Bug {
    fn put(self, builder: consensus_core::paxos::Builder) -> consensus_core::paxos::Builder {
        #[cfg(feature = "mutants")]
        if let Some(mutant) = self.put_back {
            return builder.mutant(mutant);
        }
        builder
    }
}

/// Two proposers want a value each; the first begins again as often as it is said.
fn explore(again: u32, bug: Bug) -> Found {
    let (mut first, mut second) = (part(1, PROPOSER, again, bug), part(2, PROPOSER, 0, bug));
    let mut letters = first.submit(b"x");
    letters.extend(second.submit(b"y"));
    let acceptors = (1..=ACCEPTORS).map(|node| part(node, ACCEPTOR, 0, bug)).collect();
    Search::explore(Scene { proposers: vec![first, second], acceptors, letters })
}

// Goal: whatever the order in which the messages of three ballots arrive, one value is chosen, and
// either may be.
#[test]
fn no_order_of_paxos_chooses_two_values() {
    let found = explore(1, Bug::default());
    eprintln!("Paxos, 3 ballots: {} states", found.states);
    assert_eq!(found.broken, None);
    let any = [&b"x"[..], b"y"].map(|value| BTreeSet::from([Bytes::from_static(value)]));
    assert_eq!(found.outcomes, any.into_iter().chain([BTreeSet::new()]).collect());
}

// Goal: the orders show bugs by which two values may be chosen, so that the search is strong enough.
#[cfg(feature = "mutants")]
#[test]
fn orders_find_paxos_bugs() {
    use consensus_core::paxos::Mutant;
    for mutant in [
        Mutant::PromiseIgnored,
        Mutant::OwnValueFirst,
        Mutant::PromiseQuorumOffByOne,
        Mutant::FirstAcceptedProposed,
        Mutant::AcceptLeavesPromise,
        Mutant::PromiseGoesBack,
    ] {
        let found = explore(1, Bug { put_back: Some(mutant) });
        assert!(found.broken.is_some(), "{} is not found", mutant.name());
    }
}
