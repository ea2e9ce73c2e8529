//! `dev`: a cluster of child processes on loopback.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use super::{Application, USAGE, complain, options::Dev, say};
use crate::{
    config::{self, Flag, Sources, table::PROTOCOL},
    error::{Code, Error, Result},
};

/// How long a dead child stays down.
const RESTART_AFTER: Duration = Duration::from_secs(2);

/// How often children are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long children may take to end by themselves: longer than they allow themselves.
const GRACE: Duration = Duration::from_secs(6);

/// The nodes of the cluster, and how to start each.
struct Cluster {
    application: Application,
    options: Dev,
    data: PathBuf,
    nodes: Vec<Node>,
}

struct Node {
    id: u16,
    child: State,
}

/// How a node stands.
enum State {
    Running(Child),
    /// It died, and is started again at this moment.
    Waiting(Instant),
    /// It died, and stays down.
    Down,
}

/// Runs a cluster until Ctrl-C.
pub(super) fn dev(application: Application, options: Dev) -> Result<ExitCode> {
    // What the nodes would refuse one by one is refused here.
    let protocol = options.protocol.iter().map(|name| Flag::Of(&PROTOCOL.key, name.clone()));
    let sources = Sources { file: options.configured.config.clone(), flags: protocol.collect() };
    sources.read().map_err(config::first)?;
    let temporary = options.data.is_none();
    let data = match &options.data {
        Some(data) => data.clone(),
        None => fresh_directory(application.name)?,
    };
    let mut cluster = Cluster { application, options, data, nodes: Vec::new() };
    let ran = actix_rt::System::new().block_on(cluster.run());
    cluster.end();
    if temporary {
        fs::remove_dir_all(&cluster.data).ok();
    }
    ran.map(|()| ExitCode::SUCCESS)
}

/// Makes a directory that nobody had before, nor can guess.
fn fresh_directory(name: &str) -> Result<PathBuf> {
    let drawn = getrandom::u64().map_err(Error::application)?;
    let directory = std::env::temp_dir().join(format!("{name}-dev-{drawn:016x}"));
    fs::create_dir(&directory)?;
    Ok(directory)
}

