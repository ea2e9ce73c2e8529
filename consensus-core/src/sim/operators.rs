//! What operators ask of a cluster: that others lead, and that processes end.

use std::time::Duration;

use super::{
    Failure,
    drive::Ending,
    fault::Fault,
    protocol::{Judge, Simulated},
    script::Strike,
    world::World,
};
use crate::{
    client::{Admin, Answered, Ask, CallError},
    members::NodeId,
    process::Ticket,
    state_machine::StateMachine,
};

impl<P: Simulated, S: StateMachine> World<'_, P, S> {
    /// Asks a node, any of them, that some node lead, or any; now and then twice. Counted when it
    /// comes to that.
    pub(super) fn ask_for_transfer(&mut self, strike: Strike, node: NodeId) {
        let members: Vec<NodeId> = self.judge.membership().members().collect();
        let chosen = members.get(strike.pick as usize % members.len().max(1)).copied();
        let to = chosen.filter(|_| strike.pick >> 16 & 3 > 0);
        let asked = to.map_or_else(|| "somebody".to_owned(), |to| to.to_string());
        self.tell(strike, node, format!("is asked that {asked} lead"));
        for _ in 0..=(strike.pick >> 24 & 7) / 7 {
            self.administer(node, Admin::Transfer { to }, strike.lasts);
        }
    }

    /// Tells a process to end. It does when it has handed the lead over, or cannot.
    pub(super) fn retire(&mut self, strike: Strike, node: NodeId) -> Result<(), Failure> {
        self.tell(strike, node, "is told to end".to_owned());
        let host = self.host(node);
        let ticket = host.next_ticket();
        host.retiring = Some(ticket);
        self.step(node, P::resign(ticket))
    }

    /// Asks a node for what an operator wants.
    pub(super) fn administer(&mut self, node: NodeId, admin: Admin, patience: Duration) {
        let now = self.now;
        let host = self.host(node);
        let (local, wall) = (host.clock.now(now), host.clock.wall(now));
        // With too many calls in flight an operator gives up.
        if let Ok(call) = host.client.call(Ask::Admin(admin.clone()), (), wall, local + patience) {
            host.requests.insert(call, admin);
            self.pump(node);
        }
    }

    /// Notes how an operator's request ended.
    pub(super) fn administered(&mut self, admin: &Admin, result: &Result<Answered, CallError>) {
        match (admin, result) {
            (Admin::Transfer { .. }, Ok(_)) => self.counts.count(Fault::Transfer),
            (Admin::Transfer { .. }, Err(_)) => {}
            (Admin::Change(change), Ok(_)) => self.change_is_over(change, true),
            (Admin::Change(change), Err(CallError::Refused(_))) => {
                self.change_is_over(change, false);
            }
            (Admin::Change(_), Err(_)) => {}
        }
    }

    /// Counts a transfer that began as time passed: nobody asked for it.
    pub(super) fn count_unasked(&mut self, node: NodeId, before: Option<NodeId>) {
        if before.is_none() && self.host(node).handing_over().is_some() {
            let stalls = self.host(node).stalls_visibly();
            self.counts.count(if stalls { Fault::DiskStall } else { Fault::Takeover });
        }
    }

    /// Ends a process that was told to end, if this answers that; true if it does.
    pub(super) fn ends_with(&mut self, node: NodeId, ticket: Ticket) -> Result<bool, Failure> {
        if self.host(node).retiring != Some(ticket) {
            return Ok(false);
        }
        self.counts.count(Fault::Retirement);
        self.crash(node, Ending::Process)?;
        Ok(true)
    }
}
