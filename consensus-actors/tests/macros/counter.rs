//! The first program of the guide, looked at closely.

use consensus_actors::{Answer, Apply, Command, Commands, Query, Replicated as _, prelude::*};
use serde_json::{Value, json};

use crate::{answer, apply, cx, names};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, Replicated)]
#[replica(protocol = raft)]
struct Counter {
    value: i64,
}

#[replicated]
impl Counter {
    /// Adds `by` and returns the new total.
    ///
    /// It may be negative.
    #[command]
    fn add(&mut self, by: i64) -> i64 {
        self.value += by;
        self.doubled() / 2
    }

    #[command]
    fn reset(&mut self) {
        self.value = 0;
    }

    #[query]
    fn get(&self) -> i64 {
        self.value
    }

    fn doubled(&self) -> i64 {
        self.value * 2
    }
}

// The methods are still methods: a unit test of the state needs no cluster.
#[test]
fn methods_stay_callable() {
    let mut counter = Counter::default();
    assert_eq!(counter.add(3), 3);
    counter.reset();
    assert_eq!(counter.get(), 0);
}

// The name tags the command, in JSON over HTTP and in the journal's encoding alike.
#[test]
fn commands_are_tagged_by_name() {
    let command = <Counter as StateMachine>::Command::from(counter::Add { by: 1 });
    assert_eq!(serde_json::to_value(&command).unwrap(), json!({"add": {"by": 1}}));
    let bytes = rmp_serde::to_vec_named(&command).unwrap();
    let decoded: <Counter as StateMachine>::Command = rmp_serde::from_slice(&bytes).unwrap();
    assert_eq!(serde_json::to_value(&decoded).unwrap(), json!({"add": {"by": 1}}));
}

// Replies are not tagged: the caller knows what it asked. A unit reply is the unit.
#[test]
fn replies_are_bare() {
    let mut counter = Counter::default();
    assert_eq!(apply(&mut counter, json!({"add": {"by": 5}})), json!(5));
    assert_eq!(answer(&counter, json!({"get": {}})), json!(5));
    assert_eq!(apply(&mut counter, json!({"reset": {}})), Value::Null);
    assert_eq!(counter, Counter { value: 0 });
}

// A misspelt argument is refused, not ignored.
#[test]
fn unknown_arguments_are_refused() {
    type Command = <Counter as StateMachine>::Command;
    for refused in
        [json!({"add": {"by": 1, "bye": 2}}), json!({"add": {}}), json!({"sub": {"by": 1}})]
    {
        assert!(serde_json::from_value::<Command>(refused).is_err());
    }
}

// The table for people has names, types as written, and the doc comment without its markers.
#[test]
fn interface_tells_names_types_and_docs() {
    let interface = Counter::INTERFACE;
    assert_eq!(names(interface), (vec!["add", "reset"], vec!["get"]));
    let add = interface.commands[0];
    assert_eq!(add.doc, "Adds `by` and returns the new total.\n\nIt may be negative.");
    assert_eq!((add.arguments[0].name, add.arguments[0].kind), ("by", "i64"));
    assert_eq!(Counter::NAME, "counter");
}

// Each message knows its state, reply and name, and there is a typed client with a method for each.
#[test]
fn messages_implement_their_traits() {
    fn reply_of<C: Command<State = Counter, Reply = i64> + Clone>() -> &'static str {
        C::NAME
    }
    fn answer_of<Q: Query<State = Counter, Reply = i64> + Clone>() -> &'static str {
        Q::NAME
    }
    fn message<M: actix::Message<Result = Result<i64, Error>>>() {}
    fn client<C: Clone + Send + Sync + From<Client<Counter>>>() {}
    assert_eq!((reply_of::<counter::Add>(), answer_of::<counter::Get>()), ("add", "get"));
    message::<counter::Add>();
    client::<<Counter as Commands>::Client>();
    let _: fn(&CounterClient, i64) -> Call<i64> = CounterClient::add;
    let mut counter = Counter::default();
    assert_eq!(Apply::apply(&mut counter, &mut cx(1), counter::Add { by: 2 }), 2);
    assert_eq!(Answer::answer(&counter, counter::Get {}), 2);
}
