//! A run as a page to look at: for now its trace, event by event.

use std::fmt::Write as _;

use consensus_core::sim::Report;

use super::About;

/// Returns the page of a run whose trace was kept.
pub(crate) fn page(about: &About, report: &Report) -> String {
    let mut page = String::from("<!doctype html>\n<meta charset=\"utf-8\">\n");
    let title = escaped(&about.title);
    let mut add = |line: String| {
        page.push_str(&line);
        page.push('\n');
    };
    add(format!("<title>{title}</title>\n<h1>{title}</h1>"));
    let About { nodes, profile, .. } = about;
    add(format!("<p>{nodes} nodes, faults: {}</p>", escaped(profile)));
    if let Some(shrunk) = &about.shrunk {
        add(format!("<p>shrunk: {}</p>", escaped(shrunk)));
    }
    add(format!("<pre>{}</pre>\n<pre>", escaped(&about.command)));
    for line in &report.trace {
        let event = serde_json::to_string(line).unwrap_or_else(|error| error.to_string());
        add(escaped(&event));
    }
    add("</pre>".to_owned());
    page
}

/// Returns a text as it stands in a page.
fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, letter| {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => write!(escaped, "{other}").unwrap_or_default(),
        }
        escaped
    })
}
