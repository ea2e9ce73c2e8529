//! What a replica makes of the records that its journal gives back.

use bytes::Bytes;
use consensus_core::{
    GroupId, Index, Members, Process, RecoverError, Time, Token,
    raft::{Config, Entry, Payload, Raft, Record, Term},
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

// Goal: entries that follow nothing, and that nothing replaces, are no log.
#[test]
fn log_without_its_beginning_is_refused() {
    let reason = "entries follow a gap in the log";
    let refused = |records, token| {
        let error = recovered(records, 71).expect_err("a part is missing");
        assert_eq!(error, RecoverError::Contradiction { token, reason });
    };
    refused(vec![vote(3), append(67, 3, 2)], 72);
    refused(vec![vote(3), append(0, 3, 2), append(3, 3, 1)], 73);
}
