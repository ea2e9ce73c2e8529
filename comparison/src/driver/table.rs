//! The results for people.

use comfy_table::{CellAlignment, Table, presets::ASCII_MARKDOWN};

use super::row::Row;

/// Makes the table of all rows.
pub(super) fn of(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["mode", "clients", "peer", "protocol", "puts/s", "p50 us", "p99 us", "ours"]);
    for Row { figures, ratio } in rows {
        table.add_row([
            figures.mode.to_string(),
            figures.clients.to_string(),
            figures.peer.to_string(),
            figures.protocol.clone(),
            format!("{:.0}", figures.ops_per_s),
            format!("{:.0}", figures.p50_us),
            format!("{:.0}", figures.p99_us),
            ratio.map_or_else(String::new, |ratio| format!("{ratio:.2} x")),
        ]);
    }
    for column in [1, 4, 5, 6, 7] {
        let column = table.column_mut(column).expect("the header has eight columns");
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
