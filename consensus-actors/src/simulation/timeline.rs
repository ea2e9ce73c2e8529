//! The page that shows a run: its events, one after the other.

use std::fmt::Write as _;

use consensus_core::sim::Report;

use super::About;

/// Returns the page.
pub(crate) fn page(about: &About, report: &Report) -> String {
    let About { title, command, nodes } = about;
    let mut page = format!(
        "<!doctype html><meta charset=utf-8><title>{title}</title><h1>{title}</h1>\
         <p>{nodes} nodes, <code>{command}</code></p><pre>",
        title = escaped(title),
        command = escaped(command)
    );
    for line in &report.trace {
        let _ = writeln!(page, "{}", escaped(&format!("{line:?}")));
    }
    page.push_str("</pre>");
    page
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
