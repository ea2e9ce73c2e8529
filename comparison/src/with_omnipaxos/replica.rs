//! The loop that drives a replica: it takes all that waits, and then acts once for all of it.

use std::collections::VecDeque;

use omnipaxos::{
    ClusterConfig, OmniPaxos, ServerConfig,
    messages::{
        Message,
        sequence_paxos::{PaxosMessage, PaxosMsg},
    },
};
use tokio::sync::{mpsc, oneshot};

use super::{LEADER, REPLICAS, TICKS_A_HEARTBEAT, links::Links, log::Log, syncs::Syncs};
use crate::{
    Result,
    put::{Map, Put},
};

/// How many events are taken at once, at most: more than there are clients.
const EVENTS: usize = 8_192;

/// What comes to a replica.
#[derive(Debug)]
pub(super) enum Event {
    /// A client's put, and where its answer is waited for.
    Put(Put, oneshot::Sender<()>),
    /// What other replicas say.
    Messages(Vec<Message<Put>>),
    /// One more record is durable, with which the log has so many entries.
    Synced(usize),
    /// Time has passed.
    Tick,
}

/// A replica: the automaton, its map, and who waits for it.
pub(super) struct Replica {
    id: u64,
    paxos: OmniPaxos<Put, Log>,
    log: Log,
    map: Map,
    applied: usize,
    inbox: mpsc::UnboundedReceiver<Event>,
    links: Links,
    /// Where the log is durable.
    syncs: Option<Syncs>,
    proposals: Vec<Put>,
    /// Those whose puts are in the log and not applied, in the order of the log.
    answers: VecDeque<oneshot::Sender<()>>,
    outgoing: Vec<Message<Put>>,
}

impl Replica {
    /// Makes a replica; the one that is to lead begins to campaign.
    pub(super) fn new(
        id: u64,
        inbox: mpsc::UnboundedReceiver<Event>,
        links: Links,
        syncs: Option<Syncs>,
    ) -> Result<Self> {
        let cluster = ClusterConfig {
            configuration_id: 1,
            nodes: (1..=REPLICAS).collect(),
            flexible_quorum: None,
        };
        let server = ServerConfig {
            pid: id,
            election_tick_timeout: TICKS_A_HEARTBEAT,
            leader_priority: u32::from(id == LEADER),
            buffer_size: EVENTS,
            // Each time all that waits is one batch, which need not be waited for.
            batch_size: 1,
            ..ServerConfig::default()
        };
        let log = if syncs.is_some() { Log::recorded() } else { Log::default() };
        let mut paxos = cluster
            .build_for_server(server, log.clone())
            .map_err(|error| format!("omnipaxos refuses its configuration: {error:?}"))?;
        if id == LEADER {
            paxos.try_become_leader();
        }
        Ok(Self {
            id,
            paxos,
            log,
            map: Map::default(),
            applied: 0,
            inbox,
            links,
            syncs,
            proposals: Vec::new(),
            answers: VecDeque::new(),
            outgoing: Vec::new(),
        })
    }

    /// Runs for as long as anybody may send it something.
    pub(super) async fn run(mut self) {
        let mut events = Vec::with_capacity(EVENTS);
        while self.inbox.recv_many(&mut events, EVENTS).await > 0 {
            for event in events.drain(..) {
                self.take(event);
            }
            self.propose();
            self.write();
            self.send();
            self.apply();
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Put(put, answer) => {
                self.proposals.push(put);
                self.answers.push_back(answer);
            }
            Event::Messages(messages) => self.handle(messages),
            Event::Synced(entries) => {
                let syncs = self.syncs.as_mut().expect("who is told of syncs has them");
                syncs.synced(entries);
                let early = syncs.early();
                self.handle(early);
            }
            Event::Tick => self.paxos.tick(),
        }
    }

    fn handle(&mut self, messages: Vec<Message<Put>>) {
        for mut message in messages {
            if let Some(syncs) = &mut self.syncs {
                message = syncs.admit(message);
            }
            self.paxos.handle_incoming(message);
        }
    }

    /// Proposes all that waits as one batch. `append` takes one entry at a time; this is what a
    /// replica does that hands the leader a batch.
    fn propose(&mut self) {
        if self.proposals.is_empty() {
            return;
        }
        let proposals = std::mem::take(&mut self.proposals);
        self.proposals.reserve(proposals.len());
        self.paxos.handle_incoming(Message::SequencePaxos(PaxosMessage {
            from: self.id,
            to: self.id,
            msg: PaxosMsg::ProposalForward(proposals),
        }));
    }

    /// Has written what changed, where the log is durable.
    fn write(&mut self) {
        let Some(syncs) = &mut self.syncs else { return };
        let mut log = self.log.lock();
        if let Some(record) = log.take_record() {
            syncs.submit(record, log.entries.len());
        }
    }

    /// Sends what may go out.
    fn send(&mut self) {
        self.paxos.take_outgoing_messages(&mut self.outgoing);
        if let Some(syncs) = &mut self.syncs {
            while let Some(message) = syncs.next_due() {
                self.links.push(message);
            }
            let free = self.outgoing.drain(..).filter_map(|message| syncs.hold(message));
            free.for_each(|message| self.links.push(message));
        } else {
            self.outgoing.drain(..).for_each(|message| self.links.push(message));
        }
        self.links.flush();
    }

    /// Applies what is decided, and answers those who wait for it.
    fn apply(&mut self) {
        let decided = self.paxos.get_decided_idx();
        let log = self.log.lock();
        for put in &log.entries[self.applied..decided] {
            self.map.apply(put);
            if let Some(answer) = self.answers.pop_front() {
                // A client that is done does not wait for its last answer.
                let _ = answer.send(());
            }
        }
        self.applied = decided;
    }
}
