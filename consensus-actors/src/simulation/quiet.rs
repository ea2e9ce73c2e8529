//! Panics of simulated runs are findings or part of a run: they are noted and not printed.

use std::{
    cell::{Cell, RefCell},
    panic,
    sync::Once,
    thread,
};

thread_local! {
    /// This thread is within a simulated run.
    static SIMULATES: Cell<bool> = const { Cell::new(false) };
    /// Where the last panic of the run was, and what it said.
    static LAST: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

/// Lets panics within simulated runs print nothing; all others do as before.
fn be_quiet() {
    let others = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if SIMULATES.get() {
            let place = panic.location().map_or_else(|| "?".to_owned(), ToString::to_string);
            LAST.set(Some((place, panic.to_string())));
        } else {
            others(panic);
        }
    }));
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
    HOOK.call_once(be_quiet);
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

    // Goal: the place of a panic within a run is known, whatever the run comes to.
    #[test]
    fn panics_within_runs_are_noted() {
        let panics = || catch_unwind(|| panic!("on purpose")).is_err();
        let (caught, place) = quietly(panics);
        assert!(caught && place.is_some_and(|place| place.contains("quiet.rs")));
        assert_eq!(quietly(|| 1), (1, None));
        assert!(!SIMULATES.get(), "panics print again");
    }
}
