//! From MessagePack, as replies are encoded, to JSON, as tools read them.
//!
//! JSON has less: keys become texts, bytes become lists of numbers (and so do integers of 128 bits,
//! which MessagePack writes as bytes), and floats that are no numbers become null.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// A value read from MessagePack.
pub(crate) struct Json(pub(crate) Value);

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Json(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((Json(key), Json(value))) = entries.next_entry()? {
            let key = match key {
                Value::String(text) => text,
                other => other.to_string(),
            };
            if map.insert(key, value).is_some() {
                return Err(A::Error::custom("two keys read alike"));
            }
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;
    use serde_json::json;

    use super::*;

    fn shown(value: &impl Serialize) -> Value {
        let bytes = rmp_serde::to_vec_named(value).expect("it encodes");
        let Json(json) = rmp_serde::from_slice(&bytes).expect("it is shown");
        json
    }

    // Goal: whatever a deterministic state may answer can be shown.
    #[test]
    fn every_reply_is_shown() {
        assert_eq!(shown(&BTreeMap::from([(7_u64, Some(-1_i8))])), json!({"7": -1}));
        assert_eq!(shown(&BTreeMap::from([((1, true), ())])), json!({"[1,true]": null}));
        assert_eq!(shown(&(u64::MAX, 'x', "y")), json!([u64::MAX, "x", "y"]));
        assert_eq!(shown(&Err::<(), _>("no")), json!({"Err": "no"}));
        assert!(shown(&u128::MAX).is_array());
    }
}
