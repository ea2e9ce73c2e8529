//! Whether what callers of a decision were told can be true: one value, chosen once, that somebody
//! had asked for, and that nobody misses who asks after somebody was told.

use bytes::Bytes;

use super::{
    Failure, Flaw,
    deciding::Deciding,
    decision::Decision,
    history::Moment,
    operations::{Asked, Ended},
    service::milliseconds,
    workload::Body,
};

/// Tells what an operation asks for, for people.
pub(super) fn asked(body: &Body) -> String {
    match body {
        Body::Command(value) => format!("propose {}", text(value)),
        Body::Query(_) => "read".to_owned(),
    }
}

/// Tells what came of it, for people.
pub(super) fn told(value: &Bytes) -> String {
    if value.is_empty() { "nothing is chosen".to_owned() } else { text(value) }
}

fn text(value: &Bytes) -> String {
    String::from_utf8_lossy(value).into_owned()
}

/// What an operation was told, and when.
fn answer(asked: &Asked) -> Option<(Moment, &Bytes)> {
    let (moment, _, ended) = asked.returned.as_ref()?;
    match ended {
        Ended::Ok(value) => Some((*moment, value)),
        Ended::Applied(_) | Ended::Unanswered(_) | Ended::NotApplied(_) | Ended::Unknown(_) => None,
    }
}

impl<P: Deciding> Decision<'_, P> {
    /// Judges the decision as a whole: by what callers saw, and by what the nodes hold.
    pub(super) fn conclude(&self) -> Result<(), Failure> {
        let all = self.minutes.operations.all().get(self.first..).unwrap_or_default();
        let told_value = |asked: &&Asked| answer(asked).is_some_and(|(_, value)| !value.is_empty());
        let mut told: Vec<&Asked> = all.iter().filter(told_value).collect();
        told.sort_by_key(|asked| answer(asked).map(|(moment, _)| moment));
        let Some((first, value)) =
            told.first().copied().and_then(|first| answer(first).map(|(_, value)| (first, value)))
        else {
            return Ok(());
        };
        let flawed = |flaw, what: &str, evidence: &[&Asked]| {
            let mut failure = self.broken(flaw, what);
            failure.evidence = evidence.iter().map(|asked| line(asked)).collect();
            Err(failure)
        };
        let other = |asked: &&&Asked| answer(asked).is_some_and(|(_, other)| other != value);
        if let Some(other) = told.iter().find(other) {
            return flawed(Flaw::Divergence, "callers are told of two values", &[first, other]);
        }
        let ended = answer(first).map(|(moment, _)| moment);
        let proposes = |asked: &&Asked| {
            let is_it = matches!(&asked.body, Body::Command(proposed) if proposed == value);
            is_it && Some(asked.invoked) < ended
        };
        if !all.iter().any(|asked| proposes(&asked)) {
            return flawed(Flaw::Outcome, "a value is chosen that nobody proposed", &[first]);
        }
        let misses = |asked: &&Asked| {
            let misses = answer(asked).is_some_and(|(_, told)| told.is_empty());
            misses && Some(asked.invoked) > ended
        };
        if let Some(stale) = all.iter().find(misses) {
            let what = "a read misses the value that somebody was told of before";
            return flawed(Flaw::Linearizability, what, &[first, stale]);
        }
        if let Some((node, held)) = self.held().find(|(_, held)| *held != value) {
            let what =
                format!("{node} holds {}, and callers are told of {}", text(held), text(value));
            return flawed(Flaw::Divergence, &what, &[first]);
        }
        Ok(())
    }
}

/// Tells of an operation what its caller saw.
fn line(asked: &Asked) -> String {
    let (process, begin) = (asked.process, milliseconds(asked.invoked_at));
    let end = asked.returned.as_ref().map(|(_, at, _)| milliseconds(*at)).unwrap_or_default();
    let came = answer(asked).map(|(_, value)| told(value)).unwrap_or_default();
    format!("process {process}, {begin} to {end}: {} -> {came}", self::asked(&asked.body))
}
