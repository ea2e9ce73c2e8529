//! Messages that no replica sends, and bytes that nobody encoded.

use std::time::Duration;

use bytes::Bytes;
use consensus_core::{
    Effect, Effects, GroupId, Index, Input, Members, NodeId, Process, Read, ReadLevel, Submission,
    Ticket, Time, Token,
    client::{Request, Response},
    codec::{Decode, DecodeError, Encode},
    raft::{
        AppendResult, Config, Control, Entry, Message, Payload, Raft, Record, Role, SnapshotResult,
        Term,
    },
    replica::Envelope,
    snapshot::{Cut, Report, Saved, SnapshotId},
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use crate::node::id;

const ROUNDS: u64 = 400;
const STEPS: u64 = 150;

/// Draws numbers that are likely to hurt: small ones below `small`, and those at the ends of ranges.
pub(crate) fn hurtful(rng: &mut ChaCha8Rng, small: u64) -> u64 {
    match rng.next_u64() % 10 {
        0 => u64::MAX - rng.next_u64() % 3,
        1 => (u64::MAX >> 1) - 1 + rng.next_u64() % 3,
        2 => rng.next_u64(),
        _ => rng.next_u64() % small,
    }
}

fn number(rng: &mut ChaCha8Rng) -> u64 {
    hurtful(rng, 12)
}

fn entries(rng: &mut ChaCha8Rng, term: Term) -> Vec<Entry> {
    let sorted = !rng.next_u64().is_multiple_of(4);
    let mut draw = || if rng.next_u64().is_multiple_of(2) { term } else { Term(number(rng)) };
    let mut terms: Vec<_> = (0..4).map(|_| draw()).collect();
    terms.truncate((rng.next_u64() % 5) as usize);
    if sorted {
        terms.sort_unstable();
    }
    let entry = |term| Entry { term, payload: Payload::Command(Bytes::from_static(b"x")) };
    terms.into_iter().map(entry).collect()
}

fn snapshot(rng: &mut ChaCha8Rng) -> SnapshotId {
    SnapshotId { index: Index(number(rng)), term: number(rng), digest: number(rng) }
}

/// Draws any message; now and then its term is `term`, so that it is not merely stale.
fn message(rng: &mut ChaCha8Rng, term: Term) -> Message {
    let present = rng.next_u64().is_multiple_of(2);
    let term = if present { term } else { Term(number(rng)) };
    match rng.next_u64() % 16 {
        0 => Message::Vote {
            term,
            last_index: Index(number(rng)),
            last_term: Term(number(rng)),
            transfer: rng.next_u64().is_multiple_of(2),
        },
        1 => Message::VoteReply { term, granted: rng.next_u64().is_multiple_of(2) },
        // Often behind the first entries, where there are some.
        2 => Message::Append {
            term,
            prev_index: Index(number(rng) / 4),
            prev_term: Term(number(rng) / 4),
            entries: entries(rng, term),
            commit: Index(number(rng)),
        },
        3 => Message::AppendReply { term, result: AppendResult::Matched(Index(number(rng))) },
        4 => Message::AppendReply {
            term,
            result: AppendResult::Conflict {
                refused: Index(number(rng)),
                hint: Index(number(rng)),
                hint_term: Term(number(rng)),
            },
        },
        5 => Message::Heartbeat { term, commit: Index(number(rng)), round: number(rng) },
        6 => {
            let (round, priority) = (number(rng), u8::try_from(rng.next_u64() % 300).ok());
            let promise = rng.next_u64().checked_sub(1 << 63).map(Duration::from_nanos);
            Message::HeartbeatReply { term, round, priority, promise }
        }
        7 => Message::ReadIndex { term, id: number(rng), lease: rng.next_u64() & 1 == 1 },
        8 => Message::ReadIndexReply { term, id: number(rng), index: Index(number(rng)) },
        9 => Message::Rest { term, commit: Index(number(rng)) },
        10 => Message::RestReply { term, commit: Index(number(rng)) },
        11 => {
            Message::PreVote { term, last_index: Index(number(rng)), last_term: Term(number(rng)) }
        }
        12 => Message::PreVoteReply { term, granted: rng.next_u64().is_multiple_of(2) },
        13 => {
            let (snapshot, part) = (snapshot(rng), number(rng) as u32);
            Message::InstallSnapshot { term, snapshot, part, bytes: Bytes::from_static(b"part") }
        }
        14 => {
            let result = match rng.next_u64() % 2 {
                0 => SnapshotResult::Wanted { index: Index(number(rng)) },
                _ => SnapshotResult::Stored { snapshot: snapshot(rng), next: number(rng) as u32 },
            };
            Message::SnapshotReply { term, result }
        }
        _ => {
            let (last_index, last_term) = (Index(number(rng) / 4), Term(number(rng) / 4));
            Message::TimeoutNow { term, last_index, last_term }
        }
    }
}

fn replica() -> Raft {
    let members = Members::new((1..=3).map(id)).expect("three are some");
    let config = Config::builder(id(1), GroupId(1), members).pre_vote(false).check_quorum(false);
    let config = config.build().expect("valid");
    Raft::recover(config, Time::ZERO, []).expect("nothing is wrong")
}

/// A replica and what its host keeps for it.
struct Host {
    raft: Raft,
    now: Time,
    persisting: Token,
}

impl Host {
    fn new() -> Self {
        Self { raft: replica(), now: Time::ZERO, persisting: Token::default() }
    }

    fn step(&mut self, input: Input<Raft>) -> Vec<Effect<Raft>> {
        let mut out = Effects::default();
        self.raft.step(self.now, input, &mut out);
        for effect in out.as_slice() {
            if let Effect::Persist { token, .. } = effect {
                self.persisting = *token;
            }
        }
        out.drain().collect()
    }

    fn receive(&mut self, from: NodeId, message: Message) -> Vec<Effect<Raft>> {
        self.step(Input::Receive { from, message })
    }

    fn persisted(&mut self) {
        let upto = self.persisting;
        self.step(Input::Persisted { upto });
    }

    fn term(&self) -> Term {
        self.raft.state().term()
    }

    fn campaign(&mut self) {
        self.now = self.now + self.raft.state().config().election_timeout() * 2;
        self.step(Input::Tick);
        self.persisted();
    }

    /// Makes a leader of it with the vote of node 2.
    fn lead(&mut self) {
        self.campaign();
        let term = self.term();
        self.receive(id(2), Message::VoteReply { term, granted: true });
        assert!(matches!(self.raft.role(), Role::Leader(_)), "two of three elect");
    }
}

// Goal: whatever anybody sends, a replica in any role goes on (remote input never panics).
// Method: seeded messages with values at the ends of their ranges, from members, strangers and
// itself, between the inputs of its own host, from each role.
#[test]
fn no_message_panics_a_replica_in_any_role() {
    let mut roles = [0_u64; 3];
    for seed in 0..ROUNDS {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut host = Host::new();
        match seed % 3 {
            0 => {}
            1 => host.campaign(),
            _ => host.lead(),
        }
        for step in 0..STEPS {
            match rng.next_u64() % 12 {
                0 => host.persisted(),
                1 => {
                    host.now = host.now + host.raft.state().config().heartbeat() * 8;
                    host.step(Input::Tick);
                }
                2 => {
                    let command = Bytes::from_static(b"x");
                    let submission = Submission { ticket: Ticket(step), command };
                    host.step(Input::Submit(vec![submission]));
                }
                3 => {
                    let level = match rng.next_u64() % 4 {
                        0 => ReadLevel::Linearizable,
                        1 => ReadLevel::Lease,
                        2 => ReadLevel::Stale { max_lag: Duration::from_millis(number(&mut rng)) },
                        _ => ReadLevel::After { index: Index(number(&mut rng)) },
                    };
                    let read = Read { ticket: Ticket(step), level };
                    host.step(Input::Control(Control::Read(vec![read])));
                }
                4 => {
                    let full = rng.next_u64().is_multiple_of(2);
                    host.step(Input::Control(Control::StorageFull(full)));
                }
                _ => {
                    let from = id(1 + rng.next_u64() % 5);
                    let message = message(&mut rng, host.term());
                    host.receive(from, message);
                }
            }
            roles[match host.raft.role() {
                Role::Follower(_) => 0,
                Role::Candidate(_) => 1,
                Role::Leader(_) => 2,
                Role::PreCandidate(_) => 3,
            }] += 1;
        }
    }
    assert!(roles.iter().all(|steps| *steps > 1_000), "every role was tried: {roles:?}");
}

// Goal: an answer of somebody who is no member counts for nothing and ends no tenure, in any role;
// nor does a replica hear itself, by a message of its own that came back.
// Method: grants, acknowledgements and refusals of the present term and a later one; from itself a
// vote request and an Append too.
#[test]
fn strangers_and_echoes_change_nothing() {
    for prepare in [|_: &mut Host| {}, Host::campaign, Host::lead] {
        let mut host = Host::new();
        prepare(&mut host);
        let before = format!("{:?}", host.raft);
        let present = host.term();
        for term in [present, Term(present.0 + 1)] {
            let result = AppendResult::Matched(Index(1));
            for from in [id(1), id(7)] {
                let effects = [
                    host.receive(from, Message::VoteReply { term, granted: true }),
                    host.receive(from, Message::VoteReply { term, granted: false }),
                    host.receive(from, Message::AppendReply { term, result }),
                    host.receive(
                        from,
                        Message::HeartbeatReply { term, round: 0, priority: None, promise: None },
                    ),
                ];
                assert!(effects.iter().all(Vec::is_empty), "{from} is not answered");
            }
            let effects = [host.receive(id(1), vote(term)), host.receive(id(1), append(term))];
            assert!(effects.iter().all(Vec::is_empty), "it does not answer itself");
        }
        assert_eq!(format!("{:?}", host.raft), before);
    }
}

// Goal: who is unknown may be a member of a configuration that this replica has not heard of: its
// campaign is answered, and it is followed where it leads (RAFT-P25).
// Method: a vote request and an Append of a later term, from a node that no configuration names.
#[test]
fn who_is_unknown_may_be_a_member() {
    for prepare in [|_: &mut Host| {}, Host::campaign, Host::lead] {
        let mut host = Host::new();
        prepare(&mut host);
        let term = Term(host.term().0 + 1);
        // The log of one that has led is longer than the stranger's.
        let granted = host.raft.state().log().last_index() == Index::ZERO;
        let effects = host.receive(id(7), vote(term));
        let reply = Message::VoteReply { term, granted };
        let answers = |effect: &Effect<Raft>| matches!(effect, Effect::Send { message, .. } if *message == reply);
        assert!(effects.iter().any(answers), "{effects:?}");
        host.receive(id(7), append(term));
        assert_eq!((host.term(), host.raft.state().leader()), (term, Some(id(7))));
    }
}

fn vote(term: Term) -> Message {
    Message::Vote { term, last_index: Index::ZERO, last_term: Term(0), transfer: false }
}

fn append(term: Term) -> Message {
    Message::Append {
        term,
        prev_index: Index::ZERO,
        prev_term: Term(0),
        entries: Vec::new(),
        commit: Index::ZERO,
    }
}

// Goal: a term that leaves no room for the next one is nonsense and not adopted, so campaigns never
// run out of terms.
#[test]
fn terms_without_successor_are_not_adopted() {
    let mut host = Host::new();
    for term in [u64::MAX, u64::MAX - 1, u64::MAX / 2 + 1] {
        host.receive(id(2), Message::VoteReply { term: Term(term), granted: false });
    }
    assert_eq!(host.term(), Term(0));
    host.campaign();
    assert_eq!(host.term(), Term(1));
}

// Goal: entries that no leader could hold are not taken, since a restart could not read them back.
// Method: terms that go back, that are later than the message's, or that are zero.
#[test]
fn entries_that_no_leader_holds_are_refused() {
    let entry = |term| Entry { term: Term(term), payload: Payload::NoOp };
    for terms in [vec![2, 1], vec![4], vec![0, 1]] {
        let mut host = Host::new();
        let entries = terms.into_iter().map(entry).collect();
        let (prev_index, prev_term) = (Index::ZERO, Term(0));
        let commit = Index(1);
        let effects = host.receive(
            id(2),
            Message::Append { term: Term(3), prev_index, prev_term, entries, commit },
        );
        assert!(effects.is_empty(), "{effects:?}");
        assert_eq!(host.raft.state().log().last_index(), Index::ZERO);
    }
}

fn encoded(value: &impl Encode) -> Bytes {
    let mut bytes = Vec::new();
    value.encode(&mut bytes);
    bytes.into()
}

/// Decodes bytes as everything there is; what they are, they are in one encoding only.
fn decode_as_anything(bytes: &Bytes) -> u64 {
    fn decode<T: Decode + Encode>(bytes: &Bytes) -> u64 {
        let Ok(value) = T::decode_all(bytes.clone()) else { return 0 };
        assert_eq!(&encoded(&value), bytes, "what was read is written the same");
        1
    }
    decode::<Message>(bytes)
        + decode::<Record>(bytes)
        + decode::<Entry>(bytes)
        + decode::<Envelope>(bytes)
        + decode::<Request>(bytes)
        + decode::<Response>(bytes)
}

// Goal: S7, a snapshot up to a committed index whose entry there is another one takes nobody's place.
#[test]
fn snapshot_of_another_log_is_not_taken() {
    let mut host = Host::new();
    let (term, payload) = (Term(2), Payload::Command(Bytes::from_static(b"x")));
    let entries = vec![Entry { term, payload }; 3];
    let (prev_index, prev_term, commit) = (Index(0), Term(0), Index(3));
    host.receive(id(2), Message::Append { term, prev_index, prev_term, entries, commit });
    host.persisted();
    let membership = host.raft.state().membership().clone();
    let saved = |term| {
        let cut = Cut { index: Index(2), term, membership: membership.clone() };
        let id = SnapshotId { index: cut.index, term, digest: 7 };
        Input::Snapshot(Report::Saved(Saved { id, cut, parts: 2, length: 9 }))
    };
    assert!(host.step(saved(1)).is_empty());
    assert_eq!(host.raft.state().snapshot(), None);
    assert!(!host.step(saved(2)).is_empty());
    assert_eq!(host.raft.state().snapshot().map(|cut| cut.index), Some(Index(2)));
}

// Goal: no bytes panic a decoder, and nothing has two encodings.
// Method: random bytes with likely tags in front, and encodings that were cut or had a byte
// changed.
#[test]
fn no_bytes_panic_a_decoder() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut accepted = 0;
    for _ in 0..30_000 {
        let mut bytes = vec![(rng.next_u64() % 20) as u8];
        let length = rng.next_u64() % 60;
        bytes.extend((0..length).map(|_| (rng.next_u64() >> (rng.next_u64() % 64)) as u8));
        accepted += decode_as_anything(&bytes.into());

        let term = Term(number(&mut rng));
        let message = message(&mut rng, term);
        let mut bytes = encoded(&message).to_vec();
        assert_eq!(Message::decode_all(bytes.clone().into()), Ok(message));
        match rng.next_u64() % 3 {
            0 => bytes.truncate((rng.next_u64() % bytes.len() as u64) as usize),
            1 => bytes.push(0),
            _ => {
                let at = (rng.next_u64() % bytes.len() as u64) as usize;
                bytes[at] ^= 1 << (rng.next_u64() % 8);
            }
        }
        accepted += decode_as_anything(&bytes.into());
    }
    assert!(accepted > 1_000, "some of the bytes are encodings: {accepted}");
}

// Goal: a count of entries that the bytes cannot hold is refused before anything is allocated for
// it.
#[test]
fn count_beyond_the_bytes_is_refused() {
    let mut record = vec![2];
    record.extend(0_u64.to_le_bytes());
    record.extend(u32::MAX.to_le_bytes());
    record.extend([0; 64]);
    assert_eq!(Record::decode_all(record.into()), Err(DecodeError::Truncated));
}

// Goal: bytes behind an encoding are refused, and an unknown tag is named.
#[test]
fn what_is_no_encoding_is_named() {
    let vote = Message::VoteReply { term: Term(1), granted: true };
    let mut bytes = encoded(&vote).to_vec();
    bytes.push(7);
    assert_eq!(Message::decode_all(bytes.into()), Err(DecodeError::Trailing));
    let unknown = DecodeError::UnknownTag { what: "Raft message", tag: 99 };
    assert_eq!(Message::decode_all(vec![99; 9].into()), Err(unknown));
    let mut flag = encoded(&vote).to_vec();
    flag[9] = 2;
    assert_eq!(Message::decode_all(flag.into()), Err(DecodeError::Invalid("flag")));
}
