//! What a closure makes up operations with.

use std::ops::RangeInclusive;

use consensus_core::sim::Random;
use serde::de::DeserializeOwned;

use super::arbitrary;

/// Makes up values, the same ones for the same seed.
#[derive(Debug)]
pub struct Generator<'a> {
    random: &'a mut Random,
}

/// A whole number, of any width.
pub trait Whole: Copy + TryInto<i128> + TryFrom<i128> {}

impl<T: Copy + TryInto<i128> + TryFrom<i128>> Whole for T {}

impl<'a> Generator<'a> {
    pub(super) fn new(random: &'a mut Random) -> Self {
        Self { random }
    }

    /// Makes up a whole number of a range, its ends included: `g.in_range(-9..=9)`.
    ///
    /// # Panics
    /// If the range is empty, or reaches beyond 128 bits with a sign.
    pub fn in_range<T: Whole>(&mut self, range: RangeInclusive<T>) -> T {
        let wide = |end: T| end.try_into().ok().expect("a range within 128 bits with a sign");
        let (low, high): (i128, i128) = (wide(*range.start()), wide(*range.end()));
        assert!(low <= high, "an empty range has no number to make up");
        let width = high.wrapping_sub(low) as u128;
        let drawn = u128::from(self.random.any()) << 64 | u128::from(self.random.any());
        let offset = width.checked_add(1).map_or(drawn, |width| drawn % width);
        let number = low.wrapping_add(offset as i128);
        T::try_from(number).ok().expect("between two numbers of a type are numbers of it")
    }

    /// Makes up a choice: `g.pick(&["red", "green"])`.
    ///
    /// # Panics
    /// If there is nothing to choose from.
    pub fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        assert!(!choices.is_empty(), "an empty list has nothing to pick");
        self.random.pick(choices).expect("it is not empty").clone()
    }

    /// Makes up a truth value.
    pub fn bool(&mut self) -> bool {
        self.random.below(2) == 0
    }

    /// Tells whether something happens that does so in `percent` of a hundred cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.random.below(100) < percent
    }

    /// Makes up a text: mostly one of a few short ones, so that keys meet, now and then a strange
    /// one.
    pub fn string(&mut self) -> String {
        arbitrary::string(self.random)
    }

    /// Makes up a value of any type that owns its data, from what its `Deserialize` asks for.
    ///
    /// # Panics
    /// If the type does not say what it wants, as untagged enums do not.
    pub fn any<T: DeserializeOwned>(&mut self) -> T {
        arbitrary::value(self.random).unwrap_or_else(|refused| panic!("{refused}"))
    }
}
