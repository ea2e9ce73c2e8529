//! Every state that a small cluster of real replicas can reach, and what must hold in each.
//!
//! Three replicas are stepped through [`Process::step`] and [`Process::recover`], as a host steps
//! them; stateright enumerates what may happen next, and remembers where it has been by a hash of
//! 64 bits.
//!
//! What may happen, in any order: a timer fires, a message arrives, a client submits a command to a
//! leader, a disk makes its oldest record durable, a node crashes and restarts. The network keeps
//! no order, and a message that never arrives is a lost one; it duplicates nothing.
//!
//! What is bounded is in [`Bounds`]. Besides:
//! * A disk that has written a record tells the replica at once. A crash between the two is a crash
//!   after both, but that less was promised.
//! * A crash and its restart are one: what reaches a node while it is down is lost.
//! * One Append is in flight to a follower, and nobody reads.
//!
//! What is not told apart, since it makes no difference:
//! * When something happens. Timers decide only that they may fire, so time and their generator are
//!   no part of a state.
//! * What nodes are called (`symmetry.rs`).
//! * The order in which disks write that no crash will interrupt. The one node that may crash is
//!   chosen at the start. Its disk takes its time, and so does a leader's, which counts for what is
//!   committed. Any other disk writes at once: what it would hold back, the network may delay as
//!   well.
//! * When a question arrives that finds its answer settled: it changes nothing there, and the
//!   network may delay the answer as well.
//! * Messages of which nothing can come any more.
//!
//! Two terms are too few for figure 8: that entries of earlier terms are not committed by counting
//! (5.4.2) is shown by a golden script.
//!
//! [`Process::step`]: consensus_core::Process::step
//! [`Process::recover`]: consensus_core::Process::recover

mod host;
mod model;
mod properties;
mod symmetry;
mod world;

use stateright::{Checker, HasDiscoveries, Model};

use model::Cluster;

/// How many nodes there are.
const NODES: usize = 3;
/// How many terms any bounds may ask for.
const TERMS_MAX: usize = 2;

/// How much may happen.
#[derive(Clone, Debug)]
struct Bounds {
    /// Beyond it nobody campaigns.
    terms: u8,
    /// Besides the no-op that each leader appends.
    commands: u8,
    heartbeats: u8,
    crashes: u8,
}

/// What a release build explores, in minutes.
const FULL: Bounds = Bounds { terms: 2, commands: 2, heartbeats: 0, crashes: 1 };
/// What a debug build explores, in seconds: two terms without a crash, and a crash in one term.
const QUICK: [Bounds; 2] = [
    Bounds { terms: 2, commands: 1, heartbeats: 0, crashes: 0 },
    Bounds { terms: 1, commands: 2, heartbeats: 0, crashes: 1 },
];

/// How many threads search.
const THREADS: usize = 2;

// Goal: within the bounds no order of events breaks a property of figure 3, loses what was
// acknowledged or fails an assertion; and the bounds let happen what the properties are about.
// Method: all orders, breadth first, so that what breaks a property is told by few steps.
#[test]
fn no_order_of_events_breaks_a_property() {
    if cfg!(debug_assertions) {
        QUICK.into_iter().for_each(explore);
    } else {
        explore(FULL);
    }
}

#[expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "how long the search takes is told, and decides nothing"
)]
fn explore(bounds: Bounds) {
    let started = std::time::Instant::now();
    let builder = Cluster::new(bounds.clone()).checker().threads(THREADS);
    let checker = builder.finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let (nodes, messages) = checker.model().sizes();
    eprintln!(
        "{bounds:?}: {} states, {} generated, depth {}, {:.1} s; {nodes} states of nodes, \
         {messages} messages",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        started.elapsed().as_secs_f64(),
    );
    for (name, path) in checker.discoveries() {
        if checker.model().property(name).expectation.discovery_is_failure() {
            let (state, actions) = (path.last_state().clone(), path.into_actions());
            eprintln!("{name} is broken in {} steps: {actions:#?}\n{state:?}", actions.len());
        } else {
            eprintln!("{name}: in {} steps", path.into_actions().len());
        }
    }
    checker.assert_properties();
}
