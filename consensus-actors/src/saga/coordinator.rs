//! The actor that carries sagas out while its node leads the group of their logs, and tells this
//! node's callers what becomes of theirs.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use actix::{
    Actor, ActorContext, Addr, ArbiterHandle, AsyncContext, Context, Handler, Message, SpawnHandle,
};
use consensus_core::{
    CommitToken, GroupId, Index, NodeId, Time,
    saga::{AppendError, Call, CoordinatorId, Entry, Epoch, Outcome, Place, SagaId, Seq},
};
use tokio::sync::{broadcast, oneshot, watch};

use super::{
    attempt,
    book::{Answer, Book, Command, Fact, News, Query, Reply, Standing},
    cx::Common,
    definition::Definitions,
    desk::Desk,
    reign::{Claim, Reign},
    tree::Live,
};
use crate::{
    abort::AbortOnPanic,
    client::Client,
    clock::NodeClock,
    error::{Code, Error, Result},
    node::Group,
};

/// The pause before something that did not work is tried again.
const AGAIN: Duration = Duration::from_millis(100);
/// How long one call to the group of the logs may take before it is made anew.
const DEADLINE: Duration = Duration::from_secs(5);

/// What a coordinator needs of its node.
pub(super) struct Office {
    pub(super) node: NodeId,
    /// What the coordinator is known by if this node is the first to be in charge.
    pub(super) id: CoordinatorId,
    pub(super) name: Arc<str>,
    pub(super) client: Client<Book>,
    pub(super) group: Arc<dyn Group>,
    pub(super) definitions: Arc<Definitions>,
    pub(super) common: Arc<Common>,
    /// Where steps run: with the coordinator, if it has no arbiter.
    pub(super) steps: Option<ArbiterHandle>,
    pub(super) clock: NodeClock,
}

/// The actor.
pub(super) struct Coordinator {
    office: Office,
    part: Part,
    desk: Desk,
    /// Whether news were asked for, and whether they are to be asked for again then.
    asking: bool,
    again: bool,
    /// When it looks at the time next.
    alarm: Option<(Time, SpawnHandle)>,
}

/// What it does for the sagas of all.
enum Part {
    /// Another node leads.
    Idle,
    /// It is about to take them over.
    Claiming,
    /// It carries them out, until the watch is dropped.
    Reigning(Box<Reign>, watch::Sender<()>),
}

/// The lead may have changed.
struct Led;

/// Something was applied, or somebody has begun to wait.
struct Stir;

/// What came of a claim.
struct Claimed(Result<Claim>);

/// What came of a write in this epoch.
struct Written(Epoch, Result<Result<(), AppendError>>);

/// What came of an attempt.
pub(super) struct Replied {
    pub(super) call: Call,
    pub(super) outcome: Outcome,
}

/// News, of the state at this index, as they were asked for in this epoch.
struct Heard(Option<Epoch>, Result<(News, Index)>);

/// A caller waits for a saga.
pub(super) struct Wait {
    pub(super) saga: SagaId,
    pub(super) since: Index,
    pub(super) to: oneshot::Sender<Result<Standing>>,
}

/// A caller waits for a wish.
pub(super) struct Wanted {
    pub(super) wish: u64,
    pub(super) to: oneshot::Sender<Result<Option<String>>>,
}

/// An operator looks at a saga.
pub(super) struct Look {
    pub(super) saga: SagaId,
    pub(super) to: oneshot::Sender<Live>,
}

macro_rules! messages {
    ($($message:ty),* $(,)?) => { $(impl Message for $message { type Result = (); })* };
}

messages!(Led, Stir, Claimed, Written, Replied, Heard, Wait, Wanted, Look);

impl Coordinator {
    /// Starts one on the arbiter of its node, if that has one.
    pub(super) fn launch(office: Office, arbiter: Option<&ArbiterHandle>) -> Addr<Self> {
        let coordinator = Self {
            office,
            part: Part::Idle,
            desk: Desk::default(),
            asking: false,
            again: false,
            alarm: None,
        };
        match arbiter {
            Some(arbiter) => Self::start_in_arbiter(arbiter, move |_| coordinator),
            None => coordinator.start(),
        }
    }

