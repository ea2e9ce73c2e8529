//! The words that users write for faults.

use consensus_core::sim::{Fault, Faults, Profile};

use crate::suggest;

/// Every word with the kinds of fault that it stands for. `consensus-macros` knows them as well.
const WORDS: [(&str, &[Fault]); 23] = [
    (
        "crash",
        &[
            Fault::CrashBefore,
            Fault::CrashBetween,
            Fault::CrashAfter,
            Fault::CrashAll,
            Fault::LostSuffix,
        ],
    ),
    ("pause", &[Fault::Pause, Fault::Backlog]),
    ("partition", &[Fault::Partition, Fault::LeaderCutOff]),
    ("one_way", &[Fault::OneWay]),
    ("bridge", &[Fault::Bridge]),
    ("drop", &[Fault::Loss]),
    ("delay", &[Fault::Delay]),
    ("duplicate", &[Fault::Duplication]),
    ("reorder", &[Fault::Reordering]),
    ("clock_skew", &[Fault::Drift]),
    ("clock_jump", &[Fault::ClockJump]),
    ("torn_write", &[Fault::TornWrite]),
    ("disk_full", &[Fault::DiskFull]),
    ("bit_rot", &[Fault::BitRot, Fault::MisdirectedWrite]),
    ("slow_disk", &[Fault::SlowDisk, Fault::LateCompletion, Fault::DiskStall]),
    ("io_error", &[Fault::WriteError, Fault::SyncError]),
    ("wiped_disk", &[Fault::WipedDisk]),
    ("replacement", &[Fault::Replacement]),
    ("transfer", &[Fault::Transfer, Fault::Takeover, Fault::Retirement]),
    ("membership", &[Fault::MembershipChange, Fault::WitnessLetGo]),
    ("snapshot", &[Fault::SnapshotTaken, Fault::SnapshotInstalled]),
    ("rest", &[Fault::Rest, Fault::Unrest]),
    ("lease", &[Fault::Temptation]),
];

/// Returns the kinds of fault that `word` stands for.
///
/// # Errors
/// A text for people, where it stands for none.
pub(super) fn named(word: &str) -> Result<Faults, String> {
    match word {
        "all" => return Ok(Profile::All.faults()),
        "none" => return Ok(Faults::NONE),
        _ => {}
    }
    let known = || WORDS.iter().map(|(known, _)| *known).chain(["all", "none"]);
    let found = WORDS.iter().find(|(known, _)| *known == word);
    found.map(|(_, kinds)| kinds.iter().copied().collect()).ok_or_else(|| {
        let meant = suggest::did_you_mean(word, known());
        format!("unknown fault {word:?}{meant} known are {}", suggest::listed(known()))
    })
}

/// Returns the word for a kind of fault.
pub(super) fn word(fault: Fault) -> &'static str {
    WORDS.iter().find(|(_, kinds)| kinds.contains(&fault)).map_or("all", |(word, _)| *word)
}

/// Returns the faults of a profile.
///
/// # Errors
/// A text for people, where there is no such profile.
pub(super) fn profile(name: &str) -> Result<Faults, String> {
    name.parse::<Profile>().map(Profile::faults).map_err(|()| {
        let known = || Profile::ALL.iter().map(|profile| profile.name());
        let meant = suggest::did_you_mean(name, known());
        format!("unknown profile {name:?}{meant} known are {}", suggest::listed(known()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: whatever may happen has a word, so that what is missing can be named.
    #[test]
    fn every_kind_has_a_word() {
        let all: Faults = WORDS.iter().flat_map(|(_, kinds)| kinds.iter().copied()).collect();
        assert_eq!(all, Profile::All.faults());
        assert_eq!(
            named("crsh").unwrap_err().split(" known").next(),
            Some("unknown fault \"crsh\"; did you mean \"crash\"?")
        );
    }
}
