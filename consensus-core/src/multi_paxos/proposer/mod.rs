//! The Proposer: campaigns when it hears of no leader, and leads once enough acceptors have promised
//! ("Paxos Made Simple", sections 2.2 and 3).
//!
//! ```text
//!           election timer             enough support             enough promises
//!   Follower ------------> Canvassing --------------> Preparing -----------------> Leading
//!     ^                         |      a round, durable   |                           |
//!     +-------------------------+-------------------------+---------------------------+
//!        somebody leads, a later ballot was promised, or too few acceptors answer
//! ```

mod asking;
mod batches;
mod canvassing;
mod changes;
mod fitness;
mod freshness;
mod leading;
mod pledges;
mod preparing;
mod progress;
mod reading;
mod state;
mod timer;
mod transfer;
mod turning;

use self::{
    asking::Asking,
    canvassing::Canvassing,
    changes::Heritage,
    leading::Leading,
    pledges::Page,
    preparing::{Elected, Preparing},
    state::State,
    timer::TimedOut,
    transfer::Told,
};
use super::{
    message::Message,
    mutant::Mutant,
    record::Record,
    role::{Control, Role},
};
use crate::{
    change::Change,
    client::Admin,
    error::RecoverError,
    log::Index,
    members::NodeId,
    multi_paxos::{Ballot, Config},
    process::{Effect, Effects, Input, Status, Submission, Ticket, Token},
    time::Time,
};

/// A proposer.
#[derive(Clone, Debug)]
pub struct Proposer {
    state: State,
    office: Office,
}

/// What a proposer is at present.
#[derive(Clone, Debug)]
enum Office {
    /// Neither leads nor campaigns. It asks the leader how far its reads must see.
    Follower(Asking),
    /// Asks whether it would have the promises.
    Canvassing(Canvassing),
    /// Has begun a ballot, and gathers promises (phase 1).
    Preparing(Preparing),
    /// Has them: it proposes values (phase 2).
    Leading(Box<Leading>),
}

/// What becomes of a proposer's office.
#[derive(Debug)]
enum Next {
    /// It keeps it.
    Stay,
    /// It follows whoever leads.
    Follow,
    /// It asks whether it would have the promises.
    Canvass(TimedOut),
    /// It begins a ballot.
    Prepare(Summons),
    /// It leads.
    Lead(Elected),
    /// It has led up to a configuration, and begins a ballot under that.
    Reconfigure,
}

/// What lets a proposer begin a ballot.
#[derive(Debug)]
enum Summons {
    /// Its election timer ran out.
    TimedOut(TimedOut),
    /// The leader told it to.
    Told(Told),
    /// It led up to a configuration that is chosen, and goes on under that.
    Reconfigured(Box<Heritage>),
}

impl Proposer {
    /// Rebuilds the role from what was durable.
    pub(super) fn recover(
        config: Config,
        now: Time,
        records: impl IntoIterator<Item = (Token, Record)>,
    ) -> Result<Self, RecoverError> {
        let state = State::recover(config, now, records)?;
        Ok(Self { state, office: Office::Follower(Asking::default()) })
    }

    /// Returns its configuration.
    pub(super) fn config(&self) -> &Config {
        &self.state.config
    }

    /// Returns the ballot that it campaigns with or leads, if it does.
    pub(super) fn ballot(&self) -> Option<Ballot> {
        match &self.office {
            Office::Follower(_) | Office::Canvassing(_) => None,
            Office::Preparing(preparing) => Some(preparing.ballot()),
            Office::Leading(leading) => Some(leading.ballot()),
        }
    }

    /// Returns how far each other member knows what is chosen, if this one leads.
    pub(super) fn followers(&self) -> Vec<(NodeId, Index)> {
        match &self.office {
            Office::Follower(_) | Office::Canvassing(_) | Office::Preparing(_) => Vec::new(),
            Office::Leading(leading) => leading.known(&self.state).collect(),
        }
    }

    /// Tells whether it leads.
    pub(super) fn leads(&self) -> bool {
        matches!(self.office, Office::Leading(_))
    }

    /// Returns until when, by its own clock, it answers reads under a lease.
    pub(super) fn lease_until(&self) -> Option<Time> {
        match &self.office {
            Office::Follower(_) | Office::Canvassing(_) | Office::Preparing(_) => None,
            Office::Leading(leading) => leading.lease_until(&self.state),
        }
    }

