//! What is made up, and how it is described.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::CString,
    fmt::Debug,
    net::IpAddr,
    num::NonZeroU8,
    time::Duration,
};

use consensus_core::sim::Random;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    arbitrary::{self, Refused},
    describe,
    generator::Generator,
};

const VALUES: usize = 2_000;

/// Makes up many values, each of which survives the log's encoding.
fn many<T: Serialize + DeserializeOwned + PartialEq + Debug>() -> Vec<T> {
    let mut random = Random::new(1, 1);
    let values = (0..VALUES).map(|_| arbitrary::value(&mut random).expect("it can be made up"));
    let values: Vec<T> = values.collect();
    for value in &values {
        let bytes = rmp_serde::to_vec_named(value).expect("it encodes");
        assert_eq!(&rmp_serde::from_slice::<T>(&bytes).expect("it decodes"), value);
    }
    values
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Shape {
    Unit,
    #[serde(alias = "newtype")]
    Newtype(u8),
    Tuple(bool, char),
    Struct {
        #[serde(alias = "first")]
        a: String,
        b: Option<i128>,
    },
}

// Goal: every variant and every edge of a number is met, and names that stand for another are no
// fields of their own.
#[test]
fn all_kinds_of_values_are_made_up() {
    let shapes = many::<Shape>();
    for kind in ["Unit", "Newtype", "Tuple", "Struct"] {
        let count = shapes.iter().filter(|shape| format!("{shape:?}").starts_with(kind)).count();
        assert!(count > VALUES / 8, "{kind}: {count}");
    }
    let numbers: BTreeSet<i64> = many::<i64>().into_iter().collect();
    assert!([0, -1, 1, i64::MIN, i64::MAX].iter().all(|edge| numbers.contains(edge)));
    assert!(many::<u128>().contains(&u128::MAX));
    assert!(many::<f64>().iter().all(|number| number.is_finite()));
    let options = many::<Option<u8>>();
    let none = options.iter().filter(|option| option.is_none()).count();
    assert!((VALUES / 5..VALUES / 3).contains(&none), "{none}");
    let lists = many::<Vec<(u8, [i16; 2])>>();
    assert!((0..=3).all(|length| lists.iter().any(|list| list.len() == length)));
    assert!(lists.iter().all(|list| list.len() <= 3));
    many::<BTreeMap<String, BTreeSet<Shape>>>();
    many::<((), Duration, IpAddr, CString, f32)>();
}

// Goal: keys meet, and strange texts are among them.
#[test]
fn texts_are_few_and_now_and_then_strange() {
    let texts = many::<String>();
    let usual = texts.iter().filter(|text| *text == "key").count();
    assert!(usual > VALUES / 8, "{usual}");
    assert!(texts.iter().any(String::is_empty));
    assert!(texts.iter().any(|text| text.len() > 400));
    assert!(texts.iter().any(|text| !text.is_ascii()));
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Tree {
    Leaf,
    Node(Box<Self>, Box<Self>, Box<Self>),
    List(Vec<Self>, Option<Box<Self>>),
}

// Goal: types that contain themselves end, and what a type refuses is made up anew.
#[test]
fn recursive_and_choosy_types_are_made_up() {
    many::<Tree>();
    many::<(NonZeroU8, NonZeroU8)>();
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u8),
    Text(String),
}

#[derive(Debug, Serialize, Deserialize)]
struct Flattened {
    #[serde(flatten)]
    inner: BTreeMap<String, u8>,
    other: u8,
}

#[derive(Debug, Deserialize)]
enum Nothing {}

#[derive(Debug)]
struct Never;

impl<'de> Deserialize<'de> for Never {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u8::deserialize(deserializer)?;
        Err(serde::de::Error::custom("no value will do"))
    }
}

// Goal: what cannot be made up is refused for the reason, and in bounded time.
#[test]
fn what_cannot_be_made_up_is_refused() {
    fn refused<T: DeserializeOwned + Debug>() -> Refused {
        arbitrary::value::<T>(&mut Random::new(1, 1)).expect_err("it is refused")
    }
    assert_eq!(refused::<Untagged>(), Refused::Unsaid);
    assert_eq!(refused::<Flattened>(), Refused::Unsaid);
    assert_eq!(refused::<serde_json::Value>(), Refused::Unsaid);
    assert_eq!(refused::<Nothing>(), Refused::Empty);
    assert!(refused::<Never>().to_string().ends_with("no value will do"));
}

// Goal: a range is drawn from as a whole, its ends included, whatever its type.
#[test]
fn ranges_are_drawn_from_as_a_whole() {
    let mut random = Random::new(1, 1);
    let mut generator = Generator::new(&mut random);
    let drawn: BTreeSet<i8> = (0..1_000).map(|_| generator.in_range(-3..=3)).collect();
    assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [-3, -2, -1, 0, 1, 2, 3]);
    assert_eq!(generator.in_range(u64::MAX..=u64::MAX), u64::MAX);
    generator.in_range(i128::MIN..=i128::MAX);
    assert_eq!(generator.pick(&["one"]), "one");
    assert!(generator.chance(100) && !generator.chance(0));
}

// Goal: operations read as people write them.
#[test]
fn operations_are_described_in_words() {
    let encoded = |value: &Shape| rmp_serde::to_vec_named(value).expect("it encodes");
    let told = |value| describe::operation(&encoded(&value));
    assert_eq!(told(Shape::Unit), "Unit");
    assert_eq!(told(Shape::Newtype(3)), "Newtype 3");
    assert_eq!(told(Shape::Struct { a: "x".into(), b: None }), r#"Struct {"a":"x","b":null}"#);
    assert_eq!(describe::reply(&encoded(&Shape::Unit)), "\"Unit\"");
    assert_eq!(describe::operation(&[0xc1]), "1 bytes");
    let long = rmp_serde::to_vec_named(&"ö".repeat(500)).expect("it encodes");
    assert_eq!(describe::reply(&long).chars().count(), 82);
}
