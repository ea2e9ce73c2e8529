//! Callers: what users' programs do, on whichever node lives.

use std::{rc::Rc, time::Duration};

use tokio::{
    task::spawn_local,
    time::{Instant, sleep},
};

use super::{
    chronicle::{Commands, Note, Queries, Standing},
    history::Ask,
    random::Random,
    world::{TICK, Way, World},
};

/// How often a call under a key is repeated.
const REPEATS_MAX: u64 = 4;

/// Names commands: each is called by one caller, once, but for those under a key.
#[derive(Debug, Default)]
pub(super) struct Names(u64);

impl Names {
    fn next(&mut self, caller: u64) -> u64 {
        self.0 += 1;
        caller << 32 | self.0
    }
}

/// Calls until the world is over: on nodes, or over a client that is no member if there is one.
pub(super) async fn run(world: Rc<World>, caller: u64, remote: Option<Way>, mut random: Random) {
    let ids = world.ids();
    let mut names = Names::default();
    let mut at = random.pick(&ids);
    while !world.over.get() {
        sleep(Duration::from_millis(random.between(100, 5_000))).await;
        if random.chance(250) {
            at = random.pick(&ids);
        }
        let Some(way) = remote.clone().or_else(|| Some(world.living(at)?.into())) else {
            at = random.pick(&ids);
            continue;
        };
        let deadline = Duration::from_millis(random.between(1_000, 15_000));
        let name = names.next(caller);
        match random.between(0, 99) {
            0..30 => {
                let seen = world.token.get().filter(|_| random.chance(300));
                let ask = seen.map(|(token, seen)| Ask::After { name, token, seen });
                call(&world, way, ask.unwrap_or(Ask::Query(name)), deadline).await;
            }
            30..72 => {
                call(&world, way, Ask::Note(name), deadline).await;
            }
            72..92 => repeat(&world, remote.as_ref(), name, deadline, &mut random).await,
            _ => {
                // Many at once: they share a batch, and the session is opened under them.
                let asks = (0..6).map(|_| Ask::Note(names.next(caller)));
                together(asks.map(|ask| (way.clone(), ask)), &world, deadline).await;
            }
        }
    }
}

/// Calls under a key until there is an answer, on several nodes at a time now and then.
async fn repeat(
    world: &Rc<World>,
    remote: Option<&Way>,
    name: u64,
    deadline: Duration,
    random: &mut Random,
) {
    let ids = world.ids();
    for _ in 0..REPEATS_MAX {
        let count = if random.chance(300) { 2 } else { 1 };
        let nodes = (0..count).filter_map(|_| world.living(random.pick(&ids)).map(Way::from));
        let ways: Vec<_> = remote.cloned().into_iter().chain(nodes).take(count).collect();
        let calls = ways.into_iter().map(|way| (way, Ask::Keyed(name)));
        if together(calls, world, deadline).await || world.over.get() {
            return;
        }
        sleep(Duration::from_millis(random.between(0, 1_000))).await;
    }
}

/// Makes several calls at a time; true if one was answered.
async fn together(
    calls: impl Iterator<Item = (Way, Ask)>,
    world: &Rc<World>,
    deadline: Duration,
) -> bool {
    let begin = |(way, ask)| {
        let world = Rc::clone(world);
        spawn_local(async move { call(&world, way, ask, deadline).await })
    };
    let mut answered = false;
    for call in calls.map(begin).collect::<Vec<_>>() {
        answered |= call.await.expect("a call comes to an end");
    }
    answered
}

/// Makes a call and notes it; true if it was answered.
pub(super) async fn call(world: &World, way: impl Into<Way>, ask: Ask, deadline: Duration) -> bool {
    let Way { client, pulse } = way.into();
    let stood_still = || pulse.as_ref().map_or(Duration::ZERO, |pulse| pulse.stood_still());
    let at = world.history.borrow_mut().begin(ask);
    let (began, before) = (Instant::now(), stood_still());
    let padding = || "x".repeat(300);
    let result = match ask {
        Ask::Note(name) => {
            let note = Commands::Note(Note { name, padding: padding() });
            let told = client.apply(&note).deadline(deadline).token().await;
            told.map(|(standing, token): (Standing, _)| {
                world.token.set(Some((token, standing.length)));
                standing
            })
        }
        Ask::Keyed(name) => {
            let note = Note { name, padding: padding() };
            client.command_once(&format!("key-{name}"), note).deadline(deadline).await
        }
        Ask::Query(asked) => client.answer(&Queries::Standing { asked }).deadline(deadline).await,
        Ask::After { name: asked, token, .. } => {
            client.answer(&Queries::Standing { asked }).after(token).deadline(deadline).await
        }
    };
    // Who dies with its node was told nothing.
    if pulse.as_ref().is_some_and(|pulse| pulse.is_dead()) {
        return false;
    }
    let took = began.elapsed() - (stood_still() - before);
    assert!(took <= deadline + 4 * TICK, "{ask:?} took {took:?} and had {deadline:?}");
    let answered = result.is_ok();
    if answered && pulse.is_none() {
        world.count("remote call answered");
        if matches!(ask, Ask::After { .. }) {
            world.count("remote read after a token");
        }
    }
    world.history.borrow_mut().end(at, result, world.moment());
    answered
}
