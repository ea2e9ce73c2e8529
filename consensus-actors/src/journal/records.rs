//! The way of a group's records to the disk.

use std::sync::Arc;

use actix::Addr;
use consensus_core::{GroupId, Token, codec::Encode};

use super::{Append, Compact, Durability, Flush, JournalActor, Register, writer::Desk};

/// The most that a thread that has other work writes itself: whoever has more is busy, and gains by
/// going on meanwhile.
const AT_ONCE_BYTES: usize = 2 << 10;

/// Where a group's records go.
#[derive(Clone)]
pub(crate) enum Records {
    /// To the node's journal.
    Kept { journal: Addr<JournalActor>, desk: Arc<Desk> },
    /// Nowhere: whatever they tell goes with the process.
    Unkept,
}

impl Records {
    /// Lets `durability` hear of a group's records.
    pub(crate) fn register(&self, group: GroupId, durability: Arc<dyn Durability>) {
        if let Self::Kept { journal, .. } = self {
            journal.do_send(Register { group, durability });
        }
    }

    /// Makes records durable, in order; returns the last one if they are, or are as durable as they
    /// will be.
    ///
    /// Where somebody waits for them (`awaited`), there is little to write, and the journal is idle,
    /// they are written at once, by this thread: to wake that of the journal, and to be woken by it,
    /// would take as long again as a quick disk does.
    pub(crate) fn append(
        &self,
        group: GroupId,
        records: Vec<(Token, impl Encode)>,
        awaited: bool,
    ) -> Option<Token> {
        let Self::Kept { journal, desk } = self else {
            return records.last().map(|(token, _)| *token);
        };
        let upto = records.last().map(|(token, _)| *token)?;
        let encoded = records.iter().map(|(token, record)| (*token, record.encoded()));
        let mut records: Vec<_> = encoded.collect();
        let bytes: usize = records.iter().map(|(_, record)| record.len()).sum();
        if awaited
            && bytes <= AT_ONCE_BYTES
            && let Some(mut writer) = desk.idle()
        {
            writer.stage(group, &records).ok()?;
            if writer.commit().is_ok() {
                return Some(upto);
            }
            // They are staged; a full disk is the actor's to wait for.
            records.clear();
        }
        desk.owe();
        journal.do_send(Append { group, records, upto });
        None
    }

    /// Waits until all that waits is written.
    pub(crate) async fn flush(&self) {
        if let Self::Kept { journal, .. } = self {
            journal.send(Flush).await.ok();
        }
    }

    /// Gives up a group's records before one.
    pub(crate) fn compact(&self, group: GroupId, before: Token) {
        if let Self::Kept { journal, .. } = self {
            journal.do_send(Compact { group, before });
        }
    }
}
