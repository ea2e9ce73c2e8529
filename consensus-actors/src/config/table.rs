//! The settings, one entry each; [`super`] says how to add one.

use std::{path::PathBuf, time::Duration};

use consensus_core::journal;

use super::{
    key::{Key, Setting},
    kind::{Address, Addresses, Choice, Peers, Size, Typed, Value},
};
use crate::{
    DecisionProtocol, Placement, Protocol,
    client::COMMAND_BYTES_MAX,
    suggest::{did_you_mean, listed},
    transport::FRAME_BYTES_MAX,
};

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $key:expr;)+) => {
        $($(#[doc = $doc])+ pub(crate) static $name: Setting<$type> =
            $key.of(concat!($($doc, "\n"),+));)+

        /// All settings, in the order in which they are shown.
        pub(crate) static TABLE: &[&Key] = &[$(&$name.key),+];
    };
}

settings! {
    /// This node's id: from 1 on, unique in the cluster, never reused.
    ID: u64 = Key::node("id").required().check(node_id);

    /// The cluster's name; data directories and connections are checked against it.
    CLUSTER: String = Key::node("cluster").required().check(not_empty);

    /// Who founds the cluster, with the addresses of their peer ports, this node included. Later
    /// starts may leave it out; who belongs to the cluster then is changed with `add`, `remove` and
    /// `replace`. Without it and `join` the node founds a cluster of its own. The layer that names
    /// one names all.
    PEERS: Peers = Key::node("peers");

    /// Peer ports of the cluster that this node joins, once `add` has let it in there. It needs
    /// `listen`. Later starts may leave it out.
    JOIN: Addresses = Key::node("join");

    /// Where to listen to peers; what `peers` says of this node if not given. Without either the
    /// node has no peer port.
    LISTEN: Address = Key::node("listen");

    /// Where peers reach this node, by address or name, if that is not where it listens.
    ADVERTISE: Address = Key::node("advertise");

    /// Where to serve HTTP; not at all if not given.
    HTTP: Address = Key::node("http");

    /// Where the node keeps its data. A relative path starts where the process does.
    DATA: PathBuf = Key::node("data").required().check(not_empty);

    /// The shortest time without a leader's word after which a replica campaigns; each is drawn
    /// from this to twice this. It is also how long a client waits before it asks again.
    ELECTION_TIMEOUT: Duration = Key::node("election_timeout").default("1s").dev("300ms");

    /// How often a leader is heard; at most a third of the election timeout.
    HEARTBEAT: Duration = Key::node("heartbeat").default("100ms").dev("60ms");

    /// The protocol that replicates the group: raft or multi_paxos. All members must have the same,
    /// and it stays for as long as the group has data.
    PROTOCOL: Protocol = Key::group("protocol").default("raft").check(choice::<Protocol>);

    /// How many acceptors must promise before a proposer leads, under multi_paxos; a majority if not
    /// given. With `phase2` it must be more than there are, and all members should have the same.
    PHASE1: u64 = Key::group("phase1").check(above_zero);

    /// How many acceptors must accept a command, under multi_paxos; a majority if not given. Fewer
    /// wait for fewer disks, and the more must be there to elect a leader.
    PHASE2: u64 = Key::group("phase2").check(above_zero);

    /// Where this node has the group's roles, under multi_paxos: `together` in one actor, `apart` in
    /// three on the node's thread, or with a thread of its own for the `acceptor`, the `learner`, or
    /// each of both (`threads`). Each node may have its own.
    PLACEMENT: Placement = Key::group("placement").default("together").check(choice::<Placement>);

    /// The protocol by which the cluster makes decisions: paxos or fast_paxos. With fast_paxos one that
    /// nobody contests takes one round trip instead of two, while about three quarters of the founders
    /// are there: all of three, four of five. All nodes must have the same, and it stays for as long
    /// as there are decisions.
    DECISIONS_PROTOCOL: DecisionProtocol =
        Key::node("decisions.protocol").default("paxos").check(choice::<DecisionProtocol>);

    /// The deadline of calls that name none.
    DEADLINE: Duration = Key::group("deadline").default("5s").check(above_zero);

    /// Whether a replica asks a majority before it campaigns, so that one that was cut off ends no
    /// tenure when it comes back. All members should have the same.
    PRE_VOTE: bool = Key::group("pre_vote").default("true");

    /// Whether a leader that has heard of no majority for an election timeout steps down, and
    /// voters refuse others while they hear of a leader. All members should have the same.
    CHECK_QUORUM: bool = Key::group("check_quorum").default("true");

    /// Whether the members keep leases, by which the leader answers queries that are read so from its
    /// own state: voters tell it for how long they refuse others their votes. It needs
    /// `check_quorum`, and clocks that keep `clock_drift`. All members should have the same. Before a
    /// member is started with a shorter `election_timeout`, or without `check_quorum`, it is to be
    /// turned off on all.
    LEASE: bool = Key::group("lease").default("false");

    /// By how many hundredths, at most, the clocks of two members differ in rate, from 1 to 50; leases
    /// are shorter by so much. A machine that is suspended, whose clock stands still meanwhile, keeps
    /// no bound: it must be none that leads.
    CLOCK_DRIFT: u64 = Key::group("clock_drift").default("10").check(clock_drift);

    /// How much this node is preferred as a leader, from 0 to 255. Without a leader, a replica of
    /// priority 100 campaigns after one to two election timeouts. A higher priority narrows that, to
    /// 1.25 at 255; a lower one delays it, by a hundredth of an election timeout for each step; one
    /// of priority 0 campaigns after five to six, when no other has. Without `pre_vote` all campaign
    /// after one to two. And a leader hands over to a node of higher priority that has caught up,
    /// and has been heard of for ten election timeouts without a gap.
    PRIORITY: u64 = Key::group("priority").default("100").check(priority);

    /// How long a node may take to end once it is asked to: to hand over what it leads, to answer
    /// what is in flight, and to write what waits for the disk.
    SHUTDOWN_GRACE: Duration = Key::node("shutdown_grace").default("5s");

    /// The bytes of commands after which a message of the log to a follower is full, up to 1MiB.
    APPEND_BYTES_MAX: Size = Key::group("append_bytes_max").default("1MiB").check(append_bytes);

    /// How many messages of the log a follower may owe an answer to. More fill a longer round trip.
    APPEND_WINDOW: u64 = Key::group("append_window").default("64").check(above_zero);

    /// How many bytes of commands a follower may owe an answer to. It bounds the memory that one
    /// that is slow costs.
    APPEND_WINDOW_BYTES: Size =
        Key::group("append_window_bytes").default("16MiB").check(above_zero);

    /// How many commands, and how many reads, a leader has in flight before it refuses more.
    PROPOSALS_MAX: u64 = Key::group("proposals_max").default("16384").check(above_zero);

    /// How many bytes of commands a leader has in flight before it refuses more; 1MiB or more, so
    /// that every command passes.
    PROPOSALS_BYTES_MAX: Size =
        Key::group("proposals_bytes_max").default("64MiB").check(proposals_bytes);

    /// How many entries a learner may lack when it is let vote. With more it may hold up commits for
    /// as long as it takes to catch up; with few it may never be let vote under load.
    CATCH_UP_SLACK: u64 = Key::group("catch_up_slack").default("1000");

    /// After how many entries of its log a replica takes a snapshot, and lets the log before it go.
    /// After one of more than a mebibyte, another is taken no sooner than as many bytes of commands
    /// have come, or four times snapshot.bytes.
    SNAPSHOT_EVERY: u64 = Key::group("snapshot.every").default("100000").check(above_zero);

    /// After how many bytes of commands a replica takes a snapshot, however few entries they are.
    SNAPSHOT_BYTES: Size = Key::group("snapshot.bytes").default("64MiB").check(above_zero);

    /// How many snapshots of a group are kept, besides those that peers are being sent.
    SNAPSHOT_KEEP: u64 = Key::group("snapshot.keep").default("2").check(above_zero);

    /// Whether the group's state has a thread of its own: one that is large to copy or slow to apply
    /// then holds up nothing but its own callers.
    OWN_THREAD: bool = Key::group("own_thread").default("false");

    /// Whether a group that has nothing to do comes to rest: its leader sends no heartbeats, and its
    /// followers wait for none while the leader's node is heard of.
    REST: bool = Key::group("rest").default("true");

    /// How long a file of the journal is: the grain in which space is given back, and the bound of
    /// the longest record. A multiple of 512, from 5MiB to 1GiB.
    JOURNAL_SEGMENT: Size =
        Key::node("journal.segment_bytes").default("16MiB").check(segment);

    /// Which events are logged to standard error: a level, or parts of the program with theirs, as
    /// info,consensus_actors=trace.
    LOG: String = Key::node("log").default("info,actix_server=warn").check(log_filter);

    /// The HTTP address of the node that `status` and `call` ask. If not given, the `http` of the
    /// file, of its first node that has one, then 127.0.0.1:4701.
    ADDR: Address = Key::tool("addr");
}

