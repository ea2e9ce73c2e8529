//! A state machine without any macro: an enum of commands, an enum of queries, and `apply`.
//!
//! ```console
//! $ cargo run --release --example by_hand -- dev
//! $ curl localhost:4701/v1/groups/stock/commands/Receive -d '{"count":5}'
//! {"reply":{"Ok":5}}
//! $ curl localhost:4701/v1/groups/stock/commands/Ship -d '{"count":7}'
//! {"reply":{"Err":"only 5 in stock"}}
//! $ curl localhost:4703/v1/groups/stock/queries/Count
//! {"reply":5}
//! ```

use consensus_actors::{
    Argument, Client, Cx, Interface, Node, Operation, Replicated, StateMachine,
};
use serde::{Deserialize, Serialize};

#[consensus_actors::main]
async fn main(node: Node) -> consensus_actors::Result {
    node.host::<Stock>("stock").await?;
    node.run().await
}

/// What is in stock.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Stock {
    count: u64,
}

#[derive(Serialize, Deserialize)]
enum Command {
    Receive { count: u64 },
    Ship { count: u64 },
}

#[derive(Serialize, Deserialize)]
enum Query {
    Count,
}

const COUNT: Argument = Argument { name: "count", kind: "u64" };

impl StateMachine for Stock {
    type Command = Command;
    type Reply = Result<u64, String>;
    type Query = Query;
    type Answer = u64;

    const INTERFACE: Interface = Interface {
        commands: &[
            Operation { name: "Receive", arguments: &[COUNT], doc: "Takes goods in." },
            Operation { name: "Ship", arguments: &[COUNT], doc: "Sends goods out." },
        ],
        queries: &[Operation { name: "Count", arguments: &[], doc: "Counts the goods." }],
    };

    fn apply(&mut self, _: &mut Cx, command: Command) -> Result<u64, String> {
        self.count = match command {
            Command::Receive { count } => self.count.saturating_add(count),
            Command::Ship { count } => self
                .count
                .checked_sub(count)
                .ok_or_else(|| format!("only {} in stock", self.count))?,
        };
        Ok(self.count)
    }

    fn answer(&self, query: Query) -> u64 {
        match query {
            Query::Count => self.count,
        }
    }
}

impl Replicated for Stock {
    type Client = Client<Self>;

    const NAME: &'static str = "stock";
}
