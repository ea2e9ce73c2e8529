//! What the macros generate, from the outside: messages, encodings, the interface, visibility, hygiene.
#![deny(
    missing_docs,
    private_bounds,
    private_interfaces,
    unnameable_types,
    unreachable_pub,
    unused,
    unused_qualifications,
    warnings
)]

use std::{collections::BTreeMap, fmt::Debug};

use consensus_actors::{
    __private::core::{Cx, GroupId, Index, Interface, StateMachine, WallTime},
    Commands, Replicated as _,
    prelude::*,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn cx(index: u64) -> Cx {
    Cx::new(GroupId(7), Index(index), WallTime(1_000 + index))
}

/// Applies a command given in JSON and returns its reply in JSON, as the journal and HTTP do.
fn apply<S: StateMachine>(state: &mut S, command: Value) -> Value {
    apply_at(1, state, command)
}

fn apply_at<S: StateMachine>(index: u64, state: &mut S, command: Value) -> Value {
    let command = serde_json::from_value(command).expect("a command of this state");
    serde_json::to_value(state.apply(&mut cx(index), command)).expect("a reply in JSON")
}

fn answer<S: StateMachine>(state: &S, query: Value) -> Value {
    let query = serde_json::from_value(query).expect("a query of this state");
    serde_json::to_value(state.answer(query)).expect("an answer in JSON")
}

fn names(interface: Interface) -> (Vec<&'static str>, Vec<&'static str>) {
    let names = |operations: &'static [consensus_actors::__private::Operation]| {
        operations.iter().map(|operation| operation.name).collect()
    };
    (names(interface.commands), names(interface.queries))
}

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
    use consensus_actors::{Answer, Apply, Command, Query};
    fn reply_of<C: Command<State = Counter, Reply = i64> + Clone>() -> &'static str {
        C::NAME
    }
    fn answer_of<Q: Query<State = Counter, Reply = i64> + Clone>() -> &'static str {
        Q::NAME
    }
    fn message<M: actix::Message<Result = Result<i64, consensus_actors::Error>>>() {}
    fn client<C: Clone + Send + Sync + From<Client<Counter>>>() {}
    assert_eq!((reply_of::<counter::Add>(), answer_of::<counter::Get>()), ("add", "get"));
    message::<counter::Add>();
    client::<<Counter as Commands>::Client>();
    let _: fn(&CounterClient, i64) -> Call<i64> = CounterClient::add;
    let mut counter = Counter::default();
    assert_eq!(Apply::apply(&mut counter, &mut cx(1), counter::Add { by: 2 }), 2);
    assert_eq!(Answer::answer(&counter, counter::Get {}), 2);
}

trait Key: Serialize + DeserializeOwned + Deterministic + Clone + Debug + Ord + Send + 'static {}
impl<T: Serialize + DeserializeOwned + Deterministic + Clone + Debug + Ord + Send + 'static> Key
    for T
{
}

#[derive(Clone, Debug, Serialize, Deserialize, Replicated)]
#[serde(bound = "")]
#[replica(name = "store")]
struct Kv<K: Key, V: Key, const LIMIT: u32> {
    map: BTreeMap<K, V>,
    history: [Option<(K, V)>; 1],
}

impl<K: Key, V: Key, const LIMIT: u32> Default for Kv<K, V, LIMIT> {
    fn default() -> Self {
        Self { map: BTreeMap::new(), history: [None] }
    }
}

#[replicated]
impl<K: Key, V, const LIMIT: u32> Kv<K, V, LIMIT>
where
    V: Key + PartialEq,
{
    #[command]
    fn put(&mut self, key: K, value: V) -> Result<Option<V>, u32> {
        if self.map.len() >= LIMIT as usize {
            return Err(LIMIT);
        }
        self.history = [Some((key.clone(), value.clone()))];
        Ok(self.map.insert(key, value))
    }

    #[command]
    fn replace(&mut self, other: Self) -> bool {
        let changed = self.map != other.map;
        *self = other;
        changed
    }

    #[query]
    fn get(&self, key: K) -> Option<V> {
        self.map.get(&key).cloned()
    }
}

