//! The final judgement: the log's order is the witness.
//!
//! The commands in the order of the log, each the first time that it was executed, are replayed on
//! the state machine alone. What callers were told must be what it answers, nothing acknowledged
//! may be missing, nothing may have been executed twice, and whoever ended before another began
//! must not stand behind it: then the history is linearizable (Herlihy and Wing 1990), and that is
//! shown in time linear in its length. Searching an order is for histories without a witness
//! ([`linearizability`](super::linearizability)).

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    Flaw,
    alone::{answer_of, execute, is_refusal},
    operations::{Asked, Ended, Identity, Operations},
    order::{real_time, tokens},
    workload::{Body, Workload},
    world::Entry,
};
use crate::{
    codec::Decode,
    log::Index,
    process::GroupId,
    replica::{
        Body as Stamped, Envelope, Rejection, Reply, RequestId, SESSION_LIFETIME, SessionId,
    },
    state_machine::{Cx, StateMachine},
    time::WallTime,
};

/// What does not hold: a flaw, a sentence, and the operations that cannot be reconciled.
#[derive(Clone, Debug)]
pub(super) struct Contradiction {
    pub(super) flaw: Flaw,
    pub(super) what: String,
    pub(super) operations: Vec<usize>,
}

impl Contradiction {
    pub(super) fn new(flaw: Flaw, what: String, operations: &[usize]) -> Self {
        Self { flaw, what, operations: operations.to_vec() }
    }
}

pub(super) type Judged<T> = Result<T, Contradiction>;

/// Replays the log on `S` alone and judges what callers were told; returns the state at the end.
pub(super) fn judge<S: StateMachine>(
    group: GroupId,
    log: &[Entry],
    operations: &Operations,
    describe: &dyn Workload<S>,
) -> Judged<Bytes> {
    let mut replay = Replay::<S>::new(group, operations, describe);
    replay.queries(Index::ZERO)?;
    for (place, entry) in log.iter().enumerate() {
        // Half of what follows runs on a state that went through a snapshot.
        if place == log.len() / 2 {
            replay.snapshot()?;
        }
        let index = Index(place as u64 + 1);
        replay.entry(index, entry)?;
        replay.queries(index)?;
    }
    let state = replay.end()?;
    let executed = replay.executed;
    outcomes(operations, &executed, describe)?;
    real_time(operations, &executed)?;
    tokens(operations, &executed)?;
    Ok(state)
}

/// Encodes a state, to compare it.
pub(super) fn encoded(state: &impl serde::Serialize) -> Bytes {
    rmp_serde::to_vec_named(state).unwrap_or_default().into()
}

const COPY: &str = "another copy of it";
const RESTORED: &str = "a copy that went through a snapshot";

/// Tells of a reply, for people.
pub(super) fn shown<S: StateMachine>(
    describe: &dyn Workload<S>,
    body: &Body,
    reply: &Reply,
) -> String {
    match reply {
        Ok(reply) => describe.describe_reply(body, reply),
        Err(rejection) => format!("an error ({rejection})"),
    }
}

/// A command that was executed: where, and with what reply.
pub(super) struct Executed {
    pub(super) index: Index,
    command: Bytes,
    reply: Reply,
}

struct Replay<'a, S> {
    group: GroupId,
    operations: &'a Operations,
    describe: &'a dyn Workload<S>,
    now: WallTime,
    state: S,
    /// Two more states that must not differ: another one, and one that goes through a snapshot.
    twin: S,
    restored: S,
    executed: BTreeMap<Identity, Executed>,
    /// When each session was last heard of, by the time in the log, and the oldest request that its
    /// client has no answer to.
    sessions: BTreeMap<SessionId, (WallTime, RequestId)>,
    queries: BTreeMap<Index, Vec<usize>>,
}

impl<'a, S: StateMachine> Replay<'a, S> {
    fn new(group: GroupId, operations: &'a Operations, describe: &'a dyn Workload<S>) -> Self {
        let mut queries: BTreeMap<Index, Vec<usize>> = BTreeMap::new();
        for (place, asked) in operations.all().iter().enumerate() {
            if let (Body::Query(_), Some(seen)) = (&asked.body, asked.seen) {
                queries.entry(seen).or_default().push(place);
            }
        }
        Self {
            group,
            operations,
            describe,
            now: WallTime::default(),
            state: S::default(),
            twin: S::default(),
            restored: S::default(),
            executed: BTreeMap::new(),
            sessions: BTreeMap::new(),
            queries,
        }
    }

