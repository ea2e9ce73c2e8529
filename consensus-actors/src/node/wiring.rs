//! How a group's actors are wired to the node: where effects go, and how frames, ticks, disk and
//! replica reach the seat.

use std::sync::Arc;

use actix::Addr;
use consensus_core::{
    GroupId, Index, Input, NodeId, Process, Read, Status, Submission, Ticket, Token,
    client::{Admin, Attempted, Response},
    codec::{Decode, DecodeError},
    snapshot::{Order, Report},
};
use tokio::sync::oneshot;

use super::Board;
use crate::{
    archive::{Archive, Errand, Reports},
    clock::Ticked,
    journal::{Durability, Records},
    replica::{Decisions, Origin, Proposer, Replica, Requests, Responses, Tick},
    replicated::Replicated,
    role::{Decision, Hosted, Outlets, Serving},
    seat::{Seat, Seating},
    transport::{Arena, Inlet, Item, Kind, Links, Roster, send_all},
};

impl<C: Seating<Process: Serving>> Proposer for C {
    fn submit(&self, submissions: Vec<Submission>) {
        self.send(vec![Input::Submit(submissions)]);
    }

    fn admin(&self, requests: Vec<(Ticket, Admin)>) {
        self.send(
            requests.into_iter().map(|(ticket, admin)| C::Process::admin(ticket, admin)).collect(),
        );
    }

    fn resign(&self, ticket: Ticket) {
        self.send(vec![C::Process::resign(ticket)]);
    }

    fn read(&self, reads: Vec<Read>) {
        self.send(vec![C::Process::read(reads)]);
    }

    fn inspect(&self, answer: oneshot::Sender<Vec<(NodeId, Index)>>) {
        Seating::inspect(self, answer);
    }

    fn behind(&self, behind: bool) {
        self.send(vec![C::Process::behind(behind)]);
    }

    fn take_snapshot(&self) {
        self.send(vec![C::Process::take_snapshot()]);
    }
}

impl<C: Seating<Process: Serving>> Reports for C {
    fn report(&self, report: Report) {
        self.send(vec![Input::Snapshot(report)]);
    }
}

impl<P: Hosted> Durability for Seat<P> {
    fn persisted(&self, upto: Token) {
        self.send(vec![Input::Persisted { upto }]);
    }

    fn storage_full(&self, full: bool) {
        if let Some(input) = P::storage_full(full) {
            self.send(vec![input]);
        }
    }

    fn make_room(&self) {
        self.send(vec![P::make_room()]);
    }
}

/// Where the effects of a group's roles go, but for their records.
#[derive(Clone)]
pub(super) struct Ways {
    pub(super) group: GroupId,
    pub(super) archive: Addr<Archive>,
    pub(super) links: Links,
    pub(super) replica: actix::Recipient<Decisions>,
}

impl Ways {
    pub(super) fn decide(&self, decisions: Vec<Decision>) {
        self.replica.do_send(Decisions(decisions));
    }

    pub(super) fn order(&self, order: Order) {
        self.archive.do_send(Errand(self.group, order));
    }
}

/// Where it is shown how a group stands.
pub(super) struct Showcase {
    pub(super) group: GroupId,
    pub(super) board: Arc<Board>,
    pub(super) roster: Roster,
    pub(super) last: Option<Status>,
}

impl Showcase {
    pub(super) fn publish(&mut self, status: Status) {
        if self.last.as_ref() == Some(&status) {
            return;
        }
        if self.last.as_ref().is_none_or(|last| last.membership != status.membership) {
            self.roster.publish(self.group, &status.membership);
        }
        self.board.set_status(status.clone());
        self.last = Some(status);
    }
}

/// Where all effects of a group's role go.
pub(super) struct GroupOutlets {
    pub(super) ways: Ways,
    pub(super) records: Records,
    pub(super) showcase: Showcase,
    pub(super) arena: Arena,
}

impl<P: Hosted> Outlets<P> for GroupOutlets {
    fn persist(&mut self, records: Vec<(Token, P::Record)>, awaited: bool) -> Option<Token> {
        self.records.append(self.ways.group, records, awaited)
    }

    fn send(&mut self, messages: Vec<(consensus_core::Address, P::Message)>) {
        send_all(&self.ways.links, &mut self.arena, self.ways.group, messages);
    }

    fn decide(&mut self, decisions: Vec<Decision>) {
        self.ways.decide(decisions);
    }

    fn order(&mut self, order: Order) {
        self.ways.order(order);
    }

    fn compact(&mut self, before: Token) {
        self.records.compact(self.ways.group, before);
    }

    fn publish(&mut self, status: Status) {
        self.showcase.publish(status);
    }
}

/// How frames and ticks reach a group.
pub(super) struct GroupInlet<C, S: Replicated> {
    pub(super) seat: Arc<C>,
    pub(super) replica: Addr<Replica<S>>,
    pub(super) board: Arc<Board>,
}

impl<C: Seating<Process: Serving>, S: Replicated> Inlet for GroupInlet<C, S> {
    fn deliver(&self, from: NodeId, items: Vec<Item>) -> Result<(), DecodeError> {
        let (mut inputs, mut requests, mut responses) = (Vec::new(), Vec::new(), Vec::new());
        for item in items {
            match item.kind {
                Kind::Message => {
                    let message = <C::Process as Process>::Message::decode_all(item.bytes)?;
                    inputs.push(Input::Receive { from, message });
                }
                Kind::Request => requests.push(Attempted::decode_all(item.bytes)?),
                Kind::Response => responses.push(Response::decode_all(item.bytes)?),
                Kind::Whereabouts => return Err(DecodeError::Invalid("item of a peer")),
            }
        }
        if !inputs.is_empty() {
            self.seat.send(inputs);
        }
        if !requests.is_empty() {
            self.replica.do_send(Requests(Origin::Peer(from), requests));
        }
        if !responses.is_empty() {
            self.replica.do_send(Responses(responses));
        }
        Ok(())
    }

    fn reach(&self, peer: NodeId, present: bool) {
        if let Some(input) = C::Process::reach(peer, present) {
            self.seat.send(vec![input]);
        }
    }
}

impl<C: Seating, S: Replicated> Ticked for GroupInlet<C, S> {
    fn tick(&self) {
        if !self.seat.is_at_rest() {
            self.seat.send(vec![Input::Tick]);
        }
        if self.board.has_calls() {
            self.replica.do_send(Tick);
        }
    }
}
