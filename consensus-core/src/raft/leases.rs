//! That leases are disjoint: nobody leads a later term while one lasts (dissertation 6.4.1).

use std::collections::BTreeMap;

use super::{invariants::Violation, message::Term};
use crate::{members::NodeId, time::Time};

/// The leases that replicas hold, in true time.
#[derive(Clone, Debug, Default)]
pub(super) struct Leases(BTreeMap<NodeId, (Term, Time)>);

impl Leases {
    /// Notes until when a replica in `term` answers reads on its own, if it does.
    pub(super) fn note(&mut self, node: NodeId, term: Term, until: Option<Time>) {
        match until {
            Some(until) => self.0.insert(node, (term, until)),
            None => self.0.remove(&node),
        };
    }

    /// Judges the leases that last beyond `now` against those who lead.
    pub(super) fn judge(
        &self,
        now: Time,
        leaders: impl Iterator<Item = (NodeId, Term)> + Clone,
    ) -> Result<(), Violation> {
        for (holder, (term, until)) in &self.0 {
            if *until <= now {
                continue;
            }
            if let Some((leader, later)) = leaders.clone().find(|(_, later)| later > term) {
                let (holder, term) = (*holder, *term);
                return Err(Violation::LeaseOverlap { holder, term, leader, later });
            }
        }
        Ok(())
    }
}
