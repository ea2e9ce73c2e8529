//! The replicated state behind [`Once`](super::Once): what was answered, and who is about what.
//!
//! Nothing that was begun counts as never done, whatever it came to: a service may have died in the
//! middle of it. So a step that ended without an answer stays under way, by nobody, until it is
//! asked for again and answered; or until it is undone, as one of which nobody knows what it
//! brought.

use std::collections::BTreeMap;

use bytes::Bytes;
use consensus_core::{
    Cx, Interface, Operation, StateMachine,
    saga::{
        Admission, Answer, Barrier, CoordinatorId, EffectKey, Heard, Op, Place, Progress, Request,
        StepId,
    },
};
use serde::{Deserialize, Serialize};

use crate::{client::Client, replicated::Replicated};

/// Who carries a request out: no two have the same.
pub(super) type Runner = u128;

/// What one asks for the other's sake.
type Effect = (CoordinatorId, Place, StepId, Op);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Requests {
    barrier: Barrier,
    /// Who is about what. Of what is under way and not here nobody is about it any more.
    running: BTreeMap<Effect, Runner>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Command {
    /// Asks what to do about a request; if this runner is about it, it is known to be gone.
    Admit { of: Request, runner: Runner, gone: Option<Runner> },
    /// Says what was answered, or that it came to nothing that can be kept.
    Finish { of: Request, runner: Runner, answer: Option<Answer> },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reply {
    /// Carry it out. A compensation gets what the step brought, which is empty if nobody knows.
    Run(Option<Bytes>),
    Replay(Answer),
    /// Somebody else is about it, or about what it would undo.
    Busy(Runner),
    /// It comes too late.
    Refused,
    /// Whether an answer counts: another may have taken the request over.
    Finished(bool),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Query {
    Len,
}

impl Requests {
    fn admit(&mut self, of: Request, runner: Runner, gone: Option<Runner>) -> Reply {
        let mut admission = self.barrier.admit(of);
        // With what is forgotten goes who was about it.
        let Heard { oldest, .. } = self.barrier.heard(of.coordinator);
        let ended = (of.coordinator, Place(0), StepId(0), Op::Action)
            ..(of.coordinator, oldest, StepId(0), Op::Action);
        self.running.extract_if(ended, |_, _| true).for_each(drop);
        if admission == Admission::Busy {
            if let Some(busy) = self.busy(of, gone) {
                return Reply::Busy(busy);
            }
            admission = self.barrier.admit(of);
        }
        match admission {
            Admission::Run(output) => {
                self.running.insert(effect(of), runner);
                Reply::Run(output)
            }
            Admission::Replay(answer) => Reply::Replay(answer),
            Admission::Busy | Admission::Sealed | Admission::Stale { .. } => Reply::Refused,
        }
    }

    /// Returns who is about what a request waits for. If nobody is, it waits no longer.
    fn busy(&mut self, of: Request, gone: Option<Runner>) -> Option<Runner> {
        let (key, row) = (of.key, self.barrier.row(of));
        let undoing = row.is_some_and(|row| row.undo == Progress::Running);
        let op = if undoing { key.op } else { Op::Action };
        let awaited = Request { key: EffectKey { op, ..key }, ..of };
        let busy = self.running.get(&effect(awaited)).copied();
        if busy.is_some() && busy != gone {
            return busy;
        }
        self.running.remove(&effect(awaited));
        // What may have been done is undone, though nobody knows what it brought.
        let unknown = (op != key.op).then(|| Answer::Done(Bytes::new()));
        self.barrier.finish(awaited, unknown);
        None
    }

    fn finish(&mut self, of: Request, runner: Runner, answer: Option<Answer>) -> bool {
        if self.running.get(&effect(of)) != Some(&runner) {
            return false;
        }
        self.running.remove(&effect(of));
        if answer.is_some() {
            self.barrier.finish(of, answer);
        }
        true
    }
}

/// Returns which effect a request is about, whichever round.
fn effect(Request { key, coordinator, age, .. }: Request) -> Effect {
    (coordinator, age.place, key.step, key.op)
}

const fn operation(name: &'static str, doc: &'static str) -> Operation {
    Operation { name, arguments: &[], doc }
}

impl StateMachine for Requests {
    type Command = Command;
    type Reply = Reply;
    type Query = Query;
    type Answer = usize;

    const INTERFACE: Interface = Interface {
        commands: &[
            operation("Admit", "Asks what to do about a request; `Once` does."),
            operation("Finish", "Says what was answered; `Once` does."),
        ],
        queries: &[operation("Len", "Counts the steps that are remembered; `Once::len` does.")],
    };

    fn apply(&mut self, _: &mut Cx, command: Command) -> Reply {
        match command {
            Command::Admit { of, runner, gone } => self.admit(of, runner, gone),
            Command::Finish { of, runner, answer } => {
                Reply::Finished(self.finish(of, runner, answer))
            }
        }
    }

    fn answer(&self, query: Query) -> usize {
        match query {
            Query::Len => self.barrier.len(),
        }
    }
}

impl Replicated for Requests {
    type Client = Client<Self>;

    const NAME: &'static str = "saga-requests";
}

#[cfg(test)]
mod tests {
    use consensus_core::saga::{Age, Epoch, SagaId};

    use super::*;

    fn request(op: Op) -> Request {
        let key = EffectKey { saga: SagaId(7), step: StepId(2), op, round: 0 };
        let age = Age { place: Place(1), oldest: Place(1) };
        Request { key, coordinator: CoordinatorId(1), epoch: Epoch(1), age }
    }

    fn done(text: &'static str) -> Answer {
        Answer::Done(Bytes::from_static(text.as_bytes()))
    }

    // Goal: who takes a request over is obeyed, and who was taken over is not: its answer comes too
    // late, and whoever is not known to be gone is left alone.
    #[test]
    fn who_was_taken_over_has_no_say() {
        for op in [Op::Action, Op::Undo] {
            let (mut requests, of) = (Requests::default(), request(op));
            let brought = Some(Bytes::from_static(b"room"));
            let output = if op == Op::Undo { brought } else { None };
            if op == Op::Undo {
                let step = request(Op::Action);
                assert_eq!(requests.admit(step, 1, None), Reply::Run(None));
                assert!(requests.finish(step, 1, Some(done("room"))));
            }
            assert_eq!(requests.admit(of, 2, None), Reply::Run(output.clone()));
            assert_eq!(requests.admit(of, 3, None), Reply::Busy(2));
            assert_eq!(requests.admit(of, 3, Some(9)), Reply::Busy(2), "another is gone");
            assert_eq!(requests.admit(of, 3, Some(2)), Reply::Run(output));
            assert!(!requests.finish(of, 2, Some(done("late"))));
            assert!(requests.finish(of, 3, Some(done("in time"))));
            assert_eq!(requests.admit(of, 4, None), Reply::Replay(done("in time")));
        }
    }

    // Goal: a step that ended without an answer may have been carried out: it is carried out again
    // if it is asked for, however often, and undone if that is.
    #[test]
    fn what_was_begun_never_counts_as_never_done() {
        let (mut requests, of) = (Requests::default(), request(Op::Action));
        for runner in 1..4 {
            assert_eq!(requests.admit(of, runner, None), Reply::Run(None));
            assert!(requests.finish(of, runner, None));
        }
        let undo = request(Op::Undo);
        assert_eq!(requests.admit(undo, 5, None), Reply::Run(Some(Bytes::new())));
        assert_eq!(requests.admit(of, 6, None), Reply::Refused);
        assert!(requests.finish(undo, 5, None));
        assert_eq!(requests.admit(undo, 7, None), Reply::Run(Some(Bytes::new())));
        let age = Age { place: Place(2), oldest: Place(2) };
        assert_eq!(requests.admit(Request { age, ..of }, 8, None), Reply::Run(None));
        assert!(requests.finish(Request { age, ..of }, 8, Some(done("x"))));
        assert!(!requests.finish(undo, 7, Some(done(""))));
        assert_eq!(requests, Requests { barrier: requests.barrier.clone(), ..Requests::default() });
    }
}
