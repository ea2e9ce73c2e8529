//! Values of any type, made up from what its `Deserialize` asks for.
//!
//! Values are small and alike, so that operations meet; now and then one is at the edge of what its
//! type holds. It never reads anything: a type that looks first what there is, as untagged enums
//! do, cannot be made up.

use std::fmt;

use consensus_core::sim::Random;
use serde::{
    Deserializer,
    de::{
        self, DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess,
        SeqAccess, VariantAccess, Visitor, value::StrDeserializer,
    },
};

/// How often a value is made up anew that its type refuses, as `NonZeroU32` does zero.
const ATTEMPTS_MAX: usize = 100;
/// From this depth on, nothing is in a list that may be empty, so that recursive types end.
const DEPTH_SMALL: usize = 8;
/// What is deeper is made up anew.
const DEPTH_MAX: usize = 32;
/// The most entries of a list or a map.
const ENTRIES_MAX: u64 = 3;
/// One in so many values is a strange one.
const STRANGE: u64 = 24;

/// Why a value could not be made up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The type does not say what it wants.
    Unsaid,
    /// The type has no values.
    Empty,
    /// The value is not one of the type.
    Invalid(String),
    /// The value was about to become too deep.
    Deep,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsaid => f.write_str(
                "a type does not say what it wants (it is untagged, internally tagged, flattened, \
                 or holds any JSON)",
            ),
            Self::Empty => f.write_str("a type has no values"),
            Self::Invalid(why) => {
                write!(f, "a type refuses {ATTEMPTS_MAX} values, the last one since: {why}")
            }
            Self::Deep => write!(f, "a type is deeper than {DEPTH_MAX} levels"),
        }
    }
}

impl std::error::Error for Refused {}

impl de::Error for Refused {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Invalid(message.to_string())
    }
}

/// Makes up a value.
pub(super) fn value<T: DeserializeOwned>(random: &mut Random) -> Result<T, Refused> {
    let mut last = Refused::Deep;
    for _ in 0..ATTEMPTS_MAX {
        match T::deserialize(Arbitrary { random: &mut *random, depth: 0 }) {
            Err(refused @ (Refused::Invalid(_) | Refused::Deep)) => last = refused,
            done @ (Ok(_) | Err(Refused::Unsaid | Refused::Empty)) => return done,
        }
    }
    Err(last)
}

/// Makes up a text.
pub(super) fn string(random: &mut Random) -> String {
    const USUAL: [&str; 5] = ["a", "b", "c", "d", "key"];
    const STRANGE_ONES: [&str; 6] = ["", " ", "größe", "🦀", "a \"quoted\" / text\n", "\0"];
    if random.below(STRANGE) > 0 {
        return random.pick(&USUAL).copied().unwrap_or_default().to_owned();
    }
    match random.pick(&STRANGE_ONES) {
        Some(text) if random.below(8) > 0 => (*text).to_owned(),
        Some(_) | None => "long ".repeat(100),
    }
}

struct Arbitrary<'a> {
    random: &'a mut Random,
    depth: usize,
}

impl Arbitrary<'_> {
    /// Returns the source of what stands within this value.
    fn within(&mut self) -> Result<Arbitrary<'_>, Refused> {
        if self.depth >= DEPTH_MAX {
            return Err(Refused::Deep);
        }
        Ok(Arbitrary { random: self.random, depth: self.depth + 1 })
    }

    /// Draws a number from `low` to `high`, mostly a small one.
    fn whole(&mut self, low: i128, high: i128) -> i128 {
        if self.random.below(STRANGE) == 0 {
            let edges = [low, high, -1, 0, high - 1, low + 1];
            let edge = self.random.pick(&edges).copied().unwrap_or_default();
            return edge.clamp(low, high);
        }
        let small = i128::from(self.random.below(10));
        if low < 0 && self.random.below(3) == 0 { -small } else { small }
    }

    fn entries(&mut self) -> usize {
        if self.depth >= DEPTH_SMALL { 0 } else { self.random.below(ENTRIES_MAX + 1) as usize }
    }
}

