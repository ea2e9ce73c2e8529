//! Decisions, by either protocol, on real disks and over loopback: how long one takes that nobody
//! contests.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use consensus_actors::{DecisionProtocol, Node, Result};
use serde_json::json;

use crate::{
    cluster::{Scene, free_ports},
    report::{Report, Row, rounded},
};

/// How many nodes there are, by turns.
const NODES: [u64; 2] = [3, 5];

/// The nodes of a cluster, all in this process; they, and their data, end with this.
struct Cluster {
    nodes: Vec<Node>,
    data: PathBuf,
}

impl Cluster {
    fn start(scene: &Scene<'_>, nodes: u64, protocol: DecisionProtocol) -> Result<Self> {
        let port = u64::from(free_ports(nodes)?);
        let data = scene.data.join(port.to_string());
        fs::create_dir_all(&data)?;
        let mut cluster = Self { nodes: Vec::new(), data };
        for id in 1..=nodes {
            let node = Node::builder().id(id).cluster("bench").decisions_protocol(protocol);
            let peer = |node: consensus_actors::NodeBuilder, peer| {
                node.peer(peer, format!("127.0.0.1:{}", port + peer - 1))
            };
            let node = (1..=nodes).fold(node.data(cluster.data.join(id.to_string())), peer);
            cluster.nodes.push(node.start()?);
        }
        Ok(cluster)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.nodes.iter().for_each(Node::stop);
        fs::remove_dir_all(&self.data).ok();
    }
}

/// Has clusters of each size decide, one decision after the other on one node after the other, both
/// protocols by turns: whatever else the machine does comes upon both.
pub(crate) fn measure(scene: &Scene<'_>, report: &mut Report) -> Result {
    let runtime = actix_rt::System::new();
    for nodes in NODES {
        let mut clusters = Vec::new();
        for protocol in DecisionProtocol::ALL {
            clusters.push((protocol, Cluster::start(scene, nodes, protocol)?, Vec::new()));
        }
        let from = Instant::now() + scene.span.warm_up;
        let until = from + scene.span.measured;
        for number in 0_u64.. {
            if Instant::now() >= until {
                break;
            }
            for (_, cluster, took) in &mut clusters {
                let (node, begun) = (&cluster.nodes[(number % nodes) as usize], Instant::now());
                runtime.block_on(async { node.decide(format!("name-{number}"), &number).await })?;
                if begun >= from {
                    took.push(begun.elapsed());
                }
            }
        }
        let rows = clusters.into_iter().map(|(protocol, _, took)| row(nodes, protocol, took));
        let rows: Vec<Row> = rows.collect();
        let ratio = rounded(rows[1].p50_us / rows[0].p50_us);
        rows.into_iter().for_each(|row| report.add(row));
        report.fact(json!({ "mode": "decide", "nodes": nodes, "fast_to_basic_p50": ratio }));
    }
    Ok(())
}

fn row(nodes: u64, protocol: DecisionProtocol, mut took: Vec<Duration>) -> Row {
    took.sort();
    let micros = |percent: usize| {
        let at = (took.len() * percent / 100).min(took.len().saturating_sub(1));
        took.get(at).map_or(0.0, |took| took.as_secs_f64() * 1e6)
    };
    let ops_per_s = took.len() as f64 / took.iter().sum::<Duration>().as_secs_f64();
    let (p50_us, p99_us) = (micros(50), micros(99));
    let mode = format!("decide-{nodes}");
    Row { protocol: protocol.name().to_owned(), mode, clients: 1, ops_per_s, p50_us, p99_us }
}
