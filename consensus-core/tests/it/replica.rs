//! The replica: each command once, and the same on all.

use bytes::Bytes;
use consensus_core::{
    Decided, GroupId, Index, Ticket, WallTime,
    replica::{
        Body, KEY_LIFETIME, Rejection, Replica, Reply, RequestId, RestoreError, SESSION_LIFETIME,
        SESSION_WINDOW, SessionId,
    },
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use crate::{
    bug,
    kv::{self, Answer, Command, Kv, Query},
};

const GROUP: GroupId = GroupId(3);
const NOON: WallTime = WallTime(43_200_000);

/// A replica and the index at which it applies next.
struct Log {
    replica: Replica<Kv>,
    /// The ticket of what is applied, if this replica took it.
    ticket: Option<Ticket>,
}

impl Log {
    fn new() -> Self {
        Self { replica: bug::replica(Replica::new(GROUP)), ticket: None }
    }

    fn apply(&mut self, envelope: Bytes) -> Reply {
        let index = self.replica.applied().next();
        let decided = Decided { index, command: Some(envelope), ticket: self.ticket };
        self.replica.apply(&decided).expect("a command has a reply")
    }

    fn open(&mut self, at: WallTime) -> SessionId {
        let reply = self.apply(kv::envelope(at, Body::Open)).expect("a session opens");
        SessionId(u64::from_le_bytes(reply.as_ref().try_into().expect("eight bytes")))
    }

    fn in_session(
        &mut self,
        at: WallTime,
        session: SessionId,
        (request, low): (u64, u64),
        command: &Command,
    ) -> Reply {
        let (request, low) = (RequestId(request), RequestId(low));
        let command = kv::encode(command);
        self.apply(kv::envelope(at, Body::InSession { session, request, low, command }))
    }

    fn keyed(&mut self, at: WallTime, key: &str, command: &Command) -> Reply {
        self.apply(kv::keyed(key, at, command))
    }

    /// Goes on as another replica does that was given a snapshot of this one.
    fn restored(&self) -> Self {
        let mut saved = Vec::new();
        self.replica.save(&mut saved).expect("memory does not fail");
        let restored = Replica::restore(GROUP, &mut saved.as_slice()).expect("it was just saved");
        Self { replica: bug::replica(restored), ticket: self.ticket }
    }

    fn value(&self, key: &str) -> Option<u64> {
        self.replica.machine().values.get(key).copied()
    }
}

fn add(by: u64) -> Command {
    Command::Add { key: "a".into(), by }
}

// Goal: entries of the protocol's own are skipped, and count as applied.
#[test]
fn entry_without_command_has_no_reply() {
    let mut log = Log::new();
    let decided = Decided { index: Index(1), command: None, ticket: None };
    assert_eq!(log.replica.apply(&decided), None);
    assert_eq!(log.replica.applied(), Index(1));
    // A session's id is the index of its entry, so no two have the same.
    assert_eq!(log.open(NOON), SessionId(2));
}

// Goal: a request of a session applies once, and its repeats get its reply, in whatever order
// requests come (SES-P01).
#[test]
pub(crate) fn request_of_a_session_applies_once() {
    let mut log = Log::new();
    let session = log.open(NOON);
    let second = log.in_session(NOON, session, (2, 1), &add(10));
    let first = log.in_session(NOON, session, (1, 1), &add(1));
    assert_eq!((kv::number(&second.clone().unwrap()), log.value("a")), (Some(10), Some(11)));
    assert_eq!(log.in_session(NOON, session, (2, 1), &add(10)), second);
    assert_eq!(log.in_session(NOON, session, (1, 1), &add(1)), first);
    assert_eq!(log.value("a"), Some(11));
}

// Goal: the reply to a request stays until its client acknowledges that very request (SES-P01).
#[test]
pub(crate) fn reply_is_kept_until_it_is_acknowledged() {
    let mut log = Log::new();
    let session = log.open(NOON);
    log.in_session(NOON, session, (1, 1), &add(1)).unwrap();
    let second = log.in_session(NOON, session, (2, 1), &add(10));
    log.in_session(NOON, session, (3, 2), &add(100)).unwrap();
    assert_eq!(log.in_session(NOON, session, (2, 2), &add(10)), second);
    assert_eq!(log.value("a"), Some(111));
}

// Goal: it makes no difference which replica took a request: after a change of leaders, all know
// what was executed (SES-P01).
#[test]
pub(crate) fn replicas_agree_whoever_took_a_request() {
    let mut logs = [Log::new(), Log::new()];
    for taker in [0, 1] {
        for (at, log) in logs.iter_mut().enumerate() {
            log.ticket = (at == taker).then_some(Ticket(1));
            let session = if taker == 0 { log.open(NOON) } else { SessionId(1) };
            let reply = log.in_session(NOON, session, (1, 1), &add(1));
            assert_eq!(kv::number(&reply.unwrap()), Some(1));
        }
    }
    let [left, right] = logs;
    assert_eq!(left.replica.machine(), right.replica.machine());
}

// Goal: what cannot be applied once is not applied at all, and each case is told apart (SES-P03).
#[test]
pub(crate) fn refused_requests_change_nothing() {
    let mut log = Log::new();
    let session = log.open(NOON);
    log.in_session(NOON, session, (1, 1), &add(1)).unwrap();
    let reused = log.in_session(NOON, session, (1, 1), &add(2));
    assert_eq!(reused, Err(Rejection::RequestReused));
    let unknown = log.in_session(NOON, SessionId(99), (1, 1), &add(2));
    assert_eq!(unknown, Err(Rejection::UnknownSession));
    let beyond = log.in_session(NOON, session, (SESSION_WINDOW + 1, 1), &add(2));
    assert_eq!(beyond, Err(Rejection::SessionWindow));
    log.in_session(NOON, session, (2, 2), &add(1)).unwrap();
    let answered = log.in_session(NOON, session, (1, 1), &add(1));
    assert_eq!(answered, Err(Rejection::AlreadyAnswered));
    assert_eq!(log.value("a"), Some(2));
}

// Goal: a session lives a day from its last request, by the time in the log; after that its
// requests are refused.
#[test]
pub(crate) fn session_expires_by_the_time_in_the_log() {
    let mut log = Log::new();
    let day = SESSION_LIFETIME.as_millis() as u64;
    let session = log.open(NOON);
    let next_noon = WallTime(NOON.0 + day);
    log.in_session(next_noon, session, (1, 1), &add(1)).unwrap();
    let much_later = WallTime(next_noon.0 + day + 1);
    let refused = log.in_session(much_later, session, (1, 1), &add(1));
    assert_eq!(refused, Err(Rejection::UnknownSession));
    // A slow clock does not bring it back, nor does a repeat apply again.
    let refused = log.in_session(NOON, session, (1, 1), &add(1));
    assert_eq!(refused, Err(Rejection::UnknownSession));
    assert_eq!(log.value("a"), Some(1));
}

// Goal: a key stands for one body for a day: its repeats get its reply, and another body is
// refused.
#[test]
pub(crate) fn key_stands_for_one_body() {
    let mut log = Log::new();
    let first = log.keyed(NOON, "k", &add(1));
    assert_eq!(kv::number(&first.clone().unwrap()), Some(1));
    assert_eq!(log.keyed(NOON, "k", &add(1)), first);
    assert_eq!(log.keyed(NOON, "k", &add(2)), Err(Rejection::KeyReused));
    assert_eq!(log.value("a"), Some(1));
    let later = WallTime(NOON.0 + KEY_LIFETIME.as_millis() as u64 + 1);
    assert_eq!(kv::number(&log.keyed(later, "k", &add(2)).unwrap()), Some(3));
}

// Goal: a command that panics has that for its outcome on every replica, keeps what it had changed
// by then, is not applied again, and harms no command after it.
#[test]
pub(crate) fn panic_is_an_outcome_like_any_other() {
    let mut logs = [Log::new(), Log::new()];
    for log in &mut logs {
        let session = log.open(NOON);
        let panic = Command::Panic { key: "a".into() };
        assert_eq!(log.in_session(NOON, session, (1, 1), &panic), Err(Rejection::Panicked));
        assert_eq!(log.in_session(NOON, session, (1, 1), &panic), Err(Rejection::Panicked));
        let reply = log.in_session(NOON, session, (2, 1), &add(1));
        assert_eq!(kv::number(&reply.unwrap()), Some(2));
    }
    let [left, right] = logs;
    assert_eq!(left.replica.machine(), right.replica.machine());
    assert_eq!(left.replica.machine().history, ["a", "a"]);
}

// Goal: time in the log never goes back, though the clocks that stamp it do.
#[test]
pub(crate) fn time_never_goes_back() {
    let mut log = Log::new();
    let stamp = |key: &str| Command::Stamp { key: key.into() };
    for (key, at, seen) in [("a", 5_000, 5_000), ("b", 3_000, 5_000), ("c", 6_000, 6_000)] {
        log.keyed(WallTime(at), key, &stamp(key)).unwrap();
        assert_eq!(log.value(key), Some(seen));
    }
}

// Goal: a command draws the same random numbers on every replica, and others than the commands
// before it.
#[test]
fn random_numbers_are_the_same_on_every_replica() {
    let mut logs = [Log::new(), Log::new()];
    for log in &mut logs {
        for key in ["a", "b"] {
            log.keyed(NOON, key, &Command::Draw { key: key.into() }).unwrap();
        }
    }
    let [left, right] = logs;
    assert_eq!(left.replica.machine(), right.replica.machine());
    assert_ne!(left.value("a"), left.value("b"));
    let other = Replica::<Kv>::new(GroupId(4));
    let mut other = Log { replica: other, ticket: None };
    other.keyed(NOON, "a", &Command::Draw { key: "a".into() }).unwrap();
    assert_ne!(other.value("a"), left.value("a"), "groups draw differently");
}

// Goal: bytes that are no command are answered and skipped, and do not stop the replica.
#[test]
fn malformed_commands_are_skipped() {
    let mut log = Log::new();
    for bytes in [&b""[..], b"\x09", b"\x02short", b"\x03\0\0\0\0\0\0\0\0\xff\xff\xff\xff"] {
        assert_eq!(log.apply(Bytes::from_static(bytes)), Err(Rejection::Malformed));
    }
    let session = log.open(NOON);
    let (request, low) = (RequestId(1), RequestId(1));
    let command = Bytes::from_static(b"\xc1");
    let body = Body::InSession { session, request, low, command };
    assert_eq!(log.apply(kv::envelope(NOON, body)), Err(Rejection::Malformed));
    assert_eq!(kv::number(&log.keyed(NOON, "k", &add(1)).unwrap()), Some(1));
}

// Goal: a query sees what is applied and changes nothing; one that panics or is none has that for
// its answer.
#[test]
fn query_sees_what_is_applied() {
    let mut log = Log::new();
    log.keyed(NOON, "k", &add(4)).unwrap();
    let get = kv::encode(&Query::Get { key: "a".into() });
    let answer = log.replica.query(&get).unwrap();
    assert_eq!(rmp_serde::from_slice::<Answer>(&answer).unwrap(), Answer::Value(Some(4)));
    assert_eq!(log.replica.query(&kv::encode(&Query::Panic)), Err(Rejection::Panicked));
    assert_eq!(log.replica.query(b"\xc1"), Err(Rejection::Malformed));
    assert_eq!(log.replica.applied(), Index(1));
}

// Goal: whatever is decided, replicas answer and hold the same, and none panics.
// Method: seeded envelopes, many of them repeats, with small numbers so that they meet, and bytes
// that are none.
#[test]
fn replicas_agree_on_anything() {
    for seed in 0..40 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut below = |bound: u64| rng.next_u64() % bound;
        let (mut left, mut right) = (Log::new(), Log::new());
        for _ in 0..300 {
            let at = WallTime(below(4) * SESSION_LIFETIME.as_millis() as u64 / 2);
            let key = format!("k{}", below(4));
            let command = match below(4) {
                0 => Command::Draw { key: key.clone() },
                1 => Command::Stamp { key: key.clone() },
                2 => Command::Panic { key: key.clone() },
                _ => Command::Add { key: key.clone(), by: below(2) },
            };
            let envelope = match below(6) {
                0 => kv::envelope(at, Body::Open),
                1 => (0..below(40)).map(|_| below(256) as u8).collect(),
                2 => kv::keyed(&key, at, &command),
                _ => {
                    let session = SessionId(below(30));
                    let (request, low) = (RequestId(below(8)), RequestId(below(8)));
                    let command = kv::encode(&command);
                    kv::envelope(at, Body::InSession { session, request, low, command })
                }
            };
            assert_eq!(left.apply(envelope.clone()), right.apply(envelope));
            assert_eq!(left.replica.machine(), right.replica.machine());
        }
    }
}