macro_rules! whole {
    ($($ask:ident $visit:ident $kind:ty),* $(,)?) => {
        $(fn $ask<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
            visitor.$visit(self.whole(<$kind>::MIN as i128, <$kind>::MAX as i128) as $kind)
        })*
    };
}

impl<'de> Deserializer<'de> for Arbitrary<'_> {
    type Error = Refused;

    whole!(
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
    );

    fn deserialize_i128<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_i128(self.whole(i128::MIN, i128::MAX))
    }

    fn deserialize_u128<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        let number = match self.whole(0, i128::MAX) {
            i128::MAX => u128::MAX,
            number => number as u128,
        };
        visitor.visit_u128(number)
    }

    fn deserialize_f32<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_f32(self.whole(-1_000_000, 1_000_000) as f32 / 4.0)
    }

    fn deserialize_f64<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_f64(self.whole(-1_000_000_000, 1_000_000_000) as f64 / 4.0)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_bool(self.random.below(2) == 0)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        const USUAL: [char; 4] = ['a', 'b', 'c', 'x'];
        const STRANGE_ONES: [char; 4] = [' ', '\0', 'ß', '🦀'];
        let strange = self.random.below(STRANGE) == 0;
        let choices = if strange { STRANGE_ONES } else { USUAL };
        visitor.visit_char(self.random.pick(&choices).copied().unwrap_or_default())
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_string(string(self.random))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        let bytes = (0..self.entries()).map(|_| self.random.any() as u8).collect();
        visitor.visit_byte_buf(bytes)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        if self.depth >= DEPTH_SMALL || self.random.below(4) == 0 {
            visitor.visit_none()
        } else {
            visitor.visit_some(self.within()?)
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_newtype_struct(self.within()?)
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        let left = self.entries();
        visitor.visit_seq(Entries { of: self, left })
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        left: usize,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_seq(Entries { of: self, left })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        left: usize,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_seq(Entries { of: self, left })
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Refused> {
        let left = self.entries();
        visitor.visit_map(Entries { of: self, left })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        // By place and not by name: `fields` has other names of a field as well.
        visitor.visit_seq(Entries { of: self, left: fields.len() })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        let none = if self.depth == 0 {
            Refused::Empty
        } else {
            Refused::Invalid("an enum without variants has no values".to_owned())
        };
        let name = self.random.pick(variants).copied().ok_or(none)?;
        visitor.visit_enum(Variant { of: self, name })
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refused> {
        Err(Refused::Unsaid)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refused> {
        Err(Refused::Unsaid)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refused> {
        // A flattened struct asks a map for the names of its fields.
        Err(Refused::Unsaid)
    }

    fn is_human_readable(&self) -> bool {
        // The log's encoding is not.
        false
    }
}

/// The entries of a list, a map or a struct.
struct Entries<'a> {
    of: Arbitrary<'a>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Entries<'_> {
    type Error = Refused;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Refused> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(self.of.within()?).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Refused;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Refused> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Refused> {
        seed.deserialize(self.of.within()?)
    }
}

/// A variant of an enum.
struct Variant<'a> {
    of: Arbitrary<'a>,
    name: &'static str,
}

impl<'de, 'a> EnumAccess<'de> for Variant<'a> {
    type Error = Refused;
    type Variant = Fields<'a>;

    fn variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<(T::Value, Fields<'a>), Refused> {
        let name: StrDeserializer<'_, Refused> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, Fields(self.of)))
    }
}

/// The fields of a variant.
struct Fields<'a>(Arbitrary<'a>);

impl<'de> VariantAccess<'de> for Fields<'_> {
    type Error = Refused;

    fn unit_variant(self) -> Result<(), Refused> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(
        mut self,
        seed: T,
    ) -> Result<T::Value, Refused> {
        seed.deserialize(self.0.within()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, left: usize, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_seq(Entries { of: self.0, left })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_seq(Entries { of: self.0, left: fields.len() })
    }
}
