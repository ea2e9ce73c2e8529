//! Callers: what they ask nodes for, and how that ends for them.

use super::{
    Failure,
    event::Event,
    operations::{Ended, rejection},
    protocol::Simulated,
    script::Wish,
    trace::What,
    workload::Body,
    world::World,
};
use crate::{
    client::{Answered, Ask, CallError},
    error::Outcome,
    members::NodeId,
    read::ReadLevel,
    state_machine::StateMachine,
    time::Time,
};

impl<P: Simulated, S: StateMachine> World<'_, P, S> {
    pub(super) fn on_call(&mut self, call: usize) -> Result<(), Failure> {
        let Some(planned) = self.script.calls.get(call).cloned() else { return Ok(()) };
        let awake = self.awake();
        let Some(node) = awake.get(planned.pick as usize % awake.len().max(1)).copied() else {
            // Nobody is there to be asked.
            let pause = self.script.temper.election_timeout / 4;
            self.schedule_in(pause, Event::Call(call));
            return Ok(());
        };
        let deadline = self.now + planned.patience;
        let (level, after) = self.level(planned.wish);
        let operation = self.operations.begin(self.now, planned.body, planned.key, deadline);
        self.operations.promise(operation, level, after);
        if self.script.temper.leases.clocks_betray() {
            self.operations.mistrust(operation);
        }
        self.begin(node, operation);
        self.ask(node, operation);
        Ok(())
    }

    /// Returns what a query is promised, and the operation whose token it comes after if it does.
    fn level(&self, wish: Wish) -> (ReadLevel, Option<usize>) {
        match wish {
            Wish::Level(level) => (level, None),
            Wish::AfterCommand(pick) => match self.operations.token(pick) {
                Some((operation, index)) => (ReadLevel::After { index }, Some(operation)),
                None => (ReadLevel::Linearizable, None),
            },
        }
    }

    fn awake(&self) -> Vec<NodeId> {
        let awake = self.hosts.iter().filter(|(node, host)| host.is_awake() && self.serves(**node));
        awake.map(|(node, _)| *node).collect()
    }

    /// Notes that a caller asks a node.
    fn begin(&mut self, node: NodeId, operation: usize) {
        let process = self.operations.get(operation).map_or(0, |asked| asked.process);
        let workload = self.describe;
        let text = self.operations.get(operation).map(|asked| (asked.body.clone(), asked.level));
        self.note(Some(node), [12, operation as u64, process], || What::Call {
            operation: operation as u64,
            process,
            text: text.map_or_else(String::new, |(body, level)| {
                workload.describe(&body) + &promised(&body, level)
            }),
        });
    }

    /// Asks a node for an operation.
    fn ask(&mut self, node: NodeId, operation: usize) {
        let Some(asked) = self.operations.get(operation) else { return };
        let now = self.now;
        let mut patience = asked.deadline.since(now);
        let ask = match (&asked.body, &asked.key) {
            (Body::Query(query), _) => Ask::Query { query: query.clone(), level: asked.level },
            (Body::Command(command), None) => Ask::Command(command.clone()),
            (Body::Command(command), Some(key)) => {
                // Who has a key may ask another node.
                patience = patience / 2 + self.script.temper.election_timeout / 8;
                Ask::Keyed { key: key.clone(), command: command.clone() }
            }
        };
        let host = self.host(node);
        let (local, wall) = (host.clock.now(now), host.clock.wall(now));
        match host.client.call(ask, (), wall, local + patience) {
            Ok(call) => {
                host.calls.insert(call, operation);
                self.pump(node);
            }
            Err((error, ())) => self.end(operation, Err(error)),
        }
    }

    /// Ends an operation, or asks another node where its key allows that.
    pub(super) fn end(&mut self, operation: usize, result: Result<Answered, CallError>) {
        let ended = match result {
            Ok(Answered { reply, index }) => {
                self.operations.stands_at(operation, index);
                Ended::Ok(reply)
            }
            Err(error) => match error.outcome() {
                Outcome::Applied => Ended::Applied(rejection(&error)),
                Outcome::NotApplied if matches!(error, CallError::Unanswered(_)) => {
                    Ended::Unanswered(rejection(&error))
                }
                Outcome::NotApplied => match self.operations.get(operation) {
                    Some(asked) if asked.is_doubtful => Ended::Unknown(error.to_string()),
                    Some(_) | None => Ended::NotApplied(error.to_string()),
                },
                Outcome::Unknown => return self.doubt(operation, error.to_string()),
            },
        };
        self.finish(operation, ended);
    }

    fn finish(&mut self, operation: usize, ended: Ended) {
        let workload = self.describe;
        let body = self.operations.get(operation).map(|asked| asked.body.clone());
        let (code, digest) = match &ended {
            Ended::Ok(reply) => (0, twox_hash::XxHash3_64::oneshot(reply)),
            Ended::Applied(_) | Ended::Unanswered(_) => (1, 0),
            Ended::NotApplied(_) => (2, 0),
            Ended::Unknown(_) => (3, 0),
        };
        let described = ended.clone();
        self.note(None, [13, operation as u64, code ^ digest], || What::Return {
            operation: operation as u64,
            text: match (described, body) {
                (Ended::Ok(reply), Some(body)) => workload.describe_reply(&body, &reply),
                (Ended::Ok(_), None) => String::new(),
                (Ended::Applied(why), _) => format!("applied, no reply: {why}"),
                (Ended::Unanswered(why), _) => format!("no answer: {why}"),
                (Ended::NotApplied(why), _) => format!("not applied: {why}"),
                (Ended::Unknown(why), _) => format!("unknown: {why}"),
            },
        });
        let probed = self.operations.take_probe(operation);
        let serves = matches!(ended, Ended::Ok(_) | Ended::Applied(_) | Ended::Unanswered(_));
        let asked =
            self.operations.get(operation).map(|asked| (asked.body.clone(), asked.deadline));
        self.operations.end(operation, self.now, ended);
        // A session may have expired meanwhile, or too many wait: whoever asks again is served.
        if let (Some(node), Some((body, deadline)), false) = (probed, asked, serves) {
            self.operations.will_retry(node);
            let pause = self.script.temper.election_timeout / 4;
            self.schedule_in(pause, Event::Try(node, body, deadline));
        }
    }

    /// The node that was asked ended, and nobody knows what came of it.
    pub(super) fn interrupt(&mut self, operation: usize) {
        self.doubt(operation, "the node that was asked is gone".to_owned());
    }

    fn doubt(&mut self, operation: usize, why: String) {
        self.operations.doubt(operation);
        let Some(asked) = self.operations.get(operation) else { return };
        let again = asked.deadline > self.now && asked.returned.is_none();
        let (keyed, is_query) = (asked.key.is_some(), matches!(asked.body, Body::Query(_)));
        let awake = self.awake();
        let next = awake.get(operation % awake.len().max(1)).copied();
        match next {
            Some(node) if again && (keyed || is_query) => self.ask(node, operation),
            Some(_) | None => self.finish(operation, Ended::Unknown(why)),
        }
    }

    /// Asks every node for something, once everything is mended.
    pub(super) fn probe(&mut self) {
        let deadline = self.now + self.service_within();
        for node in self.good() {
            for body in self.script.probes.clone() {
                self.try_node(node, body, deadline);
            }
        }
    }

    pub(super) fn on_try(&mut self, node: NodeId, body: Body, deadline: Time) {
        // Too late, it stays unanswered, and the run ends by that.
        if deadline <= self.now {
            return;
        }
        if !self.host(node).is_up() && self.serves(node) {
            let pause = self.script.temper.election_timeout / 4;
            self.schedule_in(pause, Event::Try(node, body, deadline));
            return;
        }
        self.operations.retries(node);
        // Meanwhile it may have been removed, or found what a fault had done to its disk.
        if self.serves(node) {
            self.try_node(node, body, deadline);
        }
    }

    /// Asks a node for something that it must answer.
    fn try_node(&mut self, node: NodeId, body: Body, deadline: Time) {
        let operation = self.operations.begin(self.now, body, None, deadline);
        self.begin(node, operation);
        self.operations.add_probe(node, operation);
        self.ask(node, operation);
    }
}

/// Tells of a query what it is promised, if that is less than linearizability.
pub(super) fn promised(body: &Body, level: ReadLevel) -> String {
    match level {
        _ if matches!(body, Body::Command(_)) => String::new(),
        ReadLevel::Linearizable => String::new(),
        ReadLevel::Lease => " (from a lease)".to_owned(),
        ReadLevel::Stale { max_lag } => format!(" (at most {max_lag:?} old)"),
        ReadLevel::After { index } => format!(" (after {index})"),
    }
}
