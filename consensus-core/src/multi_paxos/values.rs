//! The values of slots that follow each other.

use std::{
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
    sync::Arc,
};

use super::message::Value;

/// The values of slots that follow each other, shared by all who are sent them.
///
/// One alone, as there is in each batch of a lone caller, has no memory of its own: the command that
/// it may be is shared anyway.
#[derive(Clone)]
pub struct Values(Kept);

#[derive(Clone)]
enum Kept {
    One(Value),
    Many(Arc<[Value]>),
}

impl Deref for Values {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        match &self.0 {
            Kept::One(value) => std::slice::from_ref(value),
            Kept::Many(values) => values,
        }
    }
}

impl From<Value> for Values {
    fn from(value: Value) -> Self {
        Self(Kept::One(value))
    }
}

impl From<Vec<Value>> for Values {
    fn from(mut values: Vec<Value>) -> Self {
        match values.pop() {
            Some(value) if values.is_empty() => value.into(),
            last => {
                values.extend(last);
                Self(Kept::Many(values.into()))
            }
        }
    }
}

impl From<&[Value]> for Values {
    fn from(values: &[Value]) -> Self {
        match values {
            [value] => value.clone().into(),
            _ => Self(Kept::Many(values.into())),
        }
    }
}

impl FromIterator<Value> for Values {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Self {
        values.into_iter().collect::<Vec<_>>().into()
    }
}

impl PartialEq for Values {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Values {}

impl Hash for Values {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: values are what they were made of, one alone or several, however they were made, and
    // are compared as such.
    #[test]
    fn values_are_what_they_were_made_of() {
        let command = |text: &'static str| Value::Command(text.into());
        for made_of in [vec![], vec![command("a")], vec![command("a"), Value::NoOp, command("b")]] {
            let values = Values::from(made_of.clone());
            assert_eq!(*values, *made_of);
            assert_eq!(values, Values::from(made_of.as_slice()));
            assert_eq!(values, made_of.iter().cloned().collect());
            assert_eq!(values.clone(), values);
        }
        assert_eq!(Values::from(Value::NoOp), vec![Value::NoOp].into());
        assert_ne!(Values::from(Value::NoOp), vec![Value::NoOp; 2].into());
    }
}