impl Cluster {
    async fn run(&mut self) -> Result {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut interrupt, mut terminate, mut hangup) = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        );
        fs::create_dir_all(&self.data)?;
        for id in 1..=self.options.nodes {
            self.refuse_used_ports(id)?;
            let child = State::Running(self.start(id)?);
            self.nodes.push(Node { id, child });
        }
        self.introduce();
        loop {
            tokio::select! {
                biased;
                _ = interrupt.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
                _ = hangup.recv() => return Ok(()),
                () = tokio::time::sleep(LOOK_EVERY) => self.look()?,
            }
        }
    }

    fn http(&self, id: u16) -> String {
        format!("127.0.0.1:{}", self.options.base_port + id)
    }

    fn peer(&self, id: u16) -> String {
        format!("127.0.0.1:{}", self.options.base_port + 100 + id)
    }

    /// Says at once what a child would only say in its log.
    fn refuse_used_ports(&self, id: u16) -> Result {
        for address in [self.http(id), self.peer(id)] {
            if let Err(error) = std::net::TcpListener::bind(&address) {
                let message = format!(
                    "cannot listen on {address}: {error}; another process has it: stop that, or \
                     move this cluster with --base-port"
                );
                return Err(Error::new(Code::AddressInUse, message));
            }
        }
        Ok(())
    }

    fn start(&self, id: u16) -> Result<Child> {
        let peers: Vec<String> =
            (1..=self.options.nodes).map(|peer| format!("{peer}={}", self.peer(peer))).collect();
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", "--end-with-stdin", "--dev-defaults"]);
        if let Some(config) = &self.options.configured.config {
            command.arg("--config").arg(config);
        }
        if let Some(protocol) = &self.options.protocol {
            command.args(["--protocol", protocol]);
        }
        let child = command
            .args(["--id", &id.to_string(), "--peers", &peers.join(",")])
            .args(["--http", &self.http(id), "--cluster", "dev"])
            .arg("--data")
            .arg(self.data.join(format!("node-{id}")))
            // The pipe that tells the child that this process is gone; it must stay open.
            .stdin(Stdio::piped())
            .spawn()?;
        Ok(child)
    }

    fn introduce(&self) {
        let name = self.application.name;
        for node in &self.nodes {
            if let State::Running(child) = &node.child {
                let (id, http, pid) = (node.id, self.http(node.id), child.id());
                say(format_args!("node {id}  http://{http}  pid {pid}"));
            }
        }
        let (first, addr) = (self.http(1), self.http(1));
        let addr =
            if self.options.base_port == 4700 { String::new() } else { format!(" --addr {addr}") };
        say(format_args!(
            "data in {}\n\ntry:  {name} status{addr}\n      curl http://{first}/v1/groups\n      \
             kill -9 a node's pid: the others go on, and it comes back{}\n\n{}\n\nCtrl-C ends \
             all of them.",
            self.data.display(),
            if self.options.no_restart { " only when you start it" } else { " after two seconds" },
            self.how_to_grow(&addr),
        ));
    }

    /// Says how one more node joins, which is started by hand and ends by itself.
    fn how_to_grow(&self, addr: &str) -> String {
        let (name, spare) = (self.application.name, self.options.nodes + 1);
        let (join, listen, http) = (self.peer(1), self.peer(spare), self.http(spare));
        let data = self.data.join(format!("node-{spare}"));
        let given = |flag: &str, value: String| format!(" --{flag} {value}");
        let Dev { configured, protocol, .. } = &self.options;
        let config = configured.config.as_ref().map(|file| file.display().to_string());
        let config = config.map(|file| given("config", file)).unwrap_or_default();
        let protocol = protocol.clone().map(|name| given("protocol", name)).unwrap_or_default();
        format!(
            "grow: {name} serve --id {spare} --join {join} --listen {listen} --http {http} \
             --cluster dev{config}{protocol} --data {}\n      {name} add {spare}{addr}",
            data.display()
        )
    }

    /// Reports children that died, and starts those whose time has come.
    fn look(&mut self) -> Result {
        for position in 0..self.nodes.len() {
            let Some(node) = self.nodes.get_mut(position) else { continue };
            let id = node.id;
            let next = match &mut node.child {
                State::Running(child) => match child.try_wait() {
                    Ok(Some(status)) => self.on_death(id, status)?,
                    Ok(None) | Err(_) => continue,
                },
                State::Waiting(at) if Instant::now() >= *at => match self.start(id) {
                    Ok(child) => {
                        say(format_args!("node {id} is back, pid {}", child.id()));
                        State::Running(child)
                    }
                    Err(error) => {
                        complain(&error);
                        State::Waiting(Instant::now() + RESTART_AFTER)
                    }
                },
                State::Waiting(_) | State::Down => continue,
            };
            if let Some(node) = self.nodes.get_mut(position) {
                node.child = next;
            }
        }
        Ok(())
    }

    /// Reports a death and tells what comes next; an error if starting again would not help.
    fn on_death(&self, id: u16, status: ExitStatus) -> Result<State> {
        if status.code() == Some(i32::from(USAGE)) {
            let message = format!("node {id} refuses its configuration, as it says above");
            return Err(Error::new(Code::Config, message));
        }
        let restart = !self.options.no_restart;
        let then = if restart { "starts again in two seconds" } else { "stays down" };
        say(format_args!("node {id} died ({status}); it {then}"));
        Ok(if restart { State::Waiting(Instant::now() + RESTART_AFTER) } else { State::Down })
    }

    /// Ends all children: closing their standard input asks, and after a grace they are killed.
    fn end(&mut self) {
        let running = self.nodes.drain(..).filter_map(|node| match node.child {
            State::Running(child) => Some(child),
            State::Waiting(_) | State::Down => None,
        });
        let mut children: Vec<Child> = running.collect();
        children.iter_mut().for_each(|child| drop(child.stdin.take()));
        let patience = Instant::now() + GRACE;
        for child in &mut children {
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < patience {
                std::thread::sleep(Duration::from_millis(10));
            }
            child.kill().ok();
            child.wait().ok();
        }
    }
}
