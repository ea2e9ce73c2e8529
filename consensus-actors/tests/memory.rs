//! A cluster in memory serves as a cluster of processes does.

use consensus_actors::{Code, MemoryCluster, NodeBuilder, Placement, Protocol, prelude::*};

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
struct Counter {
    value: i64,
}

#[replicated]
impl Counter {
    #[command]
    fn add(&mut self, by: i64) -> i64 {
        self.value += by;
        self.value
    }

    #[query]
    fn get(&self) -> i64 {
        self.value
    }
}

// Goal: every node takes commands and answers queries, each command is applied once, and the log is
// let go behind snapshots that a node would be restored from.
#[tokio::test]
async fn every_node_serves() {
    serves(MemoryCluster::start(3).unwrap()).await;
}

// Goal: the same holds wherever nodes have Multi-Paxos's roles.
#[tokio::test]
async fn every_node_serves_wherever_roles_are() {
    for placement in Placement::ALL {
        let placed = |node: NodeBuilder| node.protocol(Protocol::MultiPaxos).placement(placement);
        serves(MemoryCluster::configured(3, placed).unwrap()).await;
    }
}

async fn serves(cluster: MemoryCluster) {
    let counters =
        cluster.nodes().iter().map(|node| node.host::<Counter>("hits").snapshot_every(50));
    let mut clients = Vec::new();
    for hosting in counters {
        clients.push(hosting.await.unwrap());
    }
    for n in 0..200 {
        assert_eq!(clients[n % 3].add(1).await.unwrap(), n as i64 + 1);
    }
    for client in &clients {
        assert_eq!(client.get().await.unwrap(), 200);
    }
    clients[0].client().transfer(Some(3)).await.unwrap();
    assert_eq!(clients[1].add(1).await.unwrap(), 201);
}

// Goal: a number of nodes that makes no cluster is refused with a reason.
#[test]
fn no_cluster_without_nodes() {
    assert_eq!(MemoryCluster::start(0).unwrap_err().code(), Code::Config);
    assert_eq!(MemoryCluster::start(10).unwrap_err().code(), Code::Config);
}

// Goal: a state may live on an arbiter of the program's own, beside other states.
#[actix::test]
async fn states_share_an_arbiter() {
    let cluster = MemoryCluster::start(3).unwrap();
    let arbiter = actix::Arbiter::new();
    let mut clients = Vec::new();
    for node in cluster.nodes() {
        clients.push(node.host::<Counter>("hits").on_arbiter(arbiter.handle()).await.unwrap());
    }
    assert_eq!(clients[0].add(2).await.unwrap(), 2);
    assert_eq!(clients[2].get().await.unwrap(), 2);
}
