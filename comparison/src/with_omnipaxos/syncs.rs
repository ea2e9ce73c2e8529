//! What keeps a replica from telling others what is not durable yet. Syncs go on beside everything
//! else: nothing waits for one but the messages that rest on it.
//!
//! A leader counts itself among those who have accepted an entry as soon as it has appended it. So
//! it is not told that others have accepted one before it is durable here; then what it decides
//! rests on nothing that may be lost, and entries may go out while they are written.

use std::collections::VecDeque;

use omnipaxos::messages::{
    Message,
    sequence_paxos::{PaxosMessage, PaxosMsg},
};
use tokio::sync::mpsc;

use super::replica::Event;
use crate::{durable::LogFile, put::Put};

/// The syncs of a replica's log.
#[derive(Debug)]
pub(super) struct Syncs {
    file: LogFile,
    inbox: mpsc::UnboundedSender<Event>,
    /// How many records were handed to the file, and how many of them are durable.
    submitted: u64,
    synced: u64,
    /// How many entries are durable.
    entries: usize,
    /// Messages, each with the number of records that must be durable before it goes out.
    held: VecDeque<(u64, Message<Put>)>,
    /// Messages that say that more was accepted than is durable here.
    early: Vec<Message<Put>>,
}

impl Syncs {
    /// Makes syncs of a file that hands its news to an inbox.
    pub(super) fn new(file: LogFile, inbox: mpsc::UnboundedSender<Event>) -> Self {
        let (held, early) = (VecDeque::new(), Vec::new());
        Self { file, inbox, submitted: 0, synced: 0, entries: 0, held, early }
    }

    /// Has a record written, with which the log has so many entries.
    pub(super) fn submit(&mut self, record: Vec<u8>, entries: usize) {
        self.submitted += 1;
        let inbox = self.inbox.clone();
        self.file.append(record, move |done| {
            done.expect("the disk works while it is measured");
            // A replica that has ended wants no news.
            let _ = inbox.send(Event::Synced(entries));
        });
    }

    /// Notes that one more record is durable, with which the log has so many entries.
    pub(super) fn synced(&mut self, entries: usize) {
        self.synced += 1;
        self.entries = entries;
    }

    /// Takes the messages that came early. Those that still are can be given to `admit` again.
    pub(super) fn early(&mut self) -> Vec<Message<Put>> {
        std::mem::take(&mut self.early)
    }

    /// Says what a replica may be told now of a message that came.
    pub(super) fn admit(&mut self, message: Message<Put>) -> Message<Put> {
        let Message::SequencePaxos(PaxosMessage { from, to, msg: PaxosMsg::Accepted(accepted) }) =
            message
        else {
            return message;
        };
        let make = |accepted| {
            Message::SequencePaxos(PaxosMessage { from, to, msg: PaxosMsg::Accepted(accepted) })
        };
        let mut now = accepted;
        if accepted.accepted_idx > self.entries {
            self.early.push(make(accepted));
            now.accepted_idx = self.entries;
        }
        make(now)
    }

    /// Holds a message back that may not go out yet, or must not overtake one that may not;
    /// otherwise returns it.
    pub(super) fn hold(&mut self, message: Message<Put>) -> Option<Message<Put>> {
        let free = self.synced == self.submitted || rests_on_nothing_new(&message);
        if self.held.is_empty() && free {
            return Some(message);
        }
        let after = if rests_on_nothing_new(&message) { 0 } else { self.submitted };
        self.held.push_back((after, message));
        None
    }

    /// Returns the next message that was held back and may go out now.
    pub(super) fn next_due(&mut self) -> Option<Message<Put>> {
        let (after, _) = self.held.front()?;
        if *after > self.synced {
            return None;
        }
        self.held.pop_front().map(|(_, message)| message)
    }
}