    fn entry(&mut self, index: Index, entry: &Entry) -> Judged<()> {
        let Some(command) = &entry.command else { return Ok(()) };
        let Ok(envelope) = Envelope::decode_all(command.clone()) else { return Ok(()) };
        self.now = self.now.max(envelope.at);
        let identity = Identity::of(&envelope.body);
        let is_alive = self.is_alive(index, &envelope.body);
        let (Stamped::InSession { command, .. } | Stamped::Keyed { command, .. }, Some(identity)) =
            (envelope.body, identity)
        else {
            return Ok(());
        };
        let Some(reply) = &entry.reply else { return Ok(()) };
        let operation = self.operations.identified(&identity);
        let involved = operation.as_slice();
        if let Err(rejection) = reply
            && is_refusal(*rejection)
        {
            return match self.may_refuse(*rejection, is_alive, &identity, &command) {
                true => Ok(()),
                false => {
                    let what = format!("the command at {index} is refused wrongly: {rejection}");
                    Err(Contradiction::new(Flaw::ExactlyOnce, what, involved))
                }
            };
        }
        if !is_alive {
            let what = format!("the command at {index} was executed, and its session is no more");
            return Err(Contradiction::new(Flaw::ExactlyOnce, what, involved));
        }
        if let Some(first) = self.executed.get(&identity) {
            if first.reply == *reply {
                return Ok(());
            }
            let what = format!(
                "the command at {index} was executed at {} already, and answers otherwise",
                first.index
            );
            return Err(Contradiction::new(Flaw::ExactlyOnce, what, involved));
        }

        let mine = self.apply(index, &command, involved)?;
        if mine != *reply {
            let body = Body::Command(command);
            let what = format!(
                "the replicas answer the command at {index} with {}; the state machine, with every \
                 command executed once, answers {}",
                shown(self.describe, &body, reply),
                shown(self.describe, &body, &mine)
            );
            return Err(Contradiction::new(Flaw::ExactlyOnce, what, involved));
        }
        self.executed.insert(identity, Executed { index, command, reply: mine });
        Ok(())
    }

    /// Tells whether a command may be executed as far as its session goes.
    fn is_alive(&mut self, index: Index, body: &Stamped) -> bool {
        let now = self.now;
        match body {
            Stamped::Open => {
                self.sessions.insert(SessionId::from(index), (now, RequestId(1)));
                true
            }
            Stamped::InSession { session, low, .. } => match self.sessions.get_mut(session) {
                Some((heard, lowest)) if now.since(*heard) <= SESSION_LIFETIME => {
                    *heard = now;
                    *lowest = (*lowest).max(*low);
                    true
                }
                Some(_) | None => {
                    self.sessions.remove(session);
                    false
                }
            },
            Stamped::Keyed { .. } => true,
        }
    }

    /// Tells whether a command may be refused for this reason.
    fn may_refuse(
        &self,
        rejection: Rejection,
        is_alive: bool,
        identity: &Identity,
        command: &Bytes,
    ) -> bool {
        let other = self.executed.get(identity).is_some_and(|first| first.command != *command);
        let acknowledged = match identity {
            Identity::Request(session, request) => {
                self.sessions.get(session).is_some_and(|(_, lowest)| request < lowest)
            }
            Identity::Key(_) => false,
        };
        match rejection {
            Rejection::UnknownSession => !is_alive,
            Rejection::AlreadyAnswered => is_alive && acknowledged,
            Rejection::KeyReused => other,
            // How far a client is ahead is its own affair.
            Rejection::SessionWindow => true,
            // No client numbers two commands alike, and none sends what is no command.
            Rejection::RequestReused
            | Rejection::Malformed
            | Rejection::Panicked
            | Rejection::ReplyTooLarge => false,
        }
    }

    /// Applies a command to all three states, which must answer alike.
    fn apply(&mut self, index: Index, command: &[u8], involved: &[usize]) -> Judged<Reply> {
        let (group, now) = (self.group, self.now);
        let reply = execute(&mut self.state, Cx::new(group, index, now), command);
        let twin = execute(&mut self.twin, Cx::new(group, index, now), command);
        let restored = execute(&mut self.restored, Cx::new(group, index, now), command);
        let differs = if twin != reply {
            Some((COPY, twin))
        } else if restored != reply {
            Some((RESTORED, restored))
        } else {
            None
        };
        let Some((who, other)) = differs else { return Ok(reply) };
        let body = Body::Command(Bytes::copy_from_slice(command));
        let what = format!(
            "the state machine is not deterministic: it answers the command at {index} with {}, \
             and {who} answers {}",
            shown(self.describe, &body, &reply),
            shown(self.describe, &body, &other)
        );
        Err(Contradiction::new(Flaw::Divergence, what, involved))
    }

