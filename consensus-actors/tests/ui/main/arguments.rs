#[consensus_actors::main]
async fn main() -> consensus_actors::Result {
    Ok(())
}
