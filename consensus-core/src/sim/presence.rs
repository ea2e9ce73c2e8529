//! What hosts tell their processes of their surroundings: who is there, by signs of life between
//! nodes, and how far the replica is behind.

use std::collections::BTreeMap;

use super::{Failure, event::Event, fault::Fault, protocol::Simulated, world::World};
use crate::{members::NodeId, state_machine::StateMachine, time::Time};

/// What a host knows of the presence of others.
#[derive(Clone, Debug, Default)]
pub(super) struct Presence {
    /// When the next sign is due.
    due: Time,
    peers: BTreeMap<NodeId, Peer>,
}

/// Another node, as it is heard of.
#[derive(Clone, Copy, Debug)]
struct Peer {
    heard: Time,
    /// Which of its processes was heard.
    life: u64,
    is_silent: bool,
}

impl Presence {
    /// Returns a peer, who counts as present until it is silent for too long.
    fn peer(&mut self, node: NodeId, now: Time) -> &mut Peer {
        self.peers.entry(node).or_insert(Peer { heard: now, life: 0, is_silent: false })
    }
}

impl<P: Simulated, S: StateMachine> World<'_, P, S> {
    /// Lets a node say that it is there, if that is due, and look who else is.
    pub(super) fn look_around(&mut self, node: NodeId) -> Result<(), Failure> {
        if !self.script.temper.rests {
            return Ok(());
        }
        let (now, heartbeat) = (self.now, self.script.temper.heartbeat);
        let others: Vec<NodeId> = self.hosts.keys().copied().filter(|it| *it != node).collect();
        let host = self.host(node);
        let life = host.life;
        if now >= host.presence.due {
            host.presence.due = now + heartbeat;
            for to in &others {
                if let Some(at) = self.send(node, *to) {
                    self.schedule(at, Event::Sign { from: node, to: *to, life });
                }
            }
        }
        let patience = self.script.temper.election_timeout;
        for peer in others {
            let known = self.host(node).presence.peer(peer, now);
            if !known.is_silent && now.since(known.heard) >= patience {
                known.is_silent = true;
                self.tell_presence(node, peer, false)?;
            }
        }
        Ok(())
    }

    /// Another node was heard of: by a sign of the process `life`, or by whatever it sent.
    pub(super) fn hear(
        &mut self,
        node: NodeId,
        peer: NodeId,
        life: Option<u64>,
    ) -> Result<(), Failure> {
        let now = self.now;
        let host = self.host(node);
        let is_up = host.is_up();
        let known = host.presence.peer(peer, now);
        let life = life.unwrap_or(known.life);
        if !is_up || life < known.life {
            return Ok(());
        }
        // Another process in its place is what a lost connection shows.
        let was_there = !known.is_silent;
        let is_another = known.life > 0 && life > known.life;
        *known = Peer { heard: now, life, is_silent: false };
        if was_there && is_another {
            self.tell_presence(node, peer, false)?;
        }
        if !was_there || is_another {
            self.tell_presence(node, peer, true)?;
        }
        Ok(())
    }

    fn tell_presence(&mut self, node: NodeId, peer: NodeId, present: bool) -> Result<(), Failure> {
        let rests = |world: &Self| {
            let process = world.hosts.get(&node).and_then(|host| host.process.as_ref());
            process.is_some_and(P::is_at_rest)
        };
        let rested = rests(self);
        self.step(node, P::presence(peer, present))?;
        let led = |process: &P| process.status().leader == Some(peer);
        let follows = self.host(node).process.as_ref().is_some_and(led);
        if rested && follows && !rests(self) {
            self.counts.count(Fault::Unrest);
        }
        Ok(())
    }

    /// Tells a process that its replica is behind, or is not any more.
    pub(super) fn tell_backlog(&mut self, node: NodeId) -> Result<(), Failure> {
        let now = self.now;
        let host = self.host(node);
        let is_behind = host.behind_until > now;
        if std::mem::replace(&mut host.is_behind, is_behind) == is_behind {
            return Ok(());
        }
        self.step(node, P::behind(is_behind))
    }

    /// Notes that a group comes to rest: its leader does.
    pub(super) fn note_rest(&mut self, node: NodeId) {
        let host = self.host(node);
        let rests = host.process.as_ref().is_some_and(P::is_at_rest) && host.leads();
        if !std::mem::replace(&mut host.rests, rests) && rests {
            self.counts.count(Fault::Rest);
        }
    }
}
