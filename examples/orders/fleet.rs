//! The processes of all services, as children of this one.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{Error, ErrorKind, Result},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    Rules,
    client::{agent, get},
    layout::{Layout, Member, Service},
    shipping::Database,
};

/// How long children may take to end by themselves: longer than they allow themselves.
const GRACE: Duration = Duration::from_secs(6);

/// How often something that is waited for is looked at.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The processes that run; all have ended when this is dropped.
pub(crate) struct Fleet {
    program: PathBuf,
    layout: Layout,
    rules: Rules,
    /// Where shipping keeps its parcels, if not in its replicated actor.
    database: Option<Database>,
    data: PathBuf,
    children: BTreeMap<Member, Child>,
}

impl Fleet {
    /// Starts all services.
    ///
    /// # Errors
    /// When ports are taken, or a process cannot be started.
    pub(crate) fn start(
        layout: Layout,
        rules: Rules,
        database: Option<Database>,
        data: &Path,
    ) -> Result<Self> {
        if let Some(address) = layout.taken() {
            let message = format!(
                "another process listens on {address}: stop that, or move these with --base-port"
            );
            return Err(Error::new(ErrorKind::AddrInUse, message));
        }
        fs::create_dir_all(data)?;
        let (program, data) = (std::env::current_exe()?, data.to_owned());
        let mut fleet = Self { program, layout, rules, database, data, children: BTreeMap::new() };
        for member in Member::all() {
            fleet.start_one(member)?;
        }
        Ok(fleet)
    }

    /// Starts a process, or starts it again with the data that it left.
    pub(crate) fn start_one(&mut self, member: Member) -> Result<()> {
        let name = format!("{}-{}", member.service.name(), member.node);
        let log = self.data.join(format!("{name}.log"));
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        let Rules { decline, seed, shelf } = &self.rules;
        let mut command = Command::new(&self.program);
        command
            .args(["serve", member.service.name(), "--node", &member.node.to_string()])
            .args(["--base-port", &self.layout.base_port().to_string()])
            .args(["--decline", &decline.to_string(), "--seed", &seed.to_string()])
            .args(["--shelf", &shelf.to_string(), "--end-with-stdin", "--data"])
            .arg(self.data.join(name))
            // The pipe that tells the child that this process is gone; it must stay open.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log);
        command.env_remove("POSTGRES_URL");
        if let (Service::Shipping, Some(database)) = (member.service, &self.database) {
            // Who lists processes sees their arguments, and the environment of his own only.
            command.env("POSTGRES_URL", database.config()).args(["--schema", database.schema()]);
        }
        self.children.insert(member, command.spawn()?);
        Ok(())
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// Returns a process's id, if it was started.
    pub(crate) fn pid(&self, member: Member) -> Option<u32> {
        self.children.get(&member).map(Child::id)
    }

    /// Returns which processes have ended by themselves, and how; each is told once.
    pub(crate) fn ended(&mut self) -> Vec<(Member, ExitStatus)> {
        let children = self.children.iter_mut();
        let ended = children.filter_map(|(member, child)| {
            child.try_wait().ok().flatten().map(|status| (*member, status))
        });
        let ended: Vec<_> = ended.collect();
        for (member, _) in &ended {
            self.children.remove(member);
        }
        ended
    }

    /// Kills a process with SIGKILL, in the middle of whatever it does.
    pub(crate) fn kill(&mut self, member: Member) -> Result<()> {
        let Some(mut child) = self.children.remove(&member) else { return Ok(()) };
        child.kill()?;
        child.wait().map(drop)
    }

    /// Ends all: closing their standard input asks, and after a grace they are killed.
    pub(crate) fn end(&mut self) {
        self.children.values_mut().for_each(|child| drop(child.stdin.take()));
        let patience = Instant::now() + GRACE;
        for child in self.children.values_mut() {
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < patience {
                thread::sleep(LOOK_EVERY);
            }
            child.kill().ok();
            child.wait().ok();
        }
        self.children.clear();
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.end();
    }
}

/// Tells whether a process is ready, and listens to customers.
pub(crate) fn answers(layout: Layout, member: Member) -> bool {
    let agent = agent(Duration::from_secs(2));
    let is_ready = format!("http://{}/readyz", layout.admin(member));
    let anything = format!("http://{}/", layout.http(member));
    matches!(get(&agent, &is_ready), Ok((200, _))) && get(&agent, &anything).is_ok()
}
