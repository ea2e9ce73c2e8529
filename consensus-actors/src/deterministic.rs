//! Which types may stand in a replicated state.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, VecDeque},
    marker::PhantomData,
    num::{NonZeroI32, NonZeroI64, NonZeroU32, NonZeroU64},
    sync::Arc,
    time::Duration,
};

/// A type that behaves alike on every replica: the same operations give the same value, the same
/// order of iteration and the same encoding.
///
/// Derive it for types of your own: `#[derive(Deterministic)]` demands it of every field.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not known to behave alike on every replica",
    label = "not replicable",
    note = "derive `Deterministic` for it if it is yours, or mark the field `#[replica(trust = \
    \"why it cannot differ\")]`"
)]
pub trait Deterministic {}

macro_rules! deterministic {
    ($($kind:ty),* $(,)?) => { $(impl Deterministic for $kind {})* };
}

deterministic!(
    (),
    bool,
    char,
    u8,
    u16,
    u32,
    u64,
    u128,
    i8,
    i16,
    i32,
    i64,
    i128,
    String,
    str,
    Duration,
    NonZeroI32,
    NonZeroI64,
    NonZeroU32,
    NonZeroU64,
    bytes::Bytes,
);

macro_rules! deterministic_of {
    ($($kind:ident<$($of:ident),*>),* $(,)?) => {
        $(impl<$($of: Deterministic),*> Deterministic for $kind<$($of),*> {})*
    };
}

deterministic_of!(
    Vec<T>, VecDeque<T>, Option<T>, Result<T, E>, BTreeMap<K, V>, BTreeSet<T>,
);

impl<T: Deterministic + ?Sized> Deterministic for Box<T> {}
impl<T: Deterministic + ?Sized> Deterministic for Arc<T> {}
impl<T: Deterministic> Deterministic for [T] {}
impl<T: Deterministic, const N: usize> Deterministic for [T; N] {}
impl<T: Deterministic + ToOwned + ?Sized> Deterministic for Cow<'_, T> {}
impl<T: ?Sized> Deterministic for PhantomData<T> {}

macro_rules! deterministic_tuple {
    ($($of:ident),*) => { impl<$($of: Deterministic),*> Deterministic for ($($of,)*) {} };
}

deterministic_tuple!(A);
deterministic_tuple!(A, B);
deterministic_tuple!(A, B, C);
deterministic_tuple!(A, B, C, D);
deterministic_tuple!(A, B, C, D, E);
deterministic_tuple!(A, B, C, D, E, F);
deterministic_tuple!(A, B, C, D, E, F, G);
deterministic_tuple!(A, B, C, D, E, F, G, H);
