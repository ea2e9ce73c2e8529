//! What a replica makes of the records that its journal gives back.

use bytes::Bytes;
use consensus_core::{
    GroupId, Index, Members, Process, RecoverError, Time, Token,
    raft::{Config, Entry, Payload, Raft, Record, Term, log::TermAt},
    snapshot::Cut,
};

use crate::node::id;

fn recovered(records: Vec<Record>, first: u64) -> Result<Raft, RecoverError> {
    let members = Members::new((1..=3).map(id)).expect("there are some");
    let config = Config::builder(id(1), GroupId::named("test"), members).build();
    let config = config.expect("the defaults fit");
    Raft::recover(config, Time::ZERO, (first..).map(Token).zip(records))
}

fn append(after: u64, term: u64, count: usize) -> Record {
    let payload = Payload::Command(Bytes::from_static(b"command"));
    let entry = Entry { term: Term(term), payload };
    Record::Append { after: Index(after), entries: vec![entry; count] }
}

fn covers(index: u64, term: u64) -> Record {
    let membership = Members::new((1..=3).map(id)).expect("there are some").into();
    let cut = Cut { index: Index(index), term, membership };
    Record::Snapshot { cut, replaces: false }
}

fn vote(term: u64) -> Record {
    Record::Vote { term: Term(term), voted_for: None }
}

// Goal: entries that were all replaced are given up by the segment of the journal: what is left of
// one comes back, without the entries that it followed, and must not keep the replica from starting.
// The simulator found it: five nodes, 60 s, 2,000 operations, seed 425.
#[test]
fn rest_of_what_was_given_up_is_skipped() {
    let records = vec![append(67, 3, 2), append(69, 3, 1), vote(11), append(0, 11, 4)];
    let raft = recovered(records, 71).expect("the log is whole from its first entry on");
    assert_eq!(raft.state().log().last_index(), Index(4));
    assert_eq!(raft.state().term(), Term(11));
}

// Goal: the same, where what replaced the entries follows a snapshot.
// Method: the entries from 56 on come back; those from 53 on, which they followed, were replaced. The
// simulator found it: three nodes, 20 s, 400 operations, seed 6550.
#[test]
fn what_follows_a_snapshot_replaces_what_was_given_up() {
    let records = vec![append(55, 9, 12), vote(9), covers(52, 9), vote(10), append(52, 10, 2)];
    let raft = recovered(records, 50).expect("the log is whole behind the snapshot");
    assert_eq!(raft.state().log().last_index(), Index(54));
    assert_eq!(raft.state().snapshot().map(|cut| cut.index), Some(Index(52)));
    assert_eq!(raft.state().log().term_at(Index(52)), TermAt::Known(Term(9)));
}

// Goal: entries that follow nothing, and that nothing replaces, are no log.
#[test]
fn log_without_its_beginning_is_refused() {
    let reason = "entries follow a gap in the log";
    let refused = |records, token| {
        let error = recovered(records, 71).expect_err("a part is missing");
        assert_eq!(error, RecoverError::Contradiction { token, reason });
    };
    refused(vec![vote(3), append(67, 3, 2)], 72);
    refused(vec![append(55, 3, 2), covers(52, 3), vote(3), append(53, 3, 1)], 74);
    refused(vec![vote(3), append(0, 3, 2), append(3, 3, 1)], 73);
}
