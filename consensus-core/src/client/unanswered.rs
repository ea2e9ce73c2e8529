//! The requests of a session that have no answer yet.

use std::collections::VecDeque;

use crate::replica::RequestId;

/// Requests by their numbers, which are given one after the other: from the oldest without an
/// answer on.
#[derive(Clone, Debug)]
pub(super) struct Unanswered {
    /// The number of the first place.
    oldest: RequestId,
    /// Whether each has no answer; the first one has none.
    waits: VecDeque<bool>,
}

impl Default for Unanswered {
    fn default() -> Self {
        Self { oldest: RequestId(1), waits: VecDeque::new() }
    }
}

impl Unanswered {
    /// Returns the number of the next request.
    pub(super) fn next(&self) -> RequestId {
        RequestId(self.oldest.0 + self.waits.len() as u64)
    }

    /// Returns the oldest request without an answer; the next one if all have one.
    pub(super) fn oldest(&self) -> RequestId {
        self.oldest
    }

    /// Gives a number to a request.
    pub(super) fn push(&mut self) -> RequestId {
        let next = self.next();
        self.waits.push_back(true);
        next
    }

    /// Notes that a request is answered, or given up.
    pub(super) fn remove(&mut self, request: RequestId) {
        let place = request.0.checked_sub(self.oldest.0).and_then(|it| usize::try_from(it).ok());
        if let Some(waits) = place.and_then(|place| self.waits.get_mut(place)) {
            *waits = false;
        }
        while self.waits.pop_front_if(|waits| !*waits).is_some() {
            self.oldest = RequestId(self.oldest.0 + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: the oldest one is that without an answer, in whatever order answers come.
    #[test]
    fn oldest_moves_as_answers_come() {
        let mut unanswered = Unanswered::default();
        let numbers: Vec<_> = (0..4).map(|_| unanswered.push().0).collect();
        assert_eq!((numbers, unanswered.oldest()), (vec![1, 2, 3, 4], RequestId(1)));
        unanswered.remove(RequestId(2));
        assert_eq!(unanswered.oldest(), RequestId(1));
        unanswered.remove(RequestId(1));
        assert_eq!(unanswered.oldest(), RequestId(3));
        unanswered.remove(RequestId(1));
        unanswered.remove(RequestId(4));
        unanswered.remove(RequestId(3));
        assert_eq!((unanswered.oldest(), unanswered.next()), (RequestId(5), RequestId(5)));
    }
}
