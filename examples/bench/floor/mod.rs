//! What no framework on this machine gets below: the disk, the network, and the ways from one task
//! to another.

pub(crate) mod channel;
pub(crate) mod disk;
pub(crate) mod mailbox;

use std::sync::Arc;

use actix_rt::{Arbiter, ArbiterHandle, System};

use crate::{
    cluster::{Scene, drive},
    load::Load,
    report::Row,
};

/// Whom a floor's rows are of.
const PROTOCOL: &str = "none";

/// The thread that answers, and the one that asks.
struct Threads {
    answering: Arbiter,
    /// `None` where both are one.
    asking: Option<Arbiter>,
}

impl Threads {
    fn start(two: bool) -> Self {
        Self { answering: Arbiter::new(), asking: two.then(Arbiter::new) }
    }

    /// Who answers lives there.
    fn answering(&self) -> ArbiterHandle {
        self.answering.handle()
    }

    fn asking(&self) -> ArbiterHandle {
        self.asking.as_ref().unwrap_or(&self.answering).handle()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.answering.stop();
        if let Some(asking) = &self.asking {
            asking.stop();
        }
    }
}

/// Measures closed-loop clients that ask what `begin` starts on the thread that answers.
fn asked<C, F, A, E>(
    scene: &Scene<'_>,
    (mode, two): (&str, bool),
    begin: impl FnOnce(ArbiterHandle) -> C,
    ask: F,
) -> Row
where
    C: Clone + Send + 'static,
    F: Fn(C, u64) -> A + Copy + Send + 'static,
    A: Future<Output = Result<(), E>> + Send + 'static,
    E: std::fmt::Debug + 'static,
{
    let _system = System::new();
    let threads = Threads::start(two);
    let server = begin(threads.answering());
    let load = Load::begin(scene.span.warm_up, scene.span.measured);
    let tally = drive(scene.clients, |number| {
        let server = server.clone();
        let call = move |operation| ask(server.clone(), operation);
        (threads.asking(), Arc::clone(&load).client(number, call))
    });
    Row { protocol: PROTOCOL.to_owned(), ..scene.row(mode, &load, &tally) }
}
