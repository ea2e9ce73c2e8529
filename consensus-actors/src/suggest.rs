//! "Did you mean": the nearest of the names that would have been right.

/// Returns `; did you mean ..?` if one of `known` is near, else nothing.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    nearest(name, known).map(|known| format!("; did you mean {known:?}?")).unwrap_or_default()
}

/// Returns the nearest of `known` if one is near.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A slip in a short name, two in a longer one.
    let near = (name.chars().count() / 3).max(1);
    let measured = known.map(|known| (strsim::damerau_levenshtein(name, known), known));
    measured.filter(|(distance, _)| *distance <= near).min().map(|(_, nearest)| nearest)
}

/// Lists names for a sentence.
pub(crate) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a slip is recognized, and what is far is not suggested.
    #[test]
    fn slips_are_recognized() {
        let meant = |name| did_you_mean(name, ["get", "scan", "delete"].into_iter());
        assert_eq!(meant("gte"), "; did you mean \"get\"?");
        assert_eq!(meant("dellet"), "; did you mean \"delete\"?");
        assert_eq!(meant("put"), "");
    }
}