    fn leader(&self) -> Option<NodeId> {
        self.office.group.status().1.leader
    }

    fn leads(&self) -> bool {
        self.leader() == Some(self.office.node)
    }

    /// Takes the sagas over, if it leads and has not yet; drops them if it does not.
    fn look(&mut self, ctx: &mut Context<Self>) {
        match (&self.part, self.leads()) {
            (Part::Idle, true) => {
                self.part = Part::Claiming;
                let (client, coordinator) = (self.office.client.clone(), ctx.address());
                let id = self.office.id;
                actix_rt::spawn(async move {
                    coordinator.do_send(Claimed(claim(&client, id).await));
                });
            }
            (Part::Reigning(reign, _), false) => {
                let epoch = reign.epoch.0;
                tracing::info!(group = %self.office.name, epoch, "no longer carries sagas out");
                self.part = Part::Idle;
            }
            (Part::Idle | Part::Claiming, false) | (Part::Claiming | Part::Reigning(..), true) => {}
        }
    }

    /// Starts over from what is written, after a pause.
    fn abdicate(&mut self, ctx: &mut Context<Self>) {
        self.part = Part::Idle;
        ctx.run_later(AGAIN, |it, ctx| {
            let _guard = AbortOnPanic("saga coordinator");
            it.look(ctx);
        });
    }

    /// Asks for news, if anybody here wants any.
    fn ask(&mut self, ctx: &mut Context<Self>) {
        if self.asking {
            self.again = true;
            return;
        }
        let (sagas, wishes) = self.desk.interest();
        let (epoch, execute) = match &mut self.part {
            Part::Reigning(reign, _) => (Some(reign.epoch), Some(reign.asks())),
            Part::Idle | Part::Claiming => (None, None),
        };
        if sagas.is_empty() && wishes.is_empty() && execute.is_none() {
            return;
        }
        (self.asking, self.again) = (true, false);
        let query = Query::News { sagas, wishes, execute };
        // Of this node's own state: what comes later stirs again.
        let here = CommitToken::new(GroupId::named(&self.office.name), Index::ZERO);
        let call = self.office.client.answer(&query).after(here).deadline(DEADLINE).token();
        let coordinator = ctx.address();
        actix_rt::spawn(async move {
            let heard = call.await.and_then(|(answer, token)| match answer {
                Answer::News(news) => Ok((news, token.index())),
                other => Err(odd(&other)),
            });
            coordinator.do_send(Heard(epoch, heard));
        });
    }

    /// Does what the reign wants done.
    fn carry_on(&mut self, ctx: &mut Context<Self>) {
        let Part::Reigning(reign, over) = &mut self.part else { return };
        for attempt in reign.take_attempts() {
            attempt::launch(attempt, self.office.steps.as_ref(), ctx.address(), over.subscribe());
        }
        let due = reign.due();
        if let Some(facts) = reign.next_write() {
            self.write(facts, ctx);
        }
        self.set_alarm(due, ctx);
    }

    /// Looks at the time when it is due, and not before.
    fn set_alarm(&mut self, due: Option<Time>, ctx: &mut Context<Self>) {
        if self.alarm.map(|(at, _)| at) == due {
            return;
        }
        if let Some((_, alarm)) = self.alarm.take() {
            ctx.cancel_future(alarm);
        }
        let Some(due) = due else { return };
        let alarm = ctx.run_later(due.since(self.office.clock.now()), |it, ctx| {
            let _guard = AbortOnPanic("saga coordinator");
            it.alarm = None;
            let Part::Reigning(reign, _) = &mut it.part else { return };
            reign.tick(it.office.clock.now());
            it.carry_on(ctx);
        });
        self.alarm = Some((due, alarm));
    }

