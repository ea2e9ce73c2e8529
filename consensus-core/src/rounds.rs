//! When rounds of heartbeats began, so that what answers one may be counted from when it was sent.

use std::{collections::VecDeque, time::Duration};

use crate::time::Time;

/// Clocks are read on one core and on another.
const MARGIN: Duration = Duration::from_millis(1);

/// Returns for how long a leader may rely on loyalty that lasts so long by another's clock, which may
/// run faster by so many hundredths.
pub(crate) fn lease_length(loyalty: Duration, drift: u8) -> Duration {
    (loyalty * (100 - u32::from(drift)) / 100).saturating_sub(MARGIN)
}

/// The rounds of a tenure, and when they began: both ascend.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rounds {
    latest: u64,
    began: VecDeque<(u64, Time)>,
}

/// How many moments are remembered at which rounds began. Reads may start rounds without a pause;
/// one is taken to have begun when an earlier one did, by so small a part of a lease.
const ROUNDS_MAX: u32 = 64;

impl Rounds {
    /// Returns the latest round.
    pub(crate) fn latest(&self) -> u64 {
        self.latest
    }

    /// Notes that `round` begins now; what began longer ago than `length` is of no interest.
    pub(crate) fn begin(&mut self, round: u64, now: Time, length: Duration) {
        assert!(round > self.latest, "a round begins once: answers name it however late they come");
        self.latest = round;
        while self.began.front().is_some_and(|(_, at)| *at + length <= now) {
            self.began.pop_front();
        }
        let is_near = |(_, at): &(u64, Time)| now < *at + length / ROUNDS_MAX;
        if !self.began.back().is_some_and(is_near) {
            self.began.push_back((round, now));
        }
    }

    /// Returns when `round` began, or an earlier moment; `None` if that is too long ago to matter.
    /// Round 0 never began: it stands in answers to what is no heartbeat.
    pub(crate) fn began(&self, round: u64) -> Option<Time> {
        let later = self.began.partition_point(|(began, _)| *began <= round);
        self.began.get(later.checked_sub(1)?).map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Time {
        Time::after_start(Duration::from_millis(milliseconds))
    }

    // Goal: a round is never taken to have begun later than it did, however many there are, and they
    // take little room.
    #[test]
    fn rounds_are_dated_no_later_than_they_began() {
        let mut rounds = Rounds::default();
        let length = Duration::from_secs(1);
        let start = |round: u64| at(round * 3 + round % 7 / 3);
        for round in 1..5_000 {
            rounds.begin(round, start(round), length);
            assert!(rounds.began.len() <= ROUNDS_MAX as usize + 1);
            let began = rounds.began(round).expect("it has just begun");
            assert!(began <= start(round) && start(round).since(began) < length / ROUNDS_MAX);
        }
        assert_eq!(rounds.began(1), None, "it was too long ago");
        assert_eq!(Rounds::default().began(7), None);
    }
}
