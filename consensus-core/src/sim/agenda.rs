//! What a seed makes of a plan for decisions: how each is set up, which faults strike when, and who
//! asks for what. A failing run is shrunk by leaving out parts of it.

use std::time::Duration;

use super::{
    fault::{Fault, Faults},
    plan::Plan,
    random::Random,
    script::{Aim, Strike, Temper},
};
use crate::time::Time;

/// One decision, as it is fixed before it begins. Times count from its beginning.
#[derive(Clone, Debug)]
pub(super) struct Agenda {
    /// What everything else of it is drawn from.
    pub(super) seed: u64,
    pub(super) temper: Temper,
    pub(super) quorums: (usize, usize),
    pub(super) retry: Duration,
    pub(super) pause_max: Duration,
    /// How long faults and calls go on.
    pub(super) lasts: Duration,
    /// How many nodes may be lost for good.
    pub(super) losses_max: usize,
    /// By time.
    pub(super) strikes: Vec<Strike>,
    /// By time.
    pub(super) motions: Vec<Motion>,
}

/// What a caller will ask for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Motion {
    pub(super) at: Duration,
    /// Names the value, of all values of the run; or the caller only reads.
    pub(super) proposes: Option<usize>,
    pub(super) node: u64,
    pub(super) patience: Duration,
}

const DECISIONS: u64 = 4 << 32;
const AGENDA: u64 = 1 << 16;
const MISHAPS: u64 = 2 << 16;
const MOTIONS: u64 = 3 << 16;

/// As many callers contend for a value, about.
const CALLS_EACH: usize = 8;

/// Shorter, and few ballots would be over before everything is mended.
const LASTS_MIN: Duration = Duration::from_millis(100);

/// The faults that a run of decisions has.
///
/// The others befall what it does not have: leaders, logs, snapshots, memberships, wall clocks, and
/// the journal, which is tested under protocols that need more of it.
pub const DECISION_FAULTS: [Fault; 16] = [
    Fault::Loss,
    Fault::Delay,
    Fault::Duplication,
    Fault::Reordering,
    Fault::Partition,
    Fault::OneWay,
    Fault::CrashBefore,
    Fault::CrashBetween,
    Fault::CrashAfter,
    Fault::CrashAll,
    Fault::Pause,
    Fault::WipedDisk,
    Fault::LostSuffix,
    Fault::SlowDisk,
    Fault::LateCompletion,
    Fault::Drift,
];

/// Draws what `plan` leaves open: its time and its operations are divided among decisions.
pub(super) fn draw(plan: &Plan) -> Vec<Agenda> {
    let fit = (plan.duration().as_nanos() / LASTS_MIN.as_nanos()) as usize;
    let count = (plan.operations() / CALLS_EACH).clamp(1, fit.max(1));
    let lasts = plan.duration() / count as u32;
    let mut first = 0;
    let mut agendas = Vec::with_capacity(count);
    for number in 0..count {
        let end = plan.operations() * (number + 1) / count;
        agendas.push(Agenda::draw(plan, number as u64, lasts, first..end));
        first = end;
    }
    agendas
}

impl Agenda {
    fn draw(plan: &Plan, number: u64, lasts: Duration, calls: std::ops::Range<usize>) -> Self {
        let seed = Random::new(plan.seed(), DECISIONS + number).any();
        let supported: Faults = DECISION_FAULTS.into_iter().collect();
        let faults: Faults = plan.faults().iter().filter(|it| supported.has(*it)).collect();
        let mut temper = Temper::draw(&plan.with_seed(seed).with_faults(faults), false);
        let mut random = Random::new(seed, AGENDA);
        let is_calm = faults == Faults::NONE;
        // So short that answers come late, or so long that nobody asks in vain.
        let some = if is_calm { &[40][..] } else { &[5, 10, 20, 40] };
        let retry = Duration::from_millis(random.pick(some).copied().unwrap_or(40));
        temper.election_timeout = retry * 2;
        // One value stands for a short time only: whatever befalls it must be frequent.
        let mut odds = |fault, most| {
            let drawn = random.below(most) + 1;
            if temper.faults.has(fault) { drawn } else { 0 }
        };
        (temper.loss, temper.duplication) =
            (odds(Fault::Loss, 300_000), odds(Fault::Duplication, 300_000));
        temper.reordering = odds(Fault::Reordering, 600_000);
        let quorums = quorums(plan.nodes() as usize, &mut random);
        let losses_max = plan.nodes() as usize - quorums.0.max(quorums.1);
        let strikes = strikes(&temper, (plan, seed), lasts);
        let motions = motions(is_calm, (plan, seed), lasts, calls);
        let pause_max = retry * 16;
        Self { seed, temper, quorums, retry, pause_max, lasts, losses_max, strikes, motions }
    }
}

