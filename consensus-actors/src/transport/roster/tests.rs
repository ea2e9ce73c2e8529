//! What a roster makes of what it is told.

use consensus_core::{Change, Members};

use super::*;

/// What was stored last.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<BTreeMap<NodeId, Peer>>>);

impl Store for Kept {
    fn store(&mut self, peers: &BTreeMap<NodeId, Peer>) -> io::Result<()> {
        lock(&self.0).clone_from(peers);
        Ok(())
    }
}

fn node(number: u64) -> NodeId {
    NodeId::new(number).expect("tests use positive ids")
}

fn claim(number: u64, incarnation: u128, address: &str) -> Claim {
    Claim { node: node(number), incarnation, address: Some(address.to_owned()) }
}

/// The roster of node 1, and the membership of three.
fn three() -> (Roster, Kept, Membership) {
    let kept = Kept::default();
    let roster = Roster::new(node(1), true, BTreeMap::new(), Box::new(kept.clone()));
    let members = Members::new((1..=3).map(node)).expect("tests have members");
    let membership = Membership::from(members);
    let membership = membership.with_contact(node(2), "b:2").with_contact(node(3), "c:3");
    roster.publish(GroupId(1), &membership);
    (roster, kept, membership)
}

fn address(roster: &Roster, number: u64) -> Option<String> {
    roster.reachable().remove(&node(number))
}

// Goal: a membership says where its members are; who has moved is where it says, and stays there
// however often the membership repeats what it said; a new contact counts again.
#[test]
fn repeated_addresses_are_no_news() {
    let (roster, kept, membership) = three();
    assert_eq!(address(&roster, 2).as_deref(), Some("b:2"));
    roster.recognize(&claim(2, 22, "b:9")).expect("it is a member");
    roster.publish(GroupId(1), &membership);
    assert_eq!(address(&roster, 2).as_deref(), Some("b:9"));
    assert_eq!(lock(&kept.0)[&node(2)].address, "b:9", "it is durable");
    let moved = membership.with_contact(node(2), "b:10");
    roster.publish(GroupId(1), &moved);
    assert_eq!(address(&roster, 2).as_deref(), Some("b:10"));
}

// Goal: S1, RAFT-P15: who comes as another incarnation is refused, and what it says is not noted.
#[test]
fn another_incarnation_is_refused() {
    let (roster, _, _) = three();
    roster.recognize(&claim(2, 22, "b:2")).expect("it is a member");
    let refused = roster.recognize(&claim(2, 23, "b:7")).expect_err("it lost its disk");
    assert_eq!(refused.cause, Cause::Wiped);
    assert!(refused.reason.contains("replace 2 NEW ADDRESS"), "{refused}");
    assert!(!refused.reason.contains("16"), "no incarnation is told: {refused}");
    assert_eq!(address(&roster, 2).as_deref(), Some("b:2"));
}

// Goal: S2: who was removed is refused for ever, unless the removal was never decided and is
// taken back; and this node knows when it is the one.
#[test]
fn removed_nodes_stay_removed() {
    let (roster, kept, membership) = three();
    let without = |number| {
        let change = Change::Remove { node: node(number) };
        change.apply(&membership).expect("two are left")
    };
    roster.publish(GroupId(1), &without(3));
    assert_eq!(address(&roster, 3), None);
    let refused = roster.recognize(&claim(3, 33, "c:3")).expect_err("it was removed");
    assert_eq!(refused.cause, Cause::Removed);
    let refused = roster.consider(&claim(3, 34, "c:3")).expect_err("nor as a new node");
    assert_eq!(refused.cause, Cause::Removed);
    let peers = lock(&kept.0).clone();
    let later = Roster::new(node(1), true, peers, Box::new(Kept::default()));
    assert!(later.recognize(&claim(3, 33, "c:3")).is_err(), "after a restart, too");

    roster.publish(GroupId(1), &membership);
    roster.recognize(&claim(3, 33, "c:3")).expect("the removal was rolled back");
    roster.publish(GroupId(1), &without(1));
    assert_eq!(roster.standing(), Standing::Removed);
}

// Goal: a stranger is refused and remembered as one that waits, until it is a member; hearsay
// fills gaps and overwrites nothing.
#[test]
fn strangers_wait() {
    let (roster, _, membership) = three();
    let refused = roster.recognize(&claim(4, 44, "d:4")).expect_err("it is a stranger");
    assert_eq!(refused.cause, Cause::Unknown);
    assert_eq!(roster.waiting(), BTreeMap::from([(node(4), "d:4".to_owned())]));
    let told = |number, address: &str, incarnation| Told {
        node: node(number),
        address: address.to_owned(),
        incarnation: Some(incarnation),
    };
    roster.recognize(&claim(2, 22, "b:2")).expect("it is a member");
    roster.introduce(vec![told(2, "x:1", 99), told(5, "e:5", 55), told(1, "x:2", 11)]);
    assert_eq!(address(&roster, 2).as_deref(), Some("b:2"));
    roster.recognize(&claim(2, 22, "b:2")).expect("who was seen first is believed");
    assert!(roster.recognize(&claim(5, 56, "e:5")).is_err(), "others know it otherwise");
    assert_eq!(address(&roster, 1), None, "nobody needs to tell a node of itself");
    let change = Change::AddVoter { node: node(4), contact: "d:4".to_owned() };
    roster.publish(GroupId(1), &change.apply(&membership).expect("there is room"));
    assert!(roster.waiting().is_empty());
    roster.recognize(&claim(4, 44, "d:4")).expect("it is a member");
}

// Goal: a node that joins waits until a group counts it, and takes a peer's word that it is not
// wanted; what it thinks of peers itself is another matter.
#[test]
fn standing_is_what_groups_and_peers_say() {
    let joining = Roster::new(node(4), false, BTreeMap::new(), Box::new(Kept::default()));
    joining.publish(GroupId(1), &Membership::default());
    assert_eq!(joining.standing(), Standing::Waiting);
    let (_, _, membership) = three();
    let change = Change::AddLearner { node: node(4), contact: "d:4".to_owned() };
    joining.publish(GroupId(1), &change.apply(&membership).expect("there is room"));
    assert_eq!(joining.standing(), Standing::Member);
    let ours = Exclusion::new(Cause::Wiped, "another incarnation");
    assert!(joining.refused(node(2), &ours));
    assert_eq!(joining.standing(), Standing::Member);
    let theirs = Exclusion::of_this(Cause::Removed, "removed".to_owned());
    assert!(joining.refused(node(2), &theirs));
    assert_eq!(joining.standing(), Standing::Removed);
    assert!(!joining.refused(node(2), &theirs), "it is no news");
    joining.connected(node(2));
    assert_eq!(joining.standing(), Standing::Member);
}
