//! What a seed makes of a plan: how the cluster is set up, which faults strike when, and who asks
//! for what. A failing run is shrunk by leaving out parts of it.

use std::time::Duration;

use bytes::Bytes;

use super::{
    agenda::quorums,
    fault::{Fault, Faults},
    leases::Leases,
    plan::Plan,
    protocol::Snapshots,
    random::Random,
    workload::Body,
};
use crate::{raft::PRIORITY_DEFAULT, read::ReadLevel, time::Time};

/// All that is fixed before a run begins.
#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) temper: Temper,
    /// By time.
    pub(super) strikes: Vec<Strike>,
    /// By time.
    pub(super) calls: Vec<Planned>,
    /// What every node is asked for in the end: a command and a query, as far as there are any.
    pub(super) probes: Vec<Body>,
}

/// How a cluster and its surroundings behave all the time. Odds are in millionths.
#[derive(Clone, Debug)]
pub(super) struct Temper {
    pub(super) election_timeout: Duration,
    pub(super) heartbeat: Duration,
    pub(super) pre_vote: bool,
    pub(super) check_quorum: bool,
    pub(super) leases: Leases,
    /// Whether the group comes to rest, for which callers leave it time.
    pub(super) rests: bool,
    pub(super) append_bytes_max: usize,
    pub(super) append_window: usize,
    pub(super) append_window_bytes: usize,
    pub(super) segment_bytes: usize,
    pub(super) snapshots: Snapshots,
    pub(super) loss: u64,
    pub(super) duplication: u64,
    pub(super) reordering: u64,
    /// How often a leader ends while it writes.
    pub(super) feud: u64,
    /// How long a message takes, and a sync, and applying what is decided.
    pub(super) transit: (Duration, Duration),
    pub(super) sync: (Duration, Duration),
    pub(super) apply: (Duration, Duration),
    /// How much faster or slower than true time the clock of each node runs, in millionths.
    pub(super) drift: Vec<i64>,
    /// How much each node is preferred as a leader.
    priorities: Vec<u8>,
    /// Which faults this run has; only what a crash leaves is asked of it.
    pub(super) faults: Faults,
    /// Whether wall clocks jump so far that sessions expire. Keys would too, and who repeats one
    /// then may apply it again: nobody uses any.
    pub(super) sessions_expire: bool,
    /// How many nodes may be lost for good, and not replaced, at a time.
    pub(super) losses_max: usize,
    /// How many entries a learner may lack to be let vote.
    pub(super) catch_up_slack: u64,
    /// Whether one of the first voters stores no commands.
    pub(super) witness: bool,
    /// How many members make each phase, where that is not majorities.
    pub(super) quorums: Option<(usize, usize)>,
}

/// A fault at a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strike {
    pub(super) at: Time,
    pub(super) fault: Fault,
    pub(super) lasts: Duration,
    pub(super) aim: Aim,
    /// Decides whatever else is to be decided.
    pub(super) pick: u64,
}

/// Whom a fault befalls.
#[derive(Clone, Copy, Debug)]
pub(super) enum Aim {
    /// Who leads then: it has more consequences.
    Leader,
    /// This one of the nodes.
    Node(u64),
}

/// An operation that a caller will ask for.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) at: Time,
    pub(super) body: Body,
    /// Which node is asked, counted among those that are there.
    pub(super) pick: u64,
    /// An idempotency key, under which the caller may ask other nodes again.
    pub(super) key: Option<Bytes>,
    pub(super) patience: Duration,
    /// What is asked of the answer, if it is a query.
    pub(super) wish: Wish,
}

/// At what level a caller reads.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wish {
    /// At this one.
    Level(ReadLevel),
    /// After a command that was answered, which the number picks.
    AfterCommand(u64),
}

/// More than most entries have.
const ENTRY_BYTES: usize = 128;

const SETUP: u64 = 1;
const STRIKES: u64 = 2;
const CALLS: u64 = 3;
const PRIORITIES: u64 = 5;
const SNAPSHOTS: u64 = 6;
const QUORUMS: u64 = 8;

