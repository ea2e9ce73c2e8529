//! What a service has to show of its state: a line for each order.

use std::{collections::BTreeMap, ops::Bound};

use consensus_actors::Result;
use serde::{Deserialize, Serialize};

/// How many orders a book has at most: it is in memory, and a snapshot copies it.
pub(crate) const ORDERS_MAX: usize = 100_000;

/// How many lines of a book are read at once: far fewer than fit into a reply.
pub(crate) const PAGE: u32 = 1_000;

/// What a service has to show of what steps had it do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Book<T> {
    /// How often steps, and what undoes them, asked for something, what its guard did not let
    /// happen again included.
    pub(crate) asked: u64,
    /// What was done, by order.
    pub(crate) lines: BTreeMap<String, T>,
}

impl<T> Default for Book<T> {
    fn default() -> Self {
        Self { asked: 0, lines: BTreeMap::new() }
    }
}

/// Returns the lines of a book behind an order.
pub(crate) fn page<T: Clone>(
    book: &BTreeMap<String, T>,
    after: &str,
    limit: u32,
) -> Vec<(String, T)> {
    let lines = book.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
    lines.take(limit as usize).map(|(id, line)| (id.clone(), line.clone())).collect()
}

/// Reads a whole book, page by page. Where orders come in meanwhile it is of no one moment.
pub(crate) async fn read<T>(
    asked: u64,
    page: impl AsyncFn(String) -> Result<Vec<(String, T)>>,
) -> Result<Book<T>> {
    let mut lines = BTreeMap::new();
    loop {
        let after = lines.last_key_value().map(|(id, _): (&String, _)| id.clone());
        let more = page(after.unwrap_or_default()).await?;
        if more.is_empty() {
            return Ok(Book { asked, lines });
        }
        lines.extend(more);
    }
}
