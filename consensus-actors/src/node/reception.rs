//! Receiving clients that are no members: which group they want, and whether it is what they take
//! it for.

use std::{collections::BTreeSet, sync::Arc};

use consensus_core::{Interface, Operation};

use super::{Group, Shared};
use crate::{
    error::Code,
    suggest::listed,
    transport::{
        admission::{Greeting, Ground, Refusal},
        guest::{Desk, Places, Reception},
    },
};

impl Reception for Shared {
    fn places(&self) -> &Places {
        &self.guests
    }

    fn receive(&self, greeting: &Greeting) -> Result<Arc<dyn Desk>, Refusal> {
        let group = self.group(&greeting.group).map_err(|error| {
            let ground = match error.code() {
                Code::Starting => Ground::Starting,
                _ => Ground::UnknownGroup,
            };
            Refusal { ground, reason: error.message().to_owned() }
        })?;
        match mistaken(greeting, group.as_ref()) {
            Some(reason) => Err(Refusal { ground: Ground::OtherType, reason }),
            None => Ok(group),
        }
    }
}

/// Says what the client mistakes the group for, if it does.
fn mistaken(greeting: &Greeting, group: &dyn Group) -> Option<String> {
    let (name, machine, interface) = (&greeting.group, group.machine(), group.interface());
    let offers = offers(machine, interface);
    if greeting.machine != machine {
        let wanted = &greeting.machine;
        return Some(format!(
            "the group {name:?} is a {offers}; the client is one of a {wanted:?}: give it the name \
             of such a group"
        ));
    }
    let known: BTreeSet<u64> = interface.fingerprints().collect();
    let unknown = greeting.operations.iter().filter(|of| !known.contains(of)).count();
    (unknown > 0).then(|| {
        format!(
            "the group {name:?} is a {offers}; the client knows {unknown} by another name or with \
             other arguments: build it from the same version"
        )
    })
}

/// Describes a state machine by what can be called.
fn offers(machine: &str, interface: Interface) -> String {
    let names = |of: &[Operation]| -> String {
        let all: Vec<String> = of.iter().map(ToString::to_string).collect();
        listed(all.iter().map(String::as_str))
    };
    let (commands, queries) = (names(interface.commands), names(interface.queries));
    format!("{machine:?} with the commands {commands} and the queries {queries}")
}
