use std::collections::BTreeMap;

use consensus_actors::prelude::*;

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
#[replica(simulate)]
struct Few<const N: u8> {
    map: BTreeMap<String, u8>,
}

#[replicated]
impl<const N: u8> Few<N> {
    #[query]
    fn get(&self, key: String) -> Option<u8> {
        self.map.get(&key).copied()
    }
}

fn main() {}
