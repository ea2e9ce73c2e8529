//! What happens in a run in which nothing goes wrong but its course: what others can make go wrong.

use super::script::Effect;

/// How a run went.
#[derive(Clone, Debug, Default)]
pub(super) struct Profile {
    /// Of each record, whether requests were on their way when it was durable.
    pub(super) records: Vec<bool>,
    /// What participants were asked for, in order, each once, with whether a reply was heard.
    pub(super) requests: Vec<(Effect, bool)>,
}

impl Profile {
    /// A participant is asked.
    pub(super) fn asked(&mut self, effect: Effect, is_unheard: bool) {
        if !self.requests.iter().any(|(asked, _)| *asked == effect) {
            self.requests.push((effect, !is_unheard));
        }
    }
}
