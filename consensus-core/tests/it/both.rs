//! Tests of what Basic Paxos and Fast Paxos have in common.

/// Makes tests of functions that take the protocol as a type parameter, its role.
macro_rules! under_both {
    ($($test:ident),+ $(,)?) => {
        mod by_paxos {
            $(#[test]
            fn $test() {
                super::$test::<consensus_core::paxos::Role>();
            })+
        }

        mod by_fast_paxos {
            $(#[test]
            fn $test() {
                super::$test::<consensus_core::fast_paxos::Role>();
            })+
        }
    };
}