// Generics go through: messages, enums, client; also constants, and arguments of the state's own type.
#[test]
fn generic_states_work() {
    type Small = Kv<String, u64, 2>;
    let mut kv = Small::default();
    assert_eq!(apply(&mut kv, json!({"put": {"key": "a", "value": 1}})), json!({"Ok": null}));
    assert_eq!(apply(&mut kv, json!({"put": {"key": "b", "value": 2}})), json!({"Ok": null}));
    assert_eq!(apply(&mut kv, json!({"put": {"key": "c", "value": 3}})), json!({"Err": 2}));
    assert_eq!(answer(&kv, json!({"get": {"key": "a"}})), json!(1));
    let other = json!({"replace": {"other": {"map": {}, "history": [null]}}});
    assert_eq!(apply(&mut kv, other), json!(true));
    let put = kv::Put::<String, u64, 2>::new("a".into(), 1);
    let command = <Small as StateMachine>::Command::from(put);
    assert_eq!(serde_json::to_value(command).unwrap(), json!({"put": {"key": "a", "value": 1}}));
    assert_eq!(Small::NAME, "store");
    assert_eq!(Small::INTERFACE.commands[1].arguments[0].kind, "Self");
    let _: fn(&KvClient<String, u64, 2>, String) -> Call<Option<u64>> = KvClient::get;
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, Replicated)]
struct Lottery {
    drawn: Vec<u64>,
}

#[replicated]
impl Lottery {
    #[command]
    fn draw(&mut self, below: u64, cx: &mut Cx) -> (u64, u64) {
        use rand_core_of_the_state::next;
        let number = next(cx) % below;
        self.drawn.push(number);
        let born = cx.now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        (number, born.as_secs())
    }

    #[command(trust = "the order of the keys is not looked at")]
    fn count(&mut self, ballots: std::collections::HashMap<String, u64>, _cx: &mut Cx) -> u64 {
        ballots.values().sum()
    }
}

mod rand_core_of_the_state {
    pub(crate) fn next(cx: &mut consensus_actors::Cx) -> u64 {
        let mut bytes = [0; 8];
        let rng: &mut dyn std::fmt::Debug = cx.rng();
        let text = format!("{rng:?}");
        for (at, byte) in text.bytes().enumerate() {
            bytes[at % 8] ^= byte;
        }
        u64::from_le_bytes(bytes)
    }
}

// `cx` is passed as the last parameter and is no argument: the same entry gives the same reply.
#[test]
fn context_gives_every_replica_the_same() {
    let (mut one, mut two) = (Lottery::default(), Lottery::default());
    let draw = || json!({"draw": {"below": 1_000_000}});
    assert_eq!(apply_at(9, &mut one, draw()), apply_at(9, &mut two, draw()));
    assert_eq!(one, two);
    assert_eq!(apply_at(10, &mut one, draw())[1], json!(1), "1,010 ms after the epoch");
    assert_eq!(Lottery::INTERFACE.commands[0].arguments.len(), 1);
    let count = json!({"count": {"ballots": {"a": 1, "b": 2}}});
    assert_eq!(apply(&mut one, count), json!(3));
}

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
struct HTTPLog {
    lines: Vec<String>,
}