/// Draws how many make each phase: majorities mostly, else any that meet.
pub(super) fn quorums(nodes: usize, random: &mut Random) -> (usize, usize) {
    let majority = nodes / 2 + 1;
    if random.happens(700_000) {
        return (majority, majority);
    }
    let prepare = 1 + random.place(nodes);
    (prepare, (nodes + 1 - prepare).max(1))
}

fn strikes(temper: &Temper, (plan, seed): (&Plan, u64), lasts: Duration) -> Vec<Strike> {
    let mut random = Random::new(seed, MISHAPS);
    let has_odds = |fault: &Fault| {
        let odds = [Fault::Loss, Fault::Duplication, Fault::Reordering, Fault::Drift];
        odds.contains(fault) || *fault == Fault::LostSuffix
    };
    let mut strikes = Vec::new();
    for fault in temper.faults.iter().filter(|fault| !has_odds(fault)) {
        let most = match fault {
            Fault::CrashBefore | Fault::CrashBetween | Fault::CrashAfter => 5,
            Fault::CrashAll | Fault::WipedDisk => 2,
            _ => 3,
        };
        for _ in 0..random.below(most * plan.pace()) {
            // Most strike while the first ballots are under way.
            let latest = if random.happens(600_000) { lasts / 4 } else { lasts };
            let at = Time::ZERO + random.between(Duration::ZERO, latest);
            let timeout = temper.election_timeout;
            let span = random.between(timeout / 4, timeout * 6);
            let aim = Aim::Node(random.below(plan.nodes()));
            strikes.push(Strike { at, fault, lasts: span, aim, pick: random.any() });
        }
    }
    strikes.sort_by_key(|strike| strike.at);
    strikes
}

fn motions(
    is_calm: bool,
    (plan, seed): (&Plan, u64),
    lasts: Duration,
    calls: std::ops::Range<usize>,
) -> Vec<Motion> {
    let mut random = Random::new(seed, MOTIONS);
    // In some decisions all ask at once; in others the later ones find what is decided.
    let latest = random.pick(&[lasts / 32, lasts / 4, lasts / 2, lasts]).copied().unwrap_or(lasts);
    let odds = *random.pick(&[100_000, 300_000, 600_000, 850_000]).unwrap_or(&300_000);
    // In some, one node is asked by all who read: they come while it is about to answer others.
    let audience = random.happens(300_000).then(|| random.below(plan.nodes()));
    let count = calls.len().max(1) as u32;
    let mut motions = Vec::with_capacity(calls.len());
    for (place, number) in calls.enumerate() {
        // Without faults one is answered before the next asks.
        let at = if is_calm {
            lasts / count * place as u32
        } else {
            random.between(Duration::ZERO, latest)
        };
        // Nor is anything left to be decided when they are over.
        let reads = random.happens(odds) && !(is_calm && place == 0);
        let proposes = (!reads).then_some(number);
        let patience = random.between(lasts / 4, lasts * 4);
        let node = audience.filter(|_| reads).unwrap_or_else(|| random.below(plan.nodes()));
        motions.push(Motion { at, proposes, node, patience });
    }
    motions.sort_by_key(|motion| motion.at);
    motions
}
