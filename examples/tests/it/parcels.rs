//! The shop with its parcels in a PostgreSQL database, which is killed as well.
//!
//! The server is one that the tests start, or that `POSTGRES_URL` names where it need not be killed.
//! Without any they say that they were skipped.

use std::process::Command;

use consensus_actors::saga::postgres::tokio_postgres::{Client, NoTls};
use serde_json::json;

use crate::{
    cluster::Place,
    http,
    orders::{LOAD_PATIENCE, PATIENCE, SHIPPING, Shop, command_in, number, tea},
    process::{Process, eventually, free_base, kill},
    server::Server,
};

/// Asks the database something, on a connection of its own.
fn ask<T>(config: &str, ask: impl AsyncFnOnce(Client) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let connected = consensus_actors::saga::postgres::tokio_postgres::connect(config, NoTls);
        let (client, connection) = connected.await.expect("the server answers");
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
    let mut command: Command = command_in(dir.path());
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

// Goal: `dev` keeps parcels in the database, where shipping finds them when it is back; while there
// is no such database, nothing starts, and it is said why.
// Method: an order, kill shipping, and look at its book; then a name that no database has.
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
        let answer = http::Http::new().send("GET", shop.http(SHIPPING), "/books", &[], "");
        answer.ok().filter(|answer| is_back && answer.status == 200).map(|answer| answer.json())
    });
    let parcel = json!({ "number": "parcel-1", "sku": "tea", "parcels": 1, "units": 2 });
    assert_eq!(book, json!({ "asked": 1, "lines": { "17": parcel } }));
    assert_eq!(shop.ending(1, "18", &tea(1))["parcel"], "parcel-2");
    shop.close();
    assert!(!exists(config, &schema), "its data was temporary");

    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut command = command_in(dir.path());
    command.args(["load", "--postgres", &format!("host={} user=nobody", dir.path().display())]);
    let mut load = Process::start(&mut command, dir.path(), "load");
    assert_eq!(load.wait(PATIENCE).code(), Some(1));
    let said = load.log();
    assert!(said.contains("error connecting to server"), "{said}");
}
