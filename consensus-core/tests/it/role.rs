//! The loop above all roles: [`role::advance`].

use consensus_core::{
    Effect, Effects, Input, Process, RecoverError, Status, Time, Token,
    role::{self, Next, Seated, Step},
};

use crate::node::id;

/// A process of two roles that passes what it is told on, and writes down what happens.
#[derive(Clone, Debug)]
struct Toy;

/// A role, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named(&'static str);

/// Whether the rule above all roles has been applied.
#[derive(Debug)]
struct Deposed(bool);

impl Process for Toy {
    type Config = ();
    type Message = &'static str;
    type Record = String;
    type Control = ();

    fn recover(
        (): (),
        _: Time,
        _: impl IntoIterator<Item = (Token, String)>,
    ) -> Result<Self, RecoverError> {
        Ok(Self)
    }

    fn step(&mut self, _: Time, _: Input<Self>, _: &mut Effects<Self>) {}
}

impl Seated for Toy {
    type State = Deposed;
    type Role = Named;

    fn into_parts(self) -> (Deposed, Named) {
        (Deposed(false), Named("first"))
    }

    fn preempt(
        state: &mut Deposed,
        _: Time,
        input: &Input<Self>,
        out: &mut Effects<Self>,
    ) -> Option<Named> {
        let Input::Receive { message: "depose", .. } = input else { return None };
        // As a term is adopted once: the role that comes of it consumes the input.
        if state.0 {
            return None;
        }
        state.0 = true;
        note(out, "preempt");
        Some(Named("deposed"))
    }

    fn status(_: &Deposed, role: &'static str) -> Status {
        Status { role, ..Status::default() }
    }
}

fn note(out: &mut Effects<Toy>, what: impl Into<String>) {
    out.push(Effect::Persist { token: Token::default(), record: what.into() });
}

impl Step<Toy> for Named {
    fn name(&self) -> &'static str {
        self.0
    }

    fn step(
        &mut self,
        _: &mut Deposed,
        _: Time,
        input: Input<Toy>,
        out: &mut Effects<Toy>,
    ) -> Next<Toy> {
        let Input::Receive { from, message } = input else { return Next::Stay };
        note(out, format!("{} hears {message}", self.0));
        match (self.0, message) {
            ("first", "become") => Next::Become(Self("second")),
            ("first", "pass") => {
                Next::Redeliver(Self("second"), Input::Receive { from, message: "pass" })
            }
            ("second", "pass") => {
                Next::Redeliver(Self("third"), Input::Receive { from, message: "stay" })
            }
            ("deposed", "depose") => {
                Next::Redeliver(Self("third"), Input::Receive { from, message })
            }
            _ => Next::Stay,
        }
    }

    fn retire(&mut self, _: &mut Deposed, out: &mut Effects<Toy>) {
        note(out, format!("{} retires", self.0));
    }
}

fn advance(message: &'static str) -> (Option<Named>, Vec<String>) {
    let mut out = Effects::default();
    let input = Input::Receive { from: id(2), message };
    let (mut state, mut role) = Toy.into_parts();
    let next = role::advance(&mut role, &mut state, Time::ZERO, input, &mut out);
    let notes = out.drain().map(|effect| match effect {
        Effect::Persist { record, .. } => record,
        other => panic!("{other:?} is not noted"),
    });
    (next, notes.collect())
}

// Goal: a role that stays keeps its tenure.
#[test]
fn role_that_stays_is_not_retired() {
    assert_eq!(advance("stay"), (None, vec!["first hears stay".into()]));
}

// Goal: a role that becomes another has consumed the input, and is retired behind its effects.
#[test]
fn role_that_becomes_another_retires_and_consumes_the_input() {
    let (next, notes) = advance("become");
    assert_eq!(next, Some(Named("second")));
    assert_eq!(notes, ["first hears become", "first retires"]);
}

// Goal: an input that is passed on reaches each role in turn, every one retired before the next
// hears of it, and the last holds the seat.
#[test]
fn input_that_is_passed_on_is_consumed_by_the_last_role() {
    let (next, notes) = advance("pass");
    assert_eq!(next, Some(Named("third")));
    assert_eq!(
        notes,
        [
            "first hears pass",
            "first retires",
            "second hears pass",
            "second retires",
            "third hears stay"
        ]
    );
}

// Goal: the rule above all roles comes first, before the present role hears the input; the role
// that comes of it consumes the input, and may pass it on.
#[test]
fn rule_above_all_roles_comes_first() {
    let (next, notes) = advance("depose");
    assert_eq!(next, Some(Named("third")));
    assert_eq!(
        notes,
        [
            "preempt",
            "first retires",
            "deposed hears depose",
            "deposed retires",
            "third hears depose"
        ]
    );
}
