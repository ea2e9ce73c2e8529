//! Locks of ours guard single assignments, which no panic leaves half done.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex, whatever became of the thread that held it last.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