    /// Consumes one input.
    pub(super) fn step(&mut self, now: Time, input: Input<Role>, out: &mut Effects<Role>) {
        let next = match input {
            Input::Tick => self.on_tick(now, out),
            Input::Receive { from, message } => self.on_receive(now, from, message, out),
            Input::Submit(submissions) => {
                self.on_submit(submissions, out);
                Next::Stay
            }
            Input::Persisted { upto } => {
                self.state.on_persisted(upto, out);
                Next::Stay
            }
            // Snapshots are the learner's.
            Input::Snapshot(_) => Next::Stay,
            Input::Control(control) => self.on_control(now, control, out),
        };
        self.turn(next, now, out);
    }

    /// Adds what operators are told of this role.
    pub(super) fn tell(&self, status: &mut Status) {
        let (role, last) = match &self.office {
            Office::Follower(_) => ("follower", self.state.known),
            Office::Canvassing(_) => ("pre-candidate", self.state.known),
            Office::Preparing(_) => ("candidate", self.state.known),
            Office::Leading(leading) => ("leader", leading.last()),
        };
        let followed = self.state.followed().map(|ballot| ballot.round.0);
        status.role = role;
        status.leader = self.state.leader();
        status.term = self.ballot().map(|own| own.round.0).max(followed).unwrap_or_default();
        status.committed = status.committed.max(self.state.known);
        status.last = status.last.max(last);
        status.transfer = self.state.transfers_to();
        status.priority = self.state.config.priority();
        status.lease = self.state.config.lease();
        status.lease_until = self.lease_until();
        status.membership = self.state.config.membership().clone();
    }

    fn on_submit(&mut self, submissions: Vec<Submission>, out: &mut Effects<Role>) {
        let state = &self.state;
        match &mut self.office {
            Office::Leading(leading) => return leading.on_submit(state, submissions, out),
            Office::Preparing(preparing) => {
                if let Some(heritage) = preparing.heritage() {
                    return heritage.on_submit(state, submissions, out);
                }
            }
            Office::Follower(_) | Office::Canvassing(_) => {}
        }
        state.refuse(submissions.into_iter().map(|it| it.ticket), out);
    }

    fn on_tick(&mut self, now: Time, out: &mut Effects<Role>) -> Next {
        self.state.forget_transfer(now, out);
        match &mut self.office {
            Office::Follower(asking) => {
                asking.on_tick(&mut self.state, now, out);
                self.state.timed_out(now).map_or(Next::Stay, Next::Canvass)
            }
            Office::Canvassing(canvassing) => canvassing.on_tick(&self.state, now),
            Office::Preparing(preparing) => preparing.on_tick(&self.state, now, out),
            Office::Leading(leading) => leading.on_tick(&mut self.state, now, out),
        }
    }

    fn on_receive(
        &mut self,
        now: Time,
        from: NodeId,
        message: Message,
        out: &mut Effects<Role>,
    ) -> Next {
        let config = &self.state.config;
        // Whoever it is: whose answers count, each office knows of its configuration.
        if !message.is_plausible(from, config.id()) {
            return Next::Stay;
        }
        match message {
            Message::Heard { ballot } => return self.on_heard(now, ballot, out),
            Message::Promised { ballot } => return self.on_promised(now, ballot, out),
            Message::Known { chosen, base, era, membership } => {
                let is_other = self.state.enter(era, membership);
                let next = self.on_known(now, (chosen, base), out);
                return if is_other { self.on_entered(out) } else { next };
            }
            Message::TakeOver { ballot } => return self.on_take_over(ballot),
            Message::Nack { ballot, promised } => {
                self.state.see(promised.round);
                self.state.seek_era(promised, out);
                return self.on_nack(now, (ballot, promised));
            }
            Message::Support { ballot, chosen } => {
                let Office::Canvassing(canvassing) = &mut self.office else { return Next::Stay };
                return canvassing.on_support(&self.state, now, from, (ballot, chosen), out);
            }
            Message::Promise { ballot, first, votes, upto, last, base } => {
                let page = Page { first, votes, upto, last, base };
                return self.on_promise(now, (from, ballot), page, out);
            }
            Message::Accepted { .. }
            | Message::HeartbeatReply { .. }
            | Message::ReadIndex { .. }
            | Message::ReadIndexReply { .. } => self.on_answer(now, from, message, out),
            // Those are for acceptors and learners.
            Message::Canvass { .. }
            | Message::Prepare { .. }
            | Message::Accept { .. }
            | Message::Heartbeat { .. }
            | Message::Recall { .. }
            | Message::Abreast { .. }
            | Message::Forget { .. }
            | Message::Voted { .. }
            | Message::Chosen { .. }
            | Message::Settled { .. }
            | Message::Learn { .. }
            | Message::Learned { .. }
            | Message::Offer { .. }
            | Message::Fetch { .. }
            | Message::Part { .. } => {}
        }
        Next::Stay
    }