#[replicated(messages = "requests", crate = "::consensus_actors")]
impl HTTPLog {
    #[command(name = "append")]
    fn push(
        &mut self,
        r#type: String,
        mut count: u32,
        #[arg(default)] note: Option<String>,
    ) -> u64 {
        while count > 0 {
            self.lines.push(r#type.clone());
            count -= 1;
        }
        self.lines.extend(note);
        self.lines.len() as u64
    }

    #[command]
    fn r#move(&mut self) {}

    #[query(name = "length", read = linearizable)]
    fn len(&self) -> u64 {
        self.lines.len() as u64
    }
}

// Names on the wire are the author's; raw identifiers lose their prefix; an argument with a default may be missing.
#[test]
fn names_and_defaults_are_chosen() {
    let mut log = HTTPLog::default();
    assert_eq!(HTTPLog::NAME, "http_log");
    assert_eq!(names(HTTPLog::INTERFACE), (vec!["append", "move"], vec!["length"]));
    assert_eq!(apply(&mut log, json!({"append": {"type": "GET", "count": 2}})), json!(2));
    let noted = json!({"append": {"type": "GET", "count": 1, "note": "slow"}});
    assert_eq!(apply(&mut log, noted), json!(4));
    assert_eq!(answer(&log, json!({"length": {}})), json!(4));
    let _ = requests::Push { r#type: "GET".into(), count: 1, note: None };
    assert_eq!(<requests::Move as consensus_actors::Command>::NAME, "move");
}

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
struct Sink {
    bytes: u64,
}

#[replicated]
impl Sink {
    #[command]
    fn write(&mut self, bytes: u64) {
        self.bytes += bytes;
    }
}

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
#[serde(bound = "")]
struct Constant<T: Key + Default> {
    value: T,
}

#[replicated]
impl<T: Key + Default> Constant<T> {
    #[query]
    fn value(&self) -> T {
        self.value.clone()
    }
}

// A block may have commands only or queries only, generic or not.
#[test]
fn one_kind_of_operation_is_enough() {
    let mut sink = Sink::default();
    apply(&mut sink, json!({"write": {"bytes": 3}}));
    assert_eq!(sink.bytes, 3);
    assert!(Sink::INTERFACE.queries.is_empty());
    assert!(serde_json::from_value::<<Sink as StateMachine>::Query>(json!({"x": {}})).is_err());
    assert_eq!(answer(&Constant::<u8>::default(), json!({"value": {}})), json!(0));
    assert!(Constant::<u8>::INTERFACE.commands.is_empty());
    type None = <Constant<u8> as StateMachine>::Command;
    assert!(serde_json::from_value::<None>(json!({"__Phantom": []})).is_err());
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, Replicated)]
enum Light {
    #[default]
    Red,
    Green {
        since: u64,
    },
}

#[replicated]
impl Light {
    #[command]
    fn switch(&mut self, cx: &mut Cx) -> Self {
        *self = match self {
            Light::Red => Light::Green { since: cx.index() },
            Light::Green { .. } => Light::Red,
        };
        self.clone()
    }

    #[cfg(any())]
    #[command]
    fn never(&mut self, absent: DoesNotExist) {}

    #[cfg(all())]
    #[query]
    fn always(&self) -> bool {
        true
    }
}

// An enum is a state too, and a method that is configured away takes all that is made of it with it.
#[test]
fn enums_and_conditional_methods_work() {
    let mut light = Light::default();
    assert_eq!(apply_at(4, &mut light, json!({"switch": {}})), json!({"Green": {"since": 4}}));
    assert_eq!(names(Light::INTERFACE), (vec!["switch"], vec!["always"]));
}

mod bank {
    //! A module with private types, and messages that others may name.

    use super::*;

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, Replicated)]
    pub(crate) struct Account {
        cents: u64,
        owner: owners::Owner,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    pub(crate) enum Refused {
        Short { have: u64 },
    }

    pub(crate) mod owners {
        #[derive(
            Clone,
            Debug,
            Default,
            PartialEq,
            super::Serialize,
            super::Deserialize,
            super::Deterministic,
        )]
        pub(crate) struct Owner(pub(crate) String, #[replica(trust = "it is shown, not used")] f64);
    }

    #[allow(unused_qualifications)]
    #[replicated(pub(crate), messages = "orders")]
    impl self::Account {
        #[command]
        pub(crate) fn withdraw(&mut self, cents: u64) -> Result<u64, self::Refused> {
            let left = self.cents.checked_sub(cents);
            self.cents = left.ok_or(Refused::Short { have: self.cents })?;
            Ok(self.cents)
        }

        /// The message is called like the type of its argument, and like one of the prelude.
        #[command]
        fn account(&mut self, account: Account, string: Option<String>) -> Option<Account> {
            string.map(|_| std::mem::replace(self, account))
        }

        #[command]
        fn string(&mut self, owner: super::bank::owners::Owner) -> String {
            std::mem::replace(&mut self.owner, owner).0
        }

        #[query]
        fn option(&self) -> Option<u64> {
            Some(self.cents)
        }
    }
}

