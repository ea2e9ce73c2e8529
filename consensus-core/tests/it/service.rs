//! Clients on top of a cluster: what a node does between its callers and its replica, and between
//! nodes.
//!
//! Each node has one client, as a node's process has. Requests and answers travel between nodes on
//! links of their own that lose and reorder, but repeat nothing, as connections do. An answer to
//! what a process had asked that died meanwhile reaches the one that took its place.
//! [`crate::history`] judges what callers were told.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use consensus_core::{
    NodeId, Ticket, WallTime,
    client::{Ask, Attempt, CallId, Client, ClientEffect, Failure, Patience, Request, Response},
    codec::{Decode, Encode},
};

use crate::{
    bug,
    cluster::{Cluster, Event},
    history::History,
};

/// A cluster with a client on each node.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) cluster: Cluster,
    pub(crate) history: History,
    hosts: BTreeMap<NodeId, Host>,
    frames: BTreeMap<(NodeId, NodeId), VecDeque<Frame>>,
    asked: BTreeMap<Ticket, Asked>,
    /// Time by the wall, which all nodes share here.
    wall: Duration,
}

/// The part of a node that callers see, for one life of its process.
#[derive(Debug)]
struct Host {
    life: u64,
    client: Client,
    calls: BTreeMap<CallId, usize>,
}

/// Who waits for the answer to a ticket.
#[derive(Clone, Copy, Debug)]
struct Asked {
    server: NodeId,
    client: NodeId,
    attempt: Attempt,
}

/// What travels between a client's node and a leader's.
#[derive(Clone, Debug)]
enum Frame {
    Request { attempt: Attempt, request: Bytes },
    Response(Bytes),
}

impl Service {
    pub(crate) fn new(cluster: Cluster) -> Self {
        let hosts = cluster.nodes().map(|(node, _)| (node, Host::new(0))).collect();
        Self {
            cluster,
            history: History::default(),
            hosts,
            frames: BTreeMap::new(),
            asked: BTreeMap::new(),
            wall: Duration::ZERO,
        }
    }

    fn host(&mut self, node: NodeId) -> &mut Host {
        self.hosts.get_mut(&node).expect("every node has a host")
    }

    /// Lets time pass everywhere.
    pub(crate) fn advance(&mut self, passed: Duration) {
        self.wall += passed;
    }

    fn wall(&self) -> WallTime {
        WallTime(self.wall.as_millis() as u64)
    }

    /// Starts a call on a node that is up.
    pub(crate) fn call(
        &mut self,
        node: NodeId,
        operation: Option<&str>,
        ask: Ask,
        patience: Duration,
    ) -> usize {
        let (now, wall) = (self.cluster.node(node).now(), self.wall());
        let at = self.history.begin(operation);
        match self.host(node).client.call(ask, wall, now + patience) {
            Ok(call) => {
                self.host(node).calls.insert(call, at);
            }
            Err(error) => self.history.end(at, Err(error)),
        }
        at
    }

    /// Lets a node's client look at the clock and send what is ready, and carries out what that
    /// leads to.
    pub(crate) fn pump(&mut self, node: NodeId) {
        let (now, wall) = (self.cluster.node(node).now(), self.wall());
        let mut out = Vec::new();
        let client = &mut self.host(node).client;
        client.tick(now, &mut out);
        client.flush(now, wall, &mut out);
        out.into_iter().for_each(|effect| self.carry_out(node, effect));
        self.settle();
    }

    /// Hands what the cluster has answered to the clients that asked.
    pub(crate) fn settle(&mut self) {
        while let Some(event) = self.cluster.next_event() {
            let (ticket, result) = match event {
                Event::Routed { node, leader } => {
                    self.host(node).client.route(leader);
                    continue;
                }
                Event::Replied { ticket, reply: result }
                | Event::Answered { ticket, answer: result } => {
                    (ticket, result.map_err(Failure::Rejected))
                }
                Event::Refused { ticket, error } => (ticket, Err(Failure::Refused(error))),
            };
            let asked = self.asked.remove(&ticket).expect("whoever asked is known");
            let response = Response { attempt: asked.attempt, result };
            let mut bytes = Vec::new();
            response.encode(&mut bytes);
            self.send(asked.server, asked.client, Frame::Response(bytes.into()));
        }
    }

