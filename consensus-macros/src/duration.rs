//! How long something may take, as text in an attribute: what `IntoDuration` reads when it runs.

/// What to say of a text that is none.
pub(crate) const FORM: &str = "this is no duration; write it as \"250ms\", \"2s\" or \"1m\"";

/// Returns how many milliseconds `text` stands for, if it is a duration.
pub(crate) fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}
