//! Where this node's callers wait: for sagas to end or get stuck, and for what comes of wishes.

use std::collections::BTreeMap;

use consensus_core::{Index, saga::SagaId};
use tokio::sync::oneshot;

use super::book::{News, Standing};
use crate::error::{Code, Error, Result};

/// How many callers may wait.
const WAITING_MAX: usize = 16_384;

/// Whoever waits is answered at this index of the log or later.
type Since<T> = (Index, oneshot::Sender<Result<T>>);

/// Those who wait.
#[derive(Default)]
pub(super) struct Desk {
    sagas: BTreeMap<SagaId, Vec<Since<Standing>>>,
    wishes: BTreeMap<u64, Since<Option<String>>>,
}

impl Desk {
    /// Waits for a saga that is known from `since` on.
    pub(super) fn wait(
        &mut self,
        saga: SagaId,
        since: Index,
        to: oneshot::Sender<Result<Standing>>,
    ) {
        self.tidy();
        if self.is_full() {
            to.send(Err(Error::no_place(WAITING_MAX))).ok();
            return;
        }
        self.sagas.entry(saga).or_default().push((since, to));
    }

    /// Waits for a wish to be granted or refused.
    pub(super) fn want(&mut self, wish: u64, to: oneshot::Sender<Result<Option<String>>>) {
        self.wishes.insert(wish, (Index(wish), to));
    }

    fn is_full(&self) -> bool {
        self.sagas.len() + self.wishes.len() >= WAITING_MAX
    }

    /// Forgets who waits no longer.
    fn tidy(&mut self) {
        if !self.is_full() {
            return;
        }
        self.sagas.retain(|_, waiting| {
            waiting.retain(|(_, to)| !to.is_closed());
            !waiting.is_empty()
        });
        self.wishes.retain(|_, (_, to)| !to.is_closed());
    }

    /// Returns what they wait for.
    pub(super) fn interest(&self) -> (Vec<SagaId>, Vec<u64>) {
        (self.sagas.keys().copied().collect(), self.wishes.keys().copied().collect())
    }

    /// Answers whom the news concern; they are of the state at `index`.
    pub(super) fn answer(&mut self, news: &News, index: Index) {
        for (saga, standing) in &news.told {
            let Some(waiting) = self.sagas.remove(saga) else { continue };
            for (since, to) in waiting {
                match standing {
                    // This node may not have heard of it yet.
                    Standing::Unknown if index < since => {
                        self.sagas.entry(*saga).or_default().push((since, to));
                    }
                    Standing::Unknown => drop(to.send(Err(unknown(*saga)))),
                    known => drop(to.send(Ok(known.clone()))),
                }
            }
        }
        for (wish, refusal) in &news.granted {
            if let Some((_, to)) = self.wishes.remove(wish) {
                to.send(Ok(refusal.clone())).ok();
            }
        }
    }
}

/// Says that there is no such saga.
pub(super) fn unknown(saga: SagaId) -> Error {
    let message = format!(
        "there is no saga {:032x}: it was never begun here, or ended so long ago that it is \
         forgotten",
        saga.0
    );
    Error::new(Code::UnknownSaga, message)
}
