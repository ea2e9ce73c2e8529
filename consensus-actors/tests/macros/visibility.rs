//! Who may name what.

use consensus_actors::{Apply, prelude::*};
use serde_json::json;

use crate::{answer, apply, cx};

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
        #[allow(clippy::use_self)]
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

// Private types may stand in signatures; messages are as visible as asked; paths keep meaning.
#[test]
fn visibility_and_paths_are_kept() {
    let mut account = bank::Account::default();
    let refused = apply(&mut account, json!({"withdraw": {"cents": 1}}));
    assert_eq!(refused, json!({"Err": {"Short": {"have": 0}}}));
    let message = bank::orders::Withdraw { cents: 0 };
    assert_eq!(Apply::apply(&mut account, &mut cx(1), message), Ok(0));
    let owned = json!({"string": {"owner": ["ada", 0.0]}});
    assert_eq!(apply(&mut account, owned), json!(""));
    assert_eq!(answer(&account, json!({"option": {}})), json!(0));
    let _: fn(&bank::AccountClient, u64) -> Call<Result<u64, bank::Refused>> =
        bank::AccountClient::withdraw;
}
