//! What waits for one peer, of all groups: it goes into one frame, and its link is told once.

use std::{collections::VecDeque, sync::Mutex};

use super::{FRAME_BYTES_MAX, Item};
use crate::sync::lock;

/// What may wait for a peer; beyond, new items are dropped as a network would, and protocols send
/// again.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// The items for a peer, in order.
#[derive(Default)]
pub(crate) struct Queue(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    items: VecDeque<Item>,
    bytes: usize,
    /// Whether there is a connection; without one nothing is kept.
    is_open: bool,
    /// Whether the link was told, and has not looked since.
    is_told: bool,
}

impl Queue {
    /// Adds items as far as there is room; true if the link is to be told.
    pub(crate) fn push(&self, items: Vec<Item>) -> bool {
        let mut waiting = lock(&self.0);
        if !waiting.is_open {
            return false;
        }
        for item in items {
            let size = item.size();
            if size > FRAME_BYTES_MAX || waiting.bytes + size > WAITING_BYTES_MAX {
                tracing::debug!(size, "an item is dropped: no room");
                continue;
            }
            waiting.bytes += size;
            waiting.items.push_back(item);
        }
        !std::mem::replace(&mut waiting.is_told, true)
    }

    /// Moves what waits to `frame`, as much as fits.
    pub(super) fn fill(&self, frame: &mut Vec<u8>) {
        let mut waiting = lock(&self.0);
        waiting.is_told = false;
        let mut room = FRAME_BYTES_MAX;
        while let Some(item) = waiting.items.front()
            && item.size() <= room
        {
            let size = item.size();
            room -= size;
            item.encode(frame);
            waiting.bytes -= size;
            waiting.items.pop_front();
        }
    }

    /// Tells whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        lock(&self.0).items.is_empty()
    }

    /// Takes items from now on: there is a connection.
    pub(super) fn open(&self) {
        lock(&self.0).is_open = true;
    }

    /// Drops what waits, which may be stale by the time that the peer is back, and takes no more.
    pub(super) fn close(&self) {
        *lock(&self.0) = Waiting::default();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use consensus_core::GroupId;

    use super::*;
    use crate::transport::Kind;

    fn item(group: u64, length: usize) -> Item {
        Item { group: GroupId(group), kind: Kind::Message, bytes: Bytes::from(vec![7; length]) }
    }

    // Goal: whatever a thousand groups have for a peer is one frame, and the link is told once.
    #[test]
    fn groups_share_a_frame() {
        let queue = Queue::default();
        queue.open();
        let told = (0..1_000).filter(|group| queue.push(vec![item(*group, 25)])).count();
        assert_eq!(told, 1);
        let mut frame = Vec::new();
        queue.fill(&mut frame);
        assert!(queue.is_empty());
        assert_eq!(frame.len(), 1_000 * (13 + 25));
        assert!(queue.push(vec![item(1, 25)]), "it has looked, and is told of what comes now");
    }

    // Goal: what waits for a peer is bounded, what does not fit is lost, and without a connection
    // nothing waits at all.
    #[test]
    fn waiting_bytes_are_bounded() {
        let queue = Queue::default();
        assert!(!queue.push(vec![item(1, 1)]));
        queue.open();
        for _ in 0..100 {
            queue.push(vec![item(1, 1 << 20)]);
        }
        let (mut frames, mut bytes) = (0, 0);
        while !queue.is_empty() {
            let mut frame = Vec::new();
            queue.fill(&mut frame);
            assert!(frame.len() <= FRAME_BYTES_MAX);
            (frames, bytes) = (frames + 1, bytes + frame.len());
        }
        assert!(bytes <= WAITING_BYTES_MAX && bytes > WAITING_BYTES_MAX - (2 << 20), "{bytes}");
        assert_eq!(frames, 21, "three items of a mebibyte and their heads fill a frame");
        queue.push(vec![item(1, 1)]);
        queue.close();
        assert!(queue.is_empty());
    }
}
