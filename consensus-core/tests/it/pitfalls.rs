//! Each published bug of the protocols' implementations has a test that says so.
//!
//! A golden script names them in its first comment, a test in the comment that states its goal.

use std::{collections::BTreeSet, fs, path::Path};

/// What they are called, and how many there are of a kind: mistakes that implementations of Raft's
/// paper made, of Paxos's and of Multi-Paxos's; bugs of elections and logs, of reads, of storage and snapshots, and
/// of failing disks.
const KINDS: [(&str, u32); 7] =
    [("RAFT-P", 34), ("PAX-P", 10), ("MPX-P", 9), ("R", 19), ("L", 5), ("S", 14), ("F", 4)];

/// Collects the names that stand in what tests say of themselves, in `folder` and below.
fn collect(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("the folder is there").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, names);
            continue;
        }
        let says: fn(&str) -> String = match path.extension().and_then(|kind| kind.to_str()) {
            Some("txt") => said_by_script,
            Some("rs") => said_by_goals,
            _ => continue,
        };
        let text = fs::read_to_string(&path).expect("sources are text");
        let said = says(&text);
        let words = said.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        names.extend(words.map(str::to_owned));
    }
}

/// Returns the comment that a script begins with.
fn said_by_script(text: &str) -> String {
    text.lines().take_while(|line| line.starts_with('#')).collect::<Vec<_>>().join(" ")
}

/// Returns the comments that begin with `Goal:`.
fn said_by_goals(text: &str) -> String {
    let (mut said, mut within) = (Vec::new(), false);
    for line in text.lines().map(str::trim) {
        within = line.starts_with("// Goal:") || within && line.starts_with("//");
        if within {
            said.push(line);
        }
    }
    said.join(" ")
}

// Goal: no published bug is forgotten: each is the subject of a test, here or where processes and
// files are tested.
#[test]
fn every_published_bug_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut names = BTreeSet::new();
    for folder in ["consensus-core", "consensus-actors", "examples"] {
        for part in ["src", "tests"].map(|part| root.join(folder).join(part)) {
            if part.is_dir() {
                collect(&part, &mut names);
            }
        }
    }
    let all = KINDS.iter().flat_map(|(kind, count)| {
        (1..=*count).map(move |number| match *kind {
            "RAFT-P" | "PAX-P" | "MPX-P" => format!("{kind}{number:02}"),
            _ => format!("{kind}{number}"),
        })
    });
    let missing: Vec<String> = all.filter(|name| !names.contains(name)).collect();
    assert!(missing.is_empty(), "no test says that it is about {missing:?}");
}
