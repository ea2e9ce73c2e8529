use consensus_actors::prelude::*;

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
struct Counter<'a> {
    name: std::borrow::Cow<'a, str>,
}

#[replicated]
impl<'a> Counter<'a> {
    #[command]
    fn add(&mut self, by: i64) -> i64 {
        by
    }
}

fn main() {}
