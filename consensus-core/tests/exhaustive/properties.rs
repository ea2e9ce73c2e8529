//! What must hold in every state, and what must be reached in some.

use stateright::Property;

use crate::{
    Bounds, NODES,
    host::Fault,
    model::{Cluster, State},
    world::{Node, Part, Stamp},
};

const MAJORITY: usize = NODES / 2 + 1;

/// Returns the properties; those that must be reached are asked for as the bounds allow.
pub(crate) fn all(bounds: &Bounds) -> Vec<Property<Cluster>> {
    let mut all = vec![
        Property::always("election safety", |_, state| election_safety(state)),
        Property::always("log matching", |_, state| log_matching(state)),
        Property::always("leader completeness", |_, state| leader_completeness(state)),
        Property::always("state machine safety", |_, state| state_machine_safety(state)),
        Property::always("committed on a majority", |_, state| committed_on_majority(state)),
        Property::always("acknowledged is kept", |_, state| acknowledged_is_kept(state)),
        Property::always("one vote", |_, state| is_not(state, Fault::VotedTwice)),
        Property::always("leader append-only", |_, state| is_not(state, Fault::LeaderOverwrote)),
        Property::always("nothing goes back", |_, state| is_not(state, Fault::WentBack)),
        Property::always("compaction keeps", |_, state| is_not(state, Fault::CompactedTooMuch)),
        Property::always("one answer", |_, state| is_not(state, Fault::AcknowledgedTwice)),
        Property::always("no assertion fails", |_, state| is_not(state, Fault::Panicked)),
        Property::sometimes(
            "a command is committed in term 1",
            |model: &Cluster, state: &State| {
                commands(state.past.committed).any(|(term, _)| term == 1) && model.is_first(0)
            },
        ),
    ];
    if bounds.terms > 1 {
        all.push(Property::sometimes(
            "a leader follows a leader",
            |model: &Cluster, state: &State| {
                state.past.leaders.iter().all(|leaders| *leaders != 0) && model.is_first(1)
            },
        ));
    }
    // Only a disk that takes its time still holds what the log has replaced.
    if bounds.terms > 1 && bounds.crashes > 0 {
        all.push(Property::sometimes(
            "an entry of term 1 is overwritten",
            |model: &Cluster, state: &State| {
                state.nodes.iter().any(|node| overwrites(node)) && model.is_first(2)
            },
        ));
    }
    if bounds.crashes > 0 {
        all.push(Property::sometimes(
            "a crash loses a record",
            |model: &Cluster, state: &State| state.past.lost && model.is_first(3),
        ));
    }
    if bounds.commands > 1 {
        all.push(Property::sometimes(
            "both commands are committed",
            |model: &Cluster, state: &State| {
                commands(state.past.committed).count() == 2 && model.is_first(4)
            },
        ));
    }
    all
}

fn commands(log: &[Stamp]) -> impl Iterator<Item = Stamp> + '_ {
    log.iter().copied().filter(|(_, number)| *number != 0)
}

fn is_not(state: &State, fault: Fault) -> bool {
    state.past.fault != Some(fault)
}

/// At most one leader is elected in a term.
fn election_safety(state: &State) -> bool {
    state.past.leaders.iter().all(|leaders| leaders.count_ones() <= 1)
}

/// Logs that agree on the term at an index agree on everything up to it.
fn log_matching(state: &State) -> bool {
    let agree = |left: &[Stamp], right: &[Stamp]| {
        let last = left.iter().zip(right).rposition(|(left, right)| left.0 == right.0);
        last.is_none_or(|last| left[..=last] == right[..=last])
    };
    let logs = state.nodes.map(|node| node.log.as_slice());
    agree(logs[0], logs[1]) && agree(logs[0], logs[2]) && agree(logs[1], logs[2])
}

/// Who leads the latest term that has a leader has everything that was committed.
fn leader_completeness(state: &State) -> bool {
    newest_leaders(state).all(|node| node.log.starts_with(state.past.committed))
}

/// Replicas commit the same, and it never changes.
fn state_machine_safety(state: &State) -> bool {
    let committed = state.nodes.map(|node| &node.log[..node.committed]);
    committed.iter().all(|committed| state.past.committed.starts_with(committed))
}

/// What is committed is on a majority of the disks.
fn committed_on_majority(state: &State) -> bool {
    let holds = |node: &&&Node| node.disk_log.starts_with(state.past.committed);
    state.nodes.iter().filter(holds).count() >= MAJORITY
}

/// What was acknowledged is committed, on a majority of the disks, and known to the newest leader.
fn acknowledged_is_kept(state: &State) -> bool {
    let has = |log: &[Stamp], number| commands(log).any(|(_, other)| other == number);
    (1..=u8::MAX.ilog2() as u8).filter(|number| state.past.acknowledged & 1 << number != 0).all(
        |number| {
            let disks = state.nodes.iter().filter(|node| has(&node.disk_log, number)).count();
            has(state.past.committed, number)
                && disks >= MAJORITY
                && newest_leaders(state).all(|node| has(&node.log, number))
        },
    )
}

fn newest_leaders(state: &State) -> impl Iterator<Item = &Node> {
    let newest = state.past.leaders.iter().rposition(|leaders| *leaders != 0);
    let newest = newest.map(|position| position as u8 + 1);
    let leads = move |node: &&Node| node.part == Part::Leader && Some(node.term) == newest;
    state.nodes.iter().copied().filter(leads)
}

/// Tells whether a node has replaced an entry of term 1 that its disk still holds.
fn overwrites(node: &Node) -> bool {
    node.disk_log.iter().zip(&node.log).any(|(old, new)| old.0 == 1 && new.0 == 2)
}
