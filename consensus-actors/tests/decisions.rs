//! What a cluster decides once is the same for everybody, whatever protocol decides it.

use std::cell::Cell;

use consensus_actors::{Code, DecisionProtocol, MemoryCluster, Node, Outcome};
use serde::{Deserialize, Serialize};

/// Tests that hold under both protocols.
macro_rules! under_both {
    ($($test:ident),+ $(,)?) => {
        mod by_paxos {
            $(#[test]
            fn $test() {
                super::$test(consensus_actors::DecisionProtocol::Paxos);
            })+
        }

        mod by_fast_paxos {
            $(#[test]
            fn $test() {
                super::$test(consensus_actors::DecisionProtocol::FastPaxos);
            })+
        }
    };
}

under_both! { all_are_told_the_same, refusals_say_why, without_a_majority_nothing_is_promised }

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().unwrap()
}

fn cluster(nodes: u64, protocol: DecisionProtocol) -> MemoryCluster {
    MemoryCluster::configured(nodes, |node| node.decisions_protocol(protocol)).unwrap()
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Layout {
    shards: u32,
    zones: Vec<String>,
}

fn layout(shards: u32) -> Layout {
    Layout { shards, zones: vec!["eu".to_owned(), "us".to_owned()] }
}

// Goal: whoever proposes, and however many do at once, all are told the one value that is chosen,
// which one of them proposed; who only asks is told that, too, and before that nothing.
fn all_are_told_the_same(protocol: DecisionProtocol) {
    let cluster = cluster(3, protocol);
    runtime().block_on(told_the_same(cluster.nodes()));
}

async fn told_the_same(nodes: &[Node]) {
    assert_eq!(nodes[1].decided::<Layout>("layout").await.unwrap(), None);
    let proposals: Vec<Layout> = (1..=12).map(layout).collect();
    let calls = proposals.iter().zip(nodes.iter().cycle()).map(|(proposal, node)| {
        let deciding = node.decide("layout", proposal).deadline("20s");
        tokio::spawn(async move { deciding.await })
    });
    let calls: Vec<_> = calls.collect();
    let mut told = Vec::new();
    for call in calls {
        told.push(call.await.unwrap().unwrap());
    }
    assert!(proposals.contains(&told[0]));
    assert!(told.iter().all(|value| *value == told[0]), "{told:?}");
    for node in nodes {
        assert_eq!(node.decided::<Layout>("layout").await.unwrap().as_ref(), Some(&told[0]));
        assert_eq!(node.decide("layout", &layout(99)).await.unwrap(), told[0]);
    }
    assert_eq!(nodes[0].decide("another", &7).await.unwrap(), 7);
}

// Goal: what cannot be is refused with a code that says why, and decides nothing.
fn refusals_say_why(protocol: DecisionProtocol) {
    let cluster = cluster(1, protocol);
    runtime().block_on(refused(&cluster.nodes()[0]));
}

async fn refused(node: &Node) {
    let code = |error: consensus_actors::Error| error.code();
    assert_eq!(node.decide("", &1).await.map_err(code), Err(Code::InvalidArgument));
    let long = "x".repeat(2 << 20);
    assert_eq!(node.decide("long", &long).await.map_err(code), Err(Code::TooLarge));
    assert_eq!(node.decided::<String>("long").await.unwrap(), None);
    assert_eq!(node.decide("number", &1).deadline("soon").await.map_err(code).unwrap_err(), {
        Code::InvalidArgument
    });
    assert_eq!(node.decide("number", &1).await.unwrap(), 1);
    assert_eq!(node.decide("number", &"text".to_owned()).await.map_err(code), {
        Err(Code::Undecodable)
    });
}

// Goal: without a majority nobody is told anything, and a proposer that gave up may still have its
// value chosen: its error says so.
fn without_a_majority_nothing_is_promised(protocol: DecisionProtocol) {
    let directory = tempfile::tempdir().unwrap();
    let ports: Vec<u16> = (0..3)
        .map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port())
        .collect();
    let start = |id: u64| {
        let builder = Node::builder().cluster("decisions").id(id).decisions_protocol(protocol);
        let builder = (1..=3)
            .zip(&ports)
            .fold(builder, |builder, (peer, port)| builder.peer(peer, format!("127.0.0.1:{port}")));
        builder.data(directory.path().join(id.to_string())).start().unwrap()
    };
    let runtime = runtime();
    let first = start(1);
    let error = runtime
        .block_on(async { first.decide("color", &"red".to_owned()).deadline("300ms").await });
    let error = error.unwrap_err();
    assert_eq!((error.code(), error.outcome()), (Code::Deadline, Outcome::Unknown));
    let second = start(2);
    let chosen = runtime.block_on(async {
        second.decide("color", &"blue".to_owned()).deadline("20s").await.unwrap()
    });
    let known =
        runtime.block_on(async { first.decided::<String>("color").deadline("20s").await.unwrap() });
    assert_eq!(known.as_ref(), Some(&chosen));
    // It outlives the processes.
    first.stop();
    second.stop();
    let (second, third) = (start(2), start(3));
    let known = runtime
        .block_on(async { second.decided::<String>("color").deadline("20s").await.unwrap() });
    assert_eq!(known, Some(chosen));
    // Before their data goes away.
    second.stop();
    third.stop();
}

// Goal: nodes that are set differently decide nothing together, and say so, with what to do: both
// those that are fewer, who get nothing decided, and those who do.
#[tokio::test]
async fn nodes_set_differently_say_so() {
    let id = Cell::new(0);
    let cluster = MemoryCluster::configured(4, |node| {
        id.set(id.get() + 1);
        let is_fast = id.get() > 2;
        node.decisions_protocol(DecisionProtocol::ALL[usize::from(is_fast)])
    });
    let cluster = cluster.unwrap();
    let nodes = cluster.nodes();
    for (node, told) in [
        (&nodes[0], "made by paxos here, and by fast_paxos at node 3, node 4; give all nodes"),
        (&nodes[2], "made by fast_paxos here, and by paxos at node 1, node 2; give all nodes"),
    ] {
        let error = node.decide("color", &node.id()).deadline("1s").await.unwrap_err();
        assert_eq!(error.code(), Code::Deadline);
        assert!(error.message().contains(told), "{error}");
    }
    // Who has only listened so far knows, too.
    let error = nodes[3].decided::<u64>("color").deadline("1s").await.unwrap_err();
    assert!(error.message().contains("by paxos at node 1, node 2"), "{error}");
}

// Goal: what one protocol decided the other refuses, before anything is done, and says what to set; it
// is there when that is done. Without decisions a node may change.
#[test]
fn data_of_the_other_protocol_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let start = |protocol: DecisionProtocol| {
        let builder = Node::builder().cluster("decisions").data(directory.path());
        builder.decisions_protocol(protocol).start()
    };
    let [paxos, fast] = DecisionProtocol::ALL;
    start(paxos).unwrap().stop();
    let node = start(fast).unwrap();
    assert_eq!(runtime().block_on(async { node.decide("color", &7).await.unwrap() }), 7);
    node.stop();
    let error = start(paxos).unwrap_err();
    assert_eq!(error.code(), Code::Config);
    let told = "made by fast_paxos, and the node is to make them by paxos; set \
                `decisions.protocol` to fast_paxos";
    assert!(error.message().contains(told), "{error}");
    let node = start(fast).unwrap();
    let known = runtime().block_on(async { node.decided::<u32>("color").await.unwrap() });
    assert_eq!(known, Some(7));
    node.stop();
}
