//! Sagas of processes, of which the one that carries them out is killed in the middle, again and
//! again: an application with a `main` of its own, this test, run again as each node.

use std::{env, net::SocketAddr, time::Duration};

use consensus_actors::{
    prelude::*,
    saga::{Guard, Guarded, Outcome, Request, SagaCx, Sagas, Undo},
};
use serde_json::Value;

use crate::{
    cluster::{Cluster, NODE, PATIENCE, Program},
    http::{self, Http},
    process::{Done, counter_command, eventually, run},
};

/// How many orders there are; each third is refused, and of the last the goods cannot be put back.
const ORDERS: u32 = 45;

/// How often the node in charge is killed.
const KILLS: u32 = 5;

/// Goods that orders take.
#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
struct Stock {
    taken: u32,
    put_back: u32,
    is_open: bool,
    guard: Guard,
}

#[replicated]
impl Stock {
    #[command]
    fn take(&mut self, of: Request) -> Guarded<u32> {
        self.guard.act(of, || {
            self.taken += 1;
            Ok::<_, String>(1)
        })
    }

    #[command]
    fn put_back(&mut self, of: Request, needs_door: bool) -> Guarded<()> {
        self.guard.undo(of, |_: u32| {
            if needs_door && !self.is_open {
                return Err("the door is locked");
            }
            self.put_back += 1;
            Ok(())
        })
    }

    /// Opens the door.
    #[command]
    fn open(&mut self) {
        self.is_open = true;
    }

    /// How often goods were taken, and how often put back.
    #[query]
    fn told(&self) -> (u32, u32) {
        (self.taken, self.put_back)
    }
}

/// An order.
#[derive(Clone, Serialize, Deserialize)]
struct PlaceOrder {
    number: u32,
}

#[saga(version = 1)]
impl PlaceOrder {
    #[step(undo = put_back)]
    async fn take(&self, cx: &SagaCx) -> Outcome<u32> {
        cx.get::<StockClient>().take(cx.request()).await.into()
    }

    async fn put_back(&self, cx: &SagaCx) -> Undo {
        let is_last = self.number == ORDERS - 1;
        cx.get::<StockClient>().put_back(cx.request(), is_last).await.into()
    }

    #[step(no_effect)]
    async fn pack(&self, _: &SagaCx, take: &u32) -> Outcome<u32> {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Outcome::Done(*take)
    }

    #[step(pivot)]
    async fn ship(&self, _: &SagaCx, pack: &u32) -> Outcome<u32> {
        if self.number % 3 == 2 {
            return Outcome::Rejected("no lorry".to_owned());
        }
        Outcome::Done(*pack)
    }
}

