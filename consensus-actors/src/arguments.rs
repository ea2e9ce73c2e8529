//! Between what tools write (JSON, texts in a URL) and what state machines take (serde enums tagged
//! by name).

use consensus_core::Outcome;
use serde::{
    Deserializer,
    de::{
        DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, VariantAccess, Visitor,
        value::{Error as Reason, MapDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::Value;

use crate::{
    error::{Code, Error, Result},
    json::Json,
};

/// Makes the variant `name` of a JSON object of arguments.
pub(crate) fn from_json<T: DeserializeOwned>(
    name: &str,
    arguments: serde_json::Map<String, Value>,
) -> Result<T, String> {
    variant(name, arguments.into_iter().map(|(name, value)| (name, Given::Json(value))))
}

/// Makes the variant `name` of texts, each read as the type that is wanted.
pub(crate) fn from_text<T: DeserializeOwned>(
    name: &str,
    arguments: Vec<(String, String)>,
) -> Result<T, String> {
    variant(name, arguments.into_iter().map(|(name, text)| (name, Given::Text(Text(text)))))
}

fn variant<T: DeserializeOwned>(
    name: &str,
    arguments: impl Iterator<Item = (String, Given)>,
) -> Result<T, String> {
    let arguments = arguments.map(|(name, given)| Argument { name, given }).collect();
    T::deserialize(Variant { name, arguments }).map_err(|error| error.to_string())
}

/// Turns an encoded reply into JSON.
pub(crate) fn to_json(reply: &[u8]) -> Result<Value> {
    let shown = rmp_serde::from_slice(reply);
    shown.map(|Json(value)| value).map_err(|error| {
        let message = format!("the reply cannot be shown as JSON: {error}; use a typed client");
        Error::new(Code::Undecodable, message).with_outcome(Outcome::Applied)
    })
}

/// An enum's variant by name, with its fields.
struct Variant<'a> {
    name: &'a str,
    arguments: Vec<Argument>,
}

impl<'de> Deserializer<'de> for Variant<'_> {
    type Error = Reason;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Reason> {
        visitor.visit_enum(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = Reason;
    type Variant = Fields;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Fields), Reason> {
        let variant = seed.deserialize(self.name.into_deserializer())?;
        Ok((variant, Fields(self.arguments)))
    }
}

/// The fields of a variant.
struct Fields(Vec<Argument>);

impl Fields {
    fn map<'de>(self) -> MapDeserializer<'de, std::vec::IntoIter<(String, Argument)>, Reason> {
        let fields = self.0.into_iter().map(|field| (field.name.clone(), field));
        MapDeserializer::new(fields.collect::<Vec<_>>().into_iter())
    }
}

impl<'de> VariantAccess<'de> for Fields {
    type Error = Reason;

    fn unit_variant(self) -> Result<(), Reason> {
        match self.0.first() {
            None => Ok(()),
            Some(field) => Err(serde::de::Error::custom(format!("unknown field `{}`", field.name))),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Reason> {
        seed.deserialize(self.map())
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Reason> {
        self.map().deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Reason> {
        self.map().deserialize_any(visitor)
    }
}

/// An argument as it was given, under its name: what is wrong with it is said with the name.
struct Argument {
    name: String,
    given: Given,
}

enum Given {
    Json(Value),
    Text(Text),
}

impl<'de> IntoDeserializer<'de, Reason> for Argument {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! named {
    ($($method:ident($($arg:ident: $kind:ty),*);)*) => {
        $(fn $method<V: Visitor<'de>>(
            self,
            $($arg: $kind,)*
            visitor: V,
        ) -> Result<V::Value, Reason> {
            let read = match self.given {
                Given::Json(value) => {
                    value.$method($($arg,)* visitor).map_err(|error| error.to_string())
                }
                Given::Text(text) => {
                    text.$method($($arg,)* visitor).map_err(|error| error.to_string())
                }
            };
            read.map_err(|reason| {
                serde::de::Error::custom(format!("argument `{}`: {reason}", self.name))
            })
        })*
    };
}

impl<'de> Deserializer<'de> for Argument {
    type Error = Reason;

    named! {
        deserialize_any(); deserialize_bool();
        deserialize_i8(); deserialize_i16(); deserialize_i32(); deserialize_i64();
        deserialize_i128();
        deserialize_u8(); deserialize_u16(); deserialize_u32(); deserialize_u64();
        deserialize_u128();
        deserialize_f32(); deserialize_f64(); deserialize_char();
        deserialize_str(); deserialize_string(); deserialize_bytes(); deserialize_byte_buf();
        deserialize_option(); deserialize_unit(); deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str); deserialize_seq();
        deserialize_tuple(length: usize);
        deserialize_tuple_struct(name: &'static str, length: usize);
        deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier(); deserialize_ignored_any();
    }
}

/// A text that is read as the type that is wanted: a number where a number is, JSON where a list or
/// a map is.
struct Text(String);

impl Text {
    fn json(&self) -> Result<Value, Reason> {
        serde_json::from_str(&self.0).map_err(serde::de::Error::custom)
    }
}

macro_rules! parsed {
    ($($method:ident => $visit:ident, $kind:ty;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Reason> {
            match self.0.parse::<$kind>() {
                Ok(value) => visitor.$visit(value),
                Err(_) => visitor.visit_string(self.0),
            }
        })*
    };
}

macro_rules! by_json {
    ($($method:ident($($extra:ty),*);)*) => {
        $(fn $method<V: Visitor<'de>>(self, $(_: $extra,)* visitor: V) -> Result<V::Value, Reason> {
            self.json()?.deserialize_any(visitor).map_err(serde::de::Error::custom)
        })*
    };
}

impl<'de> Deserializer<'de> for Text {
    type Error = Reason;

    parsed! {
        deserialize_bool => visit_bool, bool;
        deserialize_i8 => visit_i8, i8;
        deserialize_i16 => visit_i16, i16;
        deserialize_i32 => visit_i32, i32;
        deserialize_i64 => visit_i64, i64;
        deserialize_i128 => visit_i128, i128;
        deserialize_u8 => visit_u8, u8;
        deserialize_u16 => visit_u16, u16;
        deserialize_u32 => visit_u32, u32;
        deserialize_u64 => visit_u64, u64;
        deserialize_u128 => visit_u128, u128;
        deserialize_f32 => visit_f32, f32;
        deserialize_f64 => visit_f64, f64;
    }

    by_json! {
        deserialize_unit();
        deserialize_unit_struct(&'static str);
        deserialize_seq();
        deserialize_tuple(usize);
        deserialize_tuple_struct(&'static str, usize);
        deserialize_map();
        deserialize_struct(&'static str, &'static [&'static str]);
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Reason> {
        if self.0 == "null" { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Reason> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Reason> {
        if variants.contains(&self.0.as_str()) {
            return visitor.visit_enum(self.0.into_deserializer());
        }
        let json = self.json()?;
        json.deserialize_enum(name, variants, visitor).map_err(serde::de::Error::custom)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Reason> {
        visitor.visit_string(self.0)
    }

    forward_to_deserialize_any! { char str string bytes byte_buf identifier ignored_any }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Command {
        Add { by: i64 },
        Put { key: String, value: Option<String>, tags: Vec<u8> },
        Clear,
        Nested(Inner),
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        flag: bool,
    }

    fn text(name: &str, pairs: &[(&str, &str)]) -> Result<Command, String> {
        let pairs = pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        from_text(name, pairs.collect())
    }

    // Goal: a text is read as the type that is wanted, a digit as a string where a string is.
    #[test]
    fn text_becomes_what_is_wanted() {
        assert_eq!(text("add", &[("by", "-7")]), Ok(Command::Add { by: -7 }));
        let put = Command::Put { key: "1".into(), value: Some("2".into()), tags: vec![3, 4] };
        assert_eq!(text("put", &[("key", "1"), ("value", "2"), ("tags", "[3,4]")]), Ok(put));
        assert_eq!(text("clear", &[]), Ok(Command::Clear));
        assert_eq!(text("nested", &[("flag", "true")]), Ok(Command::Nested(Inner { flag: true })));
    }

    // Goal: what does not fit is refused with the reason.
    #[test]
    fn unfit_text_is_refused() {
        assert!(text("add", &[("by", "seven")]).unwrap_err().contains("expected i64"));
        assert!(text("add", &[]).unwrap_err().contains("missing field `by`"));
        assert!(text("clear", &[("by", "1")]).unwrap_err().contains("unknown field `by`"));
        assert!(text("nested", &[("flog", "true")]).unwrap_err().contains("unknown field `flog`"));
    }

    // Goal: JSON makes variants with fields and without.
    #[test]
    fn json_makes_variants() {
        let json =
            |name, body: Value| from_json(name, body.as_object().cloned().unwrap_or_default());
        assert_eq!(json("add", serde_json::json!({"by": 1})), Ok(Command::Add { by: 1 }));
        assert_eq!(json("clear", serde_json::json!({})), Ok(Command::Clear));
        let wrong: Result<Command, String> = json("add", serde_json::json!({"by": "x"}));
        assert!(wrong.unwrap_err().starts_with("argument `by`: invalid type"));
    }
}
