//! Panics in simulated commands are outcomes, a great many of them: they are not printed.

use std::{cell::Cell, panic, sync::Once};

thread_local! {
    static SILENT: Cell<bool> = const { Cell::new(false) };
}

static HOOK: Once = Once::new();

/// Runs `work`, whose panics on this thread print nothing.
pub(super) fn silent<T>(work: impl FnOnce() -> T) -> T {
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !SILENT.get() {
                print(panic);
            }
        }));
    });
    let _loud = Loud(SILENT.replace(true));
    work()
}

/// Prints again when it is dropped, also by a panic.
struct Loud(bool);

impl Drop for Loud {
    fn drop(&mut self) {
        SILENT.set(self.0);
    }
}
