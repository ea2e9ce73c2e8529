//! Known bugs, put back one at a time: the tests find each, at the rule that it breaks, and none
//! shows in a cluster without faults.
//!
//! `cargo test -p consensus-core --features mutants --test it mutants`

use std::{collections::BTreeSet, fs, path::PathBuf, time::Duration};

use consensus_core::{
    NodeId,
    client::{self, Ask},
    mutants::{Bug, UnknownBug},
    raft, replica,
};

use crate::{
    bug,
    cluster::Cluster,
    kv::{self, Command, Query},
    node::{Options, id},
    raft::traced,
    service::Service,
};

// Goal: a bug is found by its name, which is its own, and says which rule it breaks.
#[test]
fn names_tell_bugs_apart() {
    let names: BTreeSet<_> = Bug::all().map(Bug::name).collect();
    assert_eq!(names.len(), Bug::all().count());
    let rules: BTreeSet<_> = Bug::all().map(Bug::rule).collect();
    assert_eq!(rules.len(), Bug::all().count(), "each breaks a rule of its own");
    for bug in Bug::all() {
        assert_eq!(bug.name().parse(), Ok(bug));
        assert_eq!(bug.to_string(), bug.name());
    }
    assert_eq!("x".parse::<Bug>(), Err(UnknownBug { name: "x".into() }));
}

// Goal: each of Raft's rules is pinned by a golden script, which fails without the rule.
// Method: the script with the bug put back leaves another trace, or an invariant fails.
#[test]
fn scripts_find_raft_bugs() {
    for mutant in raft::Mutant::ALL {
        let path = scripts().join(mutant.script());
        let script = fs::read_to_string(&path).expect("the script is there");
        let leaves = |bug| bug::with(bug, || traced(&script).is_ok_and(|trace| trace == script));
        assert!(matches!(leaves(None), Ok(true)), "{} passes", mutant.script());
        let found = !matches!(leaves(Some(Bug::Raft(*mutant))), Ok(true));
        assert!(found, "{} does not find {}", mutant.script(), mutant.name());
    }
}

fn scripts() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/raft")
}

// Goal: each of the replica's and the client's rules is pinned by a test, which fails without it.
#[test]
fn tests_find_bugs_of_replica_and_client() {
    let others = Bug::all().filter(|bug| !matches!(bug, Bug::Raft(_)));
    for other in others {
        let (name, test) = (other.pinned_by(), test(other));
        assert!(bug::with(None, test).is_ok(), "{name} passes");
        assert!(bug::with(Some(other), test).is_err(), "{name} does not find {other}");
    }
}

/// Returns the test that pins the rule, by its name.
fn test(bug: Bug) -> fn() {
    macro_rules! named {
        ($name:expr, $part:ident { $($test:ident),+ $(,)? }) => {
            match $name {
                $(stringify!($test) => crate::$part::$test,)+
                other => panic!("{other} is no test of {}", stringify!($part)),
            }
        };
    }
    match bug {
        Bug::Raft(_) => panic!("scripts pin the rules of Raft"),
        Bug::Replica(mutant) => named!(
            mutant.test(),
            replica {
                time_never_goes_back,
                replicas_agree_whoever_took_a_request,
                request_of_a_session_applies_once,
                refused_requests_change_nothing,
                reply_is_kept_until_it_is_acknowledged,
                session_expires_by_the_time_in_the_log,
                panic_is_an_outcome_like_any_other,
                key_stands_for_one_body,
            }
        ),
        Bug::Client(mutant) => named!(
            mutant.test(),
            client {
                answer_to_another_life_is_nobodys,
                deadline_tells_the_truth,
                busy_is_reported_unless_an_attempt_is_open,
                refusal_by_the_window_is_retried,
                expired_session_leaves_doubt_where_an_attempt_is_open,
                new_leader_gets_the_same_request,
            }
        ),
    }
}

