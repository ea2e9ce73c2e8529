//! Simulations of users' state machines: what passes, what is caught, and what is said of it.

use std::{
    collections::{BTreeMap, HashMap},
    panic::{AssertUnwindSafe, catch_unwind},
    process::Command,
};

use consensus_actors::{Checked, prelude::*};

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
#[replica(simulate)]
struct Counter {
    value: i64,
}

#[replicated]
impl Counter {
    #[command]
    fn add(&mut self, by: i64) -> i64 {
        self.value = self.value.wrapping_add(by);
        self.value
    }

    #[query]
    fn get(&self) -> i64 {
        self.value
    }
}

// Goal: what is correct passes, with operations made up by closures, and every option means
// something. Method: each word for a fault, all of which must have happened.
#[rustfmt::skip]
#[simulate(
    seeds = 200, nodes = 3, ops = 80, clients = 3, seconds = 6, protocols(raft),
    faults(
        crash, pause, partition, one_way, bridge, drop, delay, duplicate, reorder, clock_skew,
        clock_jump, torn_write, disk_full, bit_rot, slow_disk, io_error, wiped_disk, replacement, transfer,
        membership, snapshot, rest,
    ),
)]
fn every_option_is_known(sim: Sim<Counter>) {
    sim.command(|g| counter::Add { by: g.in_range(-9..=9) }).query(|_| counter::Get {});
}

// Goal: without a body, operations are made up from types.
#[simulate(seeds = 20, profile(disk))]
fn counter_survives_disks(sim: Sim<Counter>) {}

// Goal: retries apply once. Method: a network that repeats and loses, processes that end, and a
// command whose every execution shows.
#[test]
fn commands_apply_exactly_once() {
    let mut sim = Counter::simulate();
    sim.seeds(60).faults(&["crash", "drop", "duplicate"]);
    let checked: Checked = sim.command(|_| counter::Add { by: 1 }).check();
    assert!(checked.faults("duplicate") > 100, "{checked:?}");
    assert!(checked.answered * 2 > checked.operations, "{checked:?}");
    assert!(checked.answered < checked.operations, "some are in doubt: {checked:?}");
}

/// Returns what the check of a broken state says, and the page.
fn complaint<S: Replicated>(name: &str, sim: &mut Sim<S>) -> (String, String) {
    let checked = catch_unwind(AssertUnwindSafe(|| sim.name(name).check()));
    let panic = checked.expect_err("the check fails");
    let text = panic.downcast_ref::<String>().expect("a text").clone();
    let path = text.lines().find_map(|line| line.strip_prefix("look at it    "));
    let page = std::fs::read_to_string(path.expect("the page is named")).expect("it is there");
    (text, page)
}

// Goal: one seed is run alone, and where its page is can be read without any option of the harness.
#[test]
fn a_seed_is_run_alone() {
    let program = std::env::current_exe().expect("it runs");
    let run = |seed| {
        let mut command = Command::new(&program);
        command.args(["--exact", "counter_survives_disks"]).env("CONSENSUS_SEED", seed);
        command.output().expect("it runs")
    };
    let passed = run("0x2a");
    let told = String::from_utf8_lossy(&passed.stderr);
    assert!(passed.status.success(), "{told}");
    let told = told.strip_prefix("counter_survives_disks: seed 0x2a passes; ").expect(&told);
    let page = told.trim_end().strip_suffix(" shows it").expect(told);
    assert!(page.ends_with("/simulate/counter_survives_disks.html"), "{page}");
    assert!(std::fs::read_to_string(page).expect("it is there").contains("0x2a"));

    let refused = run("x");
    let told = String::from_utf8_lossy(&refused.stdout);
    assert!(told.contains("CONSENSUS_SEED=x is no seed"), "{told}");
}

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
struct Tags {
    #[replica(trust = "a lie, to be found out")]
    tags: HashMap<String, u64>,
}

#[replicated]
impl Tags {
    /// Adds a tag and returns all.
    #[command]
    fn tag(&mut self, tag: String) -> Vec<String> {
        *self.tags.entry(tag).or_default() += 1;
        self.tags.keys().cloned().collect()
    }
}

// Goal: replicas that order a hash map each in its own way are found, and what is said fits a
// screen and names the seed.
#[test]
fn order_of_a_hash_map_is_found() {
    let (text, page) = complaint("order_of_a_hash_map", Tags::simulate().seeds(5));
    assert!(text.contains("divergence"), "{text}");
    assert!(text.contains("CONSENSUS_SEED=0x0 cargo test order_of_a_hash_map"), "{text}");
    assert!(text.contains("tag {\"tag\":"), "{text}");
    assert!(text.lines().count() < 45, "one screen: {text}");
    assert!(page.contains("order_of_a_hash_map"));
}

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
struct Cached {
    values: BTreeMap<String, u64>,
    /// A snapshot forgets it.
    #[serde(skip)]
    sum: u64,
}

#[replicated]
impl Cached {
    #[command]
    fn put(&mut self, key: String, value: u32) {
        let before = self.values.insert(key, value.into());
        self.sum = self.sum.wrapping_add(value.into()).wrapping_sub(before.unwrap_or_default());
    }

    #[query]
    fn sum(&self) -> u64 {
        self.sum
    }
}

// Goal: a field that a snapshot loses is found where a query shows it, though no replica of the run
// comes back from one.
#[test]
fn answers_after_a_snapshot_are_compared() {
    let sim = &mut Cached::simulate();
    let (text, _) = complaint("answers_after_a_snapshot", sim.seeds(20).faults(&["none"]));
    assert!(text.contains("divergence: the state machine is not deterministic"), "{text}");
    assert!(text.contains("a copy that went through a snapshot answers"), "{text}");
}

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
struct Bag {
    things: Vec<Thing>,
}

#[derive(Clone, Debug, Serialize, Deserialize, Deterministic)]
#[serde(untagged)]
enum Thing {
    Number(i64),
    Text(String),
}

#[replicated]
impl Bag {
    #[command]
    fn put(&mut self, thing: Thing) -> u64 {
        self.things.push(thing);
        self.things.len() as u64
    }
}

// Goal: of a type that does not say what it wants nothing is made up, and what to do is said.
#[test]
fn untagged_types_need_a_closure() {
    let checked = catch_unwind(|| Bag::simulate().seeds(1).name("bag").check());
    let panic = checked.expect_err("nothing can be made up");
    let text = panic.downcast_ref::<String>().expect("a text");
    assert!(text.contains("no command can be made up: a type does not say"), "{text}");
    assert!(text.contains("sim.command(|g| "), "{text}");
    Bag::simulate().seeds(2).command(|g| bag::Put { thing: Thing::Text(g.string()) }).check();
}

// Goal: a generator that panics, and words that mean nothing, are reported in words.
#[test]
fn mistakes_in_closures_are_told() {
    let told = |simulate: fn()| {
        let panic = catch_unwind(simulate).expect_err("it is a mistake");
        panic.downcast_ref::<String>().expect("a text").clone()
    };
    let text = told(|| {
        Counter::simulate().command(|g| counter::Add { by: g.pick(&[]) }).check();
    });
    assert!(text.contains("a generator panicked: an empty list"), "{text}");
    let text = told(|| {
        Counter::simulate().faults(&["crsh"]);
    });
    assert!(text.contains("unknown fault \"crsh\"; did you mean \"crash\"?"), "{text}");
    let text = told(|| {
        Counter::simulate().nodes(99).check();
    });
    assert!(text.contains("99 nodes are out of range"), "{text}");
}