impl Script {
    /// Draws what `plan` leaves open; callers ask for `bodies`, and in the end for `probes`.
    pub(super) fn draw(plan: &Plan, bodies: Vec<(Body, ReadLevel)>, probes: Vec<Body>) -> Self {
        let declared = bodies.iter().any(|(_, level)| *level == ReadLevel::Lease);
        let mut temper = Temper::draw(plan, declared);
        // A segment takes the longest record there may be.
        let all = bodies.iter().map(|(body, _)| body).chain(&probes);
        let longest = all.map(|body| body.bytes().len()).max();
        let needed = (longest.unwrap_or(0) + temper.append_bytes_max) * 2 + 2_048;
        temper.segment_bytes = temper.segment_bytes.max(needed.next_multiple_of(512));
        let strikes = strikes(plan, &temper);
        let calls = calls(plan, &temper, bodies, &strikes);
        Self { temper, strikes, calls, probes }
    }
}

impl Temper {
    /// Draws how the cluster of a plan and its surroundings behave.
    pub(super) fn draw(plan: &Plan, declares_leases: bool) -> Self {
        let mut random = Random::new(plan.seed(), SETUP);
        let leases = Leases::draw(plan, declares_leases);
        // Each run has some kinds of fault and lacks others: all together they would hide what each
        // alone shows (Groce et al., "Swarm Testing", 2012).
        let all = plan.faults();
        let some: Faults = all.iter().filter(|_| random.happens(600_000)).collect();
        let faults = if some == Faults::NONE { all } else { some };

        let election_timeout =
            Duration::from_millis(*random.pick(&[120, 200, 300, 500]).unwrap_or(&300));
        let heartbeat = election_timeout / (4 + random.below(5) as u32);
        let mut odds = |fault, most| {
            let drawn = random.below(most) + 1;
            if faults.has(fault) { drawn } else { 0 }
        };
        let loss = odds(Fault::Loss, 60_000);
        let feud = odds(Fault::CrashBetween, 100_000);
        let duplication = odds(Fault::Duplication, 60_000);
        let reordering = odds(Fault::Reordering, 200_000);
        let feud = if random.happens(200_000) { feud } else { 0 };
        let loss = if random.happens(100_000) { loss * 5 } else { loss };
        // Now and then messages, or syncs, take as long as elections.
        let far = if faults.has(Fault::Delay) && random.happens(100_000) { 1 } else { 0 };
        let slow = if faults.has(Fault::SlowDisk) && random.happens(100_000) { 1 } else { 0 };
        let timeout = election_timeout.as_micros() as u64 / 2;
        let mut upto = |longest: u64| Duration::from_micros(1 + random.below(longest));
        let transit = (upto(300), Duration::from_millis(1) + upto(5_000 + far * timeout));
        let sync = (upto(500), Duration::from_micros(500) + upto(4_000 + slow * timeout));
        let apply = (upto(50), upto(3_000));
        let drift = (0..plan.nodes())
            .map(|_| if faults.has(Fault::Drift) { random.in_range(-50_000..=50_000) } else { 0 })
            .collect::<Vec<_>>();
        let drift = leases.drift(drift);
        let minority = (plan.nodes() as usize - 1) / 2;
        // Most have both, as users do. Without either, who was removed and has not heard of it ends
        // every tenure (dissertation 4.2.3).
        let pre_vote = !random.happens(400_000);
        let removes = faults.has(Fault::MembershipChange);
        let check_quorum = !random.happens(400_000) || removes && !pre_vote;
        Self {
            election_timeout,
            heartbeat,
            pre_vote,
            check_quorum: check_quorum || leases.is_on(),
            leases,
            rests: faults.has(Fault::Rest),
            append_bytes_max: *random.pick(&[1, 64, 512, 4_096]).unwrap_or(&64),
            append_window: *random.pick(&[1, 2, 8, 64]).unwrap_or(&8),
            append_window_bytes: *random.pick(&[1, 512, 16_384]).unwrap_or(&512),
            segment_bytes: *random.pick(&[8_192, 16_384, 32_768]).unwrap_or(&16_384),
            snapshots: snapshots(plan, faults),
            loss,
            duplication,
            reordering,
            feud,
            transit,
            sync,
            apply,
            drift,
            priorities: priorities(plan),
            sessions_expire: faults.has(Fault::ClockJump) && random.happens(300_000),
            faults,
            catch_up_slack: *random.pick(&[0, 3, 20]).unwrap_or(&3),
            witness: faults.has(Fault::WitnessLetGo) && plan.nodes() > 2 && random.happens(300_000),
            losses_max: if random.happens(250_000) { minority } else { minority.min(1) },
            quorums: None,
        }
    }

