//! A cell of the comparison: one peer, in one mode, with so many clients, in a process of its own.

use std::{
    fmt::{self, Debug},
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::{
    Result,
    durable::Member,
    figures::Figures,
    load::{Load, Tally},
    put::Put,
    with_etcd, with_omnipaxos, with_openraft,
};

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Peer {
    /// This project; it measures itself, and the driver asks it to.
    Consensus,
    /// This project, by Multi-Paxos.
    ConsensusMultiPaxos,
    /// The crate `openraft`.
    Openraft,
    /// The crate `omnipaxos`.
    Omnipaxos,
    /// The program `etcd`.
    Etcd,
}

/// How three replicas are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// All in one process, on two threads, with the log in memory and channels for a network.
    Mem,
    /// Three processes, with a log on disk each, and TCP; the clients are in the leader's process.
    Durable,
    /// Three processes, with a log on disk each, and TCP; the clients are in a fourth.
    DurableRemote,
}

/// What a cell is asked to be.
#[derive(Clone, Debug, Args)]
pub struct Cell {
    /// Who is measured
    #[arg(long)]
    pub peer: Peer,
    /// How it is run
    #[arg(long)]
    pub mode: Mode,
    /// How many clients there are
    #[arg(long)]
    pub clients: usize,
    /// For how long it counts
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// For how long it runs before that, in seconds
    #[arg(long, default_value_t = 1.0)]
    pub warm_up: f64,
    /// Where replicas keep what they keep on disk; emptied afterwards
    #[arg(long, default_value = "target")]
    pub data: PathBuf,
}

impl Peer {
    /// The protocol that a peer speaks.
    pub fn protocol(self) -> &'static str {
        match self {
            Self::Consensus | Self::Openraft | Self::Etcd => "raft",
            Self::ConsensusMultiPaxos => "multi_paxos",
            Self::Omnipaxos => "omnipaxos",
        }
    }
}

impl Mode {
    /// All modes there are.
    pub const ALL: [Self; 3] = [Self::Mem, Self::Durable, Self::DurableRemote];

    /// Those who can be run in this mode on this machine, but for ours by Raft.
    pub fn peers(self) -> &'static [Peer] {
        match self {
            Self::Mem | Self::Durable => {
                &[Peer::ConsensusMultiPaxos, Peer::Openraft, Peer::Omnipaxos]
            }
            Self::DurableRemote if with_etcd::on_path().is_some() => {
                &[Peer::ConsensusMultiPaxos, Peer::Etcd]
            }
            Self::DurableRemote => &[Peer::ConsensusMultiPaxos],
        }
    }

    /// How many clients there are where nothing else is said: one, whom only the way there and
    /// back keeps waiting, to more than any peer can do with.
    pub fn clients(self) -> &'static [usize] {
        match self {
            Self::Mem => &[1, 64, 256, 1_024, 4_096],
            Self::Durable | Self::DurableRemote => &[1, 64, 256, 1_024],
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().expect("every peer has a name").get_name())
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().expect("every mode has a name").get_name())
    }
}

impl Cell {
    /// Runs the cell and prints its figures, one line of JSON.
    ///
    /// # Errors
    /// If the cell cannot be set up, or there is no such cell.
    pub fn run(&self) -> Result {
        let figures = match (self.peer, self.mode) {
            (Peer::Openraft, Mode::Mem) => with_openraft::mem(self)?,
            (Peer::Openraft, Mode::Durable) => with_openraft::durable(self)?,
            (Peer::Omnipaxos, Mode::Mem) => with_omnipaxos::mem(self)?,
            (Peer::Omnipaxos, Mode::Durable) => with_omnipaxos::durable(self)?,
            (Peer::Etcd, Mode::DurableRemote) => with_etcd::durable_remote(self)?,
            (Peer::Openraft | Peer::Omnipaxos | Peer::Etcd, _) => {
                return Err(format!("there is no mode {} of {}", self.mode, self.peer).into());
            }
            (Peer::Consensus | Peer::ConsensusMultiPaxos, _) => {
                return Err("our own figures come from our own bench".into());
            }
        };
        writeln!(io::stdout(), "{}", serde_json::to_string(&figures)?)?;
        Ok(())
    }

    /// Lets the clients work, on the runtime that this is called on, and says what came of it.
    /// `call` puts, and is ready once the put is answered.
    ///
    /// # Panics
    /// If a put fails.
    pub async fn measure<F, A, E>(&self, call: F) -> Figures
    where
        F: Fn(Put) -> A + Clone + Send + 'static,
        A: Future<Output = std::result::Result<(), E>> + Send + 'static,
        E: Debug + Send + 'static,
    {
        let seconds = Duration::from_secs_f64;
        let load = Load::begin(seconds(self.warm_up), seconds(self.seconds));
        let clients: Vec<_> = (0..self.clients as u64)
            .map(|number| {
                let call = call.clone();
                let client = load.clone().client(number, move |operation| call(Put::of(operation)));
                tokio::spawn(client)
            })
            .collect();
        let mut total = Tally::default();
        for client in clients {
            total.add(&client.await.expect("clients do not fail"));
        }
        let (ops_per_s, p50_us, p99_us) = total.figures(&load);
        Figures {
            peer: self.peer,
            protocol: self.peer.protocol().to_owned(),
            mode: self.mode,
            clients: self.clients,
            ops_per_s,
            p50_us,
            p99_us,
        }
    }
}

/// Runs a follower for as long as its cell lasts.
///
/// # Errors
/// If it cannot be set up, or nobody of that name has followers.
pub fn member(member: &Member) -> Result {
    match member.peer {
        Peer::Openraft => with_openraft::member(member.seat()?),
        Peer::Omnipaxos => with_omnipaxos::member(member.seat()?),
        Peer::Consensus | Peer::ConsensusMultiPaxos | Peer::Etcd => {
            Err("its members are processes of another program".into())
        }
    }
}
