//! What a command knows besides the state.

use consensus_actors::prelude::*;
use serde_json::json;

use crate::{apply, apply_at};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, Replicated)]
struct Lottery {
    drawn: Vec<u64>,
}

#[replicated]
impl Lottery {
    #[command]
    fn draw(&mut self, below: u64, cx: &mut Cx) -> (u64, u64) {
        let seed = cx.rng().get_seed();
        let number = seed.iter().map(|byte| u64::from(*byte)).sum::<u64>() % below;
        self.drawn.push(number);
        let born = cx.now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        (number, born.as_secs())
    }

    #[command(trust = "the order of the keys is not looked at")]
    fn count(&mut self, ballots: std::collections::HashMap<String, u64>, _cx: &mut Cx) -> u64 {
        ballots.values().sum()
    }
}

// `cx` is passed as the last parameter and is no argument: the same entry gives the same reply.
#[test]
fn context_gives_every_replica_the_same() {
    let (mut one, mut two) = (Lottery::default(), Lottery::default());
    let draw = || json!({"draw": {"below": 1_000_000}});
    assert_eq!(apply_at(9, &mut one, draw()), apply_at(9, &mut two, draw()));
    assert_eq!(one, two);
    assert_eq!(apply_at(10, &mut one, draw())[1], json!(1), "1,010 ms after the epoch");
    assert_eq!(Lottery::INTERFACE.commands[0].arguments.len(), 1);
    let count = json!({"count": {"ballots": {"a": 1, "b": 2}}});
    assert_eq!(apply(&mut one, count), json!(3));
}
