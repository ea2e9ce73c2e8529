//! Panics of simulated runs are findings or part of a run: they are noted and not printed.

use std::{
    cell::{Cell, RefCell},
    panic::{self, PanicHookInfo},
    sync::Arc,
    thread,
};

type Hook = dyn Fn(&PanicHookInfo<'_>) + Send + Sync;

thread_local! {
    /// This thread is within a simulated run.
    static SIMULATES: Cell<bool> = const { Cell::new(false) };
    /// Where the last panic of the run was, and what it said.
    static LAST: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

/// As long as it lives, panics within simulated runs print nothing; all others do as before.
pub(crate) struct Quiet {
    former: Arc<Hook>,
}

impl Quiet {
    pub(crate) fn begin() -> Self {
        let former: Arc<Hook> = panic::take_hook().into();
        let others = Arc::clone(&former);
        panic::set_hook(Box::new(move |panic| {
            if SIMULATES.get() {
                let place = panic.location().map_or_else(|| "?".to_owned(), ToString::to_string);
                LAST.set(Some((place, panic.to_string())));
            } else {
                others(panic);
            }
        }));
        Self { former }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // A thread that panics may not change hooks.
        if !thread::panicking() {
            let former = Arc::clone(&self.former);
            panic::set_hook(Box::new(move |panic| former(panic)));
        }
    }
}

/// Ends the silence of a thread, also where a panic escapes from the run: that one is printed.
struct Within;

impl Drop for Within {
    fn drop(&mut self) {
        SIMULATES.set(false);
        if thread::panicking()
            && let Some((_, text)) = LAST.take()
        {
            eprintln!("the simulator itself failed: {text}");
        }
    }
}

/// Does `work` with its panics noted; returns where the last one was.
pub(super) fn quietly<T>(work: impl FnOnce() -> T) -> (T, Option<String>) {
    LAST.set(None);
    SIMULATES.set(true);
    let within = Within;
    let done = work();
    drop(within);
    (done, LAST.take().map(|(place, _)| place))
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    // Goal: the place of a panic is known, it is silent within a run only, and the hook returns.
    // Method: a hook that counts in the place of the one that prints.
    #[test]
    fn panics_within_runs_are_noted_and_silent() {
        thread_local!(static SHOWN: Cell<u32> = const { Cell::new(0) });
        panic::set_hook(Box::new(|_| SHOWN.set(SHOWN.get() + 1)));
        let panics = || catch_unwind(|| panic!("on purpose")).is_err();

        let quiet = Quiet::begin();
        let (caught, place) = quietly(panics);
        assert!(caught && place.is_some_and(|place| place.contains("quiet.rs")));
        assert_eq!(quietly(|| 1), (1, None));
        assert_eq!(SHOWN.get(), 0);
        assert!(panics());
        assert_eq!(SHOWN.get(), 1);
        drop(quiet);
        assert!(quietly(panics).0);
        assert_eq!(SHOWN.get(), 2);
        drop(panic::take_hook());
    }
}
