//! Generic states, and blocks with one kind of operation.

use std::{collections::BTreeMap, fmt::Debug};

use consensus_actors::{Reads, Replicated as _, prelude::*};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::{answer, apply};

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

// Generics go through to messages, enums and client; so do constants, and `Self` as an argument.
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
    type Answer = Call<Option<u64>, Reads>;
    let _: fn(&KvClient<String, u64, 2>, String) -> Answer = KvClient::get;
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