    /// Draws how many members make each phase. No more are lost than a phase can do without. Where
    /// members change, so do sizes: majorities make both.
    pub(super) fn draw_quorums(&mut self, plan: &Plan) {
        if self.faults.has(Fault::MembershipChange) {
            return;
        }
        let mut random = Random::new(plan.seed(), QUORUMS);
        let nodes = plan.nodes() as usize;
        let (prepare, accept) = quorums(nodes, &mut random);
        self.losses_max = self.losses_max.min(nodes - prepare.max(accept));
        self.quorums = Some((prepare, accept));
    }
}

impl Temper {
    /// Returns how long what takes `duration` by the slowest clock takes in truth.
    pub(super) fn by_the_slowest(&self, duration: Duration) -> Duration {
        let slowest = self.drift.iter().copied().min().unwrap_or_default().min(0);
        let rate = u32::try_from(1_000_000 + slowest).unwrap_or(1_000_000);
        duration * 1_000 / (rate / 1_000).max(1)
    }

    /// Returns how long an entry takes at the most to be sent to another node and answered, among
    /// as many as may be on their way.
    pub(super) fn entry_takes(&self) -> Duration {
        let in_flight = self.append_window.min(self.append_window_bytes.div_ceil(ENTRY_BYTES));
        (self.transit.1 * 2 + self.sync.1) / u32::try_from(in_flight).unwrap_or(u32::MAX).max(1)
    }

    /// Tells whether a node checks that it has a quorum, and is loyal: some that keep no leases where
    /// others do are not. But all are where nothing else holds back who was removed.
    pub(super) fn checks_quorum(&self, node: u64) -> bool {
        let is_held_back = self.pre_vote || !self.faults.has(Fault::MembershipChange);
        self.check_quorum && !(is_held_back && self.leases.may_be_disloyal(node))
    }

    /// Returns how much a node is preferred as a leader.
    pub(super) fn priority(&self, node: u64) -> u8 {
        // Whoever is free campaigns at once: a lease that lasts too long shows.
        if self.leases.are_hurried() {
            return u8::MAX;
        }
        let place = (node as usize).checked_sub(1);
        place.and_then(|place| self.priorities.get(place)).copied().unwrap_or(PRIORITY_DEFAULT)
    }
}

/// Draws how much nodes are preferred: in most runs all alike, as with users.
fn priorities(plan: &Plan) -> Vec<u8> {
    let mut random = Random::new(plan.seed(), PRIORITIES);
    if plan.faults() == Faults::NONE || random.happens(600_000) {
        return Vec::new();
    }
    let some = [0, 1, 50, PRIORITY_DEFAULT, 150, 255];
    (0..plan.nodes()).filter_map(|_| random.pick(&some).copied()).collect()
}

