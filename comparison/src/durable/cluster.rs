//! Three processes: the one of the cell, whose replica is to lead, and two more of this program.
//!
//! A follower listens on a port that it prints, is told all ports by its standard input, and ends
//! when that is closed, which happens however the cell ends.

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{self, ChildStdout, Command, Stdio},
    thread,
};

use clap::Args;
use tempfile::TempDir;

use crate::{
    Result,
    cell::{Cell, Peer},
    durable::LogFile,
    process::Process,
};

/// How many replicas there are; they are called 1 to 3.
const REPLICAS: u64 = 3;

/// Where a replica is to be.
#[derive(Debug)]
pub struct Seat {
    /// Who it is.
    pub id: u64,
    /// Where it listens.
    pub listener: TcpListener,
    /// Where all listen, in the order of their ids.
    pub addresses: Vec<SocketAddr>,
    /// Where its log is kept.
    pub log: LogFile,
}

/// The followers of a cell, and what all of them keep on disk; both end with this.
#[derive(Debug)]
pub struct Cluster {
    followers: Vec<Process>,
    directory: TempDir,
}

/// Runs a follower: what a cell starts itself.
#[derive(Clone, Debug, Args)]
pub struct Member {
    #[arg(long)]
    pub peer: Peer,
    #[arg(long)]
    id: u64,
    #[arg(long)]
    data: PathBuf,
}

impl Cluster {
    /// Starts the followers of a cell, and returns the seat of the replica that is to lead.
    ///
    /// # Errors
    /// If a process cannot be started, or does not say where it listens.
    pub fn start(cell: &Cell) -> Result<(Self, Seat)> {
        fs::create_dir_all(&cell.data)?;
        let directory = tempfile::Builder::new().prefix("comparison-").tempdir_in(&cell.data)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let mut cluster = Self { followers: Vec::new(), directory };
        let mut outputs = Vec::new();
        for id in 2..=REPLICAS {
            outputs.push(cluster.start_follower(cell.peer, id)?);
        }
        let log = log(cluster.directory.path(), 1)?;
        let mut addresses = vec![listener.local_addr()?];
        for output in outputs {
            let mut line = String::new();
            BufReader::new(output).read_line(&mut line)?;
            let port: u16 = line.trim().parse().map_err(|_| "a follower did not start")?;
            addresses.push((Ipv4Addr::LOCALHOST, port).into());
        }
        let ports: Vec<_> = addresses.iter().map(|address| address.port().to_string()).collect();
        for Process(process) in &mut cluster.followers {
            let input = process.stdin.as_mut().expect("its standard input is ours");
            writeln!(input, "{}", ports.join(" "))?;
        }
        Ok((cluster, Seat { id: 1, listener, addresses, log }))
    }

    fn start_follower(&mut self, peer: Peer, id: u64) -> Result<ChildStdout> {
        let mut command = Command::new(env::current_exe()?);
        command
            .args(["member", "--peer", &peer.to_string(), "--id", &id.to_string()])
            .arg("--data")
            .arg(self.directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = Process::start(&mut command)?;
        let output = process.0.stdout.take().expect("its standard output is ours");
        self.followers.push(process);
        Ok(output)
    }
}

impl Member {
    /// Says where this follower listens, and waits to be told where all do. From then on the
    /// process lasts for as long as its standard input.
    ///
    /// # Errors
    /// If it cannot listen, or is told nothing of use.
    pub fn seat(&self) -> Result<Seat> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let log = log(&self.data, self.id)?;
        writeln!(io::stdout(), "{}", listener.local_addr()?.port())?;
        let mut line = String::new();
        io::stdin().read_line(&mut line)?;
        let ports: Vec<u16> =
            line.split_whitespace().map(|port| Ok(port.parse()?)).collect::<Result<_>>()?;
        thread::spawn(|| {
            let _ = io::stdin().read_to_end(&mut Vec::new());
            process::exit(0);
        });
        let addresses = ports.into_iter().map(|port| (Ipv4Addr::LOCALHOST, port).into()).collect();
        Ok(Seat { id: self.id, listener, addresses, log })
    }
}

fn log(directory: &Path, id: u64) -> Result<LogFile> {
    LogFile::create(&directory.join(format!("{id}.log")))
}
