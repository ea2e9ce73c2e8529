//! The protocols that attributes name.

use syn::Ident;

use crate::{error::Errors, options};

const SUPPORTED: [&str; 2] = ["raft", "multi_paxos"];
const PLANNED: [&str; 4] = ["epaxos", "zab", "pbft", "eventual"];

/// Tells whether there is the protocol that a word names; reports it if not.
pub(crate) fn check(word: &Ident, errors: &mut Errors) -> bool {
    let name = word.to_string();
    if SUPPORTED.contains(&&*name) {
        return true;
    }
    if PLANNED.contains(&&*name) {
        let known = SUPPORTED.join(" or ");
        errors.at(word, format_args!("protocol `{name}` is not supported yet; use {known}"));
    } else {
        errors.at(word, options::unknown("protocol", word, &SUPPORTED));
    }
    false
}