/// Draws when snapshots are taken: every few entries, or, in runs without, hardly ever.
fn snapshots(plan: &Plan, faults: Faults) -> Snapshots {
    let mut random = Random::new(plan.seed(), SNAPSHOTS);
    let takes = faults.has(Fault::SnapshotTaken) || faults.has(Fault::WitnessLetGo);
    let takes = takes || plan.faults() == Faults::NONE;
    let mut pick = |choices: &[u64]| random.pick(choices).copied().unwrap_or(1);
    let entries = pick(&[3, 10, 30, 100]);
    // Who is only slow finds all it lacks in the log: without faults nobody needs a snapshot.
    let tail = if plan.faults() == Faults::NONE { 1 << 40 } else { 0 };
    Snapshots {
        entries: if takes { entries } else { 1 << 40 },
        bytes: if takes { pick(&[500, 5_000, 50_000]) as usize } else { 1 << 40 },
        chunk_bytes: pick(&[256, 1_024, 4_096]) as usize,
        window: pick(&[1, 2, 4]) as u32,
        tail_entries: tail.max(pick(&[1, 1, 5, 50]) - 1),
        tail_bytes: (tail as usize).max(pick(&[1, 1_000, 100_000]) as usize),
        fed_bytes: pick(&[1, 1_000, 100_000]) as usize,
        keep: pick(&[1, 2]) as usize,
    }
}

/// Returns how often a fault strikes in a minute, in thousandths; zero for one that has odds
/// instead or follows from others.
fn rate(fault: Fault) -> u64 {
    match fault {
        Fault::Loss | Fault::Duplication | Fault::Reordering | Fault::Drift => 0,
        Fault::LostSuffix | Fault::DiskStall | Fault::Takeover => 0,
        Fault::SnapshotTaken | Fault::SnapshotInstalled | Fault::WitnessLetGo => 0,
        Fault::Rest => 0,
        Fault::Unrest => 6_000,
        Fault::Temptation => 12_000,
        Fault::Delay | Fault::LeaderCutOff | Fault::CrashBetween | Fault::Transfer => 6_000,
        Fault::MembershipChange => 10_000,
        Fault::Partition | Fault::CrashBefore | Fault::CrashAfter | Fault::Pause => 4_000,
        Fault::Backlog | Fault::OneWay | Fault::Bridge | Fault::LateCompletion => 3_000,
        Fault::TornWrite | Fault::Retirement => 2_000,
        Fault::ClockJump | Fault::Replacement => 2_000,
        Fault::WriteError | Fault::SyncError => 2_000,
        Fault::SlowDisk => 7_000,
        Fault::DiskFull => 8_000,
        Fault::CrashAll => 1_500,
        Fault::WipedDisk | Fault::BitRot | Fault::MisdirectedWrite => 1_500,
    }
}

fn strikes(plan: &Plan, temper: &Temper) -> Vec<Strike> {
    let mut random = Random::new(plan.seed(), STRIKES);
    let intensity = *random.pick(&[500, 1_000, 1_000, 2_000]).unwrap_or(&1_000);
    let mut strikes = Vec::new();
    for fault in temper.faults.iter() {
        // Millionths of a strike that are due over the whole run.
        let due = rate(fault) * intensity / 60 * plan.duration().as_secs() * plan.pace();
        let count = due / 1_000_000 + u64::from(random.happens(due % 1_000_000));
        for _ in 0..count {
            let at = Time::ZERO + random.between(Duration::ZERO, plan.duration());
            let timeout = temper.election_timeout;
            let lasts = random.between(timeout / 4, timeout * 12);
            let aim = match random.below(2) {
                0 => Aim::Leader,
                _ => Aim::Node(random.below(plan.nodes())),
            };
            strikes.push(Strike { at, fault, lasts, aim, pick: random.any() });
        }
    }
    strikes.sort_by_key(|strike| strike.at);
    strikes
}

