//! The Learner: finds out which value was chosen, and asks what it has missed (2.2, 3.1).

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{Hash, Hasher},
};

use super::{
    CHOSEN, Control, LEARNER,
    config::Config,
    message::Message,
    mutant::Mutant,
    record::Record,
    round::{Proposal, Round},
};
use crate::{
    error::RecoverError,
    log::Decided,
    members::NodeId,
    paxos::{Pause, contradiction},
    process::{Address, Effect, Effects, Input, Process, Token},
    time::Time,
};

/// Who learns what is chosen, from what acceptors say that they have voted for.
#[derive(Clone, Debug)]
pub struct Learner {
    config: Config,
    /// Of each acceptor the last that it is known to have voted for.
    voted: BTreeMap<NodeId, Proposal>,
    chosen: Option<Proposal>,
    /// Whether the host was told in this life.
    is_applied: bool,
    pause: Pause,
    /// When it asks next; `None` before it has looked at the clock.
    ask_at: Option<Time>,
    /// How often it has asked since it heard anything new.
    fruitless: u32,
}

impl Learner {
    /// Returns its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns what was chosen, if it knows.
    pub fn chosen(&self) -> Option<&Proposal> {
        self.chosen.as_ref()
    }

    /// Feeds what [`Role::fingerprint`](super::Role::fingerprint) promises to `out`.
    pub(super) fn fingerprint(&self, out: &mut impl Hasher) {
        let Self { config: _, voted, chosen, is_applied, pause: _, ask_at: _, fruitless } = self;
        (voted, chosen, is_applied, *fruitless > 0).hash(out);
    }

    /// Counts an acceptor's vote: what enough have voted for in one round is chosen, and of a fast
    /// round it takes more of them (3.1).
    fn on_accepted(
        &mut self,
        now: Time,
        from: NodeId,
        proposal: Proposal,
        out: &mut Effects<Self>,
    ) {
        if self.chosen.is_some() || !self.config.acceptors().is_voter(from) {
            return;
        }
        let counted = self.voters_of(&proposal);
        let from = self.config.counted_for(from, &counted, Mutant::DuplicateVoteLearned);
        // What an acceptor has voted for before that says nothing new.
        let known: Option<Round> = self.voted.get(&from).map(|known| known.round);
        if Some(proposal.round) <= known {
            return;
        }

        self.voted.insert(from, proposal.clone());
        if self.config.has_chosen(proposal.round.kind, &self.voters_of(&proposal)) {
            return self.learn(proposal, out);
        }
        // The others of this round may be lost on their way.
        self.fruitless = 0;
        self.pause.reset();
        let soon = now + self.pause.draw();
        self.ask_at = Some(self.ask_at.map_or(soon, |at| at.min(soon)));
    }

    /// Returns who has voted for a proposal: in its round, since the same value in another is another
    /// proposal.
    fn voters_of(&self, proposal: &Proposal) -> BTreeSet<NodeId> {
        let across = self.config.has_bug(Mutant::ValueAcrossRounds);
        let same = |it: &Proposal| it == proposal || across && it.value == proposal.value;
        let same = self.voted.iter().filter(|(_, voted)| same(voted));
        same.map(|(node, _)| *node).collect()
    }

    fn on_chosen(&mut self, proposal: Proposal, out: &mut Effects<Self>) {
        if self.chosen.is_none() {
            self.learn(proposal, out);
        }
    }

    fn on_ask(&self, from: NodeId, out: &mut Effects<Self>) {
        if self.chosen.is_some() && self.config.learners().is_voter(from) {
            self.tell(self.config.learner(from), out);
        }
    }

    /// Asks, where nothing is known for too long: acceptors what they have voted for, learners
    /// what was chosen. Where that does not tell, only another ballot does.
    fn on_tick(&mut self, now: Time, out: &mut Effects<Self>) {
        if self.chosen.is_some() {
            if !self.is_applied {
                self.announce(out);
            }
            return;
        }
        let ask_at = *self.ask_at.get_or_insert_with(|| now + self.pause.draw());
        if now < ask_at {
            return;
        }

        let acceptors = self.config.acceptors().voters().map(|node| self.config.acceptor(node));
        let others = self.config.learners().voters().filter(|node| *node != self.config.id());
        let learners = others.map(|node| self.config.learner(node));
        let mut asked: Vec<Address> = acceptors.chain(learners).collect();
        // Some have voted for something, and were asked before.
        if !self.voted.is_empty() && self.fruitless > 0 {
            asked.push(self.config.proposer(self.config.id()));
        }
        for to in asked {
            out.push(Effect::Send { to, message: Message::Ask, after: None });
        }
        self.fruitless = self.fruitless.saturating_add(1);
        self.ask_at = Some(now + self.pause.draw());
    }

    fn learn(&mut self, proposal: Proposal, out: &mut Effects<Self>) {
        assert!(self.chosen.is_none(), "what was chosen is learned once");

        self.voted.clear();
        // It is a fact whether this survives or not, so nothing waits for it.
        out.push(Effect::Persist { token: Token(1), record: Record::Chosen(proposal.clone()) });
        self.chosen = Some(proposal);
        self.announce(out);
    }

    /// Tells the host, and this node's proposer and coordinator, which need not go on.
    fn announce(&mut self, out: &mut Effects<Self>) {
        self.is_applied = true;
        let command = self.chosen.as_ref().map(|chosen| chosen.value.clone());
        out.push(Effect::Apply(vec![Decided { index: CHOSEN, command, ticket: None }]));
        self.tell(self.config.proposer(self.config.id()), out);
    }

    fn tell(&self, to: Address, out: &mut Effects<Self>) {
        let Some(proposal) = self.chosen.clone() else { return };
        out.push(Effect::Send { to, message: Message::Chosen { proposal }, after: None });
    }
}

impl Process for Learner {
    type Config = Config;
    type Message = Message;
    type Record = Record;
    type Control = Control;

    fn recover(
        config: Config,
        _: Time,
        records: impl IntoIterator<Item = (Token, Record)>,
    ) -> Result<Self, RecoverError> {
        let pause = config.pause(LEARNER);
        let mut learner = Self {
            config,
            voted: BTreeMap::new(),
            chosen: None,
            is_applied: false,
            pause,
            ask_at: None,
            fruitless: 0,
        };
        for (token, record) in records {
            let Record::Chosen(proposal) = record else {
                return contradiction(token, "it is no record of a learner");
            };
            if learner.chosen.replace(proposal).is_some() {
                return contradiction(token, "a value was chosen before");
            }
        }
        Ok(learner)
    }

    fn step(&mut self, now: Time, input: Input<Self>, out: &mut Effects<Self>) {
        match input {
            Input::Tick => self.on_tick(now, out),
            Input::Receive { from, message } => {
                if !self.config.is_member(from) || !message.is_plausible(from) {
                    return;
                }
                match message {
                    Message::Accepted { proposal } => self.on_accepted(now, from, proposal, out),
                    Message::Chosen { proposal } => self.on_chosen(proposal, out),
                    Message::Ask => self.on_ask(from, out),
                    // They are for coordinators and acceptors.
                    Message::Prepare { .. }
                    | Message::Promise { .. }
                    | Message::Accept { .. }
                    | Message::Any { .. }
                    | Message::Propose { .. }
                    | Message::Nack { .. } => {}
                }
            }
            // Nothing waits for its one record, and it asks for no snapshots.
            Input::Persisted { .. } | Input::Snapshot(_) => {}
            Input::Submit(_) | Input::Control(_) => unreachable!("proposers are asked for values"),
        }
    }
}
