//! Roles that are hosted together: roles that do as they are told.

use consensus_core::{
    Address, Effect, Effects, Index, Input, NodeId, Process, RecoverError, Seat, Status, Time,
    Token,
    codec::{Decode, Encode},
    ensemble::{Ensemble, Entry, Roles},
};

use crate::node::id;

const LEFT: Seat = Seat(0);
const RIGHT: Seat = Seat(1);

/// What a role is told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Order {
    /// Write a record.
    Write,
    /// Give these orders to a role of the same node, once this record of its own is durable.
    Tell(Seat, Option<u64>, Vec<Self>),
    /// Send these to another node, once this record of its own is durable.
    Send(Option<u64>, Vec<Self>),
    /// Let go of the records before this one.
    GiveUp(u64),
    /// Remember this.
    Note(&'static str),
}

use Order::{GiveUp, Note, Send, Tell, Write};

/// A role that does as it is told, and remembers what befell it.
#[derive(Clone, Debug)]
struct Puppet {
    written: u64,
    heard: Vec<String>,
}

impl Process for Puppet {
    type Config = Seat;
    type Message = Vec<Order>;
    type Record = Vec<u8>;
    type Control = ();

    fn recover(
        _: Seat,
        _: Time,
        records: impl IntoIterator<Item = (Token, Vec<u8>)>,
    ) -> Result<Self, RecoverError> {
        let tokens: Vec<_> = records.into_iter().map(|(token, _)| token.0).collect();
        let written = tokens.last().copied().unwrap_or_default();
        let heard = tokens.iter().map(|token| format!("finds {token}")).collect();
        Ok(Self { written, heard })
    }

    fn step(&mut self, _: Time, input: Input<Self>, out: &mut Effects<Self>) {
        let orders = match input {
            Input::Receive { message, .. } => message,
            Input::Persisted { upto } => return self.heard.push(format!("durable {}", upto.0)),
            other => return self.heard.push(format!("{other:?}")),
        };
        let at = |node, seat| Address { node, seat };
        for order in orders {
            match order {
                Write => {
                    self.written += 1;
                    out.push(Effect::Persist { token: Token(self.written), record: vec![] });
                }
                Tell(seat, after, message) => {
                    let after = after.map(Token);
                    out.push(Effect::Send { to: at(id(1), seat), message, after });
                }
                Send(after, message) => {
                    let after = after.map(Token);
                    out.push(Effect::Send { to: at(id(2), RIGHT), message, after });
                }
                GiveUp(before) => out.push(Effect::Compact { before: Token(before) }),
                Note(what) => self.heard.push(what.into()),
            }
        }
    }
}

impl Roles for Puppet {
    type Common = ();

    const SEATS: &'static [Seat] = &[LEFT, RIGHT];

    fn configured((): &(), seat: Seat) -> Seat {
        seat
    }

    fn node((): &()) -> NodeId {
        id(1)
    }

    fn concerned<P: Process<Control = Self::Control>>(input: &Input<P>) -> &'static [Seat] {
        if matches!(input, Input::Tick) { Self::SEATS } else { &[RIGHT] }
    }

    fn tell(&self, status: &mut Status) {
        status.last = status.last.max(Index(self.written));
    }
}

/// Two roles, and what they asked the host for.
struct Stage {
    ensemble: Ensemble<Puppet>,
    asked: Vec<String>,
}

impl Stage {
    fn new(records: Vec<(Token, Entry<Vec<u8>>)>) -> Result<Self, RecoverError> {
        let ensemble = Ensemble::recover((), Time::ZERO, records)?;
        Ok(Self { ensemble, asked: Vec::new() })
    }

    fn step(&mut self, input: Input<Ensemble<Puppet>>) {
        let mut out = Effects::default();
        self.ensemble.step(Time::ZERO, input, &mut out);
        for effect in out.drain() {
            self.asked.push(match effect {
                Effect::Persist { token, record: Entry { seat, token: own, .. } } => {
                    format!("#{} is {own:?} of {seat:?}", token.0)
                }
                Effect::Send { to, message, after } => {
                    assert_eq!(to.seat, message.seat);
                    format!("to {} after {:?}", to.node, after.map(|token| token.0))
                }
                Effect::Compact { before } => format!("compact before #{}", before.0),
                other => format!("{other:?}"),
            });
        }
    }