    fn carry_out(&mut self, node: NodeId, effect: ClientEffect) {
        match effect {
            ClientEffect::Request { to, attempt, request, .. } => {
                let mut bytes = Vec::new();
                request.encode(&mut bytes);
                self.send(node, to, Frame::Request { attempt, request: bytes.into() });
            }
            ClientEffect::Finish { call, result } => {
                let at = self.host(node).calls.remove(&call).expect("a call ends once");
                self.history.end(at, result);
            }
        }
    }

    fn send(&mut self, from: NodeId, to: NodeId, frame: Frame) {
        if from == to {
            self.receive(from, to, frame);
        } else if !self.cluster.is_cut(from, to) {
            self.frames.entry((from, to)).or_default().push_back(frame);
        }
    }

    fn receive(&mut self, from: NodeId, to: NodeId, frame: Frame) {
        assert!(self.cluster.node(to).up, "what is meant for a node that is down waits");
        match frame {
            Frame::Request { attempt, request } => {
                let request = Request::decode_all(request).expect("requests survive the wire");
                let ticket = match request {
                    Request::Propose(envelope) => self.cluster.submit(to, envelope),
                    Request::Query(query) => self.cluster.read(to, query),
                };
                self.asked.insert(ticket, Asked { server: to, client: from, attempt });
            }
            Frame::Response(response) => {
                let now = self.cluster.node(to).now();
                let response = Response::decode_all(response).expect("answers survive the wire");
                let mut out = Vec::new();
                let Response { attempt, result } = response;
                self.host(to).client.answered(now, attempt, result, &mut out);
                out.into_iter().for_each(|effect| self.carry_out(to, effect));
            }
        }
        self.settle();
    }

    /// Returns the links that have frames on them, with how many.
    pub(crate) fn busy_links(&self) -> Vec<((NodeId, NodeId), usize)> {
        let busy = self.frames.iter().filter(|(_, frames)| !frames.is_empty());
        busy.map(|(link, frames)| (*link, frames.len())).collect()
    }

    /// Tells how many frames are on a link.
    pub(crate) fn in_flight(&self, from: NodeId, to: NodeId) -> usize {
        self.frames.get(&(from, to)).map_or(0, VecDeque::len)
    }

    /// Delivers the frame at position `at` of a link.
    pub(crate) fn deliver(&mut self, from: NodeId, to: NodeId, at: usize) {
        let frame = self.discard(from, to, at);
        self.receive(from, to, frame);
    }

    /// Loses the frame at position `at` of a link.
    pub(crate) fn lose(&mut self, from: NodeId, to: NodeId, at: usize) {
        self.discard(from, to, at);
    }

    fn discard(&mut self, from: NodeId, to: NodeId, at: usize) -> Frame {
        let frame = self.frames.get_mut(&(from, to)).and_then(|link| link.remove(at));
        frame.expect("the test names a frame that is in flight")
    }

    /// Stops a node; its callers learn nothing.
    pub(crate) fn crash(&mut self, node: NodeId, kept: usize) {
        self.cluster.crash(node, kept);
        self.asked.retain(|_, asked| asked.server != node);
        let life = self.host(node).life + 1;
        self.hosts.insert(node, Host::new(life));
    }

    /// Tells how many calls wait for an answer.
    pub(crate) fn waiting(&self) -> usize {
        self.hosts.values().map(|host| host.calls.len()).sum()
    }
}

impl Host {
    fn new(life: u64) -> Self {
        let patience =
            Patience { retry_after: Duration::from_millis(200), pause: Duration::from_millis(20) };
        // Each life of a process numbers its attempts where no other does.
        let client = bug::client(Client::new(patience));
        let client = client.numbering_from(Attempt(1 | life << 32));
        Self { life, client, calls: BTreeMap::new() }
    }
}
