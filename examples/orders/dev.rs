//! `dev`: all services on this machine, until Ctrl-C.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use consensus_actors::{Error, Result};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    Dev,
    fleet::{Fleet, LOOK_EVERY, answers},
    layout::{Layout, Member, Service},
    orders::CHECKOUT,
    say,
    shipping::{Database, store_of},
};

/// How long a process that died stays down.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// Runs all services until this process is asked to end.
pub(crate) fn run(options: &Dev) -> Result<ExitCode> {
    let temporary = tempfile::Builder::new().prefix("orders-dev-").tempdir()?;
    let data = options.data.clone().unwrap_or_else(|| temporary.path().to_owned());
    let layout = Layout::new(options.base_port);
    let database = options.stores.postgres.clone();
    let database = database.map(|database| database.of_data(&data)).transpose()?;
    let system = actix_web::rt::System::new();
    if let Some(database) = &database {
        system.block_on(database.create())?;
    }
    say(store_of(database.as_ref()));
    system.block_on(supervise(options, layout, database.clone(), data))?;
    // What is there belongs to the data, which goes as well.
    if let (Some(database), None) = (&database, &options.data) {
        system.block_on(database.discard())?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn supervise(
    options: &Dev,
    layout: Layout,
    database: Option<Database>,
    data: PathBuf,
) -> Result {
    let (mut interrupt, mut terminate, mut hangup) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
        signal(SignalKind::hangup())?,
    );
    let mut fleet = Fleet::start(layout, options.rules.clone(), database, &data)?;
    introduce(&fleet, &data);
    let mut waiting: Vec<(Member, Instant)> = Vec::new();
    let mut is_ready = false;
    loop {
        tokio::select! {
            biased;
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = hangup.recv() => return Ok(()),
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        for (member, status) in fleet.ended() {
            say(format_args!("{member} died ({status}); it starts again in a second"));
            waiting.push((member, Instant::now() + RESTART_AFTER));
        }
        let now = Instant::now();
        for (member, _) in waiting.extract_if(.., |(_, at)| now >= *at) {
            fleet.start_one(member)?;
            let pid = fleet.pid(member).unwrap_or_default();
            say(format_args!("{member} is back, pid {pid}"));
        }
        if !is_ready {
            let all = tokio::task::spawn_blocking(move || {
                Member::all().all(|member| answers(layout, member))
            });
            is_ready = all.await.map_err(Error::application)?;
            if is_ready {
                say("all of them answer; Ctrl-C ends them");
            }
        }
    }
}

/// Says where everything is, and what to try.
fn introduce(fleet: &Fleet, data: &Path) {
    let layout = fleet.layout();
    say(format_args!("{:<12}{:<24}{:<24}PID", "PROCESS", "CUSTOMERS", "OPERATORS"));
    for member in Member::all() {
        let (name, pid) = (member.to_string(), fleet.pid(member).unwrap_or_default());
        let http = format!("http://{}", layout.http(member));
        let admin = format!("http://{}", layout.admin(member));
        say(format_args!("{name:<12}{http:<24}{admin:<24}{pid}"));
    }
    let first = Member { service: Service::Orders, node: 1 };
    let (shop, admin) = (layout.http(first), layout.admin(first));
    say(format_args!(
        "data and logs in {}\n\n\
         try:  curl {shop}/orders/17 -d '{{\"customer\":\"ada\",\"sku\":\"tea\",\"quantity\":2,\"cents\":1200}}'\n\
         \x20     curl {shop}/orders/17\n\
         \x20     curl {shop}/books            (every service has books)\n\
         \x20     kill -9 a process's pid: the orders under way are seen to, and it comes back\n\
         \x20     consensus saga list {CHECKOUT} --addr {admin}\n\
         \x20     consensus saga show {CHECKOUT} ID --addr {admin}\n\
         \x20     (cargo run --release -p consensus-actors --bin consensus -- saga list ..)\n",
        data.display(),
    ));
}
