//! The node's clocks: monotonic time for protocols, wall time for commands, and the actor that
//! ticks.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use actix::{Actor, AsyncContext, Context, Handler, Message};
use consensus_core::{Time, WallTime};
use tokio::time::Instant;

use crate::abort::AbortOnPanic;

/// Where wall time comes from: the machine, but in tests, whose nodes disagree about it.
pub(crate) trait Calendar: Send + Sync {
    /// Reads the wall clock.
    fn wall(&self) -> WallTime;
}

/// The machine's wall clock.
pub(crate) struct MachineCalendar;

impl Calendar for MachineCalendar {
    fn wall(&self) -> WallTime {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// The node's clocks. The monotonic one is the runtime's, so that a paused runtime governs it.
#[derive(Clone)]
pub(crate) struct NodeClock {
    started: Instant,
    calendar: Arc<dyn Calendar>,
}

impl fmt::Debug for NodeClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeClock").field("started", &self.started).finish_non_exhaustive()
    }
}

impl NodeClock {
    /// Makes the clock of a node that starts now.
    pub(crate) fn start(calendar: Arc<dyn Calendar>) -> Self {
        Self { started: Instant::now(), calendar }
    }

    /// Reads the monotonic clock.
    pub(crate) fn now(&self) -> Time {
        Time::after_start(self.started.elapsed())
    }

    /// Reads the wall clock.
    pub(crate) fn wall(&self) -> WallTime {
        self.calendar.wall()
    }
}

/// Something that wants an occasion to look at the time.
pub(crate) trait Ticked: Send + Sync {
    /// Sends a tick.
    fn tick(&self);
}

/// Registers something to be ticked.
pub(crate) struct Register(pub(crate) Arc<dyn Ticked>);

impl Message for Register {
    type Result = ();
}

/// The actor that sends ticks: a message like any other, so that they cannot starve or overtake.
pub(crate) struct Clock {
    period: Duration,
    ticked: Vec<Arc<dyn Ticked>>,
}

impl Clock {
    /// Starts a clock that ticks every `period`.
    pub(crate) fn launch(period: Duration) -> actix::Addr<Self> {
        Self { period, ticked: Vec::new() }.start()
    }
}

struct Beat;

impl Message for Beat {
    type Result = ();
}

impl Actor for Clock {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // A task of its own: an actor's own timers wait until its mailbox is empty.
        let (clock, period) = (ctx.address().downgrade(), self.period);
        actix_rt::spawn(async move {
            let (mut last, mut skipped) = (Instant::now(), false);
            loop {
                tokio::time::sleep(period).await;
                let late = last.elapsed() > period * 4;
                last = Instant::now();
                // After a pause (a stopped process, a sleeping machine) what the sockets hold is
                // read first: the leader's word may lie there, and an election without cause would
                // end its term. One beat is enough for that; a machine that is always late must
                // tick.
                if late && !skipped {
                    skipped = true;
                    continue;
                }
                skipped = false;
                let Some(clock) = clock.upgrade() else { return };
                clock.do_send(Beat);
            }
        });
    }
}

impl Handler<Register> for Clock {
    type Result = ();

    fn handle(&mut self, Register(ticked): Register, _: &mut Self::Context) {
        let _guard = AbortOnPanic("clock");
        self.ticked.push(ticked);
    }
}

impl Handler<Beat> for Clock {
    type Result = ();

    fn handle(&mut self, _: Beat, _: &mut Self::Context) {
        let _guard = AbortOnPanic("clock");
        self.ticked.iter().for_each(|ticked| ticked.tick());
    }
}
