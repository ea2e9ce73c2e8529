//! Starting the actors of a group: from what the journal holds of it to where its callers find it.

use std::sync::Arc;

use actix::{Actor, Arbiter, ArbiterHandle};
use consensus_core::{
    GroupId, RecoverError, Token,
    client::{Attempt, Patience},
    codec::Decode,
    multi_paxos,
    snapshot::Cut,
};

use super::{
    Board,
    host::{NodeActor, SeatedGroup},
    parts::{Parts, Rebuilt},
    wiring::{GroupInlet, GroupOutlets, Showcase, Ways},
};
use crate::{
    archive::Open,
    client::Client,
    clock,
    config::table::{DEADLINE, ELECTION_TIMEOUT, HEARTBEAT, OWN_THREAD, PROTOCOL, SNAPSHOT_KEEP},
    error::{Code, Error, Result},
    multi_paxos::MultiPaxos,
    placement::Part,
    replica::{Keeping, Place, Proposer, Replica},
    replicated::Replicated,
    role::{Hosted, Labels, Post, Serving},
    seat::{Seat, Seating},
    transport::{Arena, Inlet},
};

/// What to host: the group's name, and its number.
pub(super) type Named = (String, GroupId);

/// What a group that is hosted gives its callers.
pub(super) type Seated<S> = (Client<S>, Arc<Board>);

/// Says that what the journal holds of a group is not what was written.
fn damaged(group: &str, reason: impl std::fmt::Display) -> Error {
    let message = format!(
        "the journal's records of group {group:?} make no sense: {reason}; keep the data \
         directory, and restore this node from its peers"
    );
    Error::new(Code::JournalCorrupt, message)
}

impl NodeActor {
    /// Returns what the journal holds of a group.
    fn found<P: Hosted>(&self, name: &str, group: GroupId) -> Result<Vec<(Token, P::Record)>> {
        let found = self.recovered.records.get(&group);
        // All are of one protocol: whoever began with another was refused here.
        let first = found.and_then(|records| records.first());
        if first.is_some_and(|(_, bytes)| !P::wrote(bytes)) {
            let message = format!(
                "group {name:?} of this data directory is replicated by another protocol than {}; \
                 set `protocol` as it was, since a group keeps its protocol for as long as it has \
                 data, or host the state under another name",
                self.settings.group(name).get(&PROTOCOL).name()
            );
            return Err(Error::new(Code::Config, message));
        }
        let read = |(token, bytes): &(Token, bytes::Bytes)| {
            let record = P::Record::decode_all(bytes.clone());
            Ok((*token, record.map_err(|error| damaged(name, error))?))
        };
        found.into_iter().flatten().map(read).collect()
    }

    /// Rebuilds a group's process from what the journal holds of it.
    pub(super) fn recover<P: Hosted>(
        &mut self,
        config: P::Config,
        name: &str,
        group: GroupId,
    ) -> Result<(P, Token)> {
        let records = self.found::<P>(name, group)?;
        let durable = records.last().map(|(token, _)| *token).unwrap_or_default();
        let process = P::recover(config, self.time.now(), records);
        let process = process.map_err(|error: RecoverError| damaged(name, error))?;
        self.recovered.records.remove(&group);
        Ok((process, durable))
    }

    /// Starts a group whose roles share one seat.
    pub(super) fn seat<S: Replicated, P: Serving>(
        &mut self,
        config: P::Config,
        (name, group): Named,
        arbiter: Option<ArbiterHandle>,
    ) -> Result<Seated<S>> {
        let (process, durable) = self.recover::<P>(config, &name, group)?;
        let seat = Arc::new(Seat::<P>::vacant());
        let cut = process.snapshot();
        let (records, clock) = (self.records.clone(), self.time.clone());
        self.wire(Arc::clone(&seat), (name, group), (arbiter, cut), |ways, showcase, labels| {
            records.register(group, Arc::clone(&seat) as _);
            let arena = Arena::default();
            let outlets = Box::new(GroupOutlets { ways, records, showcase, arena });
            Post::take(process, seat, clock, durable, outlets, labels);
        })
    }

