//! What scripts do not show: configurations, records that contradict each other, and what nobody
//! can do without its disk.

use std::time::Duration;

use bytes::Bytes;
use consensus_core::{
    Effect, Effects, GroupId, Index, Input, Members, NodeId, Process, RecoverError, Seat,
    Submission, SubmitError, Ticket, Time, Token,
    paxos::{
        ACCEPTOR, Ballot, Builder, CHOSEN, Config, ConfigError, Control, LEARNER, Message,
        PROPOSER, Proposal, Quorums, Record, Role, Round,
        invariants::{Observer, Violation},
    },
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
    Ballot { round: Round(round), node: id(node) }
}

fn proposal(ballot: Ballot, value: &'static [u8]) -> Proposal {
    Proposal { ballot, value: Bytes::from_static(value) }
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
    assert_eq!(stranger.clone().build(), Err(ConfigError::NotAMember { id: id(9) }));
    assert!(stranger.learners(Members::new([id(9)]).expect("one")).build().is_ok());
    let none = builder().waiting_max(0).build();
    assert_eq!(none, Err(ConfigError::ZeroBound));
    for retry in [Duration::ZERO, Duration::from_secs(6)] {
        let pause_max = Duration::from_secs(5);
        let refused = builder().retry(retry).build();
        assert_eq!(refused, Err(ConfigError::Retry { retry, pause_max }));
    }
    let apart = ConfigError::QuorumsApart { prepare: 1, accept: 2, acceptors: 3 };
    assert_eq!(Quorums::new(&acceptors(3), 1, 2), Err(apart.clone()));
    assert!(apart.to_string().contains("together they must be more than 3"));
    let size = ConfigError::QuorumSize { quorum: 4, acceptors: 3 };
    assert_eq!(Quorums::new(&acceptors(3), 4, 1), Err(size));
    let others = builder().quorums(Quorums::majorities(&acceptors(7))).build();
    let refused = ConfigError::QuorumsOfOthers { prepare: 4, accept: 4, acceptors: 3 };
    assert_eq!(others, Err(refused));
}

// Goal: records that cannot follow each other, or are another role's, are refused, not believed.
#[test]
fn contradicting_records_are_refused() {
    let (early, late) = (ballot(1, 1), ballot(2, 1));
    let all = [
        Record::Round(Round(1)),
        Record::Promised(early),
        Record::Accepted(proposal(early, b"x")),
        Record::Chosen(proposal(early, b"x")),
    ];
    for record in &all {
        let taken = Role::SEATS.map(|seat| recover(seat, std::slice::from_ref(record)).is_ok());
        let seat = match record {
            Record::Round(_) => PROPOSER,
            Record::Promised(_) | Record::Accepted(_) => ACCEPTOR,
            Record::Chosen(_) => LEARNER,
        };
        assert_eq!(taken, Role::SEATS.map(|it| it == seat), "{record:?}");
    }
    let chosen = Record::Chosen(proposal(early, b"x"));
    for (seat, records) in [
        (PROPOSER, [Record::Round(Round(2)), Record::Round(Round(2))]),
        (ACCEPTOR, [Record::Promised(late), Record::Promised(early)]),
        (ACCEPTOR, [Record::Promised(late), Record::Accepted(proposal(early, b"x"))]),
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
    let chosen = Message::Chosen { proposal: proposal(ballot(1, 1), b"x") };
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

/// Lets acceptors promise and accept, and the observer see all of it.
struct Group {
    acceptors: Vec<Role>,
    observer: Observer,
}

impl Group {
    fn acceptor(node: u64) -> Role {
        let config = Config::builder(id(node), GroupId(1), acceptors(3)).build();
        let config = (config.expect("it fits"), ACCEPTOR);
        Role::recover(config, Time::ZERO, []).expect("nothing is wrong")
    }

    fn new() -> Self {
        let acceptors: Vec<Role> = (1..=3).map(Self::acceptor).collect();
        let mut observer = Observer::default();
        acceptors.iter().for_each(|role| observer.recovered(role).expect("it is new"));
        Self { acceptors, observer }
    }

    /// Makes a node's acceptor receive a message; what it writes is durable at once.
    fn tell(&mut self, node: u64, message: Message) -> Result<(), Violation> {
        let from: NodeId = match &message {
            Message::Prepare { ballot } => ballot.node,
            Message::Accept { proposal } => proposal.ballot.node,
            other => unreachable!("{other:?} is not told here"),
        };
        let role = &mut self.acceptors[node as usize - 1];
        let effects = step(role, Input::Receive { from, message });
        self.observer.observe(role, &effects)?;
        for effect in &effects {
            if let Effect::Persist { token, .. } = effect {
                self.observer.durable(id(node), ACCEPTOR, *token)?;
            }
        }
        Ok(())
    }
}

// Goal: PAX-P05, an acceptor that comes back without its disk forgets what it has promised, so that
// two values are chosen: that it comes back is noticed, and so is what comes of it.
// Method: the same two ballots, with and without a disk that is emptied between them.
#[test]
fn acceptor_without_its_disk_chooses_twice() {
    let (first, second) = (ballot(1, 1), ballot(1, 2));
    for loses in [false, true] {
        let mut group = Group::new();
        for node in [1, 2] {
            group.tell(node, Message::Prepare { ballot: first }).expect("it is new");
            let proposal = proposal(first, b"x");
            group.tell(node, Message::Accept { proposal }).expect("it was promised");
        }
        if loses {
            group.acceptors[1] = Group::acceptor(2);
            let noticed = group.observer.recovered(&group.acceptors[1]);
            assert_eq!(noticed, Err(Violation::Restart { node: id(2) }));
        }
        // What the second proposer finds, of the second and third acceptor, decides what it does.
        for node in [2, 3] {
            group.tell(node, Message::Prepare { ballot: second }).expect("it is later");
        }
        let Role::Acceptor(found) = &group.acceptors[1] else { unreachable!("it is one") };
        let value: &[u8] = if found.accepted().is_some() { b"x" } else { b"y" };
        let proposal = proposal(second, value);
        let told: Result<(), Violation> = [2, 3]
            .into_iter()
            .try_for_each(|node| group.tell(node, Message::Accept { proposal: proposal.clone() }));
        let disagreement = Violation::Agreement { first, second };
        assert_eq!(told, if loses { Err(disagreement) } else { Ok(()) });
    }
}
