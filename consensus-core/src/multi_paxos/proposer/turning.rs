//! How one office ends and the next begins.

use std::mem;

use super::{
    Next, Office, Proposer, Summons, asking::Asking, canvassing::Canvassing, leading::Leading,
    preparing::Preparing,
};
use crate::{multi_paxos::Role, process::Effects, time::Time};

impl Proposer {
    /// Ends the present office where another follows, and begins that.
    pub(super) fn turn(&mut self, next: Next, now: Time, out: &mut Effects<Role>) {
        if matches!(next, Next::Stay) {
            return;
        }
        let idle = Office::Follower(Asking::default());
        let state = &mut self.state;
        let heritage = match (mem::replace(&mut self.office, idle), &next) {
            (Office::Follower(mut asking), _) => {
                state.refuse(asking.drain(), out);
                None
            }
            (Office::Canvassing(_), _) => None,
            (Office::Preparing(preparing), _) => {
                state.see(preparing.ballot().round);
                preparing.into_heritage()
            }
            (Office::Leading(leading), Next::Reconfigure | Next::Lead(_)) => {
                Some(leading.hand_on(state, now, out))
            }
            (Office::Leading(leading), _) => {
                leading.retire(state, now, out);
                None
            }
        };
        let heritage = match &next {
            Next::Lead(_) | Next::Reconfigure => heritage,
            Next::Stay | Next::Follow | Next::Canvass(_) | Next::Prepare(_) => {
                if let Some(heritage) = heritage {
                    state.lay_down(heritage, out);
                }
                None
            }
        };
        match next {
            Next::Stay | Next::Follow => {}
            Next::Canvass(proof) => {
                let canvassing = Canvassing::begin(proof, state, now, out);
                self.office = Office::Canvassing(canvassing);
            }
            Next::Prepare(summons) => {
                let preparing = Preparing::begin(summons, state, now, out);
                self.office = Office::Preparing(preparing);
            }
            Next::Reconfigure => {
                let summons = Summons::Reconfigured(Box::new(heritage.unwrap_or_default()));
                let preparing = Preparing::begin(summons, state, now, out);
                self.office = Office::Preparing(preparing);
            }
            Next::Lead(elected) => {
                let leading =
                    Leading::begin((elected, heritage.unwrap_or_default()), state, now, out);
                self.office = Office::Leading(Box::new(leading));
            }
        }
    }
}