// Goal: what was executed is known after a snapshot, and so is what was acknowledged (SES-P02).
// Method: requests that were executed before come again, to the replica that was restored.
#[test]
pub(crate) fn snapshot_remembers_what_was_executed() {
    let mut log = Log::new();
    let session = log.open(NOON);
    log.in_session(NOON, session, (1, 1), &add(1)).unwrap();
    let second = log.in_session(NOON, session, (2, 2), &add(10));
    let mut restored = log.restored();
    assert_eq!(restored.in_session(NOON, session, (2, 2), &add(10)), second);
    let first = restored.in_session(NOON, session, (1, 1), &add(1));
    assert_eq!(first, Err(Rejection::AlreadyAnswered));
    assert_eq!((restored.value("a"), restored.replica.applied()), (Some(11), Index(5)));
}

// Goal: a key stands for its body after a snapshot too, and expires when it would have (SES-P02).
#[test]
pub(crate) fn snapshot_remembers_the_keys() {
    let mut log = Log::new();
    let reply = log.keyed(NOON, "k", &add(1));
    let mut restored = log.restored();
    assert_eq!(restored.keyed(NOON, "k", &add(1)), reply);
    assert_eq!(restored.keyed(NOON, "k", &add(2)), Err(Rejection::KeyReused));
    let later = WallTime(NOON.0 + KEY_LIFETIME.as_millis() as u64 + 1);
    restored.keyed(later, "k", &add(2)).unwrap();
    assert_eq!(restored.value("a"), Some(3));
}

