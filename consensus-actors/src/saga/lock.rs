//! The file that keeps the fingerprints of sagas, so that nobody changes their steps unawares.

use std::{
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
};

use consensus_core::saga::Graph;

/// Tests of one program share the file.
static FILE: Mutex<()> = Mutex::new(());

/// Compares a graph with its line in a file, `place-order 1 <digest>`, or writes that line if the
/// environment says `UPDATE_SAGA_LOCK=1`.
///
/// # Panics
/// Panics when there is no such line, or another digest stands in it.
pub fn check_lock(graph: &Graph, folder: &str, file: &str) {
    let _alone = FILE.lock().unwrap_or_else(PoisonError::into_inner);
    let path = Path::new(folder).join(file);
    let update = std::env::var_os("UPDATE_SAGA_LOCK").is_some_and(|value| value == "1");
    if let Err(problem) = compare(graph, &path, update) {
        panic!("{problem}");
    }
}

fn compare(graph: &Graph, path: &Path, update: bool) -> Result<(), String> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
    };
    let begin = format!("{} {} ", graph.name(), graph.version());
    let line = format!("{begin}{:032x}", graph.digest());
    let locked = text.lines().find(|line| line.starts_with(&begin)).map(str::trim_end);
    if locked == Some(&line) {
        return Ok(());
    }
    if update {
        let others = text.lines().filter(|line| !line.starts_with(&begin));
        let mut lines: Vec<&str> = others.chain([&*line]).collect();
        lines.sort_unstable();
        let written = fs::write(path, lines.join("\n") + "\n");
        return written.map_err(|error| format!("{} cannot be written: {error}", path.display()));
    }
    let file = path.display();
    Err(match locked {
        None => format!(
            "saga {graph} is not in {file}; run the tests once with UPDATE_SAGA_LOCK=1, and keep \
             the file with the source"
        ),
        Some(_) => format!(
            "the steps of saga {graph} are no longer those in {file}, and sagas under way could \
             not be gone on with; give it the next version, and keep the former type registered \
             until none of its sagas is left. If no saga of it was ever started, run the tests \
             once with UPDATE_SAGA_LOCK=1"
        ),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use consensus_core::saga::{Class, Retry, Step};

    use super::*;

    fn graph(version: u32, name: &str) -> Graph {
        let (timeout, retry) = (Duration::from_secs(1), Retry::default());
        let (name, class) = (name.to_owned(), Class::NoEffect);
        let steps = vec![Step { name, class, after: Vec::new(), timeout, retry }];
        Graph::new(("order", version), None, steps).unwrap()
    }

    // Goal: a saga must be in the file as it is; only who asks for it has the file written, and
    // then nothing but that saga's line changes.
    #[test]
    fn steps_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("saga.lock");
        let absent = compare(&graph(1, "ship"), &path, false).unwrap_err();
        assert!(absent.contains("order version 1 is not in") && !path.exists(), "{absent}");
        for graph in [graph(2, "ship"), graph(1, "ship"), graph(10, "mail")] {
            compare(&graph, &path, true).unwrap();
            compare(&graph, &path, false).unwrap();
        }
        let before = fs::read_to_string(&path).unwrap();
        assert_eq!(before.lines().count(), 3);
        let changed = compare(&graph(1, "sail"), &path, false).unwrap_err();
        assert!(changed.contains("next version"), "{changed}");
        assert_eq!(fs::read_to_string(&path).unwrap(), before);
        compare(&graph(1, "sail"), &path, true).unwrap();
        let after = fs::read_to_string(&path).unwrap();
        let same = before.lines().filter(|line| after.contains(line)).count();
        assert_eq!((same, after.lines().count()), (2, 3), "{after}");
    }
}
