//! What a cluster decides once is the same for everybody.

use consensus_actors::{Code, MemoryCluster, Node, Outcome};
use serde::{Deserialize, Serialize};

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
#[tokio::test]
async fn all_are_told_the_same() {
    let cluster = MemoryCluster::start(3).unwrap();
    let nodes = cluster.nodes();
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
#[tokio::test]
async fn refusals_say_why() {
    let cluster = MemoryCluster::start(1).unwrap();
    let node = &cluster.nodes()[0];
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
#[test]
fn without_a_majority_nothing_is_promised() {
    let directory = tempfile::tempdir().unwrap();
    let ports: Vec<u16> = (0..3)
        .map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port())
        .collect();
    let start = |id: u64| {
        let builder = Node::builder().cluster("decisions").id(id);
        let builder = (1..=3)
            .zip(&ports)
            .fold(builder, |builder, (peer, port)| builder.peer(peer, format!("127.0.0.1:{port}")));
        builder.data(directory.path().join(id.to_string())).start().unwrap()
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
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
    let (second, _third) = (start(2), start(3));
    let known = runtime
        .block_on(async { second.decided::<String>("color").deadline("20s").await.unwrap() });
    assert_eq!(known, Some(chosen));
}
