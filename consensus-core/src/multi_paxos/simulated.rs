//! Multi-Paxos under the simulator.

use super::{
    LEARNER, PROPOSER,
    config::Config,
    invariants::Observer,
    message::{Message, Value},
    record::Record,
    role::{Control, Role},
};
use crate::{
    client::Admin,
    ensemble::{Addressed, Ensemble, Entry},
    members::NodeId,
    membership::Membership,
    process::{Effect, Input, Status, Ticket, Token},
    read::Read,
    sim::{Broken, Fault, Faults, Judge, Profile, Setup, Simulated},
    snapshot::Cut,
    time::Time,
};

impl Simulated for Ensemble<Role> {
    type Judge = Observer;

    const FLEXIBLE_QUORUMS: bool = true;

    fn faults() -> Faults {
        // All members store commands, and a group never rests; nor does a leader hand over unasked.
        let lacks =
            [Fault::WitnessLetGo, Fault::Rest, Fault::Unrest, Fault::Takeover, Fault::DiskStall];
        lacks.into_iter().fold(Profile::All.faults(), Faults::without)
    }

    fn config(setup: &Setup) -> Config {
        let config = Config::builder(setup.id, setup.group, setup.membership.clone())
            .election_timeout(setup.election_timeout)
            .heartbeat(setup.heartbeat)
            .seed(setup.seed)
            .reads_from(setup.reads_from)
            .accept_bytes_max(setup.append_bytes_max)
            .accept_window(setup.append_window)
            .catch_up_slack(setup.catch_up_slack)
            .accept_window_bytes(setup.append_window_bytes)
            .snapshot_entries(setup.snapshots.entries)
            .snapshot_bytes(setup.snapshots.bytes)
            .snapshot_window(setup.snapshots.window)
            .tail_entries(setup.snapshots.tail_entries)
            .tail_bytes(setup.snapshots.tail_bytes)
            .lease(setup.lease)
            .clock_drift(setup.clock_drift)
            .priority(setup.priority);
        let config = match setup.quorums {
            Some((prepare, accept)) => config.quorum_sizes(Some(prepare), Some(accept)),
            None => config,
        };
        #[cfg(feature = "mutants")]
        let config = match setup.bug {
            Some(crate::mutants::Bug::MultiPaxos(mutant)) => config.mutant(mutant),
            Some(_) | None => config,
        };
        config.build().expect("the simulator draws values that fit")
    }

    fn read(reads: Vec<Read>) -> Input<Self> {
        Input::Control(Control::Read(reads))
    }

    fn admin(ticket: Ticket, admin: Admin) -> Input<Self> {
        Input::Control(Control::Admin(ticket, admin))
    }

    fn resign(ticket: Ticket) -> Input<Self> {
        Input::Control(Control::Resign(ticket))
    }

    fn storage_full(full: bool) -> Input<Self> {
        Input::Control(Control::StorageFull(full))
    }

    fn behind(behind: bool) -> Input<Self> {
        Input::Control(Control::Behind(behind))
    }

    /// A group never rests, and needs nobody's word of who is there.
    fn presence(_: NodeId, _: bool) -> Input<Self> {
        Input::Tick
    }

    fn lease_until(&self) -> Option<Time> {
        match self.role(PROPOSER)? {
            Role::Proposer(proposer) => proposer.lease_until(),
            Role::Acceptor(_) | Role::Learner(_) => None,
        }
    }

    fn is_at_rest(&self) -> bool {
        false
    }

    fn snapshot(&self) -> Option<Cut> {
        match self.role(LEARNER)? {
            Role::Learner(learner) => learner.snapshot(),
            Role::Proposer(_) | Role::Acceptor(_) => None,
        }
    }

    fn status(&self) -> Status {
        Self::status(self)
    }

    fn describe_message(Addressed { message, .. }: &Addressed<Message>) -> String {
        describe(message)
    }

    fn describe_record(Entry { record, .. }: &Entry<Record>) -> String {
        match record {
            Record::Round(round) => format!("round {}", round.0),
            Record::Promised(ballot) => format!("promised {ballot}"),
            Record::Accepted { ballot, first, values, chosen } => {
                format!("accepted {ballot} from {first}: {}, chosen {chosen}", described(values))
            }
            Record::Forgotten { upto, promised, .. } => {
                let promised = promised.map_or_else(|| "nothing".to_owned(), |it| it.to_string());
                format!("forgotten up to {upto}, promised {promised}")
            }
            Record::Snapshot(cut) => format!("snapshot up to {}", cut.index),
        }
    }
}

fn described(values: &[Value]) -> String {
    let value = |value: &Value| match value {
        Value::NoOp => "noop".to_owned(),
        Value::Command(command) => format!("{}B", command.len()),
        Value::Membership(membership) => format!("<{}>", membership.describe()),
    };
    values.iter().map(value).collect::<Vec<_>>().join(" ")
}

