//! The shop: four services, and checkouts across them that always end.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    cluster::Place,
    http::{self, Answer, Http},
    process::{
        self, Process, Signal, command_of, eventually, free_base, is_free, loopback, orders, signal,
    },
};

/// How long ten processes may take to do what they do in seconds on a machine with nothing else to
/// do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// How long a run with kills may take.
pub(crate) const LOAD_PATIENCE: Duration = Duration::from_secs(300);

/// Makes a command of the shop that keeps what it needs in a directory.
pub(crate) fn command_in(dir: &Path) -> Command {
    let mut command = command_of(orders());
    command.current_dir(dir).env("TMPDIR", dir).stdin(Stdio::null());
    command
}

/// Returns a row of a table by its first words, as its other words.
#[track_caller]
fn row<'a>(out: &'a str, begin: &str) -> Vec<&'a str> {
    let mut rest = out.lines().filter_map(|line| line.trim().strip_prefix(begin));
    let rest = rest.next().unwrap_or_else(|| panic!("no row {begin:?} in:\n{out}"));
    rest.split_whitespace().collect()
}

/// Returns a number of a table.
#[track_caller]
pub(crate) fn number(out: &str, begin: &str, column: usize) -> u64 {
    let row = row(out, begin);
    let number = row.get(column).and_then(|text| text.parse().ok());
    number.unwrap_or_else(|| panic!("no number {column} in {begin:?} {row:?} of:\n{out}"))
}

/// Runs `load` to its end; returns its exit code and what it printed.
fn load(dir: &Path, flags: &[&str]) -> (Option<i32>, String) {
    let base = free_base().to_string();
    let mut command = command_in(dir);
    command.args(["load", "--base-port", &base]).args(flags);
    let mut process = Process::start(&mut command, &dir.join("logs"), "load");
    let code = process.wait(LOAD_PATIENCE).code();
    (code, format!("{}{}", process.out(), process.log()))
}

/// Returns where a run had its data.
fn data_of(out: &str) -> PathBuf {
    let path = out.lines().find_map(|line| line.split_once("data and logs in "));
    PathBuf::from(path.unwrap_or_else(|| panic!("no data in:\n{out}")).1)
}

// Goal: whichever process is killed, all checkouts end by themselves, carried out or undone, and
// the books of all services agree to the cent.
// Method: sixty orders, and six kills amidst them, two of the process that carries the sagas out;
// the audit is the program's own, whose tests show that it finds what is wrong.
#[test]
fn checkouts_end_whoever_is_killed() {
    let _place = Place::alone();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (code, out) = load(dir.path(), &["--orders", "60", "--kills", "6", "--seed", "7"]);
    eprintln!("{out}");
    assert_eq!(code, Some(0), "{out}");
    assert_eq!(number(&out, "orders placed", 0), 60);
    let (completed, compensated) = (number(&out, "completed", 0), number(&out, "compensated", 0));
    assert_eq!(completed + compensated, 60, "{out}");
    assert!(completed > 0 && compensated > 0, "{out}");
    assert_eq!((number(&out, "stuck", 0), number(&out, "unknown", 0)), (0, 0), "{out}");
    assert!(out.contains("the books agree, order by order"), "{out}");

    assert_eq!((number(&out, "kills", 0), number(&out, "kills", 1)), (6, 2), "{out}");
    let of = |column| {
        ["orders", "payment", "stock", "shipping"]
            .map(|name| number(out.split("SERVICE").nth(1).unwrap_or_default(), name, column))
    };
    assert_eq!(of(0).iter().sum::<u64>(), 6, "{out}");
    let [orders, .., shipping] = of(2);
    assert_eq!((orders, shipping), (completed, completed), "{out}");
    assert!(!data_of(&out).exists(), "what went well leaves nothing behind");
}

// Goal: a run in which it is not known how orders ended fails, names them, and keeps what there is
// to look at.
// Method: customers without any patience.
#[test]
fn a_run_that_is_not_well_fails_and_keeps_its_data() {
    let _place = Place::beside();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (code, out) = load(dir.path(), &["--orders", "3", "--kills", "0", "--patience", "0"]);
    assert_eq!(code, Some(1), "{out}");
    for order in 0..3 {
        assert!(out.contains(&format!("flaw: order-{order}: nobody knows how it ended")), "{out}");
    }
    assert!(out.contains("the books disagree: 3 flaws"), "{out}");
    let data = data_of(&out);
    assert!(out.contains(&format!("data and logs are kept in {}", data.display())), "{out}");
    assert!(data.join("shipping-1.log").exists() && data.join("stock-3").is_dir(), "{out}");
}

/// A running `orders dev`.
pub(crate) struct Shop {
    pub(crate) process: Process,
    base: u16,
    dir: TempDir,
    _place: Place,
}

