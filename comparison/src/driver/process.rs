//! One run of one cell, in a process of its own.

use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    Result,
    cell::{Mode, Peer},
    figures::Figures,
};

/// What a run is to measure, whoever is measured.
pub(super) struct Measured {
    pub(super) mode: Mode,
    pub(super) clients: usize,
    pub(super) seconds: f64,
    pub(super) warm_up: f64,
}

/// Who can run it.
pub(super) struct Runner<'a> {
    pub(super) ours: &'a Path,
    pub(super) data: &'a Path,
    pub(super) measured: Measured,
}

impl Runner<'_> {
    /// Runs the cell of one of those who are compared.
    pub(super) fn run(&self, party: Peer) -> Result<Figures> {
        let mut command = match party {
            Peer::Consensus | Peer::ConsensusMultiPaxos => {
                let mut command = Command::new(self.ours);
                command.args(["--protocol", party.protocol()]);
                command
            }
            Peer::Openraft | Peer::Omnipaxos | Peer::Etcd => self.of_this_program(party)?,
        };
        let Measured { mode, clients, seconds, warm_up } = &self.measured;
        command.args(["--mode", &mode.to_string(), "--clients", &clients.to_string()]);
        command.args(["--seconds", &seconds.to_string(), "--warm-up", &warm_up.to_string()]);
        let output = command
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("{command:?} cannot be started: {error}"))?;
        if !output.status.success() {
            return Err(format!("{command:?} failed: {}", output.status).into());
        }
        str::from_utf8(&output.stdout)?
            .lines()
            .filter_map(|line| serde_json::from_str::<Figures>(line).ok())
            .find(|figures| figures.mode == *mode && figures.clients == *clients)
            .map(|figures| Figures { peer: party, ..figures })
            .ok_or_else(|| format!("{command:?} printed no such figures").into())
    }

    fn of_this_program(&self, party: Peer) -> Result<Command> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["cell", "--peer", &party.to_string()]).arg("--data").arg(self.data);
        Ok(command)
    }
}