/// Places all orders, whichever of them were placed before, by this node or another.
async fn place(sagas: Sagas) {
    for number in 0..ORDERS {
        let key = format!("order-{number}");
        while sagas.start_once(&key, PlaceOrder { number }).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

/// Runs this process as the node that its environment describes.
fn serve(flags: &str) {
    let flags: Vec<(String, String)> = serde_json::from_str(flags).expect("flags as JSON");
    let flag = |name: &str| {
        let found = flags.iter().find(|(flag, _)| flag == name);
        found.map(|(_, value)| value.clone()).expect("the cluster gives every flag")
    };
    let mut builder = Node::builder()
        .id(flag("--id").parse().expect("an id is a number"))
        .http(flag("--http"))
        .data(flag("--data"))
        .cluster(flag("--cluster"))
        .protocol(flag("--protocol").parse().expect("a protocol"))
        .election_timeout(Duration::from_millis(300))
        .heartbeat(Duration::from_millis(60));
    for peer in flag("--peers").split(',') {
        let (id, address) = peer.split_once('=').expect("a peer is ID=HOST:PORT");
        builder = builder.peer(id.parse().expect("an id is a number"), address);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ran = runtime.expect("a runtime").block_on(async {
        let node = builder.start()?;
        let stock = node.host::<Stock>("stock").await?;
        let sagas = node.sagas("orders").with(stock).register::<PlaceOrder>().await?;
        tokio::spawn(place(sagas));
        node.run().await
    });
    ran.expect("the node runs");
}

fn tool(node: SocketAddr, arguments: &[&str]) -> Done {
    let mut command = counter_command();
    run(command.arg("saga").args(arguments).args(["--addr", &node.to_string()]))
}

/// Asks a node, which may be dead or without a leader.
fn ask(node: SocketAddr, path: &str) -> Option<Value> {
    let answer = Http::with_patience(Duration::from_secs(5)).get(node, path, &[]).ok()?;
    (answer.status == 200).then(|| answer.json())
}

/// Returns how often goods were taken and put back.
fn told(node: SocketAddr) -> Option<(u64, u64)> {
    let told = ask(node, "/v1/groups/stock/queries/told")?;
    let number = |place: usize| told["reply"].get(place).and_then(Value::as_u64);
    Some((number(0)?, number(1)?))
}

/// Returns the sagas that have not ended, if the node can tell.
fn left(node: SocketAddr) -> Option<Vec<Value>> {
    ask(node, "/v1/sagas/orders")?["sagas"].as_array().cloned()
}

// Goal: orders end whole though the node that carries them out is killed in the middle of them, again
// and again, and comes back: each effect comes about once. What is stuck then is found, shown and
// helped by the command line, after a kill of all nodes, too.
// Method: three processes; each places the same orders under the same keys, in each of its lives.
#[test]
fn sagas_survive_the_death_of_the_node_in_charge() {
    if let Ok(flags) = env::var(NODE) {
        return serve(&flags);
    }
    let program = Program::Test("sagas::sagas_survive_the_death_of_the_node_in_charge");
    let mut cluster = Cluster::prepare_program(3, program);
    cluster.start_all();
    for kill in 1..=KILLS {
        let taken = u64::from(kill * (ORDERS / KILLS - 2));
        let in_charge = eventually("orders are under way", PATIENCE, || {
            let leader = cluster.leader();
            let (node, is_at_work) = (cluster.http(leader), |it: &Value| it["records"] != 1);
            let (begun, _) = told(node).filter(|(begun, _)| *begun >= taken)?;
            let under_way = left(node)?.iter().any(is_at_work);
            (under_way || begun >= u64::from(ORDERS)).then_some(leader)
        });
        cluster.kill(in_charge);
        cluster.start_node(in_charge);
    }
    cluster.await_ready();
    let whole = (u64::from(ORDERS), u64::from(ORDERS / 3) - 1);
    let nodes = cluster.addresses();
    let stuck = eventually("all but one have ended", PATIENCE * 3, || {
        let left = left(nodes[0])?;
        let all_begun = told(nodes[0])?.0 >= whole.0;
        let [only] = &left[..] else { return None };
        (all_begun && only["standing"] == "stuck").then(|| only.clone())
    });
    assert_eq!(told(nodes[0]), Some(whole));

    cluster.kill_all();
    cluster.start_all();
    let id = stuck["id"].as_str().expect("it has an id");
    let listed = eventually("it is listed", PATIENCE, || {
        Some(tool(nodes[1], &["list", "orders", "--stuck"])).filter(|it| it.out.contains(id))
    });
    assert!(listed.out.contains("the door is locked"), "{listed:?}");
    let shown = tool(nodes[2], &["show", "orders", id]);
    for part in ["place-order version 1 is stuck", "undo_failed", "do: see to what keeps"] {
        assert!(shown.code == Some(0) && shown.out.contains(part), "{shown:?}");
    }
    http::post(nodes[0], "/v1/groups/stock/commands/open", "{}").reply();
    let retried = tool(nodes[2], &["retry", "orders", id, "--reason", "the door is open"]);
    assert_eq!((retried.code, &*retried.out), (Some(0), "done: retry\n"), "{retried:?}");
    eventually("it is undone", PATIENCE, || {
        let shown = tool(nodes[1], &["show", "orders", id]);
        shown.out.contains("place-order version 1 is compensated").then_some(())
    });
    assert_eq!((told(nodes[1]), left(nodes[1])), (Some((whole.0, whole.1 + 1)), Some(vec![])));
    for id in cluster.ids() {
        assert!(!cluster.log(id).contains("panicked"), "node {id}");
    }
}
