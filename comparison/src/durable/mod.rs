//! What peers need to run as three processes that keep their logs on disk: a file that syncs for
//! all that waits at once, messages over TCP, and processes that end when the cell does.

mod cluster;
mod file;
mod wire;

pub use cluster::{Cluster, Member, Seat};
pub use file::LogFile;
pub use wire::{Incoming, encode, frame};
