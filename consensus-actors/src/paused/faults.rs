//! What befalls a cluster: crashes, parted networks, bad disks, wrong clocks, nodes that stand
//! still.

use std::{rc::Rc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    disk::Trap,
    network::{Odds, Parting},
    pulse::Thread,
    random::Random,
    world::{World, is_client},
};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Crash,
    PowerLoss,
    AllCrash,
    BadDisk(Trap),
    LeaderIsolated,
    Split,
    OneWay,
    BadNetwork,
    Cut,
    FullDisk,
    SlowDisk,
    ClockJump,
    Pause,
}

const ALL: [Fault; 16] = [
    Fault::Crash,
    Fault::PowerLoss,
    Fault::AllCrash,
    Fault::BadDisk(Trap::FailedWrite),
    Fault::BadDisk(Trap::FailedSync),
    Fault::BadDisk(Trap::PowerBeforeSync),
    Fault::BadDisk(Trap::PowerAfterSync),
    Fault::LeaderIsolated,
    Fault::Split,
    Fault::OneWay,
    Fault::BadNetwork,
    Fault::Cut,
    Fault::FullDisk,
    Fault::SlowDisk,
    Fault::ClockJump,
    Fault::Pause,
];

/// How a fault ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Start(u64),
    Heal,
    GoodNetwork,
    Room(u64),
    /// The power goes while the disk is full, and what it could not take is lost.
    PowerLoss(u64),
    RoomForAll,
    AllLosePower,
    FastDisk(u64),
}

/// The longest that a wall clock is wrong: nothing may expire, so that all that does is a bug.
const CLOCK_ERROR_MAX: u64 = 6 * 3_600 * 1_000;

/// How long one cluster is tormented.
const TORMENT: Duration = Duration::from_secs(600);

/// Lets faults befall the world for ten minutes, and then ends all of them.
pub(super) async fn torment(world: &Rc<World>, mut random: Random) {
    // Each run has some kinds and lacks others: together they hide what each alone would show.
    let kinds: Vec<Fault> = ALL.into_iter().filter(|_| random.chance(600)).collect();
    let until = Instant::now() + TORMENT;
    let mut ends: Vec<(Instant, End)> = Vec::new();
    while Instant::now() < until {
        sleep(Duration::from_millis(random.between(500, 6_000))).await;
        for node in world.dead() {
            if !ends.iter().any(|(_, end)| *end == End::Start(node)) {
                world.bury(node, random.chance(500));
                ends.push((after(&mut random, 0, 15_000), End::Start(node)));
            }
        }
        let now = Instant::now();
        let (due, later) = ends.into_iter().partition(|(due, _)| *due <= now);
        ends = later;
        for (_, end) in due {
            finish(world, end).await;
        }
        if !kinds.is_empty() && random.chance(600) {
            let fault = random.pick(&kinds);
            let last = after(&mut random, 1_000, 25_000);
            ends.extend(begin(world, fault, &mut random).map(|end| (last, end)));
        }
    }
    calm(world).await;
}

/// Ends all faults, and starts all nodes that are dead.
pub(super) async fn calm(world: &Rc<World>) {
    finish(world, End::Heal).await;
    finish(world, End::GoodNetwork).await;
    for node in world.ids() {
        finish(world, End::Room(node)).await;
        finish(world, End::FastDisk(node)).await;
        world.platter(node).disarm();
    }
    for node in world.dead() {
        world.bury(node, true);
        finish(world, End::Start(node)).await;
    }
}

fn after(random: &mut Random, least: u64, most: u64) -> Instant {
    Instant::now() + Duration::from_millis(random.between(least, most))
}

