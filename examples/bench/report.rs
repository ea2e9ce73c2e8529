//! What is said of a measurement: a line of JSON at once, and a table in the end.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

/// What was measured of whom, and what came of it.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) protocol: String,
    pub(crate) mode: String,
    pub(crate) clients: usize,
    pub(crate) ops_per_s: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

/// How long things last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

/// The rows so far, and what is no row.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    facts: Vec<Value>,
}

impl Report {
    /// Adds a row and prints it for programs.
    pub(crate) fn add(&mut self, row: Row) {
        say(json!({
            "peer": "consensus",
            "protocol": row.protocol,
            "mode": row.mode,
            "clients": row.clients,
            "ops_per_s": row.ops_per_s.round(),
            "p50_us": tenths(row.p50_us),
            "p99_us": tenths(row.p99_us),
        }));
        self.rows.push(row);
    }

    /// Adds what has figures of its own, and prints it for programs.
    pub(crate) fn fact(&mut self, fact: Value) {
        say(&fact);
        self.facts.push(fact);
    }

    /// Prints everything for people.
    pub(crate) fn print(&self) {
        if !self.rows.is_empty() {
            self.print_rows();
        }
        for fact in &self.facts {
            let mode = fact.get("mode").and_then(Value::as_str).unwrap_or_default();
            let figures =
                fact.as_object().into_iter().flatten().filter(|(name, _)| *name != "mode");
            let figures: Vec<String> =
                figures.map(|(name, value)| format!("{name}={value}")).collect();
            say(format_args!(" {mode}: {}", figures.join(" ")));
        }
    }

    fn print_rows(&self) {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["MODE", "PROTOCOL", "CLIENTS", "OPS/S", "P50 US", "P99 US"]);
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for row in &self.rows {
            let (ops, p50, p99) = (row.ops_per_s.round(), tenths(row.p50_us), tenths(row.p99_us));
            let numbers = [row.clients.to_string(), ops.to_string(), p50.to_string()];
            let [clients, ops, p50] = numbers;
            let protocol = row.protocol.clone();
            table.add_row([row.mode.clone(), protocol, clients, ops, p50, p99.to_string()]);
        }
        say(table);
    }
}

/// Keeps three digits behind the point.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[expect(clippy::print_stdout, reason = "it is what the program is for")]
pub(crate) fn say(what: impl std::fmt::Display) {
    println!("{what}");
}
