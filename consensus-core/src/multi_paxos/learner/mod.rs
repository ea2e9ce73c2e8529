//! The Learner: finds out what is chosen in each slot, and hands it out in their order (3).
//!
//! What the node's acceptor accepts reaches it at once, and counts for nothing until somebody says
//! how far all is chosen under the very ballot that it was accepted in (MPX-P01).

mod catching_up;
mod fetching;
mod snapshots;

use std::collections::VecDeque;

use self::{catching_up::Chase, fetching::Fetching, snapshots::Snapshots};
use super::{
    ballot::Ballot,
    config::Config,
    marks::Marks,
    message::{Message, Value},
    mutant::Mutant,
    record::Record,
    role::{Control, Role},
    values::Values,
    votes::Votes,
};
use crate::{
    error::{RecoverError, SubmitError},
    log::{Decided, Index},
    members::NodeId,
    membership::Membership,
    paxos::Round,
    process::{Effect, Effects, Input, Status, Ticket, Token},
    snapshot::{Cut, Report},
    time::Time,
};

/// After how many heartbeat intervals a snapshot of the configuration is asked for again.
const SETTLE_PAUSE: u32 = 5;

/// Who learns what is chosen, and has it applied.
#[derive(Clone, Debug)]
pub struct Learner {
    config: Config,
    /// Up to `chosen` what is chosen; beyond, what the node's acceptor has accepted last.
    slots: Votes,
    /// The last slot of the prefix that is known and handed out.
    chosen: Index,
    /// Who takes part behind `chosen`, and the slot that says so.
    membership: Membership,
    era: Index,
    /// Under these ballots all slots up to here are chosen.
    marks: Marks,
    /// The submissions that slots answer.
    tickets: VecDeque<(Index, Ticket)>,
    snapshots: Snapshots,
    chase: Chase,
    /// When a leader was heard of last, by the node's acceptor or proposer.
    heard: Time,
    fetching: Option<Fetching>,
    /// Whether the replica has more to apply than it may.
    behind: bool,
    /// Whether the node's acceptor was asked what it has, in this life.
    has_recalled: bool,
    /// What the node's proposer was told last.
    told: (Index, Index),
    /// When to have a snapshot of the configuration taken, if there is none.
    settle_due: Time,
    written: Token,
}

impl Learner {
    /// Rebuilds the role from what was durable.
    pub(super) fn recover(
        config: Config,
        now: Time,
        records: impl IntoIterator<Item = (Token, Record)>,
    ) -> Result<Self, RecoverError> {
        let (mut snapshots, mut written) = (Snapshots::default(), Token::default());
        for (token, record) in records {
            let contradiction =
                |reason| Err(RecoverError::Contradiction { token: token.0, reason });
            let Record::Snapshot(cut) = record else {
                return contradiction("it is no record of a learner");
            };
            if cut.index < snapshots.covered() {
                return contradiction("a learner rests on an older snapshot than before");
            }
            snapshots.rest_on(cut);
            written = token;
        }
        let chosen = snapshots.covered();
        let first = (Index::ZERO, config.membership().clone());
        let forgets = config.has_bug(Mutant::ConfigurationForgotten);
        let (era, membership) = snapshots.configuration().filter(|_| !forgets).unwrap_or(first);
        let mut slots = Votes::default();
        slots.forget(chosen);
        Ok(Self {
            config,
            slots,
            chosen,
            membership,
            era,
            marks: Marks::default(),
            tickets: VecDeque::new(),
            snapshots,
            chase: Chase::default(),
            heard: now,
            fetching: None,
            behind: false,
            has_recalled: false,
            told: (Index::ZERO, Index::ZERO),
            settle_due: Time::default(),
            written,
        })
    }

    /// Returns the point that the log rests on: the state there is in a snapshot.
    pub fn snapshot(&self) -> Option<Cut> {
        self.snapshots.cut().cloned()
    }