/// Lets a fault begin; returns how it ends if it does not by itself.
fn begin(world: &Rc<World>, fault: Fault, random: &mut Random) -> Option<End> {
    let ids = world.ids();
    let node = random.pick(&ids);
    match fault {
        Fault::Crash | Fault::PowerLoss => {
            world.living(node)?;
            world.count(if fault == Fault::Crash { "crash" } else { "power loss" });
            world.bury(node, fault == Fault::PowerLoss);
            None
        }
        // A log that is read again from its beginning takes time: not so often.
        Fault::AllCrash if random.chance(500) => None,
        Fault::AllCrash => {
            world.count("crash of all nodes");
            let machines = random.chance(500);
            ids.iter().for_each(|node| world.bury(*node, machines));
            None
        }
        Fault::BadDisk(trap) => {
            world.platter(node).set_trap(trap, random.between(1, 8));
            None
        }
        Fault::LeaderIsolated | Fault::Split | Fault::OneWay => part(world, fault, random),
        Fault::BadNetwork => {
            world.count("bad network");
            world.wire.set_odds(Odds {
                loss: random.between(0, 150),
                delay: random.between(0, 400),
                delay_max: random.between(10, 5_000),
            });
            Some(End::GoodNetwork)
        }
        Fault::Cut => {
            let other = random.pick(&world.ends());
            if random.chance(500) {
                world.wire.cut(node, other);
            } else if other != node {
                world.wire.tear(node, other);
            }
            None
        }
        Fault::FullDisk if random.chance(300) => {
            world.count("all disks filled");
            ids.iter().for_each(|node| world.platter(*node).set_full(true));
            Some(if random.chance(500) { End::RoomForAll } else { End::AllLosePower })
        }
        Fault::FullDisk => {
            world.count("disk filled");
            world.platter(node).set_full(true);
            Some(if random.chance(500) { End::Room(node) } else { End::PowerLoss(node) })
        }
        Fault::SlowDisk => {
            let slowness = Duration::from_millis(random.between(20, 1_500));
            world.platter(node).set_slowness(slowness);
            Some(End::FastDisk(node))
        }
        Fault::ClockJump => {
            world.count("clock jump");
            let offset = random.between(0, 2 * CLOCK_ERROR_MAX) as i64 - CLOCK_ERROR_MAX as i64;
            world.set_wall(node, offset);
            None
        }
        Fault::Pause => {
            let running = world.living(node)?;
            world.count("pause");
            let pause = Duration::from_millis(random.between(200, 9_000));
            running.pulse.stand_still(Thread::Actors, pause);
            running.pulse.stand_still(Thread::Journal, pause);
            None
        }
    }
}

fn part(world: &Rc<World>, fault: Fault, random: &mut Random) -> Option<End> {
    let ends = world.ends();
    let mut side: Vec<u64> = match fault {
        // With some of the clients, which believe it for as long as it believes itself.
        Fault::LeaderIsolated => ends.iter().copied().filter(|end| is_client(*end)).collect(),
        _ => ends.clone(),
    };
    side.retain(|_| random.chance(500));
    if fault == Fault::LeaderIsolated {
        side.push(world.leader()?);
    }
    let others: Vec<u64> = ends.into_iter().filter(|end| !side.contains(end)).collect();
    let mut pairs = Vec::new();
    for one in &side {
        for other in &others {
            pairs.push((*one, *other));
            if fault != Fault::OneWay {
                pairs.push((*other, *one));
            }
        }
    }
    world.count(match fault {
        Fault::LeaderIsolated => "leader isolated",
        Fault::OneWay => "parted one way",
        _ => "split",
    });
    let parting = if random.chance(500) { Parting::Lose } else { Parting::Hold };
    world.wire.part(&pairs, parting);
    Some(End::Heal)
}

async fn finish(world: &Rc<World>, end: End) {
    match end {
        End::Start(node) => world.start(node).await,
        End::Heal => world.wire.heal(),
        End::GoodNetwork => world.wire.set_odds(Odds::default()),
        End::PowerLoss(node) => {
            world.bury(node, true);
            world.platter(node).set_full(false);
        }
        End::RoomForAll => {
            world.ids().into_iter().for_each(|node| world.platter(node).set_full(false));
        }
        End::AllLosePower => {
            for node in world.ids() {
                world.bury(node, true);
                world.platter(node).set_full(false);
            }
        }
        End::Room(node) => world.platter(node).set_full(false),
        End::FastDisk(node) => world.platter(node).set_slowness(Duration::ZERO),
    }
}