fn node_id(value: &Value) -> Result<(), String> {
    match value {
        Value::Count(0) => Err("0 is no node id; ids count from 1".to_owned()),
        _ => Ok(()),
    }
}

fn not_empty(value: &Value) -> Result<(), String> {
    match value {
        Value::Text(text) if text.is_empty() => Err("it must not be empty".to_owned()),
        _ => Ok(()),
    }
}

fn above_zero(value: &Value) -> Result<(), String> {
    match value {
        Value::Duration(Duration::ZERO) | Value::Count(0) | Value::Size(0) => {
            Err("it must be above zero".to_owned())
        }
        _ => Ok(()),
    }
}

fn choice<T: Choice>(value: &Value) -> Result<(), String> {
    let Value::Text(name) = value else { return Ok(()) };
    let known = || T::ALL.iter().map(|choice| choice.name());
    if known().any(|known| known == name) {
        return Ok(());
    }
    let (what, meant) = (T::WHAT, did_you_mean(name, known()));
    Err(format!("there is no {what} {name:?}{meant}; there are {}", listed(known())))
}

fn priority(value: &Value) -> Result<(), String> {
    match value {
        Value::Count(256..) => Err("priorities go from 0 to 255".to_owned()),
        _ => Ok(()),
    }
}

fn clock_drift(value: &Value) -> Result<(), String> {
    match value {
        Value::Count(1..=50) => Ok(()),
        _ => Err("clocks differ in rate by 1 to 50 hundredths; 10 is usual".to_owned()),
    }
}

