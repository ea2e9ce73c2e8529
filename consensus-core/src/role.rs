//! Exclusive roles: structs that hold one seat in turn.
//!
//! A role holds only its own data and shares a `State` with its siblings. It is stepped by
//! [`advance`], the one function that knows the rules above all roles (a higher term makes a
//! follower) and the loop of [`Next::Redeliver`]. The core's enum and the actors both call it, so
//! that they cannot differ.

use crate::{
    log::Index,
    members::NodeId,
    process::{Effects, Input, Process, Status},
    time::Time,
};

/// What a role makes of an input.
#[derive(Debug)]
pub enum Next<P: Seated> {
    /// The role keeps the seat.
    Stay,
    /// The input was consumed, and `0` holds the seat from now on.
    Become(P::Role),
    /// `0` holds the seat from now on, and the input is its to consume.
    Redeliver(P::Role, Input<P>),
}

/// A process whose roles exclude each other.
pub trait Seated: Process {
    /// What the roles share, moved from each to the next.
    type State: Send + 'static;
    /// The closed enum of roles.
    type Role: Step<Self> + std::fmt::Debug + Send + 'static;

    /// Splits the process into what roles share and the role itself.
    fn into_parts(self) -> (Self::State, Self::Role);

    /// Applies the rules above all roles; returns the role that must consume the input in place of
    /// the present one.
    fn preempt(
        state: &mut Self::State,
        now: Time,
        input: &Input<Self>,
        out: &mut Effects<Self>,
    ) -> Option<Self::Role>;

    /// Tells operators what `state` says under the role called `role`.
    fn status(state: &Self::State, role: &'static str) -> Status;
}

/// A role, or the enum of all of them.
pub trait Step<P: Seated> {
    /// The role's name in the paper, lower case.
    fn name(&self) -> &'static str;

    /// Consumes one input.
    fn step(
        &mut self,
        state: &mut P::State,
        now: Time,
        input: Input<P>,
        out: &mut Effects<P>,
    ) -> Next<P>;

    /// Returns how far each follower is known to have the log, where this role knows.
    fn followers(&self, _state: &P::State) -> Vec<(NodeId, Index)> {
        Vec::new()
    }

    /// Ends the tenure: what belongs to it is answered or dropped.
    fn retire(&mut self, state: &mut P::State, out: &mut Effects<P>);
}

/// One role of a protocol, convertible from and into the enum of all.
pub trait Role<P: Seated>:
    Step<P> + Into<P::Role> + TryFrom<P::Role, Error: Into<P::Role>> + Send + 'static
{
}

/// Makes an enum of roles a role itself, and lets each role become the enum and come back.
macro_rules! exclusive_roles {
    ($process:ty, $all:ident { $($role:ident),+ $(,)? }) => {
        impl $crate::role::Step<$process> for $all {
            fn name(&self) -> &'static str {
                match self {
                    $(Self::$role(role) => role.name(),)+
                }
            }

            fn step(
                &mut self,
                state: &mut <$process as $crate::role::Seated>::State,
                now: $crate::Time,
                input: $crate::Input<$process>,
                out: &mut $crate::Effects<$process>,
            ) -> $crate::role::Next<$process> {
                match self {
                    $(Self::$role(role) => role.step(state, now, input, out),)+
                }
            }

            fn followers(
                &self,
                state: &<$process as $crate::role::Seated>::State,
            ) -> Vec<($crate::NodeId, $crate::Index)> {
                match self {
                    $(Self::$role(role) => role.followers(state),)+
                }
            }

            fn retire(
                &mut self,
                state: &mut <$process as $crate::role::Seated>::State,
                out: &mut $crate::Effects<$process>,
            ) {
                match self {
                    $(Self::$role(role) => role.retire(state, out),)+
                }
            }
        }

        $(
            impl From<$role> for $all {
                fn from(role: $role) -> Self {
                    Self::$role(role)
                }
            }

            impl TryFrom<$all> for $role {
                type Error = $all;

                fn try_from(role: $all) -> Result<Self, $all> {
                    match role {
                        $all::$role(role) => Ok(role),
                        other => Err(other),
                    }
                }
            }

            impl $crate::role::Role<$process> for $role {}
        )+
    };
}
pub(crate) use exclusive_roles;

/// Feeds `input` to `role`; returns the role that holds the seat afterwards if it is another
/// tenure.
pub fn advance<P: Seated, R: Step<P>>(
    role: &mut R,
    state: &mut P::State,
    now: Time,
    input: Input<P>,
    out: &mut Effects<P>,
) -> Option<P::Role> {
    let next = match P::preempt(state, now, &input, out) {
        Some(successor) => Next::Redeliver(successor, input),
        None => role.step(state, now, input, out),
    };
    match next {
        Next::Stay => None,
        Next::Become(successor) => {
            role.retire(state, out);
            Some(successor)
        }
        Next::Redeliver(mut successor, input) => {
            role.retire(state, out);
            let after = advance(&mut successor, state, now, input, out);
            Some(after.unwrap_or(successor))
        }
    }
}
