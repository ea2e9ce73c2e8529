//! A message to an actor, and its answer.

use actix::{Actor, Addr, Context, Handler, MailboxError, Message};

use super::asked;
use crate::{cluster::Scene, report::Row};

struct Ask(u64);

impl Message for Ask {
    type Result = u64;
}

struct Echo;

impl Actor for Echo {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // Senders beyond the capacity would wait in a queue of their own.
        ctx.set_mailbox_capacity(1_024);
    }
}

impl Handler<Ask> for Echo {
    type Result = u64;

    fn handle(&mut self, Ask(number): Ask, _: &mut Self::Context) -> u64 {
        number
    }
}

/// An actor on the arbiter of those who send, then on another.
pub(crate) fn rows(scene: &Scene<'_>) -> [Row; 2] {
    [("floor-actix", false), ("floor-actix-arbiters", true)].map(|place| {
        let begin = |arbiter| Echo::start_in_arbiter(&arbiter, |_| Echo);
        asked(scene, place, begin, ask)
    })
}

async fn ask(echo: Addr<Echo>, number: u64) -> Result<(), MailboxError> {
    echo.send(Ask(number)).await.map(drop)
}
