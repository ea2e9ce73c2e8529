//! Processes under test: how they are built, started, signalled, awaited, and always ended.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    net::{SocketAddr, TcpListener},
    ops::Range,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How long a command that ends by itself may take.
const COMMAND_PATIENCE: Duration = Duration::from_secs(20);

/// Returns what `probe` finds, or fails the test when it finds nothing within `timeout`.
pub(crate) fn eventually<T>(
    what: &str,
    timeout: Duration,
    mut probe: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {timeout:?}: {what}");
        thread::sleep(LOOK_EVERY);
    }
}

/// Fails the test when `holds` is false at any time of the next `duration`.
pub(crate) fn throughout(what: &str, duration: Duration, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + duration;
    while Instant::now() < end {
        assert!(holds(), "not throughout {duration:?}: {what}");
        thread::sleep(LOOK_EVERY);
    }
}

/// Returns the program of `examples/counter.rs`, built like this test and up to date.
pub(crate) fn counter() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| example("counter"))
}

/// Returns the program of `examples/orders`, built like this test and up to date.
pub(crate) fn orders() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| example("orders"))
}

fn example(name: &str) -> PathBuf {
    // This is target/<profile>/deps/it-<hash>.
    let test = env::current_exe().expect("a process knows its program");
    let profile = test.ancestors().nth(2).expect("a test lies in target/<profile>/deps");
    let program = profile.join("examples").join(name);
    // Its time does not tell with which features it was built, and cargo does.
    if cfg!(feature = "postgres") || !is_fresh(&program) {
        build(profile, name);
    }
    program
}

/// Tells whether a program is younger than all sources. `cargo test` has built it then, for all
/// packages alike; to ask cargo for this one alone might build every dependency anew, with other
/// features.
fn is_fresh(program: &Path) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let Some(built) = time(program) else { return false };
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut waiting = vec![manifest.parent().expect("a member of a workspace").to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).expect("sources can be read") {
            let path = entry.expect("sources can be read").path();
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            let is_source = [".rs", ".toml", ".lock"].iter().any(|end| name.ends_with(end));
            if path.is_dir() {
                if !name.starts_with('.') && !["target", "tests"].contains(&name) {
                    waiting.push(path);
                }
            } else if is_source && time(&path).is_none_or(|changed| changed >= built) {
                return false;
            }
        }
    }
    true
}

/// Builds an example in the directory of a profile.
fn build(profile: &Path, example: &str) {
    let target = profile.parent().expect("a profile lies in the target directory");
    let name = match profile.file_name().and_then(OsStr::to_str) {
        Some("debug") => "dev",
        Some(name) => name,
        None => panic!("{} names no profile", profile.display()),
    };
    let built = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--quiet", "--package", "examples", "--example", example])
        .args(["--profile", name, "--target-dir"])
        .arg(target)
        .args(cfg!(feature = "postgres").then_some("--features=postgres"))
        .status();
    assert!(built.expect("cargo starts").success(), "the example {example} does not build");
}

/// Makes a command of the counter that depends on nothing of this process's environment.
pub(crate) fn counter_command() -> Command {
    command_of(counter())
}

/// Makes a command of a program that depends on nothing of this process's environment.
pub(crate) fn command_of(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        if name == "POSTGRES_URL" || name.to_string_lossy().starts_with("CONSENSUS_") {
            command.env_remove(name);
        }
    }
    command
}

/// What a process is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signal {
    Stop,
    Continue,
    Interrupt,
    Terminate,
}

/// Sends a signal to a process, which must exist.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let name = match signal {
        Signal::Stop => "STOP",
        Signal::Continue => "CONT",
        Signal::Interrupt => "INT",
        Signal::Terminate => "TERM",
    };
    shell_kill(name, pid);
}

/// Ends a process that is not a child of this one.
pub(crate) fn kill(pid: u32) {
    shell_kill("KILL", pid);
}

/// The standard library kills children only, and signals them not at all; every shell can.
fn shell_kill(name: &str, pid: u32) {
    let sent = Command::new("sh").arg("-c").arg(format!("kill -s {name} {pid}")).status();
    assert!(sent.expect("a shell starts").success(), "{name} cannot be sent to {pid}");
}

/// A running process. It is killed when this is dropped, and a failing test prints what it wrote.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    name: String,
    out: PathBuf,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it writes goes to files in `logs`, after what was written under that
    /// name before.
    pub(crate) fn start(command: &mut Command, logs: &Path, name: &str) -> Self {
        fs::create_dir_all(logs).expect("a directory for logs");
        let (out, log) = (logs.join(format!("{name}.out")), logs.join(format!("{name}.log")));
        let open = |path: &Path| -> File {
            let file = OpenOptions::new().create(true).append(true).open(path);
            file.expect("a file for what a process writes")
        };
        let child = command.stdout(open(&out)).stderr(open(&log)).spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        Self { child, name: name.to_owned(), out, log }
    }

    /// Returns the process's id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns what was written to the standard output.
    pub(crate) fn out(&self) -> String {
        fs::read_to_string(&self.out).expect("what was written is text")
    }

    /// Returns what was written to the standard error.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("what was written is text")
    }

    /// Returns how the process ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be awaited")
    }

    /// Waits until the process has ended by itself.
    pub(crate) fn wait(&mut self, timeout: Duration) -> ExitStatus {
        let name = self.name.clone();
        eventually(&format!("{name} ends"), timeout, || self.ended())
    }

    /// Kills the process with SIGKILL and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be awaited");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if thread::panicking() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.get(lines.len().saturating_sub(60)..).unwrap_or_default();
            eprintln!("-- what {} wrote last --\n{}", self.name, last.join("\n"));
        }
    }
}

/// What a command that ended by itself left.
#[derive(Debug)]
pub(crate) struct Done {
    /// The exit code; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Done {
    let logs = tempfile::tempdir().expect("a temporary directory");
    let mut process = Process::start(command.stdin(Stdio::piped()), logs.path(), "command");
    let code = process.wait(COMMAND_PATIENCE).code();
    Done { code, out: process.out(), err: process.log() }
}

/// Returns a loopback address that nobody listens on.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    eventually("a port is free", Duration::from_secs(5), || {
        let address = loopback(next_port(10_000..22_000, 1, &NEXT));
        is_free(address).then_some(address)
    })
}

/// Returns a base such that the ports of a `dev` cluster of up to nine nodes on it are free, and
/// those of the shop, which has ten processes and three ports for each.
pub(crate) fn free_base() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    eventually("a row of ports is free", Duration::from_secs(5), || {
        let base = next_port(22_000..32_000, 200, &NEXT);
        let free = |port| is_free(loopback(port));
        (1..=10).all(|id| [0, 50, 100].iter().all(|row| free(base + row + id))).then_some(base)
    })
}

/// Tells whether nobody listens on an address.
pub(crate) fn is_free(address: SocketAddr) -> bool {
    TcpListener::bind(address).is_ok()
}

/// Returns the address of a loopback port.
pub(crate) fn loopback(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// Counts through ports in steps. They lie below those that systems give to outgoing connections,
/// which would take the port of a node that is down; test processes that run at the same time start
/// far apart.
fn next_port(ports: Range<u32>, step: u32, next: &AtomicU32) -> u16 {
    let steps = (ports.end - ports.start) / step;
    let first = std::process::id().wrapping_mul(7_919) % steps;
    let offset = (first + next.fetch_add(1, Ordering::Relaxed)) % steps;
    u16::try_from(ports.start + offset * step).expect("these are ports")
}