// Private types may stand in signatures; messages are as visible as asked; paths keep their meaning.
#[test]
fn visibility_and_paths_are_kept() {
    let mut account = bank::Account::default();
    let refused = apply(&mut account, json!({"withdraw": {"cents": 1}}));
    assert_eq!(refused, json!({"Err": {"Short": {"have": 0}}}));
    let message = bank::orders::Withdraw { cents: 0 };
    assert_eq!(consensus_actors::Apply::apply(&mut account, &mut cx(1), message), Ok(0));
    let owned = json!({"string": {"owner": ["ada", 0.0]}});
    assert_eq!(apply(&mut account, owned), json!(""));
    assert_eq!(answer(&account, json!({"option": {}})), json!(0));
    let _: fn(&bank::AccountClient, u64) -> Call<Result<u64, bank::Refused>> =
        bank::AccountClient::withdraw;
}

#[allow(dead_code, non_camel_case_types)]
mod hostile {
    //! A module in which every name means something else.

    use consensus_actors::{Deterministic, Replicated, replicated};

    pub(super) struct Result;
    pub(super) struct Option;
    pub(super) struct String;
    pub(super) struct Vec;
    pub(super) struct Box;
    trait Send {}
    trait Sync {}
    trait Clone {}
    trait From {}
    trait Into {}
    trait Default {}
    mod core {}
    mod std {}
    mod serde {}
    mod actix {}
    mod consensus_core {}
    fn drop() {}

    #[derive(
        ::core::clone::Clone,
        ::core::default::Default,
        ::serde::Serialize,
        ::serde::Deserialize,
        Replicated,
        Deterministic,
    )]
    pub(super) struct Odd {
        value: ::core::option::Option<i64>,
    }

    #[replicated]
    impl Odd {
        #[command]
        fn apply(&mut self, message: i64) -> ::core::option::Option<i64> {
            self.value.replace(message)
        }

        #[query]
        fn answer(&self, context: i64) -> ::core::result::Result<i64, i64> {
            self.value.ok_or(context)
        }

        #[query]
        fn from(&self) -> bool {
            true
        }
    }
}

// Nothing of the generated code is found by a name that the user can take.
#[test]
fn generated_code_is_hygienic() {
    let mut odd = hostile::Odd::default();
    assert_eq!(apply(&mut odd, json!({"apply": {"message": 4}})), Value::Null);
    assert_eq!(answer(&odd, json!({"answer": {"context": 1}})), json!({"Ok": 4}));
}

macro_rules! gauge {
    ($name:ident, $kind:ty, $method:ident) => {
        #[derive(Clone, Default, Serialize, Deserialize, Replicated)]
        struct $name {
            value: $kind,
        }

        #[replicated]
        impl $name {
            #[command]
            fn $method(&mut self, value: $kind, cx: &mut Cx) -> $kind {
                self.value = value + <$kind>::from(cx.index() > 0);
                self.value
            }
        }
    };
}

gauge!(Pressure, i64, set);

// The macros work on what a macro of the user generates.
#[test]
fn macros_nest() {
    assert_eq!(apply(&mut Pressure::default(), json!({"set": {"value": 4}})), json!(5));
}

#[derive(Clone, Default, Serialize, Deserialize, Deterministic)]
enum Tree<T> {
    #[default]
    Leaf,
    Node(Box<(Tree<T>, Tree<T>)>, T),
}

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
#[replica(floats)]
struct Forest {
    trees: Vec<Tree<u8>>,
    height: Vec<f64>,
    #[replica(trust = "only looked up, never iterated")]
    index: std::collections::HashMap<String, u64>,
    nothing: std::marker::PhantomData<std::time::Instant>,
}

#[replicated]
impl Forest {
    #[query]
    fn size(&self) -> u64 {
        self.trees.len() as u64
    }
}

// A type of one's own is deterministic by derive, recursive or not; what is not is vouched for.
#[test]
fn determinism_is_derived_and_trusted() {
    fn deterministic<T: Deterministic>() {}
    deterministic::<Tree<Vec<String>>>();
    let tree = Tree::Node(Box::new((Tree::Leaf, Tree::Leaf)), 1_u8);
    assert!(matches!(tree, Tree::Node(_, 1)));
    let Forest { trees, height, index, nothing: _ } = Forest::default();
    assert!(trees.is_empty() && height.is_empty() && index.is_empty());
}
