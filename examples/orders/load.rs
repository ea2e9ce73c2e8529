//! `load`: orders are placed while processes are killed, and the books are audited in the end.

use std::{
    collections::BTreeMap,
    path::Path,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use consensus_actors::{Error, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    Load, Rules,
    audit::{Books, Ending, Told, audit},
    checkout::Purchase,
    client::{agent, get, post},
    draw::{draw, one_of},
    fleet::{Fleet, LOOK_EVERY, answers},
    layout::{Layout, Member, Service},
    orders::CHECKOUT,
    report::{Kills, Report},
    say,
    shipping::{Database, store_of},
    stock::SKUS,
};

/// How long a customer waits for one node: longer than it takes to say that it is under way.
const CUSTOMER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a customer waits before asking another node.
const PAUSE: Duration = Duration::from_millis(50);

/// How often orders look whether they may begin, and kills whether they are due.
const LOOK_OFTEN: Duration = Duration::from_millis(1);

/// How long all processes may take to start.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// Of how many orders there is one kill, unless one says how many kills there are.
const ORDERS_PER_KILL: u32 = 50;

/// What all threads of a run share.
struct Run<'a> {
    options: &'a Load,
    seed: u64,
    layout: Layout,
    begun: Instant,
    /// How many orders were begun.
    next: AtomicU32,
    /// How many may be begun before somebody is killed.
    allowed: AtomicU32,
    /// What customers were told in the end.
    told: Mutex<BTreeMap<String, Told>>,
    /// How often a customer had to ask again.
    repeats: AtomicU32,
}

