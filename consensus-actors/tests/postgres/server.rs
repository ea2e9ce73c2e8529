//! A PostgreSQL server for tests: the one that `POSTGRES_URL` names, or one of their own, which
//! lives in a temporary directory and ends with them. This file stands alone, for the tests of
//! others.

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long a server may take to start, or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Users that a server may run as when the tests run as root, which PostgreSQL refuses.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// Stops the server when nobody holds the other end of its input any more: also when the tests were
/// killed. What the server says goes to a file.
const GUARDED: &str = r#"exec 3<&0; "$@" >log 2>&1 3<&- & server=$!
(cat <&3; kill -INT "$server" 2>/dev/null) & wait "$server""#;

/// A server. The last that holds it ends it.
pub(crate) struct Server {
    config: String,
    own: Option<Own>,
}

/// A server that the tests started.
struct Own {
    programs: PathBuf,
    user: Option<&'static str>,
    directory: TempDir,
    running: Mutex<Option<Child>>,
}

impl Server {
    /// Returns the server that the tests of this process share. `None` if there is no PostgreSQL,
    /// which is said.
    pub(crate) fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = shared.upgrade() {
            return Some(server);
        }
        let server = match env::var("POSTGRES_URL") {
            Ok(config) => Self { config, own: None },
            Err(_) => Self::start()?,
        };
        let server = Arc::new(server);
        *shared = Arc::downgrade(&server);
        Some(server)
    }

    /// Starts a server for the caller alone, who may kill it. `None` if there is no PostgreSQL,
    /// which is said.
    pub(crate) fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            skipped();
            return None;
        };
        let directory = tempfile::Builder::new().prefix("pg").tempdir().expect("a directory");
        let user = user(directory.path());
        let own = Own { programs, user, directory, running: Mutex::new(None) };
        let mut initdb = own.command("initdb");
        initdb.args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync"]);
        assert_success("initdb", initdb.arg("-D").arg(own.data()).output());
        own.run();
        let socket = own.directory.path().display();
        Some(Self {
            config: format!("host={socket} user=postgres dbname=postgres"),
            own: Some(own),
        })
    }

    /// Returns how it is connected to, as a program's configuration would say it.
    pub(crate) fn config(&self) -> &str {
        &self.config
    }

    /// Kills it at once, and starts it again.
    ///
    /// # Panics
    /// If it is not a server of the tests.
    pub(crate) fn kill_and_restart(&self) {
        let own = self.own.as_ref().expect("a server of the tests");
        let server = own.pid().expect("it runs");
        assert_success("kill", Command::new("kill").args(["-KILL", &server]).output());
        own.end();
        own.run();
    }
}

impl Own {
    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Returns a command that runs a program of PostgreSQL's as the user it has to be.
    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = match self.user {
            Some(user) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", user, "--regid", &group(user), "--clear-groups"]);
                command.arg(program);
                command
            }
            None => Command::new(program),
        };
        command.current_dir(self.directory.path());
        command
    }

    /// Starts the server and waits until it takes connections.
    fn run(&self) {
        let (begun, former) = (Instant::now(), self.pid());
        loop {
            // After a kill, what the former server leaves may keep the next from starting for a
            // while.
            let child = self.spawn();
            *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
            if self.is_ready(begun, former.as_deref()) {
                return;
            }
            self.end();
            let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            assert!(begun.elapsed() < PATIENCE, "PostgreSQL does not start: {log}");
        }
    }

    fn spawn(&self) -> Child {
        let server = self.command("postgres");
        let mut guarded = Command::new("sh");
        guarded.args(["-c", GUARDED, "sh"]).arg(server.get_program()).args(server.get_args());
        guarded.arg("-D").arg(self.data()).arg("-k").arg(self.directory.path());
        guarded.args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=50"]);
        guarded.current_dir(self.directory.path()).stdin(Stdio::piped());
        // What the shell says of a server that was killed.
        guarded.stderr(Stdio::null());
        guarded.spawn().expect("a shell")
    }

    /// Waits until the server says that it is ready; `false` if it ended, or takes too long. What a
    /// former one said, which was killed, still stands until then.
    fn is_ready(&self, begun: Instant, former: Option<&str>) -> bool {
        while begun.elapsed() < PATIENCE {
            let told = self.told();
            let ready = told.lines().nth(7).is_some_and(|line| line.trim() == "ready");
            if ready && told.lines().next() != former {
                return true;
            }
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            let ended = running.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)));
            if ended {
                return false;
            }
            drop(running);
            thread::sleep(Duration::from_millis(10));
        }
        false
    }

    /// Returns what the server says of itself.
    fn told(&self) -> String {
        fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default()
    }

    fn pid(&self) -> Option<String> {
        self.told().lines().next().map(str::to_owned)
    }

    /// Ends the server if it runs, and waits for that.
    fn end(&self) {
        let child = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut child) = child else { return };
        // Waiting closes its input, and so ends the server.
        let _ = child.wait();
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.end();
    }
}

/// Says that a test was skipped, where the harness of tests does not hide it.
pub(crate) fn skipped() {
    let _ = writeln!(io::stderr(), "skipped: no PostgreSQL");
}

/// Returns where `initdb` and `postgres` are, the latest version of them.
fn programs() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = versions.map(|version| version.path()).collect();
    versions.sort_by_key(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.and_then(|name| name.parse::<u32>().ok())
    });
    let versions = versions.into_iter().rev().map(|version| version.join("bin"));
    let mut places = env::split_paths(&path).chain(versions).chain(["/usr/local/bin".into()]);
    places.find(|place| ["initdb", "postgres"].iter().all(|name| place.join(name).is_file()))
}

/// Returns the user that the server is to run as, if not as this process does, and gives the
/// directory to it.
fn user(directory: &Path) -> Option<&'static str> {
    if id(&["-u"]) != "0" {
        return None;
    }
    let user = USERS.into_iter().find(|user| !id(&["-u", user]).is_empty());
    let user = user.expect("PostgreSQL does not run as root; add a user called postgres");
    assert_success("chown", Command::new("chown").arg(user).arg(directory).output());
    Some(user)
}

fn group(user: &str) -> String {
    id(&["-g", user])
}

fn id(arguments: &[&str]) -> String {
    let told = Command::new("id").args(arguments).output();
    told.map(|told| String::from_utf8_lossy(&told.stdout).trim().to_owned()).unwrap_or_default()
}

fn assert_success(what: &str, output: io::Result<Output>) {
    let output = output.unwrap_or_else(|error| panic!("{what}: {error}"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {told}");
}