    fn order(&mut self, seat: Seat, orders: &[Order]) {
        let message = consensus_core::ensemble::Addressed { seat, message: orders.to_vec() };
        self.step(Input::Receive { from: id(2), message });
    }

    fn persisted(&mut self, upto: u64) {
        self.step(Input::Persisted { upto: Token(upto) });
    }

    /// Takes what was asked since the last call.
    fn asked(&mut self) -> Vec<String> {
        std::mem::take(&mut self.asked)
    }

    fn heard(&self, seat: Seat) -> &[String] {
        &self.ensemble.role(seat).expect("it is there").heard
    }
}

fn stage() -> Stage {
    Stage::new(Vec::new()).expect("nothing is wrong with nothing")
}

fn entry(number: u64, seat: Seat, token: u64) -> (Token, Entry<Vec<u8>>) {
    (Token(number), Entry { seat, token: Token(token), record: vec![] })
}

// Goal: each role numbers its own records, the node numbers all of them in one order, and messages
// to other nodes wait for the record that they rest on, by that order.
#[test]
fn records_of_all_roles_stand_in_one_order() {
    let mut stage = stage();
    stage.order(LEFT, &[Write]);
    stage.order(RIGHT, &[Write, Write, Send(Some(2), vec![])]);
    stage.order(LEFT, &[Write, Send(Some(2), vec![]), Send(None, vec![])]);
    let left = ["#1 is Token(1) of Seat(0)", "#4 is Token(2) of Seat(0)"];
    let right = ["#2 is Token(1) of Seat(1)", "#3 is Token(2) of Seat(1)"];
    let sent = ["to n2 after Some(3)", "to n2 after Some(4)", "to n2 after None"];
    assert_eq!(stage.asked(), [left[0], right[0], right[1], sent[0], left[1], sent[1], sent[2]]);
    assert_eq!(stage.ensemble.last(), Token(4));
    assert_eq!(stage.ensemble.status().last, Index(2));

    // Each is told of its own.
    stage.persisted(3);
    assert_eq!(stage.heard(LEFT), ["durable 1"]);
    assert_eq!(stage.heard(RIGHT), ["durable 2"]);
    stage.persisted(3);
    stage.persisted(4);
    assert_eq!(stage.heard(LEFT), ["durable 1", "durable 2"]);
    assert_eq!(stage.heard(RIGHT), ["durable 2"]);

    // What rests on a durable record waits for nothing.
    stage.order(LEFT, &[Send(Some(2), vec![])]);
    assert_eq!(stage.asked(), ["to n2 after None"]);
}

// Goal: what roles of a node say to each other is delivered within the step, in its order, and
// never reaches the host; what waits for records is once they are durable, in their order.
#[test]
fn messages_among_roles_are_delivered_in_the_step() {
    let mut stage = stage();
    let answer = Tell(LEFT, None, vec![Note("answered")]);
    stage.order(LEFT, &[Tell(RIGHT, None, vec![Note("asked"), answer]), Note("first")]);
    assert_eq!(stage.heard(RIGHT), ["asked"]);
    assert_eq!(stage.heard(LEFT), ["first", "answered"]);
    assert_eq!(stage.asked(), [""; 0]);

    let later = |what| Tell(RIGHT, Some(1), vec![Note(what)]);
    let latest = Tell(RIGHT, Some(2), vec![Note("latest")]);
    stage.order(LEFT, &[Write, later("one"), Write, latest, later("two")]);
    stage.order(LEFT, &[Tell(RIGHT, None, vec![Note("at once")])]);
    assert_eq!(stage.heard(RIGHT), ["asked", "at once"]);
    stage.asked();
    stage.persisted(2);
    assert_eq!(stage.heard(RIGHT), ["asked", "at once", "one", "two", "latest"]);
    assert_eq!(stage.heard(LEFT), ["first", "answered", "durable 2"]);
    assert_eq!(stage.asked(), [""; 0]);
}

// Goal: a message that waits for an earlier record is delivered when that is durable, although one
// that waits for a later record was said before it.
#[test]
fn messages_wait_for_their_own_records_only() {
    let mut stage = stage();
    let told = |after, what| Tell(RIGHT, Some(after), vec![Note(what)]);
    stage.order(LEFT, &[Write, Write, told(2, "late"), told(1, "early")]);
    stage.persisted(1);
    assert_eq!(stage.heard(RIGHT), ["early"]);
    stage.persisted(2);
    assert_eq!(stage.heard(RIGHT), ["early", "late"]);
}