    /// Starts a group of Multi-Paxos whose roles have several places on this node.
    pub(super) fn seat_apart<S: Replicated>(
        &mut self,
        (config, parts): (multi_paxos::Config, &'static [Part]),
        (name, group): Named,
        arbiter: Option<ArbiterHandle>,
    ) -> Result<Seated<S>> {
        let records = self.found::<MultiPaxos>(&name, group)?;
        let rebuilt = Rebuilt::recover(&config, parts, &self.time, records);
        let rebuilt = rebuilt.map_err(|error| damaged(&name, error))?;
        self.recovered.records.remove(&group);
        let seats = Arc::new(Parts::vacant(self.settings.id, parts));
        let cut = rebuilt.processes().find_map(Serving::snapshot);
        let (records, clock) = (self.records.clone(), self.time.clone());
        self.wire(Arc::clone(&seats), (name, group), (arbiter, cut), |ways, showcase, labels| {
            seats.take(rebuilt, (ways, records, showcase), &clock, &labels);
        })
    }

    /// Starts a group's replica, then, by `start`, its roles, and wires them to the links, the clock
    /// and the peer port.
    fn wire<S: Replicated, C: Seating<Process: Serving>>(
        &mut self,
        seat: Arc<C>,
        (name, group): Named,
        (arbiter, cut): (Option<ArbiterHandle>, Option<Cut>),
        start: impl FnOnce(Ways, Showcase, Labels),
    ) -> Result<Seated<S>> {
        let first_attempt = Attempt(self.draw()? >> 2);
        let board = Arc::new(Board::new(self.time.clone()));
        let label: Arc<str> = name.as_str().into();
        let settings = self.settings.group(&name);
        self.roster.host(group, settings.get(&PROTOCOL).name());
        let timeout = settings.get(&ELECTION_TIMEOUT);
        let own_thread = settings.get(&OWN_THREAD) && arbiter.is_none();
        let arbiter = match own_thread {
            true => Some(Arbiter::new().handle()),
            false => arbiter,
        };
        let place = Place {
            node: self.settings.id,
            group,
            name: Arc::clone(&label),
            seat: Arc::clone(&seat) as Arc<dyn Proposer>,
            links: self.links.clone(),
            clock: self.time.clone(),
            board: Arc::clone(&board),
            first_attempt,
            patience: Patience { retry_after: timeout, pause: timeout / 10 },
            deadline: settings.get(&DEADLINE),
            keeping: Keeping { archive: self.archive.clone(), workers: Arc::clone(&self.workers) },
            heartbeat: settings.get(&HEARTBEAT),
            is_apart: arbiter.is_some(),
        };
        let (keep, restoring) = (settings.get(&SNAPSHOT_KEEP), cut.is_some());
        let replica = Replica::<S>::new(place, restoring);
        let replica = match arbiter {
            Some(arbiter) => Replica::start_in_arbiter(&arbiter, move |_| replica),
            None => replica.start(),
        };

        let ways = Ways {
            group,
            archive: self.archive.clone(),
            links: self.links.clone(),
            replica: replica.clone().recipient(),
        };
        let (board_shown, roster) = (Arc::clone(&board), self.roster.clone());
        let showcase = Showcase { group, board: board_shown, roster, last: None };
        start(ways, showcase, Labels { node: self.settings.id, group: label });

        self.archive.do_send(Open {
            group,
            name: name.as_str().into(),
            keep: usize::try_from(keep).unwrap_or(usize::MAX),
            reports: Arc::clone(&seat) as _,
            shown: Arc::clone(&board) as _,
            cut,
            back: Replica::returns(replica.clone()),
        });
        let inlet = GroupInlet {
            seat: Arc::clone(&seat),
            replica: replica.clone(),
            board: Arc::clone(&board),
        };
        let inlet = Arc::new(inlet);
        self.inlets.add(group, Arc::clone(&inlet) as Arc<dyn Inlet>);
        self.presence.introduce(&*inlet);
        self.clock.do_send(clock::Register(inlet));
        let vacate = Box::new(move || seat.vacate());
        self.hosted.push(SeatedGroup { id: group, name, vacate });
        Ok((Client::from(replica), board))
    }
}