    /// Takes answers to those who lead or follow, and questions that leaders can answer. What is of
    /// an office that is held no more, or of another ballot, is too late.
    fn on_answer(&mut self, now: Time, from: NodeId, message: Message, out: &mut Effects<Role>) {
        let state = &mut self.state;
        let stale = state.config.has_bug(Mutant::StaleAcceptedCounts);
        match (&mut self.office, message) {
            (Office::Follower(asking), Message::ReadIndexReply { id, index }) => {
                asking.on_reply(state, now, (id, index), out);
            }
            (Office::Leading(leading), Message::Accepted { ballot, first, last })
                if ballot == leading.ballot() || stale =>
            {
                leading.on_accepted(state, now, (from, first, last), out);
            }
            (
                Office::Leading(leading),
                Message::HeartbeatReply { ballot, round, promise, known, base },
            ) if ballot == leading.ballot() => {
                let reply = (round, promise, known, base);
                leading.on_heartbeat_reply(state, now, from, reply, out);
            }
            (Office::Leading(leading), Message::ReadIndex { id, lease }) => {
                leading.on_read_index(state, now, (from, id, lease), out);
            }
            (_, _) => {}
        }
    }

    fn on_promise(
        &mut self,
        now: Time,
        (from, ballot): (NodeId, Ballot),
        page: Page,
        out: &mut Effects<Role>,
    ) -> Next {
        let Office::Preparing(preparing) = &mut self.office else { return Next::Stay };
        // What was promised in another ballot holds in that one.
        let stale = self.state.config.has_bug(Mutant::StalePromiseCounts);
        if ballot != preparing.ballot() && !stale {
            return Next::Stay;
        }
        preparing.on_promise(&mut self.state, now, (from, page), out)
    }

    /// The node's learner knows more.
    fn on_known(
        &mut self,
        now: Time,
        (chosen, base): (Index, Index),
        out: &mut Effects<Role>,
    ) -> Next {
        let is_news = chosen > self.state.known;
        self.state.on_known(chosen, base, out);
        match &mut self.office {
            Office::Follower(_) | Office::Leading(_) => Next::Stay,
            Office::Canvassing(canvassing) => {
                if is_news {
                    canvassing.wait(&self.state, now);
                }
                canvassing.campaign(&self.state)
            }
            Office::Preparing(preparing) => preparing.lead(&self.state, out),
        }
    }

    /// Another configuration is known to be chosen: nothing comes of a ballot under the former one,
    /// but for the leader of it, if it is the one that had it chosen.
    fn on_entered(&mut self, out: &mut Effects<Role>) -> Next {
        let state = &mut self.state;
        match &self.office {
            Office::Follower(_) => Next::Stay,
            Office::Canvassing(canvassing) => canvassing.restart(state),
            Office::Leading(leading) if leading.is_over() && leading.stop == state.era() => {
                if state.config.has_bug(Mutant::NewAcceptorsNotAsked) {
                    return Next::Lead(Elected::unasked(state, out));
                }
                Next::Reconfigure
            }
            Office::Preparing(_) | Office::Leading(_) => Next::Follow,
        }
    }

    /// The node's acceptor has heard of a leader.
    fn on_heard(&mut self, now: Time, ballot: Ballot, out: &mut Effects<Role>) -> Next {
        if self.ballot().is_some_and(|own| ballot <= own) {
            return Next::Stay;
        }
        if !self.state.hear(ballot, now, out) {
            return Next::Stay;
        }
        match &self.office {
            Office::Follower(_) => Next::Stay,
            Office::Canvassing(_) | Office::Preparing(_) | Office::Leading(_) => Next::Follow,
        }
    }