// Goal: the host is told to give up what no role needs, and that once.
#[test]
fn records_are_given_up_when_no_role_needs_them() {
    let mut stage = stage();
    stage.order(LEFT, &[Write, Write]);
    stage.order(RIGHT, &[Write]);
    stage.order(LEFT, &[Write]);
    stage.persisted(4);
    stage.asked();
    stage.order(RIGHT, &[GiveUp(1)]);
    assert_eq!(stage.asked(), [""; 0]);
    stage.order(LEFT, &[GiveUp(3)]);
    assert_eq!(stage.asked(), ["compact before #3"], "the other's is #3");
    stage.order(LEFT, &[GiveUp(3)]);
    assert_eq!(stage.asked(), [""; 0]);
    stage.order(RIGHT, &[Write, GiveUp(2)]);
    assert_eq!(stage.asked(), ["#5 is Token(2) of Seat(1)", "compact before #4"]);

    // Records that were given up are durable, and what rests on them waits for nothing.
    stage.order(LEFT, &[Write, Send(Some(2), vec![]), Send(Some(4), vec![])]);
    let written = "#6 is Token(4) of Seat(0)";
    assert_eq!(stage.asked(), [written, "to n2 after None", "to n2 after Some(6)"]);
}

// Goal: a restart gives each role its own records under its own numbers, and goes on with both.
#[test]
fn restart_gives_each_role_its_records() {
    let records = vec![entry(7, RIGHT, 4), entry(8, LEFT, 2), entry(9, RIGHT, 5)];
    let mut stage = Stage::new(records).expect("they fit");
    assert_eq!(stage.heard(LEFT), ["finds 2"]);
    assert_eq!(stage.heard(RIGHT), ["finds 4", "finds 5"]);
    stage.order(RIGHT, &[Send(Some(5), vec![]), Write, Send(Some(6), vec![]), GiveUp(5)]);
    let written = "#10 is Token(6) of Seat(1)";
    assert_eq!(
        stage.asked(),
        ["to n2 after None", written, "to n2 after Some(10)", "compact before #8"]
    );
}

// Goal: records that cannot be are refused: of a role that there is not, or with a gap.
#[test]
fn records_that_do_not_fit_are_refused() {
    let contradiction = |records| Stage::new(records).err();
    let unknown = "it is of no role that there is";
    assert_eq!(
        contradiction(vec![entry(1, Seat(9), 1)]),
        Some(RecoverError::Contradiction { token: 1, reason: unknown })
    );
    let gap = "it does not follow the last one of its role";
    for token in [2, 4, 1] {
        let records = vec![entry(1, LEFT, 1), entry(2, LEFT, 2), entry(3, LEFT, token)];
        assert_eq!(
            contradiction(records),
            Some(RecoverError::Contradiction { token: 3, reason: gap })
        );
    }
}

// Goal: inputs reach the roles that they are for.
#[test]
fn inputs_reach_whom_they_concern() {
    let mut stage = stage();
    stage.step(Input::Tick);
    stage.step(Input::Control(()));
    assert_eq!(stage.heard(LEFT), ["Tick"]);
    assert_eq!(stage.heard(RIGHT), ["Tick", "Control(())"]);
    // Of a seat that nobody holds nobody hears.
    stage.order(Seat(9), &[Write]);
    assert_eq!(stage.asked(), [""; 0]);
}

// Goal: a record of roles that stand side by side is told from one of a protocol with one seat.
#[test]
fn encoded_records_say_whose_they_are() {
    use consensus_core::{
        multi_paxos, paxos,
        raft::{self, Term},
    };
    let record = multi_paxos::Record::Round(paxos::Round(3));
    let entry = Entry { seat: RIGHT, token: Token(5), record };
    let bytes = entry.encoded();
    assert!(Entry::<multi_paxos::Record>::is_encoded_in(&bytes));
    assert_eq!(Entry::decode_all(bytes.into()), Ok(entry));
    let other = raft::Record::Vote { term: Term(1), voted_for: None }.encoded();
    assert!(!Entry::<multi_paxos::Record>::is_encoded_in(&other));
    let decoded = Entry::<multi_paxos::Record>::decode_all(other.into());
    assert!(decoded.is_err());
}
