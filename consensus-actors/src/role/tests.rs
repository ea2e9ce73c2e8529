use std::sync::mpsc;

use bytes::Bytes;
use consensus_core::{
    GroupId, Index, NodeId, Process, RecoverError, Time,
    codec::{DecodeError, put_u64, take_u64},
    role::{Next, Step},
};

use super::*;
use crate::{clock::MachineCalendar, seat::Seating};

/// A protocol of two roles that pass the seat to each other and check the order of what they get.
#[derive(Clone, Debug)]
struct Relay;

/// What a sender says: its messages count up from 1.
#[derive(Clone, Debug)]
struct Count(u64);

impl Encode for Count {
    fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.0);
    }
}

impl Decode for Count {
    fn decode(input: &mut Bytes) -> Result<Self, DecodeError> {
        take_u64(input).map(Self)
    }
}

#[derive(Debug, Default)]
struct Ledger {
    last: [u64; 2],
    hand_overs: u64,
}

#[derive(Debug)]
struct Ping;

#[derive(Debug)]
struct Pong;

#[derive(Debug)]
enum Runner {
    Ping(Ping),
    Pong(Pong),
}

impl Process for Relay {
    type Config = ();
    type Message = Count;
    type Record = Count;
    type Control = ();

    fn recover(
        (): (),
        _: Time,
        _: impl IntoIterator<Item = (Token, Count)>,
    ) -> Result<Self, RecoverError> {
        Ok(Self)
    }

    fn step(&mut self, _: Time, _: Input<Self>, _: &mut Effects<Self>) {}
}

impl Seated for Relay {
    type State = Ledger;
    type Role = Runner;

    fn into_parts(self) -> (Ledger, Runner) {
        (Ledger::default(), Runner::Ping(Ping))
    }

    fn preempt(_: &mut Ledger, _: Time, _: &Input<Self>, _: &mut Effects<Self>) -> Option<Runner> {
        None
    }

    fn status(state: &Ledger, role: &'static str) -> Status {
        let committed = Index(state.last.iter().sum());
        let term = state.hand_overs;
        Status { role, term, committed, last: committed, ..Status::default() }
    }
}

/// Takes a count, in order; now and then the role ends, with the count or without it.
fn take(state: &mut Ledger, input: Input<Relay>, other: Runner) -> Next<Relay> {
    let Input::Receive { from, message: Count(count) } = input else { return Next::Stay };
    let last = &mut state.last[usize::try_from(from.number()).expect("small") - 1];
    // Handed on unread, once: the other role must see it next.
    if count.is_multiple_of(7_919) && state.hand_overs.is_multiple_of(2) {
        state.hand_overs += 1;
        return Next::Redeliver(other, Input::Receive { from, message: Count(count) });
    }
    assert_eq!(count, *last + 1, "an input was lost, doubled or reordered");
    *last = count;
    if count.is_multiple_of(997) {
        state.hand_overs += 1;
        return Next::Become(other);
    }
    Next::Stay
}

macro_rules! runner {
    ($role:ident, $name:literal, $other:expr) => {
        impl Step<Relay> for $role {
            fn name(&self) -> &'static str {
                $name
            }

            fn step(
                &mut self,
                state: &mut Ledger,
                _: Time,
                input: Input<Relay>,
                _: &mut Effects<Relay>,
            ) -> Next<Relay> {
                take(state, input, $other)
            }

            fn retire(&mut self, _: &mut Ledger, _: &mut Effects<Relay>) {}
        }

        impl From<$role> for Runner {
            fn from(role: $role) -> Self {
                Self::$role(role)
            }
        }

        impl TryFrom<Runner> for $role {
            type Error = Runner;

            fn try_from(runner: Runner) -> Result<Self, Runner> {
                match runner {
                    Runner::$role(role) => Ok(role),
                    other => Err(other),
                }
            }
        }

        impl Role<Relay> for $role {}
    };
}

runner!(Ping, "ping", Runner::Pong(Pong));
runner!(Pong, "pong", Runner::Ping(Ping));

impl Step<Relay> for Runner {
    fn name(&self) -> &'static str {
        "runner"
    }

    fn step(
        &mut self,
        state: &mut Ledger,
        now: Time,
        input: Input<Relay>,
        out: &mut Effects<Relay>,
    ) -> Next<Relay> {
        match self {
            Self::Ping(role) => role.step(state, now, input, out),
            Self::Pong(role) => role.step(state, now, input, out),
        }
    }

    fn retire(&mut self, _: &mut Ledger, _: &mut Effects<Relay>) {}
}

impl Hosted for Relay {
    fn start(role: Runner, post: Box<Post<Self>>, first: bool) -> Recipient<Delivery<Self>> {
        match role {
            Runner::Ping(role) => RoleActor::launch(role, post, first),
            Runner::Pong(role) => RoleActor::launch(role, post, first),
        }
    }

    fn is_at_rest(_: &Ledger) -> bool {
        false
    }

    fn wrote(_: &[u8]) -> bool {
        true
    }

    fn storage_full(_: bool) -> Option<Input<Self>> {
        None
    }

    fn make_room() -> Input<Self> {
        Input::Control(())
    }
}

/// Reports when everything has been taken.
struct Report(mpsc::Sender<Status>);

impl Outlets<Relay> for Report {
    fn persist(&mut self, _: Vec<(Token, Count)>, _: bool) -> Option<Token> {
        None
    }
    fn send(&mut self, _: Vec<(Address, Count)>) {}
    fn decide(&mut self, _: Vec<Decision>) {}
    fn compact(&mut self, _: Token) {}
    fn order(&mut self, _: Order) {}

    fn publish(&mut self, status: Status) {
        self.0.send(status).ok();
    }
}

// Goal: a role that ends in the middle of a batch loses, doubles and reorders nothing.
// Method: two threads send 200,000 inputs each, in batches of changing length, while the seat
// changes hands hundreds of times; the roles check that each sender's inputs come one after the
// other, and all must arrive.
#[test]
fn ended_role_loses_and_reorders_nothing() {
    const EACH: u64 = 200_000;
    let (report, reports) = mpsc::channel();
    let seat = Arc::new(Seat::<Relay>::vacant());
    let (seated, ready) = mpsc::channel();
    let arbiter = actix::System::new();
    let actors = arbiter.block_on(async { actix_rt::Arbiter::new() });
    let taken = Arc::clone(&seat);
    actors.spawn_fn(move || {
        let labels = Labels { node: NodeId::new(1).expect("positive"), group: "relay".into() };
        let clock = NodeClock::start(Arc::new(MachineCalendar));
        Post::take(Relay, taken, clock, Token(0), Box::new(Report(report)), labels);
        seated.send(GroupId::named("relay")).expect("the test waits");
    });
    ready.recv().expect("the seat is taken");

    let senders = [1_u64, 2].map(|sender| {
        let (seat, from) = (Arc::clone(&seat), NodeId::new(sender).expect("positive"));
        std::thread::spawn(move || {
            let (mut next, mut length) = (1, sender);
            while next <= EACH {
                length = length % 37 + 1;
                let batch = next..=EACH.min(next + length);
                next = batch.end() + 1;
                let receive = |count| Input::Receive { from, message: Count(count) };
                seat.send(batch.map(receive).collect());
            }
        })
    });
    senders.into_iter().for_each(|sender| sender.join().expect("a sender sends"));
    let done = reports.iter().find(|status| status.committed == Index(2 * EACH));
    let hand_overs = done.expect("everything arrives").term;
    assert!(hand_overs > 400, "the seat changed hands {hand_overs} times only");
    seat.vacate();
    actors.stop();
}
