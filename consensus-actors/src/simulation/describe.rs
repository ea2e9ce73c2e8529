//! Operations and replies as people write them: `add {"by":3}` and `4`.

use serde_json::Value;

use crate::json::Json;

/// The most characters of a text: a screen is narrow.
const CHARACTERS_MAX: usize = 80;

/// Tells what an encoded command or query is.
pub(super) fn operation(bytes: &[u8]) -> String {
    let text = match read(bytes) {
        None => return unreadable(bytes),
        Some(Value::String(name)) => name,
        Some(Value::Object(map)) if map.len() == 1 => {
            map.iter().map(|(name, arguments)| format!("{name} {arguments}")).collect()
        }
        Some(other) => other.to_string(),
    };
    shortened(text)
}

/// Tells what an encoded reply is.
pub(super) fn reply(bytes: &[u8]) -> String {
    read(bytes).map_or_else(|| unreadable(bytes), |value| shortened(value.to_string()))
}

fn read(bytes: &[u8]) -> Option<Value> {
    rmp_serde::from_slice(bytes).map(|Json(value)| value).ok()
}

fn unreadable(bytes: &[u8]) -> String {
    format!("{} bytes", bytes.len())
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}..", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
