//! `docs/configuration.md` says what the table says, and its examples work.

use std::{fmt::Write, fs, path::Path};

use super::{
    Settings,
    key::{Key, Scope},
    layers::Layers,
    table::{ID, TABLE},
};

/// The settings stand between these lines.
const MARKS: [&str; 2] = ["<!-- settings -->\n", "<!-- end of settings -->\n"];

/// Writes an entry for readers.
fn entry(key: &Key) -> String {
    let mut text = format!("### `{}`\n\n{}\n\n", key.name, key.doc());
    let (of, flag) = match key.scope {
        Scope::Tool => ("the tools", "--addr"),
        Scope::Node => ("a node", ""),
        Scope::Group => ("a group", ""),
    };
    let flag = if flag.is_empty() { format!("--{}", key.flag()) } else { flag.to_owned() };
    let default = match (key.default, key.dev) {
        (Some(default), Some(dev)) => format!("; default `{default}`, in `dev` `{dev}`"),
        (Some(default), None) => format!("; default `{default}`"),
        (None, _) if key.required => "; `serve` needs it".to_owned(),
        (None, _) => String::new(),
    };
    let (variable, value) = (key.variable(), key.kind.placeholder());
    writeln!(text, "Of {of}: `{flag} {value}`, `{variable}`{default}.").expect("a text grows");
    text
}

// Goal: the page lists every setting as it is.
// Method: write the list anew and compare; UPDATE_GOLDENFILES=1 puts it into the page.
#[test]
fn the_page_lists_the_settings() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let page = fs::read_to_string(&path).expect("the page can be read");
    let (before, rest) = page.split_once(MARKS[0]).expect("the list begins");
    let (listed, after) = rest.split_once(MARKS[1]).expect("the list ends");
    let entries: Vec<String> = TABLE.iter().map(|key| entry(key)).collect();
    let list = format!("\n{}\n", entries.join("\n"));
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        let page = format!("{before}{}{list}{}{after}", MARKS[0], MARKS[1]);
        fs::write(&path, page).expect("the page can be written");
        return;
    }
    assert!(
        listed == list,
        "docs/configuration.md is not what the table says; write it anew with \
         UPDATE_GOLDENFILES=1 cargo test -p consensus-actors config"
    );
}

// Goal: the page's files are files that work.
// Method: read each block of TOML, for each node that it names.
#[test]
fn the_page_shows_files_that_work() {
    let page = include_str!("../../../docs/configuration.md");
    let blocks: Vec<&str> =
        page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!blocks.is_empty(), "the page has an example");
    for block in blocks {
        let (mut layers, mut problems) = (Layers::default(), Vec::new());
        super::file::read(&"example".into(), block, &mut layers, &mut problems);
        assert_eq!(problems, []);
        let peers = layers.peers();
        assert!(!peers.is_empty(), "the example is a cluster");
        for (id, _) in peers {
            let mut layers = layers.clone();
            layers.set_default(&ID, id);
            assert_eq!(layers.missing(), Vec::<&Key>::new());
            Settings::new(layers).expect("the example can work");
        }
    }
}
