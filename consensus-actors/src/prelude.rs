//! What a file with a replicated struct needs: `use consensus_actors::prelude::*;`.

pub use consensus_core::Rng as _;
pub use serde::{Deserialize, Serialize};

pub use crate::saga::SagaDefinition as _;
pub use crate::{
    Call, Client, Code, Cx, Deterministic, Error, Node, Outcome, Replica, Replicated, Sim,
    StateMachine, command, query, replicated, saga, simulate, step,
};
