//! What scripts do not show: configurations, and records that contradict each other.

use std::time::Duration;

use bytes::Bytes;
use consensus_core::{
    Effect, Effects, GroupId, Index, Input, Members, Process, RecoverError, Seat, Submission,
    SubmitError, Ticket, Time, Token,
    fast_paxos::{
        ACCEPTOR, Ballot, Builder, CHOSEN, Config, ConfigError, Control, LEARNER, Message,
        PROPOSER, Proposal, Quorums, Record, Role, Round,
    },
    paxos,
};

use crate::node::id;

fn acceptors(count: u64) -> Members {
    Members::new((1..=count).map(id)).expect("there are some")
}

fn builder() -> Builder {
    Config::builder(id(1), GroupId(1), acceptors(3))
}

fn recover(seat: Seat, records: &[Record]) -> Result<Role, RecoverError> {
    let config = builder().build().expect("the defaults fit");
    let records = (1..).map(Token).zip(records.iter().cloned());
    Role::recover((config, seat), Time::ZERO, records)
}

fn ballot(round: u64, node: u64) -> Ballot {
    Ballot { round: paxos::Round(round), node: id(node) }
}

fn proposal(round: Round, value: &'static [u8]) -> Proposal {
    Proposal { round, value: Bytes::from_static(value) }
}

fn step(role: &mut Role, input: Input<Role>) -> Vec<Effect<Role>> {
    let mut out = Effects::default();
    role.step(Time::ZERO, input, &mut out);
    out.drain().collect()
}

// Goal: what makes no configuration is refused, and the refusal says what would.
#[test]
fn configurations_are_valid() {
    assert!(builder().build().is_ok());
    let stranger = Config::builder(id(9), GroupId(1), acceptors(3));
    let refused = ConfigError::from(paxos::ConfigError::NotAMember { id: id(9) });
    assert_eq!(stranger.clone().build(), Err(refused));
    assert!(stranger.learners(Members::new([id(9)]).expect("one")).build().is_ok());
    let none = builder().waiting_max(0).build();
    assert_eq!(none, Err(paxos::ConfigError::ZeroBound.into()));
    for retry in [Duration::ZERO, Duration::from_secs(6)] {
        let pause_max = Duration::from_secs(5);
        let refused = builder().retry(retry).build();
        assert_eq!(refused, Err(paxos::ConfigError::Retry { retry, pause_max }.into()));
    }
    let others = builder().quorums(Quorums::usual(&acceptors(7))).build();
    let refused = paxos::ConfigError::QuorumsOfOthers { prepare: 4, accept: 4, acceptors: 3 };
    assert_eq!(others, Err(refused.into()));
}

// Goal: FPX-P01, fast quorums of which two and a quorum that promises share no acceptor are refused:
// three of five, two of three, and quorums of another set of acceptors.
#[test]
fn fast_quorums_that_do_not_meet_are_refused() {
    for (count, fast) in [(5, 3), (3, 2), (7, 5)] {
        let acceptors = acceptors(count);
        let classic = paxos::Quorums::majorities(&acceptors);
        let (prepare, all) = (classic.prepare(), count as usize);
        let refused = ConfigError::FastQuorumsApart { prepare, fast, acceptors: all };
        assert_eq!(Quorums::new(&acceptors, classic, fast), Err(refused.clone()));
        let told = format!("{prepare} + 2 x {fast} must be more than 2 x {count}");
        assert!(refused.to_string().contains(&told), "{refused}");
        assert!(Quorums::new(&acceptors, classic, fast + 1).is_ok());
        let size = ConfigError::FastQuorumSize { fast: all + 1, acceptors: all };
        assert_eq!(Quorums::new(&acceptors, classic, all + 1), Err(size));
    }
    // Fewer acceptors have the same majorities, and other fast quorums.
    let classic = paxos::Quorums::new(&acceptors(3), 3, 2).expect("they meet");
    let of_three = Quorums::fewest(&acceptors(3), classic).expect("they meet");
    let of_four = Config::builder(id(1), GroupId(1), acceptors(4)).quorums(of_three).build();
    let refused = ConfigError::FastQuorumsApart { prepare: 3, fast: 2, acceptors: 4 };
    assert_eq!(of_four, Err(refused));
}

