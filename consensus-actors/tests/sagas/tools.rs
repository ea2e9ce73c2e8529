//! Operators meet sagas over HTTP and on the command line.

use std::{
    net::{SocketAddr, TcpListener},
    process::{Command, Output},
};

use consensus_actors::{Node, saga::Saga};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::order::{PlaceOrder, Shop, hasty};

fn get(at: SocketAddr, path: &str) -> (u16, Value) {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut response = agent.get(format!("http://{at}{path}")).call().unwrap();
    (response.status().as_u16(), response.body_mut().read_json().unwrap())
}

fn run(at: SocketAddr, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consensus"));
    command.arg("saga").args(arguments).args(["--addr", &at.to_string()]).output().unwrap()
}

/// Starts three nodes that serve HTTP.
fn three() -> (TempDir, Vec<Node>) {
    let data = TempDir::new().unwrap();
    // The ports are free until a node takes each.
    let ports = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let peers = ports.map(|port| port.local_addr().unwrap().to_string());
    let start = |id: u64| {
        let node = peers.iter().zip(1..).fold(Node::builder(), |it, (at, id)| it.peer(id, at));
        let node = node.id(id).data(data.path().join(id.to_string())).http("127.0.0.1:0");
        hasty(node).start().unwrap()
    };
    let nodes = (1..=3).map(start).collect();
    (data, nodes)
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

// Goal: what is stuck is found, looked at and skipped with the tools alone; what cannot be is
// refused with a code.
#[tokio::test(flavor = "multi_thread")]
async fn tools_find_and_help_what_is_stuck() {
    let data = TempDir::new().unwrap();
    let node = hasty(Node::builder().data(data.path()).http("127.0.0.1:0")).start().unwrap();
    let (at, nodes) = (node.http().unwrap(), [node]);
    let shop = Shop::on(&nodes, 10, 10).await;
    let order = PlaceOrder {
        goods: 1,
        money: 2,
        refused: true,
        keeps_goods: true,
        ..PlaceOrder::default()
    };
    let saga = shop.sagas[0].start(order).await.unwrap();
    assert!(matches!(saga.wait().await.unwrap(), Saga::Stuck { .. }));
    let id = format!("{:032x}", saga.id().0);

    let (status, list) = get(at, "/v1/sagas/orders?stuck=true");
    assert_eq!(status, 200);
    let (first, told) = (&list["sagas"][0], ["saga", "standing", "step", "cause"]);
    let expected = ["place-order version 1", "stuck", "goods", "the door is locked"];
    assert_eq!(
        (&first["id"], told.map(|name| first[name].clone())),
        (&json!(id), expected.map(Value::from))
    );
    let (_, shown) = get(at, &format!("/v1/sagas/orders/{id}"));
    let log = shown["log"].as_array().unwrap();
    assert_eq!((&log[0]["record"], &log[0]["detail"]["goods"]), (&json!("begun"), &json!(1)));
    let told = |it: &Value| [it["step"].clone(), it["depth"].clone(), it["standing"].clone()];
    let steps: Vec<_> = shown["steps"].as_array().unwrap().iter().map(told).collect();
    let expected = [("goods", 0, "undo_failed"), ("money", 0, "undone"), ("ship", 1, "rejected")];
    let expected = expected.map(|(name, depth, how)| [json!(name), json!(depth), json!(how)]);
    assert_eq!(steps, expected);
    let goods = &shown["steps"][0];
    assert!(goods["asked_ms"].as_u64() <= goods["ended_ms"].as_u64(), "{goods}");
    assert_eq!((&goods["output"], &goods["cause"]), (&json!(1), &json!("the door is locked")));
    let counts = ["attempts", "undo_attempts", "refused"].map(|name| goods[name].clone());
    assert_eq!((counts, &goods["now"]), ([json!(1), json!(1), json!(0)], &Value::Null));
    assert_eq!((&shown["input"]["money"], &shown["in_charge"]), (&json!(2), &json!(1)));
    assert_eq!(shown["is_live"], true);
    let failed = |it: &&Value| it["record"] == "undo_failed" && it["step"] == "goods";
    let record = log.iter().find(failed).unwrap();
    assert_eq!((&record["detail"], &record["attempts"]), (&json!("the door is locked"), &json!(1)));
    for (path, status) in [
        ("/v1/sagas/orders/17".to_owned(), 400),
        (format!("/v1/sagas/orders/{:032x}", 17), 404),
        ("/v1/sagas/goods".to_owned(), 404),
        ("/v1/sagas/orders?stick=true".to_owned(), 400),
        (format!("/v1/sagas/orders/{id}/skip"), 405),
    ] {
        assert_eq!(get(at, &path).0, status, "{path}");
    }

    let listed = printed(&run(at, &["list", "orders", "--stuck"]));
    assert!(listed.contains(&id) && listed.contains("the door is locked"), "{listed}");
    let shown = printed(&run(at, &["show", "orders", &id]));
    assert!(shown.contains("undo_failed") && shown.contains("do: "), "{shown}");
    assert!(shown.contains("└ ship") && shown.contains("ASKED MS"), "{shown}");
    assert!(shown.contains("UNDO ATTEMPTS") && shown.contains("input: {\"goods\":1,"), "{shown}");
    // There is no column for what is being asked for, as nothing is.
    assert!(!shown.contains(" NOW "), "{shown}");
    let refused = run(at, &["cancel", "orders", &id, "--reason", "why not"]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && told.contains("CX159"), "{told}");
    let skip = ["skip", "orders", &id, "--step", "goods", "--reason", "carried back"];
    assert_eq!(printed(&run(at, &skip)), "done: skip\n");
    assert!(matches!(saga.wait().await.unwrap(), Saga::Compensated { .. }));
    let shown = printed(&run(at, &["show", "orders", &id]));
    assert!(shown.contains("is compensated") && shown.contains("failed: ship"), "{shown}");
    assert!(shown.contains("└ ship") && shown.contains("carried back"), "{shown}");
    nodes[0].stop();
}

// Goal: while a step is being asked for, the tools say since when, and how often it was, where they
// ask the node in charge; elsewhere they name that node.
#[tokio::test(flavor = "multi_thread")]
async fn tools_tell_what_is_asked_for_or_who_knows() {
    let (data, nodes) = three();
    let shop = Shop::on(&nodes, 10, 10).await;
    let order = PlaceOrder { goods: 1, money: 2, lasts: 60_000, ..PlaceOrder::default() };
    let saga = shop.sagas[0].start(order).await.unwrap();
    let id = format!("{:032x}", saga.id().0);
    let path = format!("/v1/sagas/orders/{id}");
    // Who leads may change while it is looked at: then it is looked at again.
    loop {
        let all = nodes.iter().map(|node| (node.id(), node.http().unwrap()));
        let all: Vec<_> = all.map(|(node, at)| (node, at, get(at, &path).1)).collect();
        let live = all.iter().find(|(.., shown)| shown["is_live"] == true);
        let other = all.iter().find(|(.., shown)| shown["is_live"] == false);
        if let (Some((node, at, shown)), Some((_, elsewhere, other))) = (live, other)
            && shown["steps"][2]["now"]["op"] == "action"
        {
            let ship = &shown["steps"][2];
            assert!(ship["attempts"].as_u64() >= Some(1), "{ship}");
            let names = ["asked_ms_ago", "next_in_ms"].map(|name| ship["now"][name].is_u64());
            assert!(names[0] ^ names[1], "{ship}");
            assert_eq!(other["steps"][2]["now"], Value::Null);
            let told = printed(&run(*at, &["show", "orders", &id]));
            let referred = printed(&run(*elsewhere, &["show", "orders", &id]));
            let line = format!("in charge: node {node}; it tells what is being asked for now");
            if told.contains(" NOW ") && referred.contains(&line) {
                assert!(told.contains(" ms ago") || told.contains("next in "), "{told}");
                assert!(!told.contains("in charge") && !referred.contains(" NOW "), "{referred}");
                break;
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    shop.sagas[1].abandon(saga.id(), "it lasts too long").await.unwrap();
    assert_eq!(saga.wait().await.unwrap(), Saga::Abandoned);
    nodes.iter().for_each(Node::stop);
    drop(data);
}