// Goal: a snapshot goes on as its original does, and is the same wherever it is taken.
// Method: two replicas apply the same; one is restored half-way.
#[test]
fn snapshot_is_the_replica() {
    let (mut left, mut right) = (Log::new(), Log::new());
    for log in [&mut left, &mut right] {
        let session = log.open(NOON);
        log.in_session(NOON, session, (1, 1), &Command::Panic { key: "a".into() }).ok();
        log.keyed(NOON, "k", &add(1)).unwrap();
    }
    let mut right = right.restored();
    for log in [&mut left, &mut right] {
        log.keyed(NOON, "l", &add(7)).unwrap();
    }
    let saved = |log: &Log| {
        let mut saved = Vec::new();
        log.replica.save(&mut saved).map(|()| saved).expect("memory does not fail")
    };
    assert_eq!(saved(&left), saved(&right));
}

// Goal: bytes that nobody saved are refused, never a panic; and what is of another group is told.
#[test]
fn damaged_snapshot_is_refused() {
    let mut log = Log::new();
    let session = log.open(NOON);
    log.in_session(NOON, session, (1, 1), &add(1)).unwrap();
    let mut saved = Vec::new();
    log.replica.save(&mut saved).expect("memory does not fail");
    for length in 0..saved.len() {
        let cut = Replica::<Kv>::restore(GROUP, &mut &saved[..length]);
        assert!(cut.is_err(), "{length} bytes are not enough");
    }
    let other = Replica::<Kv>::restore(GroupId(4), &mut saved.as_slice());
    assert!(matches!(other, Err(RestoreError::OtherGroup)));
}
