//! The rules that the values of a configuration keep.

use std::time::Duration;

use crate::members::NodeId;

/// Checks that heartbeats come well within an election timeout.
///
/// # Errors
/// [`ConfigError::ZeroHeartbeat`] and [`ConfigError::HeartbeatTooLong`].
pub fn check_timing(election_timeout: Duration, heartbeat: Duration) -> Result<(), ConfigError> {
    if heartbeat.is_zero() {
        return Err(ConfigError::ZeroHeartbeat);
    }
    // One heartbeat may be lost and the next late without an election.
    let heartbeat_max = election_timeout / 3;
    if heartbeat > heartbeat_max {
        let election_timeout_min = heartbeat * 3;
        return Err(ConfigError::HeartbeatTooLong {
            heartbeat,
            election_timeout,
            heartbeat_max,
            election_timeout_min,
        });
    }
    Ok(())
}

/// Checks that voters would keep what leases rely on, and that leases last.
///
/// # Errors
/// [`ConfigError::LeaseWithoutQuorumCheck`] and [`ConfigError::ClockDrift`].
pub fn check_lease(
    lease: bool,
    check_quorum: bool,
    clock_drift_percent: u8,
) -> Result<(), ConfigError> {
    if lease && !check_quorum {
        return Err(ConfigError::LeaseWithoutQuorumCheck);
    }
    // With half of the election timeout gone, a lease outlasts a heartbeat by half of one.
    if !(1..=50).contains(&clock_drift_percent) {
        return Err(ConfigError::ClockDrift { percent: clock_drift_percent });
    }
    Ok(())
}

/// Why values make no configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The replica is not one of the members.
    #[error(
        "node {id} is not among the members of the group; add it, or start the node under one of \
         their ids"
    )]
    NotAMember {
        /// The node.
        id: NodeId,
    },
    /// A heartbeat of no time.
    #[error(
        "a heartbeat interval of zero would send without end; set it to a tenth of the election \
         timeout"
    )]
    ZeroHeartbeat,
    /// The heartbeat is not well below the election timeout.
    #[error(
        "a heartbeat every {heartbeat:?} is not well below the election timeout of \
         {election_timeout:?}: set the heartbeat to {heartbeat_max:?} or less, or the election \
         timeout to {election_timeout_min:?} or more"
    )]
    HeartbeatTooLong {
        /// As configured.
        heartbeat: Duration,
        /// As configured.
        election_timeout: Duration,
        /// A heartbeat that would do.
        heartbeat_max: Duration,
        /// An election timeout that would do.
        election_timeout_min: Duration,
    },
    /// Leases without the loyalty that they rest on.
    #[error(
        "leases rest on voters that refuse others while they hear of a leader, which those without \
         the check of the quorum do not; turn that check on, or leases off"
    )]
    LeaseWithoutQuorumCheck,
    /// Clocks that are too alike, or not alike at all.
    #[error(
        "clocks that differ in rate by {percent} % are out of range; declare 1 to 50 %, 10 is usual"
    )]
    ClockDrift {
        /// As configured.
        percent: u8,
    },
    /// A window or batch of nothing.
    #[error("windows and batches must hold at least one: a bound of zero lets nothing through")]
    ZeroBound,
}
