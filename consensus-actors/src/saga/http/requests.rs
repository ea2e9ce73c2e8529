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
    saga::{Admission, Answer, Barrier, EffectKey, Op, Progress, Request, SagaId, StepId},
};
use serde::{Deserialize, Serialize};

use crate::{client::Client, replicated::Replicated};

/// Who carries a request out: no two have the same.
pub(super) type Runner = u128;

/// What one asks for the other's sake.
type Place = (SagaId, StepId, Op);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Requests {
    barrier: Barrier,
    /// Who is about what. Of what is under way and not here nobody is about it any more.
    running: BTreeMap<Place, Runner>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Command {
    /// Asks what to do about a request; if this runner is about it, it is known to be gone.
    Admit { of: Request, runner: Runner, gone: Option<Runner> },
    /// Says what was answered, or that it came to nothing that can be kept.
    Finish { key: EffectKey, runner: Runner, answer: Option<Answer> },
    /// Forgets a saga that has ended.
    Forget(SagaId),
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
    Forgotten,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Query {
    Len,
}

impl Requests {
    fn admit(&mut self, of: Request, runner: Runner, gone: Option<Runner>) -> Reply {
        let mut admission = self.barrier.admit(of);
        if admission == Admission::Busy {
            if let Some(busy) = self.busy(of.key, gone) {
                return Reply::Busy(busy);
            }
            admission = self.barrier.admit(of);
        }
        match admission {
            Admission::Run(output) => {
                self.running.insert(place(of.key), runner);
                Reply::Run(output)
            }
            Admission::Replay(answer) => Reply::Replay(answer),
            Admission::Busy | Admission::Sealed | Admission::Stale { .. } => Reply::Refused,
        }
    }

    /// Returns who is about what a request waits for. If nobody is, it waits no longer.
    fn busy(&mut self, key: EffectKey, gone: Option<Runner>) -> Option<Runner> {
        let row = self.barrier.row(key.saga, key.step);
        let undoing = row.is_some_and(|row| row.undo == Progress::Running);
        let op = if undoing { key.op } else { Op::Action };
        let awaited = EffectKey { op, ..key };
        let busy = self.running.get(&place(awaited)).copied();
        if busy.is_some() && busy != gone {
            return busy;
        }
        self.running.remove(&place(awaited));
        // What may have been done is undone, though nobody knows what it brought.
        let unknown = (op != key.op).then(|| Answer::Done(Bytes::new()));
        self.barrier.finish(awaited, unknown);
        None
    }

    fn finish(&mut self, key: EffectKey, runner: Runner, answer: Option<Answer>) -> bool {
        if self.running.get(&place(key)) != Some(&runner) {
            return false;
        }
        self.running.remove(&place(key));
        if answer.is_some() {
            self.barrier.finish(key, answer);
        }
        true
    }

    fn forget(&mut self, saga: SagaId) {
        self.barrier.forget(saga);
        self.running.retain(|(of, ..), _| *of != saga);
    }
}

fn place(key: EffectKey) -> Place {
    (key.saga, key.step, key.op)
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
            operation("Forget", "Forgets a saga that has ended; `Once::forget` does."),
        ],
        queries: &[operation("Len", "Counts the steps that are remembered; `Once::len` does.")],
    };

    fn apply(&mut self, _: &mut Cx, command: Command) -> Reply {
        match command {
            Command::Admit { of, runner, gone } => self.admit(of, runner, gone),
            Command::Finish { key, runner, answer } => {
                Reply::Finished(self.finish(key, runner, answer))
            }
            Command::Forget(saga) => {
                self.forget(saga);
                Reply::Forgotten
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
    use consensus_core::saga::{CoordinatorId, Epoch};

    use super::*;

    fn request(op: Op) -> Request {
        let key = EffectKey { saga: SagaId(7), step: StepId(2), op, round: 0 };
        Request { key, coordinator: CoordinatorId(1), epoch: Epoch(1) }
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
                assert!(requests.finish(step.key, 1, Some(done("room"))));
            }
            assert_eq!(requests.admit(of, 2, None), Reply::Run(output.clone()));
            assert_eq!(requests.admit(of, 3, None), Reply::Busy(2));
            assert_eq!(requests.admit(of, 3, Some(9)), Reply::Busy(2), "another is gone");
            assert_eq!(requests.admit(of, 3, Some(2)), Reply::Run(output));
            assert!(!requests.finish(of.key, 2, Some(done("late"))));
            assert!(requests.finish(of.key, 3, Some(done("in time"))));
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
            assert!(requests.finish(of.key, runner, None));
        }
        let undo = request(Op::Undo);
        assert_eq!(requests.admit(undo, 5, None), Reply::Run(Some(Bytes::new())));
        assert_eq!(requests.admit(of, 6, None), Reply::Refused);
        assert!(requests.finish(undo.key, 5, None));
        assert_eq!(requests.admit(undo, 7, None), Reply::Run(Some(Bytes::new())));
        requests.forget(SagaId(7));
        assert!(!requests.finish(undo.key, 7, Some(done(""))));
        assert_eq!(requests, Requests { barrier: requests.barrier.clone(), ..Requests::default() });
    }
}