fn describe(message: &Message) -> String {
    match message {
        Message::Canvass { ballot } => format!("Canvass {ballot}"),
        Message::Prepare { ballot, first, transfer } => {
            let how = transfer.map_or_else(String::new, |by| format!(", told by {by}"));
            format!("Prepare {ballot} from {first}{how}")
        }
        Message::Accept { ballot, first, values, chosen } => {
            format!("Accept {ballot} from {first}: {}, chosen {chosen}", described(values))
        }
        Message::Heartbeat { ballot, round, chosen } => {
            format!("Heartbeat {ballot} round {round}, chosen {chosen}")
        }
        Message::Recall { first } => format!("Recall from {first}"),
        Message::Forget { upto } => format!("Forget up to {upto}"),
        Message::Support { ballot, chosen } => format!("Support {ballot}, chosen {chosen}"),
        Message::Promise { ballot, first, votes, upto, last, base } => {
            let votes: Vec<_> =
                votes.iter().map(|vote| format!("{}@{}", vote.slot, vote.ballot)).collect();
            let votes = votes.join(" ");
            format!("Promise {ballot} of {first} to {upto} of {last}, base {base}: {votes}")
        }
        Message::Nack { ballot, promised } => format!("Nack {ballot}, promised {promised}"),
        Message::Accepted { ballot, first, last } => {
            format!("Accepted {ballot} from {first} to {last}")
        }
        Message::HeartbeatReply { ballot, round, promise, .. } => {
            let promise = promise.map_or_else(String::new, |it| format!(", loyal for {it:?}"));
            format!("HeartbeatReply {ballot} round {round}{promise}")
        }
        Message::Heard { ballot } => format!("Heard {ballot}"),
        Message::Promised { ballot } => format!("Promised {ballot}"),
        Message::Abreast { upto } => format!("Abreast up to {upto}"),
        Message::Known { chosen, base, .. } => format!("Known up to {chosen}, base {base}"),
        Message::ReadIndex { id, lease } => {
            let how = if *lease { ", from a lease" } else { "" };
            format!("ReadIndex request {id}{how}")
        }
        Message::ReadIndexReply { id, index } => {
            format!("ReadIndexReply request {id}, see {index}")
        }
        Message::TakeOver { ballot } => format!("TakeOver {ballot}"),
        Message::Voted { ballot, first, values, chosen } => {
            format!("Voted {ballot} from {first}: {}, chosen {chosen}", described(values))
        }
        Message::Chosen { ballot, upto } => format!("Chosen {ballot} up to {upto}"),
        Message::Settled { ballot, upto, .. } => format!("Settled {ballot} up to {upto}"),
        Message::Learn { first, state } => {
            format!("Learn from {first}{}", if *state { ", has no state" } else { "" })
        }
        Message::Learned { first, values, chosen } => {
            format!("Learned from {first}: {}, chosen {chosen}", described(values))
        }
        Message::Offer { snapshot } => format!("Offer {snapshot}"),
        Message::Fetch { snapshot, part } => format!("Fetch {snapshot}, part {part}"),
        Message::Part { snapshot, part, bytes } => {
            let length = bytes.as_ref().map_or(0, bytes::Bytes::len);
            format!("Part {snapshot}, part {part}, {length}B")
        }
    }
}

impl Judge<Ensemble<Role>> for Observer {
    fn recovered(&mut self, process: &Ensemble<Role>) -> Result<(), Broken> {
        Self::recovered(self, process).map_err(|violation| self.broken(&violation))
    }

    fn stepped(
        &mut self,
        process: &Ensemble<Role>,
        effects: &[Effect<Ensemble<Role>>],
    ) -> Result<(), Broken> {
        self.observe(process, effects).map_err(|violation| self.broken(&violation))
    }

    fn leased(&mut self, node: NodeId, now: Time, until: Option<Time>) -> Result<(), Broken> {
        Self::leased(self, node, now, until).map_err(|violation| self.broken(&violation))
    }

    fn membership(&self) -> &Membership {
        Self::membership(self)
    }

    fn pending(&self) -> Vec<Membership> {
        Self::pending(self)
    }

    fn durable(&mut self, node: NodeId, upto: Token) -> Result<(), Broken> {
        Self::durable(self, node, upto).map_err(|violation| self.broken(&violation))
    }

    fn sent(
        &mut self,
        from: NodeId,
        _: NodeId,
        Addressed { message, .. }: &Addressed<Message>,
    ) -> Result<(), Broken> {
        Self::sent(self, from, message).map_err(|violation| self.broken(&violation))
    }
}