impl Shop {
    /// Starts all services, and waits until each answers.
    pub(crate) fn open(flags: &[&str]) -> Self {
        let (place, base) = (Place::beside(), free_base());
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut command = command_in(dir.path());
        command.args(["dev", "--base-port", &base.to_string()]).args(flags);
        let process = Process::start(&mut command, dir.path(), "shop");
        let shop = Self { process, base, dir, _place: place };
        eventually("all of them answer", PATIENCE, || {
            shop.process.out().contains("all of them answer").then_some(())
        });
        shop
    }

    /// Returns where a process answers customers; there are ten, and orders are taken by the first
    /// three.
    pub(crate) fn http(&self, place: u16) -> SocketAddr {
        loopback(self.base + 50 + place)
    }

    pub(crate) fn place(&self, node: u16, id: &str, body: &str) -> Answer {
        http::post(self.http(node), &format!("/orders/{id}"), body)
    }

    /// Repeats an order until it is known how it ended.
    pub(crate) fn ending(&self, node: u16, id: &str, body: &str) -> Value {
        eventually(&format!("{id} has ended"), PATIENCE, || {
            let path = format!("/orders/{id}");
            let answer = Http::new().send("POST", self.http(node), &path, &[], body).ok()?;
            assert!(!(400..500).contains(&answer.status), "{answer:?}");
            (answer.status == 200).then(|| answer.json())
        })
    }

    /// Returns the process id that was last printed for a process.
    pub(crate) fn pid(&self, member: &str) -> u32 {
        let out = self.process.out();
        let mut lines = out.lines().rev().filter(|line| line.starts_with(member));
        let pid = lines.find_map(|line| line.split_whitespace().next_back()?.parse().ok());
        pid.unwrap_or_else(|| panic!("no process of {member} in:\n{out}"))
    }

    /// Asks it to end, which it does with all of its processes; returns where it was.
    pub(crate) fn close(mut self) -> TempDir {
        signal(self.process.pid(), Signal::Terminate);
        assert_eq!(self.process.wait(PATIENCE).code(), Some(0));
        let free = |row| (1..=10).all(|place| is_free(loopback(self.base + row + place)));
        assert!(free(0) && free(50) && free(100), "all processes ended before who started them");
        self.dir
    }

    /// Returns what is left on the shelf.
    fn left(&self) -> Value {
        http::get(self.http(STOCK), "/books").json()["left"].clone()
    }

    /// Returns the lines of the book of the service that has this process.
    pub(crate) fn book(&self, place: u16) -> Value {
        let book = http::get(self.http(place), "/books").json();
        let is_stock = (STOCK..SHIPPING).contains(&place);
        if is_stock { book["takings"]["lines"].clone() } else { book["lines"].clone() }
    }
}

/// The first process of each service.
const ORDERS: u16 = 1;
pub(crate) const PAYMENT: u16 = 4;
const STOCK: u16 = 7;
pub(crate) const SHIPPING: u16 = 10;

pub(crate) fn tea(quantity: u32) -> String {
    json!({ "customer": "ada", "sku": "tea", "quantity": quantity, "cents": 600 * quantity })
        .to_string()
}

// Goal: an order is placed once, whoever repeats it on whichever node, and another one under its id
// is refused; what all services have in their books is what was ordered.
// Method: the same order three times on each node, then another; `--decline 0` declines nobody.
#[test]
fn an_order_is_placed_once_for_its_id() {
    let shop = Shop::open(&["--decline", "0"]);
    let first = shop.ending(1, "17", &tea(2));
    assert_eq!((&first["standing"], &first["order"]), (&json!("completed"), &json!("17")));
    for node in [1, 2, 3, 3, 2, 1] {
        assert_eq!(shop.ending(node, "17", &tea(2)), first, "node {node}");
    }
    let refused = shop.place(2, "17", &tea(3));
    assert_eq!(refused.status, 409, "{refused:?}");
    let error = refused.json()["error"].to_string();
    assert!(error.contains("placed before") && error.contains("id of its own"), "{error}");

    let shown = http::get(shop.http(3), "/orders/17").json();
    assert_eq!((&shown["standing"], &shown["saga"]), (&json!("confirmed"), &first["saga"]));
    let once = json!({ "17": { "charges": 1, "charged": 1200, "refunds": 0, "refunded": 0 } });
    assert_eq!(shop.book(PAYMENT), once);
    assert_eq!(shop.left()["tea"], 98);
    assert_eq!(shop.book(SHIPPING)["17"]["parcels"], 1);
    assert_eq!(shop.book(ORDERS).as_object().map(serde_json::Map::len), Some(1));
}

