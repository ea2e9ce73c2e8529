//! Whether a leader still has a majority that follows it (dissertation 6.2).

use std::{
    collections::BTreeSet,
    hash::{Hash, Hasher},
    time::Duration,
};

use crate::{
    members::{Members, NodeId},
    time::Time,
};

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

    /// Looks, if that is due: false if no majority of `members`, the leader itself among it, has
    /// answered since the last look.
    pub(super) fn holds(&mut self, now: Time, period: Duration, members: &Members) -> bool {
        if now < self.due {
            return true;
        }
        self.due = now + period;
        let heard = std::mem::take(&mut self.heard);
        heard.len() + 1 >= members.majority()
    }

    pub(super) fn fingerprint(&self, name: &impl Fn(NodeId) -> NodeId, out: &mut impl Hasher) {
        let Self { heard, due: _ } = self;
        heard.iter().copied().map(name).collect::<BTreeSet<_>>().hash(out);
    }
}
