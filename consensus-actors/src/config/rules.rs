//! Values that only work together: each rule names those that break it, and where they come from.

use std::time::Duration;

use consensus_core::raft::{self, ConfigError};

use super::{
    key::Setting,
    kind::Typed,
    layers::{At, Layers, Sourced},
    table::{CHECK_QUORUM, CLOCK_DRIFT, ELECTION_TIMEOUT, HEARTBEAT, LEASE},
};
use crate::error::{Code, Error, Result};

/// Checks the values that count for a node, or for a group on it.
pub(super) fn check(layers: &Layers, at: At<'_>) -> Result {
    let rules = [timing, leases];
    rules.iter().try_for_each(|rule| rule(layers, at))
}

/// Heartbeats come well within an election timeout.
fn timing(layers: &Layers, at: At<'_>) -> Result {
    let election_timeout = sourced(layers, at, &ELECTION_TIMEOUT);
    let heartbeat = sourced(layers, at, &HEARTBEAT);
    raft::check_timing(election_timeout.value, heartbeat.value).map_err(|error| {
        let heartbeat_lever = heartbeat.origin.lever(&HEARTBEAT.key);
        let message = match error {
            ConfigError::ZeroHeartbeat => format!(
                "a heartbeat of zero ({}) would send without end; set {heartbeat_lever}",
                heartbeat.origin
            ),
            ConfigError::HeartbeatTooLong { heartbeat_max, .. } => format!(
                "a heartbeat every {:?} ({}) is not well below the election timeout of {:?} ({}): \
                 set {heartbeat_lever} to {}ms or less, or {} to {}ms or more",
                heartbeat.value,
                heartbeat.origin,
                election_timeout.value,
                election_timeout.origin,
                // In whole milliseconds, as they are written.
                heartbeat_max.as_millis(),
                election_timeout.origin.lever(&ELECTION_TIMEOUT.key),
                whole_milliseconds(heartbeat.value) * 3,
            ),
            other => other.to_string(),
        };
        Error::new(Code::Config, message)
    })
}

/// Leases rest on voters that are loyal.
fn leases(layers: &Layers, at: At<'_>) -> Result {
    let lease = sourced(layers, at, &LEASE);
    let check_quorum = sourced(layers, at, &CHECK_QUORUM);
    let drift = sourced(layers, at, &CLOCK_DRIFT);
    let percent = u8::try_from(drift.value).unwrap_or(u8::MAX);
    raft::check_lease(lease.value, check_quorum.value, percent).map_err(|error| {
        let message = match error {
            ConfigError::LeaseWithoutQuorumCheck => format!(
                "lease is on ({}) and check_quorum is off ({}): without it voters are loyal to no \
                 leader, and a lease rests on that; set {} to true, or {} to false",
                lease.origin,
                check_quorum.origin,
                check_quorum.origin.lever(&CHECK_QUORUM.key),
                lease.origin.lever(&LEASE.key),
            ),
            other => other.to_string(),
        };
        Error::new(Code::Config, message)
    })
}

fn whole_milliseconds(duration: Duration) -> u128 {
    duration.as_micros().div_ceil(1_000)
}

fn sourced<T: Typed>(layers: &Layers, at: At<'_>, setting: &Setting<T>) -> Sourced<T> {
    let found = layers.find(&setting.key, at).expect("a setting of a rule has a default");
    let value = T::from_value(found.value).expect("a value is of its setting's kind");
    Sourced { value, origin: found.origin }
}