// Goal: records that cannot follow each other, or are another role's, are refused, not believed.
#[test]
fn contradicting_records_are_refused() {
    let (early, late) = (ballot(2, 1), ballot(3, 1));
    let (fast, classic) = (Round::fast(early), Round::classic(early));
    let all = [
        Record::Round(paxos::Round(1)),
        Record::Promised(early),
        Record::Voted(proposal(fast, b"x")),
        Record::Chosen(proposal(fast, b"x")),
    ];
    for record in &all {
        let taken = Role::SEATS.map(|seat| recover(seat, std::slice::from_ref(record)).is_ok());
        let seat = match record {
            Record::Round(_) => PROPOSER,
            Record::Promised(_) | Record::Voted(_) => ACCEPTOR,
            Record::Chosen(_) => LEARNER,
        };
        assert_eq!(taken, Role::SEATS.map(|it| it == seat), "{record:?}");
    }
    let voted = |round, value| Record::Voted(proposal(round, value));
    assert!(recover(ACCEPTOR, &[voted(fast, b"x"), voted(classic, b"y")]).is_ok());
    let round = |round| Record::Round(paxos::Round(round));
    let chosen = Record::Chosen(proposal(fast, b"x"));
    for (seat, records) in [
        (PROPOSER, [round(2), round(2)]),
        (ACCEPTOR, [Record::Promised(late), Record::Promised(early)]),
        (ACCEPTOR, [Record::Promised(early), voted(Round::fast(ballot(1, 1)), b"x")]),
        (ACCEPTOR, [Record::Promised(late), voted(classic, b"x")]),
        (ACCEPTOR, [voted(fast, b"x"), voted(fast, b"y")]),
        (ACCEPTOR, [voted(classic, b"x"), voted(fast, b"y")]),
        (LEARNER, [chosen.clone(), chosen]),
    ] {
        let refused = recover(seat, &records);
        let is_second = matches!(refused, Err(RecoverError::Contradiction { token: 2, .. }));
        assert!(is_second, "{records:?}");
    }
}

// Goal: a proposer holds no more callers than it may, and tells the others so at once.
#[test]
fn callers_that_wait_are_bounded() {
    let config = builder().waiting_max(2).build().expect("it fits");
    let mut role = Role::recover((config, PROPOSER), Time::ZERO, []).expect("nothing is wrong");
    let submission = |ticket| Submission { ticket, command: Bytes::from_static(b"x") };
    let submit = |ticket| Input::Submit(vec![submission(Ticket(ticket))]);
    let answered = |effects: Vec<Effect<Role>>| {
        effects.into_iter().find_map(|effect| match effect {
            Effect::Answer { ticket, error } => Some((ticket, error)),
            _ => None,
        })
    };
    assert_eq!(answered(step(&mut role, submit(1))), None);
    let read = |ticket| Input::Control(Control::Read(vec![Ticket(ticket)]));
    assert_eq!(answered(step(&mut role, read(2))), None);
    let busy = |ticket| Some((Ticket(ticket), SubmitError::Busy { limit: 2 }));
    assert_eq!(answered(step(&mut role, submit(3))), busy(3));
    assert_eq!(answered(step(&mut role, read(4))), busy(4));

    // When a value is chosen all of them are answered, and whoever comes after them at once.
    let chosen = Message::Chosen { proposal: proposal(Round::fast(ballot(1, 1)), b"x") };
    let effects = step(&mut role, Input::Receive { from: id(1), message: chosen });
    let ready = |effects: &[Effect<Role>]| -> Vec<(Ticket, Index)> {
        let ready = effects.iter().filter_map(|effect| match effect {
            Effect::ReadReady { ticket, at } => Some((*ticket, *at)),
            _ => None,
        });
        ready.collect()
    };
    assert_eq!(ready(&effects), [(Ticket(1), CHOSEN), (Ticket(2), CHOSEN)]);
    assert_eq!(ready(&step(&mut role, submit(5))), [(Ticket(5), CHOSEN)]);
}