    fn write(&self, facts: Vec<Fact>, ctx: &mut Context<Self>) {
        let Part::Reigning(reign, _) = &self.part else { return };
        let epoch = reign.epoch;
        let call = self.office.client.apply(&Command::Write { epoch, facts }).deadline(DEADLINE);
        let coordinator = ctx.address();
        actix_rt::spawn(async move {
            let written = call.await.and_then(|reply| match reply {
                Reply::Written(written) => Ok(written),
                other => Err(odd(&other)),
            });
            coordinator.do_send(Written(epoch, written));
        });
    }

    /// Ends the actor with its node; tells whether it did.
    fn ends_with(&self, error: &Error, ctx: &mut Context<Self>) -> bool {
        let ends = error.code() == Code::Stopping;
        if ends {
            ctx.stop();
        }
        ends
    }
}

/// Says that the group answered what it was not asked.
fn odd(answer: &impl std::fmt::Debug) -> Error {
    let message = format!("the group of the sagas' logs answered {answer:?}");
    Error::new(Code::Undecodable, message)
}

/// Claims an epoch, then reads all logs: nothing of a former executor's is added to them any more.
async fn claim(client: &Client<Book>, id: CoordinatorId) -> Result<Claim> {
    let (reply, token) = client.apply(&Command::Claim(id)).deadline(DEADLINE).token().await?;
    let Reply::Claimed(claimed) = reply else { return Err(odd(&reply)) };
    let mut logs: BTreeMap<SagaId, (Place, Vec<Entry>)> = BTreeMap::new();
    let mut from = (SagaId(0), Seq(1));
    loop {
        let query = Query::Records { from, only: false };
        let page = client.answer(&query).after(token).deadline(DEADLINE).await?;
        let Answer::Records(page) = page else { return Err(odd(&page)) };
        let Some((saga, _, last)) = page.last() else {
            return Ok(Claim { claimed, logs });
        };
        from = (*saga, last.seq.next());
        for (saga, place, entry) in page {
            logs.entry(saga).or_insert_with(|| (place, Vec::new())).1.push(entry);
        }
    }
}

impl Actor for Coordinator {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let _guard = AbortOnPanic("saga coordinator");
        follow(self.office.group.follow(), ctx.address(), || Led);
        follow(self.office.group.follow_applied(), ctx.address(), || Stir);
        self.look(ctx);
    }
}

/// Sends a message whenever something changes.
fn follow<M>(mut changes: broadcast::Receiver<()>, to: Addr<Coordinator>, message: fn() -> M)
where
    M: Message<Result = ()> + Send + 'static,
    Coordinator: Handler<M>,
{
    actix_rt::spawn(async move {
        // One that was missed counts like one that came.
        while !matches!(changes.recv().await, Err(broadcast::error::RecvError::Closed)) {
            if to.send(message()).await.is_err() {
                return;
            }
        }
    });
}

impl Handler<Led> for Coordinator {
    type Result = ();

    fn handle(&mut self, _: Led, ctx: &mut Self::Context) {
        let _guard = AbortOnPanic("saga coordinator");
        self.look(ctx);
    }
}

impl Handler<Stir> for Coordinator {
    type Result = ();

    fn handle(&mut self, _: Stir, ctx: &mut Self::Context) {
        let _guard = AbortOnPanic("saga coordinator");
        self.ask(ctx);
    }
}

impl Handler<Claimed> for Coordinator {
    type Result = ();

    fn handle(&mut self, Claimed(claimed): Claimed, ctx: &mut Self::Context) {
        let _guard = AbortOnPanic("saga coordinator");
        if !matches!(self.part, Part::Claiming) {
            return;
        }
        match claimed {
            Ok(claim) if self.leads() => {
                let group = &*self.office.name;
                tracing::info!(
                    group,
                    epoch = claim.claimed.epoch.0,
                    sagas = claim.logs.len(),
                    "carries sagas out"
                );
                let means = (Arc::clone(&self.office.definitions), Arc::clone(&self.office.common));
                let reign = Reign::new(claim, means, self.office.clock.now());
                self.part = Part::Reigning(Box::new(reign), watch::Sender::new(()));
                self.carry_on(ctx);
                self.ask(ctx);
            }
            Ok(_) => self.abdicate(ctx),
            Err(error) => {
                if !self.ends_with(&error, ctx) {
                    tracing::debug!(group = %self.office.name, "cannot take sagas over: {error}");
                    self.abdicate(ctx);
                }
            }
        }
    }
}

