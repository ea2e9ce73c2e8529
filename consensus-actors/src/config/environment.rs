//! Settings of the environment: `CONSENSUS_HEARTBEAT`, `CONSENSUS_GROUP__HITS__DEADLINE`.

use std::ffi::OsString;

use super::{
    layers::{Layers, Origin},
    place::{Place, Spelling},
};
use crate::error::{Code, Error};

/// What the names of all variables begin with.
pub(crate) const PREFIX: &str = "CONSENSUS_";

/// Where `consensus.toml` is.
pub(super) const CONFIG: &str = "CONSENSUS_CONFIG";

/// Variables that are no settings: where the file is, and what the tests of `#[simulate]` read.
pub(crate) const ADDITIONAL: [&str; 2] = [CONFIG, "CONSENSUS_SEED"];

/// Spells a name as it stands within a variable.
pub(super) fn spelled(name: &str) -> String {
    let in_sections = name.replace('.', "__");
    let spell = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    in_sections.chars().map(spell).collect()
}

/// Returns the variable of a name in these sections.
pub(crate) fn variable(parts: &[&str]) -> String {
    let parts: Vec<String> = parts.iter().map(|part| spelled(part)).collect();
    format!("{PREFIX}{}", parts.join("__"))
}

/// Reads all variables that are ours.
pub(super) fn read(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    layers: &mut Layers,
    problems: &mut Vec<Error>,
) {
    let mut variables: Vec<_> = variables
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with(PREFIX) && !ADDITIONAL.contains(&&**name))
        .collect();
    variables.sort();
    for (name, value) in variables {
        let origin = Origin::Environment(name.clone());
        let Ok(value) = value.into_string() else {
            problems.push(Error::new(Code::Config, format!("{name} is no UTF-8; write it anew")));
            continue;
        };
        let small = name[PREFIX.len()..].to_ascii_lowercase();
        let parts: Vec<&str> = small.split("__").collect();
        match Place::parse(&parts, Spelling::Environment) {
            Ok(place) => {
                layers.read(&place, &value, &origin).unwrap_or_else(|error| problems.push(error));
            }
            Err(reason) => {
                let message = format!(
                    "{name}: {reason}; whatever begins with {PREFIX} is read as a setting, so \
                     unset it if it is none"
                );
                problems.push(Error::new(Code::Config, message));
            }
        }
    }
}