    /// Consumes one input.
    pub(super) fn step(&mut self, now: Time, input: Input<Role>, out: &mut Effects<Role>) {
        match input {
            Input::Tick => self.on_tick(now, out),
            Input::Receive { from, message } => {
                // What was chosen is true whoever tells it, and who has not heard yet that it takes
                // part no more, or does now, is to learn so.
                if message.is_plausible(from, self.config.id()) {
                    self.on_receive(now, from, message, out);
                }
            }
            Input::Persisted { upto } => self.on_persisted(now, upto, out),
            Input::Snapshot(report) => self.on_report(now, report, out),
            Input::Control(control) => match control {
                Control::TakeSnapshot => self.take_asked_snapshot(out),
                Control::MakeRoom => self.make_room(out),
                Control::Behind(behind) => self.set_behind(behind, out),
                // Its records are few, and nobody waits for them.
                Control::StorageFull(_) => {}
                Control::Read(_) | Control::Admin(..) | Control::Resign(_) => {
                    unreachable!("proposers are asked for that")
                }
            },
            Input::Submit(_) => unreachable!("proposers are asked for that"),
        }
    }

    /// Adds what operators are told of this role.
    pub(super) fn tell(&self, status: &mut Status) {
        if status.role.is_empty() {
            status.role = "learner";
        }
        status.committed = status.committed.max(self.chosen);
        status.last = status.last.max(self.chosen);
        status.snapshot = self.snapshots.covered();
        status.first = self.slots.base().next();
    }

    fn on_tick(&mut self, now: Time, out: &mut Effects<Role>) {
        self.slots.on_tick();
        if !self.has_recalled {
            self.has_recalled = true;
            self.recall(out);
        }
        self.catch_up(now, out);
        if self.snapshots.settled() < self.era && now >= self.settle_due {
            self.settle_due = now + self.config.heartbeat() * SETTLE_PAUSE;
            // Members may leave once others have on their disks what was chosen with them.
            self.take_snapshot(out);
        }
        self.tell_proposer(out);
    }

    /// Lets the node's proposer know how far this is.
    fn tell_proposer(&mut self, out: &mut Effects<Role>) {
        let (chosen, base) = (self.chosen, self.snapshots.settled());
        if self.told == (chosen, base) || self.snapshots.is_lost() {
            return;
        }
        self.told = (chosen, base);
        let (era, membership) = (self.era, self.membership.clone());
        let to = self.config.proposer(self.config.id());
        let message = Message::Known { chosen, base, era, membership };
        out.push(Effect::Send { to, message, after: None });
        let to = self.config.acceptor(self.config.id());
        out.push(Effect::Send { to, message: Message::Abreast { upto: chosen }, after: None });
    }

    /// Asks the node's acceptor what it has: what it holds was not told to this life, or dropped.
    fn recall(&self, out: &mut Effects<Role>) {
        let to = self.config.acceptor(self.config.id());
        let message = Message::Recall { first: self.chosen.next() };
        out.push(Effect::Send { to, message, after: None });
    }

    fn set_behind(&mut self, behind: bool, out: &mut Effects<Role>) {
        if self.behind && !behind {
            self.recall(out);
        }
        self.behind = behind;
    }

    fn on_receive(&mut self, now: Time, from: NodeId, message: Message, out: &mut Effects<Role>) {
        match message {
            Message::Voted { ballot, first, values, chosen } => {
                self.heard = now;
                // What is not applied must be bounded; it can be asked for again.
                if !self.behind {
                    self.take(ballot, first, values);
                }
                self.mark(ballot, chosen);
                self.advance(now, out);
            }
            Message::Chosen { ballot, upto } => {
                self.heard = now;
                self.mark(ballot, upto);
                self.advance(now, out);
            }
            Message::Settled { ballot, upto, tickets } => {
                self.heard = now;
                self.tickets.extend(tickets);
                self.mark(ballot, upto);
                self.advance(now, out);
            }
            Message::Learn { first, state } => self.on_learn(now, from, (first, state), out),
            Message::Learned { first, values, chosen } => {
                self.on_learned(now, from, (first, values), chosen, out);
            }
            Message::Offer { snapshot } => self.on_offer(now, from, snapshot, out),
            Message::Fetch { snapshot, part } => self.on_fetch(now, from, (snapshot, part), out),
            Message::Part { snapshot, part, bytes } => {
                self.on_part(from, (snapshot, part), bytes, out);
            }
            // They are for proposers and acceptors.
            _ => {}
        }
    }

    /// Takes note of what the node's acceptor has accepted, in slots of which nothing is known.
    fn take(&mut self, ballot: Ballot, first: Index, values: Values) {
        let known = (self.chosen.0 + 1).saturating_sub(first.0);
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        if known == 0 {
            self.slots.accept(ballot, first, values);
        } else if let Some(rest) = values.get(known..).filter(|rest| !rest.is_empty()) {
            self.slots.accept(ballot, self.chosen.next(), rest.into());
        }
    }

