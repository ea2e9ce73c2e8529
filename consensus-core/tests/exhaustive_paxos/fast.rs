//! Fast Paxos: four acceptors, of whom three promise, two vote in a classic round and three in a
//! fast one, which are the fewest that will do; two values that collide; and two coordinators.
//!
//! The first coordinates the fast round that is open from the start. It notices collisions, goes on in its classic round, and may give the fast round
//! up, once, when its timer runs out. The second begins a ballot at any time, as for a read, opens
//! the fast round of that if it finds nothing, and recovers from a collision there, too.

use std::{collections::BTreeSet, hash::Hasher};

use bytes::Bytes;
use consensus_core::{
    GroupId, Input, Members, NodeId, Process, Seat, Ticket, Time,
    fast_paxos::{
        ACCEPTOR, Builder, Config, Control, Kind, Message, PROPOSER, Quorums, Role, Round,
    },
    paxos,
};

use crate::search::{Found, Part, Party, Scene, Search};

const ACCEPTORS: u64 = 4;
const PREPARE: usize = 3;
const ACCEPT: usize = 2;
const FAST: usize = 3;

impl Party for Role {
    type Round = Round;

    fn fingerprint(&self, out: &mut impl Hasher) {
        Self::fingerprint(self, out);
    }

    fn vote(message: &Message) -> Option<(Round, &Bytes)> {
        match message {
            Message::Accepted { proposal } => Some((proposal.round, &proposal.value)),
            _ => None,
        }
    }

    fn claim(message: &Message) -> Option<&Bytes> {
        match message {
            Message::Chosen { proposal } => Some(&proposal.value),
            _ => None,
        }
    }

    fn needed(round: &Round) -> u32 {
        match round.kind {
            Kind::Fast => FAST as u32,
            Kind::Classic => ACCEPT as u32,
        }
    }

    /// Who is refused does no more here.
    fn is_left_out(message: &Message) -> bool {
        matches!(message, Message::Nack { .. })
    }

    /// A fast round that takes too long is given up.
    fn gives_up(&self) -> Option<Option<Message>> {
        let is_open = matches!(self, Self::Proposer(proposer) if proposer.phase().0 == "open");
        is_open.then_some(None)
    }
}

fn id(node: u64) -> NodeId {
    NodeId::new(node).expect("it is positive")
}

fn part(node: u64, seat: Seat, ticks: u32, bug: Bug) -> Part<Role> {
    let acceptors = Members::new((1..=ACCEPTORS).map(id)).expect("there are some");
    let classic = paxos::Quorums::new(&acceptors, PREPARE, ACCEPT).expect("they meet");
    let quorums = Quorums::new(&acceptors, classic, FAST).expect("they meet");
    let builder = Config::builder(id(node), GroupId(1), acceptors).quorums(quorums);
    let config = (bug.put(builder).build().expect("the values fit"), seat);
    let role = Role::recover(config, Time::ZERO, []).expect("nothing is wrong with nothing");
    Part::new(role, id(node), seat, ticks)
}

/// The bug that is put back, if there is one.
#[derive(Clone, Copy, Default)]
struct Bug {
    #[cfg(feature = "mutants")]
    put_back: Option<consensus_core::fast_paxos::Mutant>,
}

impl Bug {
    fn put(self, builder: Builder) -> Builder {
        #[cfg(feature = "mutants")]
        if let Some(mutant) = self.put_back {
            return builder.mutant(mutant);
        }
        builder
    }
}

/// Two proposers want a value each, in the first fast round; `takes_over` says whether the second
/// coordinator begins a ballot.
fn explore(takes_over: bool, bug: Bug) -> Found {
    let (mut first, mut second) = (part(1, PROPOSER, 1, bug), part(2, PROPOSER, 0, bug));
    let acceptors = (1..=ACCEPTORS).map(|node| part(node, ACCEPTOR, 0, bug)).collect();
    let mut letters = first.submit(b"x");
    letters.extend(second.submit(b"y"));
    if takes_over {
        letters.extend(second.step(Input::Control(Control::Read(vec![Ticket(2)]))));
    }
    Search::explore(Scene { proposers: vec![first, second], acceptors, letters })
}

// Goal: whatever the order in which the messages of two fast rounds and two classic ones arrive (in
// debug builds of one each), one value is chosen, and either may be, and nobody says that another is.
#[test]
fn no_order_of_fast_paxos_chooses_two_values() {
    let takes_over = !cfg!(debug_assertions);
    let found = explore(takes_over, Bug::default());
    eprintln!("Fast Paxos, taken over: {takes_over}: {} states", found.states);
    assert_eq!(found.broken, None);
    let any = [&b"x"[..], b"y"].map(|value| BTreeSet::from([Bytes::from_static(value)]));
    assert_eq!(found.outcomes, any.into_iter().chain([BTreeSet::new()]).collect());
}

// Goal: the orders show bugs by which two values may be chosen, so that the search is strong enough.
// Method: an assertion of the protocol that fails finds a bug as well.
#[cfg(feature = "mutants")]
#[test]
fn orders_find_fast_paxos_bugs() {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use consensus_core::fast_paxos::Mutant;
    let all = [
        Mutant::VotesAgain,
        Mutant::FastQuorumOffByOne,
        Mutant::PhaseOneSkipped,
        Mutant::PromiseLeavesOpen,
        Mutant::PromiseQuorumOffByOne,
        Mutant::OwnValueFirst,
        Mutant::FastVoteBinds,
        Mutant::ChoosableOffByOne,
        Mutant::AnyThoughChoosable,
        Mutant::LateVoteCounts,
        Mutant::PromiseIgnored,
        Mutant::RecoveryQuorumOffByOne,
    ];
    // The others show after a million states and more.
    let count = if cfg!(debug_assertions) { 2 } else { all.len() };
    for mutant in all.into_iter().take(count) {
        let search = || explore(true, Bug { put_back: Some(mutant) });
        let found = catch_unwind(AssertUnwindSafe(search));
        let is_found = found.as_ref().map_or(true, |found| found.broken.is_some());
        let how = found.map(|found| (found.broken, found.states));
        eprintln!("{}: {how:?}", mutant.name());
        assert!(is_found, "{} is not found", mutant.name());
    }
}