fn log_filter(value: &Value) -> Result<(), String> {
    let filter = tracing_subscriber::EnvFilter::try_new(value.to_string());
    filter.map(drop).map_err(|error| format!("{error}; write a level, as info"))
}

fn append_bytes(value: &Value) -> Result<(), String> {
    // With what surrounds commands, and with a last one that is as long as may be, a frame is not
    // full yet.
    const MAX: u64 = FRAME_BYTES_MAX as u64 / 4;
    match value {
        Value::Size(1..=MAX) => Ok(()),
        _ => Err("it must fit into a frame; set 1MiB or less, and above zero".to_owned()),
    }
}

fn proposals_bytes(value: &Value) -> Result<(), String> {
    match value {
        Value::Size(bytes) if *bytes < COMMAND_BYTES_MAX as u64 => {
            Err("the longest command must pass; set 1MiB or more".to_owned())
        }
        _ => Ok(()),
    }
}

/// The shortest segment that holds the longest record: what a follower writes at once comes to it in
/// one frame, and what a leader does is shorter.
const SEGMENT_BYTES_MIN: usize = FRAME_BYTES_MAX + (1 << 20);

fn segment(value: &Value) -> Result<(), String> {
    let Value::Size(bytes) = value else { return Ok(()) };
    let bytes = usize::try_from(*bytes).map_err(|error| error.to_string())?;
    if bytes < SEGMENT_BYTES_MIN {
        let (record, segment) = (Size(FRAME_BYTES_MAX as u64), Size(SEGMENT_BYTES_MIN as u64));
        return Err(format!(
            "the longest record must fit into a segment, and may take {}; set {} or more",
            record.into_value(),
            segment.into_value(),
        ));
    }
    let config = journal::Config::builder().segment_bytes(bytes).build();
    config.map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::kind::Kind;

    // Goal: the table can be relied on: names are written alike and differ in every layer, all defaults
    // can be read and pass their checks, and every entry says what it is.
    #[test]
    fn the_table_is_in_order() {
        let mut spelled = BTreeSet::new();
        for key in TABLE {
            let small = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.".contains(&b);
            assert!(key.name.bytes().all(small), "{}", key.name);
            assert!(!key.name.contains("__"), "{}: two underscores are a section", key.name);
            for spelling in [key.flag(), key.variable()] {
                assert!(spelled.insert(spelling.clone()), "{spelling} is there twice");
            }
            for text in [key.default, key.dev].into_iter().flatten() {
                let value = key.kind.read(text).expect("a default can be read");
                assert_eq!((key.check)(&value), Ok(()), "{}", key.name);
                assert_eq!(value.to_string(), text, "{} is written as it is shown", key.name);
            }
            assert!(key.doc().ends_with('.'), "{} says what it is", key.name);
            assert!(key.default.is_none() || !key.required, "{}", key.name);
        }
        assert_eq!(PEERS.key.kind, Kind::Peers);
        assert_eq!(ELECTION_TIMEOUT.key.variable(), "CONSENSUS_ELECTION_TIMEOUT");
        assert_eq!(JOURNAL_SEGMENT.key.variable(), "CONSENSUS_JOURNAL__SEGMENT_BYTES");
        assert_eq!(JOURNAL_SEGMENT.key.flag(), "journal-segment-bytes");
    }

    // Goal: whatever a leader sends in one frame, its followers can write, with the shortest segments
    // that may be set and with the default.
    #[test]
    fn every_segment_holds_the_longest_record() {
        let read = |text: &str| Kind::Size.read(text).expect("a size");
        let default = JOURNAL_SEGMENT.key.default.expect("there is a default");
        for (text, may_be) in [(default, true), ("5MiB", true), ("5242368", false)] {
            let value = read(text);
            assert_eq!(segment(&value).is_ok(), may_be, "{text}");
            let Value::Size(bytes) = value else { panic!("{text} is a size") };
            let config = journal::Config::builder().segment_bytes(bytes as usize).build();
            let config = config.expect("the journal takes it");
            assert!(!may_be || config.payload_bytes_max() >= FRAME_BYTES_MAX, "{text}");
        }
    }
}