    /// The node's acceptor has promised a ballot: nothing comes of an earlier one, and whoever began
    /// this one is given time to lead.
    fn on_promised(&mut self, now: Time, ballot: Ballot, out: &mut Effects<Role>) -> Next {
        self.state.see(ballot.round);
        self.state.seek_era(ballot, out);
        let own = self.ballot().is_some_and(|own| own >= ballot);
        if own || ballot.node == self.state.config.id() {
            return Next::Stay;
        }
        self.state.reset_election_timer(now);
        match &self.office {
            Office::Follower(_) => Next::Stay,
            Office::Canvassing(_) | Office::Preparing(_) | Office::Leading(_) => Next::Follow,
        }
    }

    /// An acceptor has promised a later ballot.
    fn on_nack(&mut self, now: Time, (ballot, promised): (Ballot, Ballot)) -> Next {
        let is_over = promised.era > self.state.era();
        match &mut self.office {
            Office::Follower(_) => Next::Stay,
            // No ballot of this era comes after one of a later; that is to be learned first.
            Office::Canvassing(canvassing) if is_over => {
                canvassing.wait(&self.state, now);
                Next::Stay
            }
            Office::Canvassing(canvassing) => canvassing.on_nack(ballot),
            Office::Preparing(_) if is_over => Next::Stay,
            // Another campaigns, and may have won: step down at once.
            Office::Preparing(preparing) if ballot == preparing.ballot() => Next::Follow,
            Office::Leading(leading) if ballot == leading.ballot() => Next::Follow,
            Office::Preparing(_) | Office::Leading(_) => Next::Stay,
        }
    }

    /// The leader of `ballot` hands over.
    fn on_take_over(&self, ballot: Ballot) -> Next {
        match &self.office {
            Office::Follower(_) | Office::Canvassing(_) => {
                let told = self.state.told_to_campaign(ballot);
                told.map_or(Next::Stay, |told| Next::Prepare(Summons::Told(told)))
            }
            Office::Preparing(_) | Office::Leading(_) => Next::Stay,
        }
    }

    fn on_control(&mut self, now: Time, control: Control, out: &mut Effects<Role>) -> Next {
        match control {
            Control::Read(reads) => match &mut self.office {
                Office::Follower(asking) => asking.on_read(&mut self.state, now, reads, out),
                Office::Leading(leading) => leading.on_read(&mut self.state, now, reads, out),
                Office::Canvassing(_) | Office::Preparing(_) => {
                    self.state.read_without_leader(now, reads, out);
                }
            },
            Control::Admin(ticket, Admin::Transfer { to }) => {
                self.on_transfer(now, (ticket, to), out);
            }
            Control::Admin(ticket, Admin::Change(change)) => {
                self.on_change(now, (ticket, change), out);
            }
            Control::Resign(ticket) => return self.on_resign(now, ticket, out),
            Control::StorageFull(full) => self.state.storage_full = full,
            Control::Behind(behind) => self.state.behind = behind,
            Control::MakeRoom => self.state.make_room(out),
            // The learner's.
            Control::TakeSnapshot => {}
        }
        Next::Stay
    }

    fn on_change(
        &mut self,
        now: Time,
        (ticket, change): (Ticket, Change),
        out: &mut Effects<Role>,
    ) {
        match &mut self.office {
            Office::Leading(leading) => {
                leading.on_change(&mut self.state, now, (ticket, change), out);
            }
            Office::Follower(_) | Office::Canvassing(_) | Office::Preparing(_) => {
                self.state.refuse([ticket], out);
            }
        }
    }

    fn on_transfer(
        &mut self,
        now: Time,
        (ticket, to): (Ticket, Option<NodeId>),
        out: &mut Effects<Role>,
    ) {
        match &mut self.office {
            Office::Leading(leading) => {
                leading.on_transfer(&mut self.state, now, (ticket, to), out);
            }
            Office::Follower(_) | Office::Canvassing(_) | Office::Preparing(_) => {
                self.state.refuse([ticket], out);
            }
        }
    }

    fn on_resign(&mut self, now: Time, ticket: Ticket, out: &mut Effects<Role>) -> Next {
        self.state.resign();
        match &mut self.office {
            Office::Leading(leading) => {
                leading.on_transfer(&mut self.state, now, (ticket, None), out);
                Next::Stay
            }
            Office::Follower(_) => {
                out.push(Effect::Done { ticket });
                Next::Stay
            }
            Office::Canvassing(_) | Office::Preparing(_) => {
                out.push(Effect::Done { ticket });
                Next::Follow
            }
        }
    }
}
