//! How values are written: as texts in flags and variables, and as TOML in a file.

use std::{fmt, path::PathBuf, time::Duration};

use crate::{DecisionProtocol, Placement, Protocol, client::IntoDuration};

/// What a setting's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `250ms`, `2s`, `1m`.
    Duration,
    /// `64MiB`, or a number of bytes.
    Size,
    /// A whole number.
    Count,
    /// `true` or `false`.
    Switch,
    /// Any text.
    Text,
    /// A path, from the directory that the process works in.
    Path,
    /// `HOST:PORT`.
    Address,
    /// Several of them, with commas.
    Addresses,
    /// Addresses by the ids of their nodes.
    Peers,
}

impl Kind {
    /// Returns what stands for a value in a usage line.
    pub(crate) fn placeholder(self) -> &'static str {
        match self {
            Self::Duration => "TIME",
            Self::Size => "SIZE",
            Self::Count => "COUNT",
            Self::Switch => "BOOL",
            Self::Text => "TEXT",
            Self::Path => "PATH",
            Self::Address => "HOST:PORT",
            Self::Addresses => "HOST:PORT,..",
            Self::Peers => "ID=HOST:PORT,..",
        }
    }

    /// Says what a text that is none is not, and how to write one.
    pub(super) fn refusal(self) -> &'static str {
        match self {
            Self::Duration => "is no duration; write it as \"250ms\", \"2s\" or \"1m\"",
            Self::Size => "is no size; write it as \"64MiB\", \"16KiB\" or a number of bytes",
            Self::Count => "is no whole number; write it as 1000",
            Self::Switch => "is neither true nor false",
            Self::Text => "is no text; write it as \"name\"",
            Self::Path => "is no path; write it as \"data\"",
            Self::Address => "is no address; write HOST:PORT, as \"127.0.0.1:4801\"",
            Self::Addresses => {
                "is no list of addresses; write HOST:PORT, as \"127.0.0.1:4801,127.0.0.1:4802\""
            }
            Self::Peers => "names no peers; write each as ID=HOST:PORT, as 1=127.0.0.1:4801",
        }
    }

    /// Reads a text as flags and variables have it.
    pub(super) fn read(self, text: &str) -> Option<Value> {
        match self {
            Self::Duration => text.into_duration().ok().map(Value::Duration),
            Self::Size => size(text).map(Value::Size),
            Self::Count => text.parse().ok().map(Value::Count),
            Self::Switch => text.parse().ok().map(Value::Switch),
            Self::Text | Self::Path | Self::Address | Self::Addresses => {
                Some(Value::Text(text.to_owned()))
            }
            // Peers are read one by one.
            Self::Peers => None,
        }
    }
}

/// A value as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Duration(Duration),
    Size(u64),
    Count(u64),
    Switch(bool),
    Text(String),
}

impl Value {
    /// Tells whether the value stands bare in a file, without quotes.
    pub(crate) fn is_bare(&self) -> bool {
        match self {
            Self::Count(_) | Self::Switch(_) => true,
            Self::Duration(_) | Self::Size(_) | Self::Text(_) => false,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duration(duration) => match duration.subsec_nanos() {
                0 => write!(f, "{}s", duration.as_secs()),
                nanos if nanos % 1_000_000 == 0 => write!(f, "{}ms", duration.as_millis()),
                _ => write!(f, "{duration:?}"),
            },
            Self::Size(bytes) => {
                let unit = UNITS.iter().find(|(_, unit)| *bytes > 0 && bytes.is_multiple_of(*unit));
                let (name, unit) = unit.unwrap_or(&("", 1));
                write!(f, "{}{name}", bytes / unit)
            }
            Self::Count(count) => write!(f, "{count}"),
            Self::Switch(on) => write!(f, "{on}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// The units of sizes, the largest first.
const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

fn size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let bytes = match unit {
        "" => 1,
        unit => UNITS.iter().find(|(name, _)| *name == unit)?.1,
    };
    number.parse::<u64>().ok()?.checked_mul(bytes)
}

/// Writes a text as TOML.
pub(crate) fn toml_string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A type that settings have.
pub(crate) trait Typed: Sized {
    /// How its values are written.
    const KIND: Kind;

    /// Takes a value of this kind; `None` is for values of other kinds.
    fn from_value(value: Value) -> Option<Self>;

    /// Makes a value.
    fn into_value(self) -> Value;
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

/// An address as it was written: HOST:PORT, not resolved yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address(pub(crate) String);

/// Addresses as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Addresses(pub(crate) Vec<String>);

/// The addresses of nodes by their ids; they are given and read one by one.
#[derive(Debug)]
pub(crate) enum Peers {}

macro_rules! typed {
    ($($type:ty: $kind:ident, $given:pat => $taken:expr, $self:ident => $made:expr;)+) => {
        $(impl Typed for $type {
            const KIND: Kind = Kind::$kind;

            fn from_value(value: Value) -> Option<Self> {
                match value {
                    $given => Some($taken),
                    _ => None,
                }
            }

            fn into_value($self) -> Value {
                $made
            }
        })+
    };
}

typed! {
    Duration: Duration, Value::Duration(duration) => duration, self => Value::Duration(self);
    Size: Size, Value::Size(bytes) => Self(bytes), self => Value::Size(self.0);
    u64: Count, Value::Count(count) => count, self => Value::Count(self);
    bool: Switch, Value::Switch(on) => on, self => Value::Switch(self);
    String: Text, Value::Text(text) => text, self => Value::Text(self);
    PathBuf: Path, Value::Text(path) => path.into(), self => {
        Value::Text(self.to_string_lossy().into_owned())
    };
    Addresses: Addresses, Value::Text(addresses) => {
        Self(addresses.split(',').map(|address| address.trim().to_owned()).collect())
    }, self => Value::Text(self.0.join(","));
    Address: Address, Value::Text(address) => Self(address), self => Value::Text(self.0);
}

/// A value that is one of a few, each with a name.
pub(crate) trait Choice: Copy + 'static {
    /// What it is, as sentences say it.
    const WHAT: &'static str;
    /// All that there are.
    const ALL: &'static [Self];

    /// Returns the name as it is written in configuration.
    fn name(self) -> &'static str;
}

impl<T: Choice> Typed for T {
    const KIND: Kind = Kind::Text;

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Text(name) => T::ALL.iter().copied().find(|choice| choice.name() == name),
            _ => None,
        }
    }

    fn into_value(self) -> Value {
        Value::Text(self.name().to_owned())
    }
}

impl Choice for Protocol {
    const WHAT: &'static str = "protocol";
    const ALL: &'static [Self] = &Self::ALL;

    fn name(self) -> &'static str {
        self.name()
    }
}

impl Choice for DecisionProtocol {
    const WHAT: &'static str = "protocol";
    const ALL: &'static [Self] = &Self::ALL;

    fn name(self) -> &'static str {
        self.name()
    }
}

impl Choice for Placement {
    const WHAT: &'static str = "placement";
    const ALL: &'static [Self] = &Self::ALL;

    fn name(self) -> &'static str {
        self.name()
    }
}

impl Typed for Peers {
    const KIND: Kind = Kind::Peers;

    fn from_value(_: Value) -> Option<Self> {
        None
    }

    fn into_value(self) -> Value {
        match self {}
    }
}
