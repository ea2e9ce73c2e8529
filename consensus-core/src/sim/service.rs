//! What stands between callers and the protocol: clients, requests between nodes, and replicas.

use std::time::Duration;

use bytes::Bytes;

use super::{
    Failure, Flaw,
    event::Event,
    host::{Asker, Decision},
    operations::Identity,
    protocol::Simulated,
    served::Served,
    trace::{What, nanoseconds},
    witness,
    workload::Body,
    world::{Entry, World},
};
use crate::{
    client::{
        Admin, Answered, Attempt, CallId, ClientEffect, Failure as Refusal, Request, Response,
    },
    codec::{Decode, Encode},
    log::{Decided, Index},
    members::NodeId,
    process::{Input, Submission, Ticket},
    read::{Read, ReadLevel},
    replica::{Body as Stamped, Envelope, Reply},
    state_machine::StateMachine,
    time::Time,
};

impl<P: Simulated, S: StateMachine> World<'_, P, S> {
    // Clients.

    /// Lets a node's client look at the clock and send what is ready.
    pub(super) fn pump(&mut self, node: NodeId) {
        let now = self.now;
        let host = self.host(node);
        let (local, wall) = (host.clock.now(now), host.clock.wall(now));
        let mut out = Vec::new();
        host.client.tick(local, &mut out);
        host.client.flush(local, wall, &mut out);
        self.carry_out_calls(node, out);
    }

    fn carry_out_calls(&mut self, node: NodeId, effects: Vec<ClientEffect>) {
        for effect in effects {
            match effect {
                ClientEffect::Request { to, attempt, call, request } => {
                    self.identify(node, call, &request);
                    let bytes = Bytes::from(request.encoded());
                    self.travel(node, to, Event::Request { from: node, to, attempt, bytes });
                }
                ClientEffect::Finish { call, result, .. } => {
                    let host = self.host(node);
                    if let Some(operation) = host.calls.remove(&call) {
                        self.end(operation, result);
                    } else if let Some(admin) = host.requests.remove(&call) {
                        self.administered(&admin, &result);
                    }
                }
            }
        }
    }

    fn identify(&mut self, node: NodeId, call: CallId, request: &Request) {
        let Request::Propose(envelope) = request else { return };
        let Some(operation) = self.host(node).calls.get(&call).copied() else { return };
        let envelope = Envelope::decode_all(envelope.clone()).ok();
        if let Some(identity) = envelope.and_then(|envelope| Identity::of(&envelope.body)) {
            self.operations.identify(operation, identity);
        }
    }

    /// Lets something travel between a client's node and a leader's: it may be lost or late, but
    /// connections repeat nothing, and clients rely on that.
    fn travel(&mut self, from: NodeId, to: NodeId, event: Event) {
        if let Some(at) = self.send(from, to) {
            self.schedule(at, event);
        }
    }

    pub(super) fn on_request(
        &mut self,
        from: NodeId,
        to: NodeId,
        attempt: Attempt,
        bytes: Bytes,
    ) -> Result<(), Failure> {
        let now = self.now;
        let host = self.host(to);
        if !host.is_up() || host.adversary.is_some() {
            return Ok(());
        }
        let wall = host.clock.wall(now);
        let ticket = host.next_ticket();
        let request = Request::decode_all(bytes)
            .map_err(|error| self.broken(Flaw::Invariant, format!("a request: {error}")))?;
        let query = match request {
            Request::Propose(command) => {
                let command = match from == to {
                    true => command,
                    false => Envelope::no_later_than(command, wall),
                };
                self.host(to).submissions.push(Submission { ticket, command });
                None
            }
            Request::Query { query, level } => {
                self.host(to).reads.push(Read { ticket, level });
                Some((query, level))
            }
            Request::Admin(admin) => {
                self.host(to).admins.push((ticket, admin));
                None
            }
        };
        let host = self.host(to);
        host.asked.insert(ticket, Asker { node: from, attempt, query });
        if !host.gathering {
            // What comes within a moment goes in as one.
            host.gathering = true;
            let (life, longest) = (host.life, Duration::from_micros(200));
            let pause = host.random.between(Duration::ZERO, longest);
            self.schedule_in(pause, Event::Gather(to, life));
        }
        Ok(())
    }

    pub(super) fn on_gather(&mut self, node: NodeId, life: u64) -> Result<(), Failure> {
        let host = self.host(node);
        if !host.lives(life) {
            return Ok(());
        }
        host.gathering = false;
        let (submissions, reads) =
            (std::mem::take(&mut host.submissions), std::mem::take(&mut host.reads));
        let admins = std::mem::take(&mut host.admins);
        if !submissions.is_empty() {
            self.step(node, Input::Submit(submissions))?;
        }
        if !reads.is_empty() && self.host(node).life == life {
            self.step(node, P::read(reads))?;
        }
        for (ticket, admin) in admins {
            if self.host(node).life == life {
                self.step(node, P::admin(ticket, admin))?;
            }
        }
        Ok(())
    }

    pub(super) fn on_response(
        &mut self,
        to: NodeId,
        bytes: Bytes,
        seen: Option<Index>,
    ) -> Result<(), Failure> {
        if !self.host(to).is_up() {
            return Ok(());
        }
        let response = Response::decode_all(bytes)
            .map_err(|error| self.broken(Flaw::Invariant, format!("an answer: {error}")))?;
        self.answered(to, response, seen);
        self.pump(to);
        Ok(())
    }

    fn answered(&mut self, node: NodeId, response: Response, seen: Option<Index>) {
        let now = self.now;
        let host = self.host(node);
        let local = host.clock.now(now);
        let mut out = Vec::new();
        host.client.answered(local, response.attempt, response.result, &mut out);
        for effect in &out {
            if let ClientEffect::Finish { call, .. } = effect
                && let Some(operation) = self.host(node).calls.get(call).copied()
            {
                self.operations.saw(operation, seen);
            }
        }
        self.carry_out_calls(node, out);
    }

    /// Sends the answer to whoever asked.
    fn respond(
        &mut self,
        node: NodeId,
        ticket: Ticket,
        result: Result<Answered, Refusal>,
        seen: Option<Index>,
    ) {
        let Some(asker) = self.host(node).asked.remove(&ticket) else { return };
        let response = Response { attempt: asker.attempt, result };
        if asker.node == node {
            self.answered(node, response, seen);
            return;
        }
        let bytes = Bytes::from(response.encoded());
        let to = asker.node;
        self.travel(node, to, Event::Response { from: node, to, bytes, seen });
    }

    // Replicas.

    pub(super) fn on_apply(&mut self, node: NodeId, life: u64) -> Result<(), Failure> {
        let host = self.host(node);
        if !host.lives(life) {
            return Ok(());
        }
        host.applying = false;
        for decision in std::mem::take(&mut host.inbox) {
            match decision {
                Decision::Apply(decided) => self.apply(node, &decided)?,
                Decision::ReadReady(ticket, at) => {
                    self.host(node).waiting.insert((at, ticket));
                }
                Decision::Answer(ticket, _) | Decision::Done(ticket)
                    if self.ends_with(node, ticket)? =>
                {
                    return Ok(());
                }
                Decision::Answer(ticket, error) => {
                    self.respond(node, ticket, Err(Refusal::Refused(error)), None);
                }
                Decision::Done(ticket) => {
                    let leader = self.host(node).client.leader();
                    self.respond(node, ticket, Ok(Admin::reply(leader).into()), None);
                }
                Decision::Route(leader) => self.host(node).client.route(leader),
                Decision::Take(cut) => self.take_snapshot(node, cut),
                Decision::Restore(snapshot) => {
                    self.restore(node, snapshot)?;
                    if !self.host(node).lives(life) {
                        return Ok(());
                    }
                }
            }
            self.answer_reads(node);
        }
        self.pump(node);
        Ok(())
    }

    fn apply(&mut self, node: NodeId, decided: &Decided) -> Result<(), Failure> {
        let reply = self.host(node).replica.apply(decided);
        self.progressed = self.now;
        let index = decided.index;
        let digest = decided.command.as_deref().map_or(0, twox_hash::XxHash3_64::oneshot);
        self.note(Some(node), [14, index.0, digest], || What::Apply {
            index: index.0,
            text: described(decided),
        });
        if self.host(node).is_judged() {
            self.agree(node, decided, reply.as_ref())?;
        }
        if let (Some(ticket), Some(reply)) = (decided.ticket, reply) {
            let index = Some(decided.index);
            let answered = reply.map(|reply| Answered { reply, index });
            self.respond(node, ticket, answered.map_err(Refusal::Rejected), None);
        }
        Ok(())
    }

    /// All replicas decide the same, and answer the same.
    fn agree(
        &mut self,
        node: NodeId,
        decided: &Decided,
        reply: Option<&Reply>,
    ) -> Result<(), Failure> {
        let place = (decided.index.0 as usize).saturating_sub(1);
        if place == self.decided.len() {
            let (command, reply) = (decided.command.clone(), reply.cloned());
            self.decided.push(Entry { command, reply });
            return Ok(());
        }
        let known = self.decided.get(place);
        if known.map(|entry| &entry.command) != Some(&decided.command) {
            let what = format!("{node} applies another command at {}", decided.index);
            return Err(self.broken(Flaw::Invariant, what));
        }
        if known.and_then(|entry| entry.reply.as_ref()) != reply {
            let (index, origin) = (decided.index, self.host(node).origin());
            let known = self.decided.get(place);
            let what =
                format!("{node}{origin} answers the command at {index} otherwise than others");
            let mut failure = self.broken(Flaw::Divergence, what);
            let known = known.and_then(|entry| entry.reply.as_ref());
            failure.evidence = self.replies(decided, &node.to_string(), [reply, known]);
            return Err(failure);
        }
        Ok(())
    }

    /// Tells what a command is, and how `who` and the others answer it.
    fn replies(&self, decided: &Decided, who: &str, replies: [Option<&Reply>; 2]) -> Vec<String> {
        let envelope = decided.command.clone().map(Envelope::decode_all);
        let Some(Ok(Envelope { body, .. })) = envelope else { return Vec::new() };
        let operation =
            Identity::of(&body).and_then(|identity| self.operations.identified(&identity));
        let (Stamped::InSession { command, .. } | Stamped::Keyed { command, .. }) = body else {
            return Vec::new();
        };
        let body = Body::Command(command);
        let shown = |(who, reply): (&str, Option<&Reply>)| {
            let text = reply.map(|reply| witness::shown(self.describe, &body, reply));
            format!("{who}: {}", text.unwrap_or_else(|| "no reply".to_owned()))
        };
        let told = operation.map(|operation| self.told(operation));
        told.into_iter().chain([who, "others"].into_iter().zip(replies).map(shown)).collect()
    }

    fn answer_reads(&mut self, node: NodeId) {
        loop {
            let host = self.host(node);
            let applied = host.replica.applied();
            let Some((at, ticket)) = host.waiting.first().copied() else { return };
            if at > applied {
                return;
            }
            host.waiting.remove(&(at, ticket));
            let query = host.asked.get(&ticket).and_then(|asker| asker.query.clone());
            let Some((query, level)) = query else { continue };
            let leads = host.leads();
            let answer = host.replica.query(&query);
            match level {
                ReadLevel::Linearizable if leads => {}
                ReadLevel::Linearizable => self.reads.count(Served::Follower),
                ReadLevel::Lease => self.reads.count(Served::Lease),
                ReadLevel::Stale { .. } => self.reads.count(Served::Stale),
                ReadLevel::After { .. } => self.reads.count(Served::After),
            }
            let answered = answer.map(|reply| Answered { reply, index: Some(applied) });
            self.respond(node, ticket, answered.map_err(Refusal::Rejected), Some(applied));
        }
    }
}

fn described(decided: &Decided) -> String {
    let Some(command) = &decided.command else { return "an entry of the protocol".to_owned() };
    let Ok(envelope) = Envelope::decode_all(command.clone()) else {
        return format!("{} bytes", command.len());
    };
    match Identity::of(&envelope.body) {
        None => "opens a session".to_owned(),
        Some(Identity::Request(session, request)) => {
            format!("request {} of session {}", request.0, session.0)
        }
        Some(Identity::Key(key)) => format!("key {}", String::from_utf8_lossy(&key)),
    }
}

/// Returns a moment in milliseconds with a fraction, for people.
pub(super) fn milliseconds(at: Time) -> String {
    let microseconds = nanoseconds(at) / 1_000;
    format!("{}.{:03} ms", microseconds / 1_000, microseconds % 1_000)
}
