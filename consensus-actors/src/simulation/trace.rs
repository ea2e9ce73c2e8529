//! A trace as JSON lines, one event a line.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use consensus_core::sim::Line;

/// Writes the events of a run.
///
/// # Errors
/// As writing a file has them.
pub(crate) fn write(path: &Path, lines: &[Line]) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for line in lines {
        serde_json::to_writer(&mut file, line)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}
