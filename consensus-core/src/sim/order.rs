//! Whether the places that operations have in the log fit what their callers saw of time, each query
//! at its level.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;

use super::{
    Flaw,
    history::Moment,
    operations::{Asked, Ended, Identity, Operations},
    witness::{Contradiction, Executed, Judged, place_of},
    workload::Body,
};
use crate::{read::ReadLevel, time::Time};

/// An operation's place in the log, the operation, when it began, and when it ended if that is
/// known.
type Stand = (u64, usize, Moment, Option<Moment>);

/// Who ended before another began does not stand behind it.
pub(super) fn real_time(
    operations: &Operations,
    executed: &BTreeMap<Identity, Executed>,
) -> Judged<()> {
    let mut stands: Vec<Stand> = Vec::new();
    let mut first: BTreeMap<(&Bytes, &Bytes), Moment> = BTreeMap::new();
    let moments = operations.moments();
    for (operation, asked) in operations.all().iter().enumerate() {
        let ended = asked.returned.as_ref().and_then(|(moment, _, ended)| match ended {
            Ended::Ok(_) | Ended::Applied(_) | Ended::Unanswered(_) => Some(*moment),
            Ended::NotApplied(_) | Ended::Unknown(_) => None,
        });
        // Who repeats a command under its key asks for what began with the first who did.
        let mut began = bound(asked, &moments);
        if let (Some(key), Body::Command(command)) = (&asked.key, &asked.body) {
            began = *first.entry((key, command)).or_insert(began);
        }
        let place = match &asked.body {
            Body::Command(_) => {
                place_of(operation, asked, executed)?.map(|executed| executed.index.0 * 2)
            }
            // Behind what it saw, before what it did not see.
            Body::Query(_) => ended.and(asked.seen).map(|seen| seen.0 * 2 + 1),
        };
        if let Some(place) = place {
            stands.push((place, operation, began, ended));
        }
    }
    stands.sort_unstable();

    // The last to begin of all that stand before.
    let mut latest: Option<(Moment, usize)> = None;
    for equal in stands.chunk_by(|left, right| left.0 == right.0) {
        for (_, operation, _, ended) in equal {
            if let (Some(ended), Some((began, other))) = (ended, latest)
                && *ended < began
            {
                let what = disorder(operations, *operation, other, equal);
                let involved = [*operation, other];
                return Err(Contradiction::new(Flaw::Linearizability, what, &involved));
            }
        }
        let begun = equal.iter().map(|(_, operation, began, _)| (*began, *operation)).max();
        latest = latest.max(begun);
    }
    Ok(())
}

/// Says how an operation that ended before `other` began stands behind it in the log.
fn disorder(operations: &Operations, operation: usize, other: usize, at: &[Stand]) -> String {
    let body = |operation| operations.get(operation).map(|asked| &asked.body);
    let index = at.first().map_or(0, |(place, ..)| place / 2);
    let when = match operations.get(other).map(|asked| asked.level) {
        Some(ReadLevel::Stale { max_lag }) => {
            format!("may see a state {max_lag:?} old and began later")
        }
        Some(ReadLevel::Linearizable | ReadLevel::Lease | ReadLevel::After { .. }) | None => {
            "began".to_owned()
        }
    };
    match (body(operation), body(other)) {
        (Some(Body::Command(_)), Some(Body::Query(_))) => format!(
            "a query {when} after the command at {index} was acknowledged, and saw the log only up \
             to what lies before it"
        ),
        (Some(Body::Command(_) | Body::Query(_)) | None, _) => {
            "an operation that ended before another began takes effect after it".to_owned()
        }
    }
}

/// Returns the moment before which whatever had ended must be seen by a query.
fn bound(asked: &Asked, moments: &[(Time, Moment)]) -> Moment {
    match asked.level {
        ReadLevel::Linearizable => asked.invoked,
        // While clocks are as unlike as declared, a lease is as good.
        ReadLevel::Lease if !asked.clocks_betray => asked.invoked,
        ReadLevel::Lease => Moment(0),
        ReadLevel::Stale { max_lag } => {
            let since = asked.invoked_at - in_true_time(max_lag);
            let at = moments.partition_point(|(time, _)| *time < since);
            moments.get(at).map_or(asked.invoked, |(_, moment)| *moment)
        }
        // It sees what the command did whose token it has, whenever that was.
        ReadLevel::After { .. } => Moment(0),
    }
}

/// Returns how much true time may pass while a simulated node's clock counts `local`: it runs
/// slower by a twentieth at most.
pub fn in_true_time(local: Duration) -> Duration {
    local + local / 19 + Duration::from_micros(1)
}

/// A query after a token sees the command that the token came with.
pub(super) fn tokens(
    operations: &Operations,
    executed: &BTreeMap<Identity, Executed>,
) -> Judged<()> {
    for (operation, asked) in operations.all().iter().enumerate() {
        let (Some(Ended::Ok(_) | Ended::Unanswered(_)), Some(seen), Some(after)) =
            (asked.ended(), asked.seen, asked.after)
        else {
            continue;
        };
        let Some(command) = operations.get(after) else { continue };
        let Some(place) = place_of(after, command, executed)? else { continue };
        if seen < place.index {
            let what = format!(
                "a query after the token of the command at {} saw the log only up to {seen}",
                place.index
            );
            return Err(Contradiction::new(Flaw::Session, what, &[operation, after]));
        }
    }
    Ok(())
}
