//! Whether a leader still has a majority that follows it (dissertation 6.2).

use std::{
    collections::BTreeSet,
    hash::{Hash, Hasher},
    time::Duration,
};

use crate::{members::NodeId, membership::Membership, time::Time};

/// Who has answered a leader since it looked last.
#[derive(Clone, Debug)]
pub(super) struct Following {
    heard: BTreeSet<NodeId>,
    due: Time,
}

impl Following {
    /// Begins to listen; the first look is due after `period`.
    pub(super) fn begin(now: Time, period: Duration) -> Self {
        Self { heard: BTreeSet::new(), due: now + period }
    }

    /// Notes that a follower answered.
    pub(super) fn hear(&mut self, follower: NodeId) {
        self.heard.insert(follower);
    }

    /// Returns when this was looked at last, as a known bug asks.
    pub(super) fn looked_at(&self, period: Duration) -> Time {
        self.due - period
    }

    /// Looks, if that is due: false if no majority under `membership` has answered since the last
    /// look. The leader counts as one that has, if it votes.
    pub(super) fn holds(
        &mut self,
        now: Time,
        period: Duration,
        (leader, membership): (NodeId, &Membership),
    ) -> bool {
        if now < self.due {
            return true;
        }
        self.due = now + period;
        let heard = std::mem::take(&mut self.heard);
        membership.reached_by_majority(|node| node == leader || heard.contains(&node))
    }

    pub(super) fn fingerprint(&self, name: &impl Fn(NodeId) -> NodeId, out: &mut impl Hasher) {
        let Self { heard, due: _ } = self;
        heard.iter().copied().map(name).collect::<BTreeSet<_>>().hash(out);
    }
}