/// Whether what a message says is true whatever is lost here: entries that are offered, what is
/// decided, and heartbeats.
fn rests_on_nothing_new(message: &Message<Put>) -> bool {
    match message {
        Message::BLE(_) => true,
        Message::SequencePaxos(message) => {
            matches!(message.msg, PaxosMsg::AcceptDecide(_) | PaxosMsg::Decide(_))
        }
    }
}

#[cfg(test)]
mod tests {
    use omnipaxos::{
        ballot_leader_election::Ballot,
        messages::sequence_paxos::{Accepted, Decide},
        util::SequenceNumber,
    };

    use super::*;

    fn message(msg: PaxosMsg<Put>) -> Message<Put> {
        Message::SequencePaxos(PaxosMessage { from: 2, to: 1, msg })
    }

    fn accepted(accepted_idx: usize) -> Message<Put> {
        message(PaxosMsg::Accepted(Accepted { n: Ballot::default(), accepted_idx }))
    }

    fn decide(decided_idx: usize) -> Message<Put> {
        let (n, seq_num) = (Ballot::default(), SequenceNumber::default());
        message(PaxosMsg::Decide(Decide { n, seq_num, decided_idx }))
    }

    fn said(messages: impl IntoIterator<Item = Message<Put>>) -> Vec<usize> {
        let index = |message| match message {
            Message::SequencePaxos(PaxosMessage { msg: PaxosMsg::Accepted(said), .. }) => {
                said.accepted_idx
            }
            Message::SequencePaxos(PaxosMessage { msg: PaxosMsg::Decide(said), .. }) => {
                said.decided_idx
            }
            other => panic!("nobody said {other:?}"),
        };
        messages.into_iter().map(index).collect()
    }

    /// Goal: nobody hears of what is not durable, and nothing overtakes. Method: two records, with
    /// a message after each; then tell of one sync after the other.
    #[test]
    fn messages_wait_for_what_they_rest_on() {
        let directory = tempfile::tempdir().unwrap();
        let file = LogFile::create(&directory.path().join("log")).unwrap();
        let (sender, mut inbox) = mpsc::unbounded_channel();
        let mut syncs = Syncs::new(file, sender);

        // With nothing to wait for, all goes out.
        assert!(syncs.hold(accepted(0)).is_some());
        syncs.submit(vec![1], 10);
        // What is decided is so whatever is lost here ..
        assert!(syncs.hold(decide(5)).is_some());
        assert!(syncs.hold(accepted(10)).is_none());
        syncs.submit(vec![2], 20);
        assert!(syncs.hold(accepted(20)).is_none());
        // .. but must not overtake.
        assert!(syncs.hold(decide(6)).is_none());

        for (entries, due) in [(10, vec![10]), (20, vec![20, 6])] {
            let Some(Event::Synced(durable)) = inbox.blocking_recv() else {
                panic!("the file tells of syncs")
            };
            assert_eq!(durable, entries);
            syncs.synced(durable);
            assert_eq!(said(std::iter::from_fn(|| syncs.next_due())), due);
        }
        assert!(syncs.hold(accepted(20)).is_some());
    }

    /// Goal: a leader does not count itself for what it may lose. Method: followers have accepted
    /// more than is durable here; then it becomes durable, bit by bit.
    #[test]
    fn what_is_accepted_elsewhere_counts_once_it_is_durable_here() {
        let directory = tempfile::tempdir().unwrap();
        let file = LogFile::create(&directory.path().join("log")).unwrap();
        let (sender, _inbox) = mpsc::unbounded_channel();
        let mut syncs = Syncs::new(file, sender);

        syncs.submit(vec![1], 10);
        assert_eq!(said([syncs.admit(accepted(30))]), [0]);
        syncs.synced(10);
        for message in syncs.early() {
            assert_eq!(said([syncs.admit(message)]), [10]);
        }
        syncs.submit(vec![2], 30);
        syncs.synced(30);
        for message in syncs.early() {
            assert_eq!(said([syncs.admit(message)]), [30]);
        }
        assert!(syncs.early().is_empty());
    }
}
