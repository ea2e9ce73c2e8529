//! Known bugs of what keeps snapshots.

crate::mutants::mutants! {
    pinned by test, "the test in `snapshot.rs`";

    /// A part is taken whatever snapshot or place it belongs to.
    AnyPartTaken = "any-part-taken", "part_of_another_snapshot_is_refused",
        "a part is taken if it is what the manifest says of its place (7)";
    /// A snapshot counts as whole before all of it is synced.
    SnapshotNotSynced = "snapshot-not-synced", "whole_snapshot_survives_a_crash",
        "a snapshot is whole when all of it is durable (7)";
}
