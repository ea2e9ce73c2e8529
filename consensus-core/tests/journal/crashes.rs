//! A journal whose node is stopped anywhere, and loses its power then.

use std::collections::BTreeMap;

use consensus_core::{GroupId, Token, journal::MemoryDisk};

use super::{GROUPS, Records, SECTOR_BYTES, append, assert_continues, mix, noise, open, payload};

// Goal: S14, wherever a node is stopped, what was confirmed is there, and only what was appended.
// Method: stop a scripted run after every write, sync, creation, renaming and removal. Of what was
// not synced, lose all, none, all from some byte on, or some sectors; then stop the recovery the
// same way.
#[test]
fn every_crash_point_keeps_what_was_confirmed() {
    let mut unlimited = MemoryDisk::new();
    live(&mut unlimited);
    let changes = unlimited.changes();
    assert!(changes > 100, "{changes} changes are many crash points");

    let mut cuts = 0;
    for stop in 0..=changes {
        let mut stopped = MemoryDisk::new();
        stopped.stop_after(stop);
        let life = live(&mut stopped);
        for variant in 0..12 {
            let seed = mix(stop, variant);
            let mut disk = stopped.clone();
            lose_power(&mut disk, variant, seed);
            let mut dying = disk.clone();
            dying.stop_after(seed % 5);
            if let Ok((_, recovered)) = open(&mut dying) {
                life.check(&recovered.records);
            }
            lose_power(&mut dying, seed % 12, seed);
            for mut disk in [disk, dying] {
                let (_, recovered) = open(&mut disk).expect("a crash is no corruption");
                life.check(&recovered.records);
                cuts += usize::from(recovered.cut.is_some());
                let mut again = disk.clone();
                life.tear(&mut again, &recovered.records, seed);
                assert_continues(&mut disk, recovered.records);
            }
        }
    }
    assert!(cuts > 200, "{cuts} torn batches were among them");
}

// Goal: what a restarted node was told is durable, even if it was stopped between write and sync.
// Method: stop a run after every change, open the journal, and only then lose the power.
#[test]
fn what_was_recovered_is_durable() {
    for stop in 0..100 {
        let mut disk = MemoryDisk::new();
        disk.stop_after(stop);
        let life = live(&mut disk);
        disk.restart();
        let (_, seen) = open(&mut disk).expect("a stopped node is no corruption");
        life.check(&seen.records);
        disk.crash();
        assert_continues(&mut disk, seen.records);
    }
}

/// What a scripted run has done to a journal.
#[derive(Default)]
struct Life {
    appended: BTreeMap<GroupId, u64>,
    confirmed: BTreeMap<GroupId, u64>,
    released: BTreeMap<GroupId, u64>,
}

impl Life {
    fn check(&self, records: &Records) {
        for group in GROUPS {
            let of = |map: &BTreeMap<GroupId, u64>| map.get(&group).copied().unwrap_or_default();
            let list = records.get(&group).map_or(&[][..], Vec::as_slice);
            let first = list.first().map_or(1, |(token, _)| token.0);
            let last = list.last().map_or(0, |(token, _)| token.0);
            assert!(first <= of(&self.released).max(1), "{group:?} keeps what was not released");
            assert!(last >= of(&self.confirmed), "{group:?} keeps what was confirmed");
            assert!(last <= of(&self.appended), "{group:?} has what was appended");
            for ((token, bytes), expected) in list.iter().zip(first..) {
                assert_eq!(token.0, expected);
                assert_eq!(*bytes, payload(group, *token));
            }
        }
    }

    /// Loses the power between write and sync of another batch: `records` must still be there.
    fn tear(&self, disk: &mut MemoryDisk, records: &Records, seed: u64) {
        let (mut journal, _) = open(&mut *disk).expect("a crash is no corruption");
        append(&mut journal, &mut records.clone(), GROUPS[0], noise(seed, 1_000));
        journal.disk_mut().stop_after(1);
        journal.commit().expect_err("the node stops");
        lose_power(disk, seed % 12, seed);
        let (_, recovered) = open(disk).expect("a crash is no corruption");
        for (group, list) in records {
            assert!(recovered.records[group].starts_with(list), "{group:?} keeps what it had");
        }
    }
}

/// Appends, commits and releases until the script or the disk ends.
fn live(disk: &mut MemoryDisk) -> Life {
    let mut life = Life::default();
    let Ok((mut journal, _)) = open(disk) else { return life };
    for round in 0..40 {
        for count in 0..1 + mix(round, 0) % 3 {
            let group = GROUPS[mix(round, count + 1) as usize % GROUPS.len()];
            let token = life.appended.entry(group).or_default();
            *token += 1;
            let bytes = payload(group, Token(*token));
            if journal.append(group, Token(*token), &bytes).is_err() {
                return life;
            }
        }
        if journal.commit().is_err() {
            return life;
        }
        life.confirmed.clone_from(&life.appended);
        if round % 10 == 9 {
            for (group, token) in life.confirmed.clone() {
                life.released.insert(group, token);
                if journal.release(group, Token(token)).is_err() {
                    return life;
                }
            }
        }
    }
    life
}

/// Loses what was not synced: all, nothing, all from some byte on, or some sectors.
fn lose_power(disk: &mut MemoryDisk, variant: u64, seed: u64) {
    let mut start = None;
    disk.crash_keeping(|_, offset| {
        let end = *start.get_or_insert(offset) + seed % 1_500;
        match variant {
            0 => 0,
            1 => SECTOR_BYTES,
            2..=5 => end.saturating_sub(offset) as usize,
            _ => SECTOR_BYTES * (mix(seed, offset) % 2) as usize,
        }
    });
}