/// Draws when `count` operations are asked for: as many at one time as there are callers.
fn times(
    plan: &Plan,
    (temper, strikes): (&Temper, &[Strike]),
    random: &mut Random,
    count: usize,
) -> Vec<Time> {
    // The first leader should be there.
    let first = (temper.election_timeout * 5).min(plan.duration() / 4);
    let mut times = Vec::with_capacity(count);
    let mut together = Time::ZERO;
    // Where clocks betray leases, reads of other levels stand beside those that rest on them.
    let callers = if temper.leases.clocks_betray() { 4 } else { 1 }.max(plan.callers());
    // A group that may rest is used in bursts; and leases are in danger where the log stands still,
    // since whoever lacks nothing may be elected.
    let betrayed = temper.leases.clocks_betray();
    let in_bursts = (temper.rests || temper.leases.are_quiet()) && !betrayed;
    let count_bursts = if in_bursts { 3 + random.below(6) } else { 0 };
    let mut bursts: Vec<_> =
        (0..count_bursts).map(|_| random.between(first, plan.duration())).collect();
    if betrayed {
        // When others are elected while a leader thinks that nobody can be.
        let elects = |it: &&Strike| matches!(it.fault, Fault::Temptation | Fault::LeaderCutOff);
        let struck = strikes.iter().filter(elects).map(|strike| strike.at.since(Time::ZERO));
        bursts = struck.map(|at| at + temper.election_timeout / 2).collect();
    }
    for number in 0..count {
        if number % callers == 0 {
            let burst = random.pick(&bursts).copied();
            let after = random.between(Duration::ZERO, temper.election_timeout * 2);
            let at = burst.map(|burst| burst + after);
            let at = at.unwrap_or_else(|| random.between(first, plan.duration()));
            together = Time::ZERO + at;
            times.push(together);
        } else {
            // Within about the time that an operation takes.
            times.push(together + random.between(Duration::ZERO, temper.transit.1 * 2));
        }
    }
    times
}

fn calls(
    plan: &Plan,
    temper: &Temper,
    bodies: Vec<(Body, ReadLevel)>,
    strikes: &[Strike],
) -> Vec<Planned> {
    let mut random = Random::new(plan.seed(), CALLS);
    let keyed = if temper.sessions_expire { 0 } else { random.below(500_000) };
    let mut times = times(plan, (temper, strikes), &mut random, bodies.len());
    times.sort_unstable();
    let mut calls = Vec::with_capacity(times.len());
    for (number, (at, (body, declared))) in times.into_iter().zip(bodies).enumerate() {
        let key = matches!(body, Body::Command(_)) && random.happens(keyed);
        // Now and then somebody takes the key of another, for something else.
        let other = calls.get(number / 2).filter(|other: &&Planned| other.body != body);
        let is_calm = plan.faults() == Faults::NONE;
        let reused = other.is_some() && random.happens(30_000) && !is_calm;
        let number = if reused { number / 2 } else { number };
        let key = key.then(|| Bytes::from(format!("op{number}")));
        // Some callers give up early; most wait out a change of leaders.
        let patience = match random.below(10) {
            0 if !is_calm => random.between(temper.election_timeout / 10, temper.election_timeout),
            _ => random.between(temper.election_timeout * 5, temper.election_timeout * 40),
        };
        let wish =
            if is_calm { Wish::Level(declared) } else { wish(temper, declared, &mut random) };
        calls.push(Planned { at, body, pick: random.any(), key, patience, wish });
    }
    calls
}

/// Draws at what level a caller reads what is `declared` to be read at another.
fn wish(temper: &Temper, declared: ReadLevel, random: &mut Random) -> Wish {
    match random.below(10) {
        0..4 if temper.leases.is_on() => Wish::Level(ReadLevel::Lease),
        0..5 => Wish::Level(declared),
        5 => Wish::Level(ReadLevel::Linearizable),
        6..8 => {
            let timeout = temper.election_timeout;
            let lags = [timeout / 50, timeout / 4, timeout, timeout * 4];
            let max_lag = random.pick(&lags).copied().unwrap_or(timeout);
            if temper.leases.clocks_betray() {
                // Nothing is known of what a clock is worth that is so far off.
                return Wish::Level(ReadLevel::Linearizable);
            }
            Wish::Level(ReadLevel::Stale { max_lag })
        }
        _ => Wish::AfterCommand(random.any()),
    }
}
