//! A request over a channel to another task, and its answer over a channel of its own.

use tokio::sync::{mpsc, oneshot};

use super::asked;
use crate::{cluster::Scene, report::Row};

struct Ask {
    number: u64,
    answer: oneshot::Sender<u64>,
}

/// Two tasks on one thread, then on two.
pub(crate) fn rows(scene: &Scene<'_>) -> [Row; 2] {
    [("floor-mpsc", false), ("floor-mpsc-threads", true)].map(|place| {
        let begin = |arbiter: actix_rt::ArbiterHandle| {
            // Unbounded is the cheaper kind.
            let (asks, waiting) = mpsc::unbounded_channel();
            arbiter.spawn(answer(waiting));
            asks
        };
        asked(scene, place, begin, ask)
    })
}

async fn answer(mut asks: mpsc::UnboundedReceiver<Ask>) {
    while let Some(Ask { number, answer }) = asks.recv().await {
        answer.send(number).ok();
    }
}

async fn ask(
    asks: mpsc::UnboundedSender<Ask>,
    number: u64,
) -> Result<(), oneshot::error::RecvError> {
    let (answer, answered) = oneshot::channel();
    asks.send(Ask { number, answer }).ok();
    answered.await.map(drop)
}