    /// Takes note that under a ballot all slots up to `upto` are chosen.
    fn mark(&mut self, ballot: Ballot, upto: Index) {
        self.chase.want(upto);
        if upto > self.chosen {
            self.marks.note(ballot, upto);
        }
    }

    /// Returns up to where what was accepted in a ballot is chosen.
    fn chosen_under(&self, ballot: Ballot) -> Index {
        if self.config.has_bug(Mutant::ChosenInAnyBallot) {
            return self.marks.reach();
        }
        self.marks.under(ballot)
    }

    /// Hands out what has become known to be chosen, in the order of the slots.
    fn advance(&mut self, now: Time, out: &mut Effects<Role>) {
        if self.snapshots.is_lost() {
            return;
        }
        let (mut decided, mut bytes, era) = (Vec::new(), 0, self.era);
        // Behind all marks nothing is known to be chosen.
        let reach = self.marks.reach();
        while self.chosen < reach {
            let first = self.chosen.next();
            let Some(run) = self.slots.at(first) else { break };
            let upto = run.last().min(self.chosen_under(run.ballot));
            if upto < first {
                break;
            }
            let mut configured = None;
            let values = run.values_behind(self.chosen);
            for (index, value) in (first.0..=upto.0).map(Index).zip(values) {
                give_up(&mut self.tickets, index.previous(), out);
                let ticket = self.tickets.pop_front_if(|(at, _)| *at == index);
                let command = match value {
                    Value::NoOp => None,
                    Value::Command(command) => Some(command.clone()),
                    Value::Membership(membership) => {
                        configured = Some((index, membership.clone()));
                        None
                    }
                };
                bytes += value.size();
                decided.push(Decided { index, command, ticket: ticket.map(|(_, it)| it) });
            }
            self.chosen = upto;
            if let Some((era, membership)) = configured {
                (self.era, self.membership) = (era, membership);
            }
        }
        if !decided.is_empty() {
            out.push(Effect::Apply(decided));
            self.marks.forget(self.chosen);
            self.chase.progress(self.chosen, now);
            self.take_snapshot_if_due(bytes, out);
        }
        if self.era > era {
            // Who leads waits for it, and whoever leaves.
            self.settle_due = now;
            self.tell_proposer(out);
        }
    }

    /// Hands out what others say is chosen, from the slot on that comes next.
    fn learn(&mut self, now: Time, first: Index, values: Values, out: &mut Effects<Role>) {
        if first > self.chosen.next() || values.is_empty() {
            return;
        }
        let last = Index((first.0 + values.len() as u64).saturating_sub(1));
        if last <= self.chosen {
            return;
        }
        // No proposer has such a ballot.
        let learned = Ballot { era: Index::ZERO, round: Round(0), node: self.config.id() };
        self.take(learned, first, values);
        self.marks.note(learned, last);
        self.advance(now, out);
        self.marks.remove(learned);
    }

    /// Lets everything begin behind a snapshot.
    fn begin_behind(&mut self, index: Index, out: &mut Effects<Role>) {
        self.chosen = index;
        self.slots.forget(index);
        self.marks.forget(index);
        give_up(&mut self.tickets, index, out);
    }

    fn persist(&mut self, record: Record, out: &mut Effects<Role>) -> Token {
        self.written = self.written.next();
        out.push(Effect::Persist { token: self.written, record });
        self.written
    }

    fn on_report(&mut self, now: Time, report: Report, out: &mut Effects<Role>) {
        match report {
            Report::Saved(saved) => self.adopt(now, &saved, out),
            Report::Failed => self.snapshots.fail(),
            Report::Lost => self.snapshots.lose(),
            Report::Fetched { to, snapshot, part, bytes } => {
                self.on_fetched(to, (snapshot, part), bytes, out);
            }
            Report::Stored { from, snapshot, next, whole } => {
                self.on_stored(now, (from, snapshot), next, out);
                if let Some(saved) = whole {
                    self.adopt(now, &saved, out);
                }
            }
        }
    }
}

/// Tells those whom slots up to `upto` answer that nobody will: their commands are applied, but what
/// came of them is in a snapshot, where whoever asks again finds it.
fn give_up(tickets: &mut VecDeque<(Index, Ticket)>, upto: Index, out: &mut Effects<Role>) {
    while let Some((_, ticket)) = tickets.pop_front_if(|(at, _)| *at <= upto) {
        out.push(Effect::Answer { ticket, error: SubmitError::LeadershipLost });
    }
}
