//! "Did you mean": the nearest of the names that would have been right.

/// Returns `; did you mean ..?` if one of `known` is near, else nothing.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    const NEAR: f64 = 0.7;
    let scored = known.map(|candidate| (strsim::jaro_winkler(name, candidate), candidate));
    match scored.filter(|(score, _)| *score >= NEAR).max_by(|(a, _), (b, _)| a.total_cmp(b)) {
        Some((_, nearest)) => format!("; did you mean {nearest:?}?"),
        None => String::new(),
    }
}

/// Lists names for a sentence.
pub(crate) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
