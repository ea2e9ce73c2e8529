//! Names that the user takes.

use consensus_actors::prelude::*;
use serde_json::{Value, json};

use crate::{answer, apply};

#[allow(dead_code, non_camel_case_types)]
mod hostile {
    //! A module in which every name means something else.

    use consensus_actors::{Deterministic, Replicated, replicated, saga};

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

    #[derive(::core::clone::Clone, ::serde::Serialize, ::serde::Deserialize)]
    pub(super) struct OddSaga;

    #[saga(crate = "::consensus_actors", deadline = "1m")]
    impl OddSaga {
        #[step(undo = undo, retry(max = 2, backoff = "1ms..2ms"))]
        async fn act(&self) -> ::consensus_actors::saga::Outcome<u8> {
            ::consensus_actors::saga::Outcome::Done(1)
        }

        async fn undo(&self, act: ::core::option::Option<&u8>) -> ::consensus_actors::saga::Undo {
            let _ = act;
            ::consensus_actors::saga::Undo::Done
        }

        #[step(pivot)]
        async fn graph(&self, act: &u8) -> ::consensus_actors::saga::Outcome<()> {
            let _ = act;
            ::consensus_actors::saga::Outcome::Done(())
        }
    }

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
