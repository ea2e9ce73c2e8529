//! Types that are deterministic by derive or on trust.

use consensus_actors::prelude::*;

#[derive(Clone, Default, Serialize, Deserialize, Deterministic)]
enum Tree<T> {
    #[default]
    Leaf,
    Node(Box<(Self, Self)>, T),
}

#[derive(Clone, Default, Serialize, Deserialize, Replicated)]
#[replica(floats)]
struct Forest {
    trees: Vec<Tree<u8>>,
    height: Vec<f64>,
    #[replica(trust = "only looked up, never iterated")]
    index: std::collections::HashMap<String, u64>,
    nothing: std::marker::PhantomData<std::time::Instant>,
}

#[replicated]
impl Forest {
    #[query]
    fn size(&self) -> u64 {
        self.trees.len() as u64
    }
}

// A type of one's own is deterministic by derive, recursive or not; what is not is vouched for.
#[test]
fn determinism_is_derived_and_trusted() {
    fn deterministic<T: Deterministic>() {}
    deterministic::<Tree<Vec<String>>>();
    let tree = Tree::Node(Box::new((Tree::Leaf, Tree::Leaf)), 1_u8);
    assert!(matches!(tree, Tree::Node(_, 1)));
    let Forest { trees, height, index, nothing: _ } = Forest::default();
    assert!(trees.is_empty() && height.is_empty() && index.is_empty());
}
