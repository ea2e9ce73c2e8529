//! Golden scripts for Fast Paxos: each file in `tests/scripts/fast_paxos` shows one property.
//!
//! They are written as Basic Paxos's are. In traces `1.2f` is the fast round of ballot `1.2`, `1.2c`
//! the classic one, `1.2f:x` a value in it.

mod claims;
mod delays;
mod hostile;
mod trace;

use consensus_core::fast_paxos::Role;
use test_each_file::test_each_path;

use crate::paxos::script;

test_each_path! { in "./consensus-core/tests/scripts/fast_paxos" as scripts => script::run::<Role> }