    /// Judges the queries that saw the state after `index`.
    fn queries(&mut self, index: Index) -> Judged<()> {
        for operation in self.queries.remove(&index).unwrap_or_default() {
            let Some(asked) = self.operations.get(operation) else { continue };
            let Body::Query(query) = &asked.body else { continue };
            let answer = match asked.ended() {
                Some(Ended::Ok(answer)) => Ok(answer.clone()),
                Some(Ended::Unanswered(rejection)) => Err(*rejection),
                Some(Ended::Applied(_) | Ended::NotApplied(_) | Ended::Unknown(_)) | None => {
                    continue;
                }
            };
            let mine = answer_of(&self.state, query);
            if mine != answer {
                let what = format!(
                    "a query that saw everything up to {index} answers {}; the state machine \
                     answers {}",
                    shown(self.describe, &asked.body, &answer),
                    shown(self.describe, &asked.body, &mine)
                );
                return Err(Contradiction::new(Flaw::Linearizability, what, &[operation]));
            }
            // What an encoding leaves out may show in answers alone.
            for (who, state) in [(COPY, &self.twin), (RESTORED, &self.restored)] {
                let other = answer_of(state, query);
                if other == mine {
                    continue;
                }
                let what = format!(
                    "the state machine is not deterministic: after the command at {index} it \
                     answers a query with {}, and {who} answers {}",
                    shown(self.describe, &asked.body, &mine),
                    shown(self.describe, &asked.body, &other)
                );
                return Err(Contradiction::new(Flaw::Divergence, what, &[operation]));
            }
        }
        Ok(())
    }

    /// Takes the third state through a snapshot.
    fn snapshot(&mut self) -> Judged<()> {
        let bytes = encoded(&self.restored);
        self.restored = rmp_serde::from_slice(&bytes).map_err(|error| {
            let what = format!("the state cannot be read back from a snapshot: {error}");
            Contradiction::new(Flaw::Divergence, what, &[])
        })?;
        Ok(())
    }

    /// Returns the state at the end, which all copies must share.
    fn end(&self) -> Judged<Bytes> {
        let state = encoded(&self.state);
        let who = if encoded(&self.twin) != state {
            COPY
        } else if encoded(&self.restored) != state {
            RESTORED
        } else {
            return Ok(state);
        };
        let what = format!(
            "the state machine is not deterministic: after the same commands {who} differs"
        );
        Err(Contradiction::new(Flaw::Divergence, what, &[]))
    }
}

/// Returns where a command was executed, and that it was once.
pub(super) fn place_of<'a>(
    operation: usize,
    asked: &Asked,
    executed: &'a BTreeMap<Identity, Executed>,
) -> Judged<Option<&'a Executed>> {
    let mine = |executed: &&Executed| executed.command == *asked.body.bytes();
    let places = asked.identities.iter().filter_map(|identity| executed.get(identity));
    let mut places = places.filter(mine);
    let (first, second) = (places.next(), places.next());
    if let (Some(first), Some(second)) = (first, second) {
        let what =
            format!("a command was executed twice, at {} and at {}", first.index, second.index);
        return Err(Contradiction::new(Flaw::ExactlyOnce, what, &[operation]));
    }
    Ok(first)
}

/// What callers were told of their commands is true.
fn outcomes<S: StateMachine>(
    operations: &Operations,
    executed: &BTreeMap<Identity, Executed>,
    describe: &dyn Workload<S>,
) -> Judged<()> {
    for (operation, asked) in operations.all().iter().enumerate() {
        if matches!(asked.body, Body::Query(_)) {
            continue;
        }
        let place = place_of(operation, asked, executed)?;
        let fail = |flaw, what: String| Err(Contradiction::new(flaw, what, &[operation]));
        let told = match asked.ended() {
            Some(Ended::Ok(reply)) => Some(Ok(reply.clone())),
            Some(Ended::Applied(rejection)) => Some(Err(*rejection)),
            Some(Ended::Unanswered(_) | Ended::NotApplied(_) | Ended::Unknown(_)) | None => None,
        };
        match (asked.ended(), place) {
            (_, Some(executed)) if told.as_ref().is_some_and(|told| *told != executed.reply) => {
                let told = told.unwrap_or(Err(Rejection::Malformed));
                let what = format!(
                    "a caller was told {}, and the command at {} answered {}",
                    shown(describe, &asked.body, &told),
                    executed.index,
                    shown(describe, &asked.body, &executed.reply)
                );
                return fail(Flaw::Outcome, what);
            }
            (_, None) if told.is_some() => {
                let what = "a command was acknowledged and is lost";
                return fail(Flaw::Durability, what.to_owned());
            }
            (Some(Ended::NotApplied(why)), Some(executed)) => {
                let what = format!(
                    "a caller was told that its command was not applied ({why}), and it was, at {}",
                    executed.index
                );
                return fail(Flaw::Outcome, what);
            }
            (
                Some(
                    Ended::Ok(_)
                    | Ended::Applied(_)
                    | Ended::Unanswered(_)
                    | Ended::NotApplied(_)
                    | Ended::Unknown(_),
                )
                | None,
                _,
            ) => {}
        }
    }
    Ok(())
}