// Goal: no bug shows while nothing goes wrong, so that only faults, and what judges them, find it.
// Method: an election, commands and queries on every node of three and of five, by all that a
// caller can tell; invariants are not judged.
#[test]
fn bugs_do_not_show_in_a_calm_cluster() {
    assert_eq!(raft::Mutant::ALL.len(), 44);
    assert_eq!(replica::Mutant::ALL.len() + client::Mutant::ALL.len(), 16);
    for nodes in [3, 5] {
        for bug in Bug::all().map(Some).chain([None]) {
            let run = bug::with(bug, || Calm::new(nodes).all());
            assert!(run.is_ok(), "{bug:?} shows on {nodes} nodes");
        }
    }
}

const STEP: Duration = Duration::from_millis(25);

/// A cluster in which everything arrives and every disk works, in rounds.
struct Calm {
    service: Service,
    operations: u64,
}

impl Calm {
    fn new(nodes: u64) -> Self {
        let options = Options { nodes, judged: false, ..Options::default() };
        Self { service: Service::new(Cluster::new(&options)), operations: 0 }
    }

    fn ids(&self) -> Vec<NodeId> {
        self.service.cluster.nodes().map(|(id, _)| id).collect()
    }

    fn all(&mut self) {
        // The first timer that runs out, within two seconds, makes a leader for good.
        (0..200).for_each(|_| self.round());
        for _ in 0..5 {
            self.command(id(1));
            self.finish();
            for node in self.ids() {
                self.command(node);
                self.query(node);
                self.command(node);
            }
            self.finish();
            self.query(id(1));
            self.finish();
        }
        (0..20).for_each(|_| self.round());
        self.judge();
    }

    fn command(&mut self, node: NodeId) {
        self.operations += 1;
        let key = format!("o{}", self.operations);
        let command = kv::encode(&Command::Add { key: key.clone(), by: 1 });
        let ask = if self.operations.is_multiple_of(3) {
            Ask::Keyed { key: key.clone().into(), command }
        } else {
            Ask::Command(command)
        };
        self.service.call(node, Some(&key), ask, Duration::from_secs(10));
    }

    fn query(&mut self, node: NodeId) {
        let query = Ask::Query(kv::encode(&Query::History));
        self.service.call(node, None, query, Duration::from_secs(10));
    }

    fn finish(&mut self) {
        for _ in 0..40 {
            if self.service.waiting() == 0 {
                return;
            }
            self.round();
        }
        panic!("calls wait for a second");
    }

    /// Lets a little time pass, and then everything come to rest.
    fn round(&mut self) {
        self.service.advance(STEP);
        for node in self.ids() {
            self.service.cluster.tick(node, STEP);
            self.service.pump(node);
        }
        for _ in 0..100 {
            if !self.moves() {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    fn moves(&mut self) -> bool {
        let mut moved = 0;
        for node in self.ids() {
            moved += self.service.cluster.persist(node, usize::MAX);
        }
        for ((from, to), count) in self.service.cluster.busy_links() {
            (0..count).for_each(|_| self.service.cluster.deliver(from, to, 0));
            moved += count;
        }
        self.service.settle();
        for ((from, to), count) in self.service.busy_links() {
            (0..count).for_each(|_| self.service.deliver(from, to, 0));
            moved += count;
        }
        for node in self.ids() {
            self.service.pump(node);
        }
        moved > 0
    }

    fn judge(&self) {
        let cluster = &self.service.cluster;
        let first = cluster.node(id(1)).replica.machine();
        for (node, other) in cluster.nodes() {
            assert_eq!(other.replica.machine(), first, "{node} holds what node 1 holds");
            assert_eq!(other.raft.state().term().0, 1, "{node} has seen one election");
        }
        let history = &self.service.history;
        assert_eq!(history.answered(), history.len(), "every call has a reply");
        assert_eq!(first.history.len() as u64, self.operations);
        history.check(&first.history);
    }
}
