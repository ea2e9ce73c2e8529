//! What all rounds of a cell come to.

use serde::Serialize;

use crate::{cell::Peer, figures::Figures};

/// The medians of a cell over all rounds, and how we compare.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    #[serde(flatten)]
    pub(super) figures: Figures,
    /// The median of our operations a second by those of this peer, each of one round. None of us.
    pub(super) ratio: Option<f64>,
}

impl Row {
    /// Reckons the row of one of those who were measured in every round.
    ///
    /// # Panics
    /// If there is no round, or one in which it was not measured.
    pub(super) fn of(party: Peer, rounds: &[Vec<Figures>]) -> Self {
        let of = |party| rounds.iter().map(move |round| find(round, party));
        let over = |figure: fn(&Figures) -> f64| median(of(party).map(figure));
        let mut figures = of(party).next().expect("there is a round at least").clone();
        figures.ops_per_s = over(|figures| figures.ops_per_s);
        figures.p50_us = over(|figures| figures.p50_us);
        figures.p99_us = over(|figures| figures.p99_us);
        let ratios = of(Peer::Consensus)
            .zip(of(party))
            .map(|(ours, theirs)| ours.ops_per_s / theirs.ops_per_s);
        let ratio = (party != Peer::Consensus).then(|| median(ratios));
        Self { figures, ratio }
    }
}

fn find(round: &[Figures], party: Peer) -> &Figures {
    round.iter().find(|figures| figures.peer == party).expect("a round measures everybody")
}

/// Returns the one in the middle; of two, the mean.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Mode;

    fn figures(peer: Peer, ops_per_s: f64) -> Figures {
        let (p50_us, p99_us) = (1.0, 2.0);
        let protocol = peer.protocol().to_owned();
        Figures { peer, protocol, mode: Mode::Mem, clients: 1, ops_per_s, p50_us, p99_us }
    }

    /// Goal: one bad round of either side does not decide. Method: rounds of which one is bad for
    /// us and another for the peer; the ratio is of the third.
    #[test]
    fn ratio_is_the_median_of_the_ratios_of_rounds() {
        let round =
            |ours, theirs| vec![figures(Peer::Openraft, theirs), figures(Peer::Consensus, ours)];
        let rounds = [round(10.0, 100.0), round(200.0, 100.0), round(100.0, 10.0)];

        let theirs = Row::of(Peer::Openraft, &rounds);
        assert_eq!((theirs.figures.ops_per_s, theirs.ratio), (100.0, Some(2.0)));

        let ours = Row::of(Peer::Consensus, &rounds);
        assert_eq!((ours.figures.ops_per_s, ours.ratio), (100.0, None));
    }

    /// Goal: an even number of rounds has a median, too. Method: two values.
    #[test]
    fn median_of_two_is_their_mean() {
        assert_eq!(median([3.0, 1.0].into_iter()), 2.0);
    }
}
