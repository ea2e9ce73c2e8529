//! The shop with its parcels in a PostgreSQL database, which is killed as well.
//!
//! The server is one that the tests start, or that `POSTGRES_URL` names where it need not be killed.
//! Without any they say that they were skipped.

use consensus_actors::saga::postgres::tokio_postgres::{self, Client, NoTls};
use serde_json::json;

use crate::{
    cluster::Place,
    http::{self, Http},
    orders::{LOAD_PATIENCE, PATIENCE, PAYMENT, SHIPPING, Shop, command_in, number, tea},
    process::{Process, eventually, free_base, kill, run},
    server::Server,
};

/// Asks the database something, on a connection of its own.
fn ask<T>(config: &str, ask: impl AsyncFnOnce(Client) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let connected = tokio_postgres::connect(config, NoTls).await;
        let (client, connection) = connected.expect("the server answers");
        let connection = tokio::spawn(connection);
        let told = ask(client).await;
        connection.abort();
        told
    })
}

/// Returns the schema that a program says that it uses.
fn schema_of(out: &str) -> String {
    let schema = out.lines().find_map(|line| line.split_once("in PostgreSQL, schema "));
    schema.unwrap_or_else(|| panic!("no schema in:\n{out}")).1.to_owned()
}

/// Ends the sessions of a schema's, and returns how many there were.
fn end_sessions(config: &str, schema: &str) -> i64 {
    let statement = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                     WHERE application_name = $1";
    let ended = ask(config, async |client| client.query_one(statement, &[&schema]).await);
    ended.expect("it counts").get(0)
}

/// Counts the parcels of a schema.
fn parcels(config: &str, schema: &str) -> i64 {
    let statement = format!("SELECT count(*) FROM {schema}.parcels");
    let counted = ask(config, async |client| client.query_one(&statement, &[]).await);
    counted.expect("it counts").get(0)
}

/// Tells whether a schema is there.
fn exists(config: &str, schema: &str) -> bool {
    let statement = "SELECT count(*) FROM pg_namespace WHERE nspname = $1";
    let counted = ask(config, async |client| client.query_one(statement, &[&schema]).await);
    counted.expect("it counts").get::<_, i64>(0) > 0
}

// Goal: whoever is killed, the database included, all checkouts end by themselves, and the books
// agree: no parcel is sent twice, and none is missing.
// Method: sixty orders and six kills of processes, shipping among them; once parcels are there, the
// sessions of shipping are ended, and later the server is killed and started again, with parcels
// still to be sent.
#[test]
fn parcels_are_sent_once_though_the_database_is_killed() {
    let Some(server) = Server::start() else { return };
    let (_place, config) = (Place::alone(), server.config());
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut command = command_in(dir.path());
    command.args(["load", "--base-port", &free_base().to_string(), "--postgres", config]);
    command.args(["--orders", "60", "--kills", "6", "--seed", "7"]);
    let mut load = Process::start(&mut command, &dir.path().join("logs"), "load");
    let kills = |load: &Process| load.out().matches("orders have ended; killed").count();

    eventually("somebody was killed", PATIENCE, || (kills(&load) >= 1).then_some(()));
    let schema = schema_of(&load.out());
    eventually("shipping had sessions", PATIENCE, || {
        (end_sessions(config, &schema) > 0).then_some(())
    });
    eventually("others were killed", PATIENCE, || (kills(&load) >= 3).then_some(()));
    server.kill_and_restart();
    let before = parcels(config, &schema);

    let code = load.wait(LOAD_PATIENCE).code();
    let out = format!("{}{}", load.out(), load.log());
    eprintln!("{out}");
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("the books agree, order by order"), "{out}");
    let (completed, compensated) = (number(&out, "completed", 0), number(&out, "compensated", 0));
    assert_eq!(completed + compensated, 60, "{out}");
    let services = out.split("SERVICE").nth(1).unwrap_or_default();
    assert!(number(services, "shipping", 0) > 0, "shipping was killed: {out}");
    let sent = number(services, "shipping", 2);
    assert!(before > 0 && i64::try_from(sent).is_ok_and(|sent| before < sent), "{before}: {out}");
    assert!(services.contains("PostgreSQL"), "{out}");
    assert!(!exists(config, &schema), "what went well leaves nothing behind");
}

// Goal: `dev` keeps parcels in the database, where shipping finds them when it is back; they go with
// data that is temporary.
// Method: an order, kill shipping, and look at its book; then another order.
#[test]
fn parcels_outlive_the_process_that_sent_them() {
    let Some(server) = Server::shared() else { return };
    let config = server.config();
    let shop = Shop::open(&["--decline", "0", "--postgres", config]);
    let schema = schema_of(&shop.process.out());
    assert_eq!(shop.ending(1, "17", &tea(2))["standing"], "completed");
    assert_eq!(parcels(config, &schema), 1);
    let before = shop.pid("shipping 1");
    kill(before);
    let book = eventually("shipping is back", PATIENCE, || {
        let is_back = shop.pid("shipping 1") != before;
        let answer = Http::new().send("GET", shop.http(SHIPPING), "/books", &[], "");
        answer.ok().filter(|answer| is_back && answer.status == 200).map(|answer| answer.json())
    });
    let parcel = json!({ "number": "parcel-1", "sku": "tea", "parcels": 1, "units": 2 });
    assert_eq!(book, json!({ "asked": 1, "lines": { "17": parcel } }));
    assert_eq!(shop.ending(1, "18", &tea(1))["parcel"], "parcel-2");
    shop.close();
    assert!(!exists(config, &schema), "its data was temporary");
}

// Goal: while the database is gone, shipping says so, and an order waits for it, charged and visible.
// Method: an order that is sent, end the server, and place another.
#[test]
fn an_order_waits_for_a_database_that_is_gone() {
    let Some(server) = Server::start() else { return };
    let shop = Shop::open(&["--decline", "0", "--postgres", server.config()]);
    assert_eq!(shop.ending(1, "17", &tea(2))["standing"], "completed");
    drop(server);
    let book = http::get(shop.http(SHIPPING), "/books");
    assert_eq!(book.status, 503, "{book:?}");
    let waits = shop.place(2, "18", &tea(1));
    assert_eq!(waits.status, 202, "{waits:?}");
    assert_eq!(shop.book(PAYMENT)["18"]["charges"], 1);
}

// Goal: who names a database that cannot be reached is told so at once, and nothing is left.
#[test]
fn a_database_that_cannot_be_reached_is_said_at_once() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut command = command_in(dir.path());
    let nowhere = format!("host={} user=nobody", dir.path().display());
    let told = run(command.args(["load", "--postgres", &nowhere]));
    assert_eq!(told.code, Some(1), "{told:?}");
    assert!(told.err.contains("error connecting to server"), "{told:?}");
    let left = std::fs::read_dir(dir.path()).expect("a directory can be read").count();
    assert_eq!(left, 0, "no process has begun");
}
