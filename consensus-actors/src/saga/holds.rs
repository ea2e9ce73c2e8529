//! What a saga keeps others from while it is under way.

use serde::{Deserialize, Serialize};

use crate::error::{Code, Error, Result};

/// How many keys a saga may hold.
const KEYS_MAX: usize = 16;
/// How long a key may be.
const KEY_BYTES_MAX: usize = 256;

/// The keys that a saga holds from when it begins until it has ended, however that comes about: no
/// other saga of the same group that names one of them is under way meanwhile. This is a semantic
/// lock: it hides what a saga has half done from sagas that say what they touch, and from nobody
/// else.
///
/// All keys are taken at once, so that sagas do not wait for each other in a circle, in the order
/// in which sagas are started. What waits is listed with the saga that it waits for, and may be
/// cancelled; its deadline counts from when it begins.
///
/// ```
/// use consensus_actors::saga::Holds;
///
/// let holds = Holds::waiting(["account-7", "account-9"]);
/// # let _ = holds;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holds {
    keys: Vec<String>,
    refuses: bool,
}

impl Holds {
    /// Returns those of a saga that keeps nobody from anything.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Returns those of a saga that waits, before it begins, for others that hold one of them: up to
    /// 16 keys of up to 256 bytes.
    pub fn waiting<K: Into<String>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self { keys: keys.into_iter().map(Into::into).collect(), refuses: false }
    }

    /// Returns those of a saga that is not started while another holds one of them or waits for it:
    /// [`Code::KeyHeld`].
    pub fn or_refused<K: Into<String>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self { refuses: true, ..Self::waiting(keys) }
    }

    pub(super) fn into_keys(self) -> Vec<String> {
        self.keys
    }

    pub(super) fn refuses(&self) -> bool {
        self.refuses
    }

    /// Tells whether there are not too many.
    pub(super) fn check(&self) -> Result {
        let long = self.keys.iter().any(|key| key.len() > KEY_BYTES_MAX);
        if self.keys.len() <= KEYS_MAX && !long {
            return Ok(());
        }
        let message = format!(
            "a saga holds up to {KEYS_MAX} keys of up to {KEY_BYTES_MAX} bytes; name fewer, or \
             shorter ones"
        );
        Err(Error::new(Code::InvalidArgument, message))
    }
}