// Goal: what is wrong with a request is said, with what to do, and nothing comes of it.
// Method: each kind of bad input, then the books.
#[test]
fn bad_orders_are_refused_with_a_reason() {
    let shop = Shop::open(&["--decline", "0"]);
    let body = |customer: &str, sku: &str, quantity: i64, cents: i64| {
        json!({ "customer": customer, "sku": sku, "quantity": quantity, "cents": cents })
            .to_string()
    };
    let long = "a".repeat(65);
    for (id, body, said) in [
        ("1", "{".to_owned(), "cannot be read"),
        ("1", json!({ "sku": "tea" }).to_string(), "missing field `customer`"),
        ("1", tea(2).replace("cents", "euros"), "unknown field `euros`"),
        ("1", body("ada", "tea", -1, 5), "cannot be read"),
        ("1", body("ada", "tea", 0, 5), "order 1 to 1000 units"),
        ("1", body("ada", "tea", 1_001, 5), "order 1 to 1000 units"),
        ("1", body("ada", "tea", 1, 0), "0 cents"),
        ("1", body("ada", "tea", 1, 100_000_001), "100000001 cents"),
        ("1", body("", "tea", 1, 5), "the customer is"),
        ("1", body("ada", &long, 1, 5), "the sku is"),
        ("1_2", tea(1), "letters, digits and hyphens"),
        (&long, tea(1), "letters, digits and hyphens"),
    ] {
        let refused = shop.place(1, id, &body);
        assert_eq!(refused.status, 400, "{id} {body}: {refused:?}");
        let error = refused.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(error.contains(said), "{id} {body}: {error}");
    }
    let absent = http::get(shop.http(2), "/orders/1");
    assert_eq!(absent.status, 404, "{absent:?}");
    assert!(absent.text.contains("POST /orders/1"), "{absent:?}");
    let nowhere = http::get(shop.http(2), "/nowhere");
    assert_eq!((nowhere.status, nowhere.text.contains("GET /nowhere")), (404, true));
    // A service that is asked by nobody's saga.
    let bare = http::post(shop.http(STOCK), "/orders/1/take", r#"{"sku":"tea","quantity":1}"#);
    assert_eq!((bare.status, bare.text.contains("idempotency-key")), (400, true), "{bare:?}");
    assert_eq!(shop.book(ORDERS), json!({}));
    assert_eq!(shop.book(STOCK), json!({}));
}

// Goal: what cannot be carried out is undone, and says why: goods that are not sold, goods that are
// gone, a bank that declines.
// Method: a shelf of three units; then a shop whose bank declines everybody.
#[test]
fn what_cannot_be_carried_out_is_undone() {
    let shop = Shop::open(&["--decline", "0", "--shelf", "3"]);
    for (id, body, cause) in [
        ("1", tea(4), "not enough in stock"),
        ("2", tea(1).replace("tea", "beer"), "\"beer\" is not sold"),
    ] {
        let ended = shop.ending(1, id, &body);
        assert_eq!(ended["standing"], "compensated", "{ended}");
        assert_eq!((&ended["failed"], &ended["cause"]), (&json!("reserve"), &json!(cause)));
        let shown = http::get(shop.http(2), &format!("/orders/{id}")).json();
        assert_eq!((&shown["standing"], &shown["cancelled"]), (&json!("cancelled"), &json!(1)));
    }
    assert_eq!(shop.ending(2, "3", &tea(3))["standing"], "completed");
    drop(shop);

    let shop = Shop::open(&["--decline", "1"]);
    let ended = shop.ending(3, "1", &tea(1));
    assert_eq!(ended["standing"], "compensated", "{ended}");
    assert_eq!(ended["cause"], "declined by the bank", "{ended}");
    assert_eq!(shop.left()["tea"], 100);
    assert_eq!((shop.book(PAYMENT), shop.book(SHIPPING)), (json!({}), json!({})));
}

// Goal: an order waits for a service that is down, visibly, and goes on by itself when that is back;
// a signal ends all processes.
// Method: kill the only process of shipping, which `dev` starts again, and order; then SIGTERM.
#[test]
fn an_order_waits_for_a_service_that_is_down() {
    let shop = Shop::open(&["--decline", "0"]);
    let before = shop.pid("shipping 1");
    process::kill(before);
    let ended = shop.ending(1, "17", &tea(1));
    assert_eq!(ended["standing"], "completed", "{ended}");
    let out = shop.process.out();
    assert!(out.contains("shipping 1 died") && out.contains("SIGKILL"), "{out}");
    assert_ne!(shop.pid("shipping 1"), before);
    assert_eq!(shop.book(SHIPPING)["17"]["parcels"], 1);

    let dir = shop.close();
    let left = std::fs::read_dir(dir.path()).expect("a directory can be read");
    let left: Vec<_> = left.map(|entry| entry.expect("an entry").file_name()).collect();
    assert!(left.iter().all(|name| name == "shop.out" || name == "shop.log"), "{left:?}");
}
