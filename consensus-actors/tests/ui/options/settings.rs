use consensus_actors::prelude::*;

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
#[replica(settings(deadline = 2.5, pre_vote = false, pre_vote = true, check_quorum))]
struct Counter {
    value: i64,
}

#[replicated]
impl Counter {
    #[query]
    fn get(&self) -> i64 {
        self.value
    }
}

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
#[replica(settings = "deadline")]
struct Other {
    value: i64,
}

#[replicated]
impl Other {
    #[query]
    fn get(&self) -> i64 {
        self.value
    }
}

fn main() {}
