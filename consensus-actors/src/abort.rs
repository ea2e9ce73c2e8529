//! What becomes of a panic in an actor of ours.

/// Ends the process when dropped by a panic.
///
/// A panic in an actor is a bug of ours, for users' commands are caught before. The actor would be
/// gone and its seat, queue or file with it, while the process went on looking healthy: better that
/// its peers take over.
pub(crate) struct AbortOnPanic(pub(crate) &'static str);

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                actor = self.0,
                "an actor panicked; the process ends: please report it"
            );
            std::process::abort();
        }
    }
}
