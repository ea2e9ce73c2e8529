//! The known bug that a thread's tests run with, if the feature `mutants` is on and one was put
//! back: whatever they make of the code under test has it.

use consensus_core::{
    StateMachine,
    client::Client,
    fast_paxos,
    journal::Disk,
    multi_paxos, paxos,
    raft::Builder,
    replica::Replica,
    saga::{Barrier, Families, Ledger, Saga},
    snapshot::{Draft, Store},
};

#[cfg(feature = "mutants")]
mod put_back {
    use std::{
        cell::Cell,
        panic::{AssertUnwindSafe, catch_unwind},
        thread,
    };

    use consensus_core::mutants::Bug;

    thread_local! {
        static BUG: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Runs a test with a bug put back; a panic is its failure.
    pub(crate) fn with<T>(bug: Option<Bug>, test: impl FnOnce() -> T) -> thread::Result<T> {
        let before = BUG.replace(bug);
        let result = catch_unwind(AssertUnwindSafe(test));
        BUG.set(before);
        result
    }

    pub(super) fn bug() -> Option<Bug> {
        BUG.get()
    }
}

#[cfg(feature = "mutants")]
pub(crate) use put_back::with;

/// Puts the bug into a configuration, if it is one of Raft's.
pub(crate) fn configured(builder: Builder) -> Builder {
    #[cfg(feature = "mutants")]
    if let Some(consensus_core::mutants::Bug::Raft(mutant)) = put_back::bug() {
        return builder.mutant(mutant);
    }
    builder
}

/// Puts the bug into a configuration, if it is one of Paxos's.
pub(crate) fn paxos(builder: paxos::Builder) -> paxos::Builder {
    #[cfg(feature = "mutants")]
    if let Some(consensus_core::mutants::Bug::Paxos(mutant)) = put_back::bug() {
        return builder.mutant(mutant);
    }
    builder
}

/// Puts the bug into a configuration, if it is one of Fast Paxos's.
pub(crate) fn fast_paxos(builder: fast_paxos::Builder) -> fast_paxos::Builder {
    #[cfg(feature = "mutants")]
    if let Some(consensus_core::mutants::Bug::FastPaxos(mutant)) = put_back::bug() {
        return builder.mutant(mutant);
    }
    builder
}

/// Puts the bug into a configuration, if it is one of Multi-Paxos's.
pub(crate) fn multi_paxos(builder: multi_paxos::Builder) -> multi_paxos::Builder {
    #[cfg(feature = "mutants")]
    if let Some(consensus_core::mutants::Bug::MultiPaxos(mutant)) = put_back::bug() {
        return builder.mutant(mutant);
    }
    builder
}

/// Puts the bug into a saga's planner, if it is one of its kind.
pub(crate) fn saga(saga: Saga) -> Saga {
    #[cfg(feature = "mutants")]
    if let Some(consensus_core::mutants::Bug::Saga(mutant)) = put_back::bug() {
        return saga.with_mutant(mutant);
    }
    saga
}

/// Puts the bug into a ledger of sagas, if it is one of its kind.
pub(crate) fn ledger(ledger: Ledger) -> Ledger {
    #[cfg(feature = "mutants")]
    if let Some(consensus_core::mutants::Bug::Saga(mutant)) = put_back::bug() {
        return ledger.with_mutant(mutant);
    }
    ledger
}

/// Puts the bug into families of sagas, if it is one of their kind.
pub(crate) fn families(families: Families) -> Families {
    #[cfg(feature = "mutants")]
    if let Some(consensus_core::mutants::Bug::Saga(mutant)) = put_back::bug() {
        return families.with_mutant(mutant);
    }
    families
}

/// Puts the bug into a barrier, if it is one of its kind.
pub(crate) fn barrier(barrier: Barrier) -> Barrier {
    #[cfg(feature = "mutants")]
    if let Some(consensus_core::mutants::Bug::Saga(mutant)) = put_back::bug() {
        return barrier.with_mutant(mutant);
    }
    barrier
}

/// Puts the bug into a replica, if it is one of its kind.
pub(crate) fn replica<S: StateMachine>(replica: Replica<S>) -> Replica<S> {
    #[cfg(feature = "mutants")]
    if let Some(consensus_core::mutants::Bug::Replica(mutant)) = put_back::bug() {
        return replica.with_mutant(mutant);
    }
    replica
}

/// Puts the bug into a client, if it is one of its kind.
pub(crate) fn client(client: Client) -> Client {
    #[cfg(feature = "mutants")]
    if let Some(consensus_core::mutants::Bug::Client(mutant)) = put_back::bug() {
        return client.with_mutant(mutant);
    }
    client
}

/// Puts the bug into a store of snapshots, if it is one of its kind.
pub(crate) fn store<D: Disk>(store: Store<D>) -> Store<D> {
    #[cfg(feature = "mutants")]
    if let Some(consensus_core::mutants::Bug::Snapshot(mutant)) = put_back::bug() {
        return store.with_mutant(mutant);
    }
    store
}

/// Puts the bug into a snapshot that is being written, if it is one of its kind.
pub(crate) fn draft<D: Disk>(draft: Draft<D>) -> Draft<D> {
    #[cfg(feature = "mutants")]
    if let Some(consensus_core::mutants::Bug::Snapshot(mutant)) = put_back::bug() {
        return draft.with_mutant(mutant);
    }
    draft
}