impl Handler<Written> for Coordinator {
    type Result = ();

    fn handle(&mut self, Written(epoch, written): Written, ctx: &mut Self::Context) {
        let _guard = AbortOnPanic("saga coordinator");
        let Part::Reigning(reign, _) = &mut self.part else { return };
        if reign.epoch != epoch {
            return;
        }
        match written {
            Ok(Ok(())) => {
                reign.written(self.office.clock.now());
                self.carry_on(ctx);
            }
            // Whoever is refused knows less than is written: it starts over from there.
            Ok(Err(error)) => {
                tracing::info!(group = %self.office.name, "stops carrying sagas out: {error}");
                self.abdicate(ctx);
            }
            Err(error) if self.ends_with(&error, ctx) => {}
            Err(error) => {
                tracing::debug!(group = %self.office.name, "cannot write yet: {error}");
                ctx.run_later(AGAIN, move |it, ctx| {
                    let _guard = AbortOnPanic("saga coordinator");
                    let Part::Reigning(reign, _) = &it.part else { return };
                    if let Some(facts) = reign.rewrite().filter(|_| reign.epoch == epoch) {
                        it.write(facts, ctx);
                    }
                });
            }
        }
    }
}

impl Handler<Replied> for Coordinator {
    type Result = ();

    fn handle(&mut self, Replied { call, outcome }: Replied, ctx: &mut Self::Context) {
        let _guard = AbortOnPanic("saga coordinator");
        let Part::Reigning(reign, _) = &mut self.part else { return };
        if reign.epoch == call.epoch {
            reign.replied(&call, outcome, self.office.clock.now());
            self.carry_on(ctx);
        }
    }
}

impl Handler<Heard> for Coordinator {
    type Result = ();

    fn handle(&mut self, Heard(epoch, heard): Heard, ctx: &mut Self::Context) {
        let _guard = AbortOnPanic("saga coordinator");
        self.asking = false;
        match heard {
            Ok((news, index)) => {
                self.desk.answer(&news, index);
                if let Part::Reigning(reign, _) = &mut self.part
                    && epoch == Some(reign.epoch)
                {
                    reign.hear(&news, self.office.clock.now());
                }
                self.carry_on(ctx);
                if self.again || news.more {
                    self.ask(ctx);
                }
            }
            Err(error) => {
                if !self.ends_with(&error, ctx) {
                    tracing::debug!(group = %self.office.name, "cannot hear news yet: {error}");
                    ctx.run_later(AGAIN, |it, ctx| {
                        let _guard = AbortOnPanic("saga coordinator");
                        it.ask(ctx);
                    });
                }
            }
        }
    }
}

impl Handler<Wait> for Coordinator {
    type Result = ();

    fn handle(&mut self, Wait { saga, since, to }: Wait, ctx: &mut Self::Context) {
        let _guard = AbortOnPanic("saga coordinator");
        self.desk.wait(saga, since, to);
        self.ask(ctx);
    }
}

impl Handler<Wanted> for Coordinator {
    type Result = ();

    fn handle(&mut self, Wanted { wish, to }: Wanted, ctx: &mut Self::Context) {
        let _guard = AbortOnPanic("saga coordinator");
        self.desk.want(wish, to);
        self.ask(ctx);
    }
}

impl Handler<Look> for Coordinator {
    type Result = ();

    fn handle(&mut self, Look { saga, to }: Look, _: &mut Self::Context) {
        let _guard = AbortOnPanic("saga coordinator");
        let under_way = match &self.part {
            Part::Reigning(reign, _) if self.leads() => {
                Some((self.office.clock.now(), reign.under_way(saga)))
            }
            // One that is about to be replaced is no longer the one to ask.
            Part::Reigning(..) | Part::Idle | Part::Claiming => None,
        };
        let in_charge = self.leader().map(NodeId::number);
        // Whoever asked may have gone.
        to.send(Live { in_charge, under_way }).ok();
    }
}
