//! Three processes of etcd on this machine, with what they ship with: each put is synced.

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};

use crate::{Result, process::Process};

/// How many there are.
const SERVERS: usize = 3;

/// How long a leader is waited for, and how long between two looks.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// The processes, and what they keep on disk; both end with this.
pub(super) struct Servers {
    addresses: Vec<SocketAddr>,
    _processes: Vec<Process>,
    _directory: TempDir,
}

/// Finds the program on the path.
pub fn on_path() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|directory| directory.join("etcd")).find(|file| file.is_file())
}

impl Servers {
    /// Starts the processes; they begin to look for each other.
    ///
    /// # Errors
    /// If there is no etcd on the path, or it cannot be started.
    pub(super) fn start(data: &Path) -> Result<Self> {
        let program = on_path().ok_or("there is no etcd on the path")?;
        fs::create_dir_all(data)?;
        let directory = tempfile::Builder::new().prefix("comparison-").tempdir_in(data)?;
        let addresses = free_addresses(2 * SERVERS)?;
        let (clients, peers) = addresses.split_at(SERVERS);
        let cluster: Vec<_> =
            peers.iter().enumerate().map(|(n, peer)| format!("{n}=http://{peer}")).collect();
        let mut processes = Vec::new();
        for (n, (client, peer)) in clients.iter().zip(peers).enumerate() {
            let name = n.to_string();
            let (client, peer) = (format!("http://{client}"), format!("http://{peer}"));
            let mut command = Command::new(&program);
            command
                .args(["--name", &name, "--initial-cluster", &cluster.join(",")])
                .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
                .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
                .args(["--log-level", "error", "--logger", "zap", "--data-dir"])
                .arg(directory.path().join(name))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            processes.push(Process::start(&mut command)?);
        }
        let addresses = clients.to_vec();
        Ok(Self { addresses, _processes: processes, _directory: directory })
    }

    /// Waits until one of them leads, and says where it listens.
    ///
    /// # Errors
    /// If none does for too long.
    pub(super) async fn leader(&self) -> Result<SocketAddr> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            for &address in &self.addresses {
                // One that does not answer has not begun to.
                let metrics = metrics(address).await.unwrap_or_default();
                if metrics.lines().any(|line| line == "etcd_server_is_leader 1") {
                    return Ok(address);
                }
            }
            sleep(PAUSE).await;
        }
        Err("etcd has found no leader".into())
    }
}

/// Asks a server for its metrics, which say whether it leads.
async fn metrics(address: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Finds addresses at which nobody listens, by listening there all at once.
fn free_addresses(count: usize) -> Result<Vec<SocketAddr>> {
    let listeners: Vec<_> = (0..count)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<std::io::Result<_>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?)).collect()
}