/// Places orders, kills processes, audits the books.
pub(crate) fn run(options: &Load) -> Result<ExitCode> {
    let seed =
        options.seed.unwrap_or_else(|| draw(std::process::id().into(), "a seed") % 1_000_000);
    let layout = match options.base_port {
        Some(port) => Layout::new(port),
        None => Layout::free().ok_or_else(|| Error::application("no row of ports is free"))?,
    };
    let mut folder = tempfile::Builder::new().prefix("orders-load-").tempdir()?;
    // Each order wants three units of one of four skus, and a tenth is declined: some of the last
    // find the shelf empty.
    let shelf = (options.orders * 68 / 100).max(10);
    let rules = Rules { decline: options.decline, seed, shelf };
    say(format_args!("seed {seed}; data and logs in {}", folder.path().display()));
    let database = options.stores.postgres.clone();
    let database = database.map(|database| database.of_data(folder.path())).transpose()?;
    say(store_of(database.as_ref()));
    let system = actix_web::rt::System::new();
    if let Some(database) = &database {
        system.block_on(database.create())?;
    }
    let result = carry_out(options, (seed, layout), (rules, database.clone()), folder.path());
    let is_well = matches!(result, Ok(true));
    if options.keep || !is_well {
        folder.disable_cleanup(true);
        say(format_args!("data and logs are kept in {}", folder.path().display()));
    } else if let Some(database) = &database {
        system.block_on(database.discard())?;
    }
    result.map(|is_well| if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Tells whether all is well in the end.
fn carry_out(
    options: &Load,
    (seed, layout): (u64, Layout),
    (rules, database): (Rules, Option<Database>),
    folder: &Path,
) -> Result<bool> {
    let (shelf, in_database) = (rules.shelf, database.is_some());
    let mut fleet = Fleet::start(layout, rules, database, folder)?;
    await_all(layout, START_PATIENCE)?;
    let [next, allowed, repeats] = [0, 0, 0].map(AtomicU32::new);
    let (begun, told) = (Instant::now(), Mutex::default());
    let run = Run { options, seed, layout, begun, next, allowed, told, repeats };
    let kills = thread::scope(|scope| {
        for _ in 0..options.in_flight {
            scope.spawn(|| run.shop());
        }
        let kills = run.kill(&mut fleet);
        run.allow(options.orders.into());
        kills
    })?;
    let duration = run.begun.elapsed();
    let told = run.told.into_inner().unwrap_or_else(PoisonError::into_inner);
    await_all(layout, START_PATIENCE)?;
    let mut flaws = under_way(layout)?;
    let books = read_books(layout)?;
    fleet.end();
    flaws.extend(audit(&told, &books, shelf));
    let repeats = run.repeats.into_inner();
    let (told, books, kills) = (&told, &books, &kills);
    Report { told, books, kills, flaws: &flaws, duration, repeats, in_database }.print();
    Ok(flaws.is_empty())
}

impl Run<'_> {
    fn ended(&self) -> u32 {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        u32::try_from(told.len()).unwrap_or(u32::MAX)
    }

    /// Orders one thing after the other until all is ordered.
    fn shop(&self) {
        let agent = agent(CUSTOMER_TIMEOUT);
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.options.orders {
                return;
            }
            while number >= self.allowed.load(Ordering::Relaxed) {
                thread::sleep(LOOK_OFTEN);
            }
            let id = format!("order-{number}");
            let purchase = self.purchase(&id);
            let ending = self.order(&agent, &id, &purchase);
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.insert(id, Told { purchase, ending });
        }
    }

    /// Draws what is ordered.
    fn purchase(&self, id: &str) -> Purchase {
        let draw = |what: &str| draw(self.seed, &format!("{id} {what}"));
        let quantity = 1 + (draw("quantity") % 5) as u32;
        let cents = u64::from(quantity) * (100 + draw("price") % 900);
        let sku = one_of(&SKUS, self.seed, &format!("{id} sku")).unwrap_or_default().to_owned();
        Purchase { customer: format!("customer-{}", draw("customer") % 100), sku, quantity, cents }
    }

    /// Places an order under its id, on one node after the other, until it is known how it ended.
    fn order(&self, agent: &ureq::Agent, id: &str, purchase: &Purchase) -> Ending {
        let nodes: Vec<_> = Service::Orders.members().collect();
        let body = serde_json::to_vec(purchase).unwrap_or_default();
        let patience = Instant::now() + Duration::from_secs(self.options.patience);
        let mut last = String::new();
        for attempt in 0_u64.. {
            let node = one_of(&nodes, self.seed, &format!("{id} attempt {attempt}"));
            let Some(node) = node.filter(|_| Instant::now() < patience) else { break };
            let url = format!("http://{}/orders/{id}", self.layout.http(node));
            let answer = post(agent, &url, &[], &body);
            match &answer {
                Ok((status @ (200 | 202), body)) => {
                    if let Some(ending) = (*status == 200).then(|| read_ending(body)).flatten() {
                        return ending;
                    }
                }
                Ok((429 | 500.., _)) | Err(_) => thread::sleep(PAUSE),
                // It is refused, and always will be.
                Ok((_, body)) => {
                    return Ending::Unknown { last: String::from_utf8_lossy(body).into_owned() };
                }
            }
            last = match answer {
                Ok((status, body)) => format!("{status} {}", String::from_utf8_lossy(&body)),
                Err(error) => error.to_string(),
            };
            self.repeats.fetch_add(1, Ordering::Relaxed);
        }
        Ending::Unknown { last }
    }

    /// Kills one process after the other, each amidst its share of the orders, and starts it again.
    fn kill(&self, fleet: &mut Fleet) -> Result<Kills> {
        let mut kills = Kills::default();
        let count = self.options.kills.unwrap_or(self.options.orders / ORDERS_PER_KILL);
        let share = |kill| u64::from(self.options.orders) * kill / u64::from(count.max(1));
        for kill in 0..u64::from(count) {
            let Some((victim, led)) = self.victim(kill) else { break };
            let (share, upto) = (share(kill + 1) - share(kill), share(kill + 1));
            let draw = |what: &str| draw(self.seed, &format!("kill {kill} {what}"));
            // Those that begin together go on in step, and kills are to come in any step, while half
            // of them are under way at least.
            let due = u64::from(self.ended()) + draw("after how many") % (share / 2).max(1);
            self.allow(upto);
            while u64::from(self.ended()) < due.min(upto) {
                thread::sleep(LOOK_OFTEN);
            }
            thread::sleep(Duration::from_micros(draw("after how long") % 10_000));
            let (at, done) = (self.begun.elapsed(), self.ended());
            fleet.kill(victim)?;
            thread::sleep(Duration::from_millis(200 + draw("for how long") % 1_000));
            fleet.start_one(victim)?;
            // Two of a service that are down at once stop it, which is another trial.
            let patience = Instant::now() + START_PATIENCE;
            while !answers(self.layout, victim) && Instant::now() < patience {
                thread::sleep(LOOK_EVERY);
            }
            say(format_args!(
                "{:6.1} s: {done} orders have ended; killed {victim}{}, back after {:.1} s",
                at.as_secs_f64(),
                if led { ", which led the sagas" } else { "" },
                (self.begun.elapsed() - at).as_secs_f64(),
            ));
            kills.add(victim.service, led);
        }
        Ok(kills)
    }

    /// Lets so many orders begin in all.
    fn allow(&self, orders: u64) {
        self.allowed.store(u32::try_from(orders).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// Draws who is killed; every third time it is who leads the sagas.
    fn victim(&self, kill: u64) -> Option<(Member, bool)> {
        if kill % 3 != 2 {
            let all: Vec<Member> = Member::all().collect();
            return Some((one_of(&all, self.seed, &format!("kill {kill} whom"))?, false));
        }
        let patience = Instant::now() + START_PATIENCE;
        while Instant::now() < patience {
            if let Some(leader) = leader(self.layout) {
                return Some((leader, true));
            }
            thread::sleep(LOOK_EVERY);
        }
        None
    }
}

/// Reads how an order ended, if it has.
fn read_ending(body: &[u8]) -> Option<Ending> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    match &*text("standing") {
        "completed" => Some(Ending::Completed { parcel: text("parcel") }),
        "compensated" => Some(Ending::Compensated { cause: text("cause") }),
        "stuck" => Some(Ending::Stuck { cause: format!("{}: {}", text("step"), text("cause")) }),
        _ => None,
    }
}

/// Waits until all processes answer.
fn await_all(layout: Layout, patience: Duration) -> Result {
    let until = Instant::now() + patience;
    for member in Member::all() {
        while !answers(layout, member) {
            if Instant::now() > until {
                let message = format!("{member} does not answer; its log says why");
                return Err(Error::application(message));
            }
            thread::sleep(LOOK_EVERY);
        }
    }
    Ok(())
}

/// Gets JSON from the first node of a service that has it.
fn read<T: DeserializeOwned>(service: Service, url: impl Fn(Member) -> String) -> Result<T> {
    let agent = agent(CUSTOMER_TIMEOUT);
    let mut last = format!("{} has no node", service.name());
    for member in service.members() {
        match get(&agent, &url(member)) {
            Ok((200, body)) => return serde_json::from_slice(&body).map_err(Error::application),
            Ok((status, body)) => last = format!("{status} {}", String::from_utf8_lossy(&body)),
            Err(error) => last = error.to_string(),
        }
    }
    Err(Error::application(format!("{} does not answer: {last}", service.name())))
}

/// Returns the process that carries the sagas out, if somebody knows.
fn leader(layout: Layout) -> Option<Member> {
    let url = |member| format!("http://{}/v1/status", layout.admin(member));
    let status: Value = read(Service::Orders, url).ok()?;
    let groups = status.get("groups")?.as_array()?;
    let group = groups.iter().find(|group| group["name"] == CHECKOUT)?;
    let leader = group.get("leader")?.as_u64()?;
    Service::Orders.members().find(|member| u64::from(member.node) == leader)
}

/// Names the sagas that have not ended, though all customers were answered.
fn under_way(layout: Layout) -> Result<Vec<String>> {
    let url = |member| format!("http://{}/v1/sagas/{CHECKOUT}", layout.admin(member));
    let listed: Value = read(Service::Orders, url)?;
    let sagas = listed.get("sagas").and_then(Value::as_array).into_iter().flatten();
    Ok(sagas.map(|saga| format!("a saga has not ended: {saga}")).collect())
}

fn read_books(layout: Layout) -> Result<Books> {
    let url = |member| format!("http://{}/books", layout.http(member));
    Ok(Books {
        orders: read(Service::Orders, url)?,
        payment: read(Service::Payment, url)?,
        stock: read(Service::Stock, url)?,
        shipping: read(Service::Shipping, url)?,
    })
}
