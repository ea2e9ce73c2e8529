//! What a durable command waits for whatever the protocol: a block on a majority's disks, and the
//! way there and back.

use std::{
    env,
    fs::{self, File},
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::FileExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
};

use consensus_actors::Result;
use serde_json::{Value, json};

use super::PROTOCOL;
use crate::{
    cluster::Scene,
    load::Load,
    report::{Row, Span, say},
};

/// How many processes write at once, each to a file of its own, as the nodes of a cluster do.
const PROCESSES: usize = 3;

/// The lengths of the blocks that are written; the shortest counts as the floor.
const BLOCKS: [usize; 2] = [512, 4096];

/// How long each file is, of zeros that were written, so that a sync has no metadata to write.
const FILE_BYTES: usize = 16 << 20;

/// What goes over the loopback and back, about as long as an entry and its headers.
const PACKET_BYTES: usize = 128;

/// The parts, then their sum: the least that a durable command can take.
pub(crate) fn rows(scene: &Scene<'_>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for block in BLOCKS {
        rows.push(syncs(scene, block)?);
    }
    rows.push(round_trips(scene.span)?);
    let parts = [rows.first(), rows.last()];
    let sum = |part: fn(&Row) -> f64| parts.into_iter().flatten().map(part).sum::<f64>();
    let (p50_us, p99_us) = (sum(|row| row.p50_us), sum(|row| row.p99_us));
    rows.push(Row {
        p50_us,
        p99_us,
        ops_per_s: 1e6 / p50_us,
        ..row("floor-durable".to_owned(), 1)
    });
    Ok(rows)
}

fn row(mode: String, clients: usize) -> Row {
    Row { protocol: PROTOCOL.to_owned(), mode, clients, ops_per_s: 0.0, p50_us: 0.0, p99_us: 0.0 }
}

/// Has the processes write, and takes of each figure the one in the middle; operations are of all.
fn syncs(scene: &Scene<'_>, block: usize) -> Result<Row> {
    fs::create_dir_all(scene.data)?;
    let mut writers = Vec::new();
    for _ in 0..PROCESSES {
        writers.push(Writer::spawn(scene, block)?);
    }
    let mut said = Vec::new();
    for writer in &mut writers {
        said.push(writer.ended()?);
    }
    let figures = |name: &str| {
        let mut figures: Vec<f64> =
            said.iter().filter_map(|said| said.get(name)?.as_f64()).collect();
        figures.sort_unstable_by(f64::total_cmp);
        figures
    };
    let middle = |name: &str| figures(name).get(PROCESSES / 2).copied().unwrap_or_default();
    Ok(Row {
        ops_per_s: figures("ops_per_s").iter().sum(),
        p50_us: middle("p50_us"),
        p99_us: middle("p99_us"),
        ..row(format!("floor-fdatasync-{block}"), PROCESSES)
    })
}

/// A process that writes blocks; it ends with this.
struct Writer(Child);

impl Writer {
    fn spawn(scene: &Scene<'_>, block: usize) -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        let seconds = |duration: std::time::Duration| duration.as_secs_f64().to_string();
        command.args(["--floor-block", &block.to_string()]);
        command.args(["--seconds", &seconds(scene.span.measured)]);
        command.args(["--warm-up", &seconds(scene.span.warm_up)]);
        command.arg("--data").arg(scene.data).stdin(Stdio::null()).stdout(Stdio::piped());
        Ok(Self(command.spawn()?))
    }

    /// Waits for its end; returns what it has measured.
    fn ended(&mut self) -> Result<Value> {
        let mut said = String::new();
        self.0
            .stdout
            .take()
            .into_iter()
            .try_for_each(|mut out| out.read_to_string(&mut said).map(drop))?;
        Ok(serde_json::from_str(&said).map_err(io::Error::other)?)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Writes blocks, each of which it makes durable, and says how long they took: what a [`Writer`]
/// runs.
pub(crate) fn write_blocks(block: usize, data: &Path, span: Span) -> Result {
    let path = data.join(format!("floor-{}", std::process::id()));
    let file = File::options().create(true).truncate(true).write(true).open(&path)?;
    file.write_all_at(&vec![0; FILE_BYTES], 0)?;
    file.sync_all()?;
    let content = vec![0xa5; block];
    let written = measure("floor-fdatasync", span, |number| {
        let offset = number * block as u64 % FILE_BYTES as u64;
        file.write_all_at(&content, offset).and_then(|()| file.sync_data())
    });
    fs::remove_file(&path)?;
    let Row { ops_per_s, p50_us, p99_us, .. } = written;
    say(json!({ "ops_per_s": ops_per_s, "p50_us": p50_us, "p99_us": p99_us }));
    Ok(())
}

/// Sends packets over the loopback to another thread, which sends them back.
fn round_trips(span: Span) -> Result<Row> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut near = TcpStream::connect(listener.local_addr()?)?;
    let (mut far, _) = listener.accept()?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let echo = thread::spawn(move || {
        let mut packet = [0; PACKET_BYTES];
        while far.read_exact(&mut packet).and_then(|()| far.write_all(&packet)).is_ok() {}
    });
    let mut packet = [0; PACKET_BYTES];
    let row = measure("floor-loopback", span, |_| {
        near.write_all(&packet).and_then(|()| near.read_exact(&mut packet))
    });
    drop(near);
    echo.join().ok();
    Ok(row)
}

/// Measures what blocks, done again and again by one client.
fn measure(mode: &str, span: Span, mut once: impl FnMut(u64) -> io::Result<()>) -> Row {
    let load = Load::begin(span.warm_up, span.measured);
    let client = Arc::clone(&load).client(0, |number| std::future::ready(once(number)));
    let (ops_per_s, p50_us, p99_us) = actix_rt::System::new().block_on(client).figures(&load);
    Row { ops_per_s, p50_us, p99_us, ..row(mode.to_owned(), 1) }
}
