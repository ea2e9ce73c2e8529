//! The actor that hosts a role for as long as it is held.
//!
//! On `Become` the actor releases its effects, starts its successor, moves the state into it with
//! whatever waits for the disk, passes on the rest of its batch, and puts the new address on the
//! [seat](crate::seat). From then on it forwards what still reaches it. To keep the order, it sends
//! itself a fence at that moment: the successor takes what is forwarded at once, and holds what
//! comes through the seat until the fence has come through behind it.
//!
//! The actors decide nothing: [`advance`] of the core does, for them as for the simulator.

use std::{collections::VecDeque, sync::Arc, vec::IntoIter};

use actix::{Actor, AsyncContext, Context, Handler, Recipient};
use consensus_core::{
    Address, Effect, Effects, Input, Read, Status, Ticket, Token,
    client::Admin,
    codec::{Decode, Encode},
    role::{Role, Seated, advance},
    snapshot::{Cut, Order, SnapshotId},
};
use tracing::Span;

use crate::{
    abort::AbortOnPanic,
    clock::NodeClock,
    seat::{Delivery, Seat},
};

/// A protocol that the actors can host.
pub(crate) trait Hosted: Seated<Message: Encode + Decode, Record: Encode + Decode> {
    /// Starts the actor of `role`, which takes over `post`.
    fn start(role: Self::Role, post: Box<Post<Self>>, first: bool) -> Recipient<Delivery<Self>>;

    /// Tells whether nothing comes of ticks until something else happens.
    fn is_at_rest(state: &Self::State) -> bool;

    /// Tells whether an encoded record is one of this protocol's.
    fn wrote(record: &[u8]) -> bool;

    /// Makes the input that tells whether the disk is full, where that concerns the protocol.
    fn storage_full(full: bool) -> Option<Input<Self>>;

    /// Makes the input that asks to write anew what the process rests on.
    fn make_room() -> Input<Self>;
}

/// A protocol that serves a replica: a log that has a leader.
pub(crate) trait Serving: Hosted {
    /// Makes the input that asks for reads.
    fn read(reads: Vec<Read>) -> Input<Self>;

    /// Makes the input that tells whether a peer is present, or silent, where that concerns the
    /// protocol.
    fn reach(peer: consensus_core::NodeId, present: bool) -> Option<Input<Self>>;

    /// Makes the input that tells whether the replica has more to apply than it may.
    fn behind(behind: bool) -> Input<Self>;

    /// Makes the input that asks for what an operator wants.
    fn admin(ticket: Ticket, admin: Admin) -> Input<Self>;

    /// Returns the point that a rebuilt replica's log rests on: its state there is in a snapshot.
    fn snapshot(&self) -> Option<Cut>;

    /// Makes the input that asks for a snapshot.
    fn take_snapshot() -> Input<Self>;

    /// Makes the input that tells that the process is about to end.
    fn resign(ticket: Ticket) -> Input<Self>;
}

/// Where the effects of a role go.
pub(crate) trait Outlets<P: Seated>: 'static {
    /// Makes records durable, in order, for which peers wait if `awaited`; returns the last of them
    /// if they are at once. Else the seat is told when they are.
    fn persist(&mut self, records: Vec<(Token, P::Record)>, awaited: bool) -> Option<Token>;
    /// Sends messages to peers, in order.
    fn send(&mut self, messages: Vec<(Address, P::Message)>);
    /// Hands decisions to the replica, in order.
    fn decide(&mut self, decisions: Vec<Decision>);
    /// Reads, keeps or removes snapshots.
    fn order(&mut self, order: Order);
    /// Gives up records that nothing needs.
    fn compact(&mut self, before: Token);
    /// Lets operators see how things stand.
    fn publish(&mut self, status: Status);
}

/// What a role tells the replica of its group.
pub(crate) enum Decision {
    /// Apply these.
    Apply(IntoIter<consensus_core::Decided>),
    /// Answer this read once `at` is applied.
    ReadReady { ticket: Ticket, at: consensus_core::Index },
    /// This command or read is not served here.
    Answer { ticket: Ticket, error: consensus_core::SubmitError },
    /// What an operator asked for is done.
    Done { ticket: Ticket },
    /// A snapshot of the state at this point is to be taken.
    Take(Cut),
    /// None is taken, though one was asked for.
    Decline,
    /// This snapshot takes the place of the state.
    Restore(SnapshotId),
    /// Calls go there from now on.
    Route { leader: Option<consensus_core::NodeId> },
}

/// Everything of a seat that outlives a tenure: it moves from each role actor to the next.
pub(crate) struct Post<P: Hosted> {
    state: P::State,
    seat: Arc<Seat<P>>,
    clock: NodeClock,
    outlets: Box<dyn Outlets<P>>,
    effects: Effects<P>,
    durable: Token,
    /// Messages that wait for their record to be durable, by ascending token.
    deferred: VecDeque<(Token, Address, P::Message)>,
    labels: Labels,
}

/// How many messages may wait for the disk.
const DEFERRED_MAX: usize = 1 << 16;

/// What the spans and events of a seat carry.
#[derive(Clone)]
pub(crate) struct Labels {
    pub(crate) node: consensus_core::NodeId,
    pub(crate) group: Arc<str>,
}

impl<P: Hosted> Post<P> {
    /// Seats a recovered process and starts the actor of its role.
    pub(crate) fn take(
        process: P,
        seat: Arc<Seat<P>>,
        clock: NodeClock,
        durable: Token,
        outlets: Box<dyn Outlets<P>>,
        labels: Labels,
    ) {
        let (state, role) = process.into_parts();
        let (effects, deferred) = (Effects::default(), VecDeque::new());
        let post = Box::new(Self {
            state,
            seat: Arc::clone(&seat),
            clock,
            outlets,
            effects,
            durable,
            deferred,
            labels,
        });
        seat.pass_on(|| P::start(role, post, true));
    }

    /// Makes the span of a tenure.
    fn span(&self, status: &Status) -> Span {
        let Labels { node, group } = &self.labels;
        let (role, term) = (status.role, status.term);
        tracing::info_span!(parent: None, "tenure", %node, %group, role, term)
    }

    /// Carries out the effects of a batch: one message to the journal, one to each link, one to the
    /// replica. Returns the last record if all are durable at once.
    fn release(&mut self) -> Option<Token> {
        let (mut records, mut messages, mut decisions) = (Vec::new(), Vec::new(), Vec::new());
        let mut orders = Vec::new();
        let mut compact = None;
        while let Some((token, ..)) = self.deferred.front()
            && *token <= self.durable
        {
            let (_, to, message) = self.deferred.pop_front().expect("the front was just seen");
            messages.push((to, message));
        }
        for effect in self.effects.drain() {
            match effect {
                Effect::Persist { token, record } => records.push((token, record)),
                Effect::Send { to, message, after } => match after {
                    Some(token) if token > self.durable => {
                        // A disk may be full for hours; what is dropped will be asked for again.
                        if self.deferred.len() < DEFERRED_MAX {
                            self.deferred.push_back((token, to, message));
                        }
                    }
                    Some(_) | None => messages.push((to, message)),
                },
                Effect::Apply(decided) => decisions.push(Decision::Apply(decided.into_iter())),
                Effect::ReadReady { ticket, at } => {
                    decisions.push(Decision::ReadReady { ticket, at });
                }
                Effect::Answer { ticket, error } => {
                    decisions.push(Decision::Answer { ticket, error });
                }
                Effect::Done { ticket } => decisions.push(Decision::Done { ticket }),
                Effect::Route { leader } => decisions.push(Decision::Route { leader }),
                Effect::Compact { before } => compact = Some(before),
                Effect::Snapshot(Order::Take(cut)) => decisions.push(Decision::Take(cut)),
                Effect::Snapshot(Order::Decline) => decisions.push(Decision::Decline),
                Effect::Snapshot(Order::Restore(snapshot)) => {
                    decisions.push(Decision::Restore(snapshot));
                }
                Effect::Snapshot(order) => orders.push(order),
            }
        }
        if !messages.is_empty() {
            self.outlets.send(messages);
        }
        let durable = match records.is_empty() {
            true => None,
            false => self.outlets.persist(records, !self.deferred.is_empty()),
        };
        if let Some(before) = compact {
            self.outlets.compact(before);
        }
        if !decisions.is_empty() {
            self.outlets.decide(decisions);
        }
        orders.into_iter().for_each(|order| self.outlets.order(order));
        durable
    }
}

/// The actor of a role.
pub(crate) struct RoleActor<P: Hosted, R: Role<P>> {
    tenure: Tenure<P, R>,
    /// Whether the predecessor may still forward inputs.
    succeeds: bool,
    /// What came through the seat meanwhile.
    held: VecDeque<Vec<Input<P>>>,
}

enum Tenure<P: Hosted, R> {
    /// The role is held; `None` only while a hand-over is under way.
    Held { held: Option<Held<P, R>>, span: Span, stands: (&'static str, u64) },
    /// The role was passed on; `fenced` once nothing sent to the seat before can follow.
    Over { successor: Recipient<Delivery<P>>, fenced: bool },
}

/// A role, and the post that it fills.
type Held<P, R> = (R, Box<Post<P>>);

/// Tells operators who has the seat now; one that is the `first` in a life of the process says less.
fn announce(status: &Status, first: bool) {
    match (first, status.role) {
        (false, "leader") => tracing::info!(index = status.last.0, "takes the lead"),
        _ => tracing::debug!(index = status.last.0, "takes the seat"),
    }
}

impl<P: Hosted, R: Role<P>> RoleActor<P, R>
where
    Self: Unpin,
{
    /// Starts the actor; all but the `first` of a seat wait for their predecessor's last word.
    pub(crate) fn launch(role: R, mut post: Box<Post<P>>, first: bool) -> Recipient<Delivery<P>> {
        let status = P::status(&post.state, role.name());
        let (span, stands) = (post.span(&status), (status.role, status.term));
        span.in_scope(|| announce(&status, first));
        post.outlets.publish(status);
        post.seat.set_at_rest(P::is_at_rest(&post.state));
        let tenure = Tenure::Held { held: Some((role, post)), span, stands };
        Self { tenure, succeeds: !first, held: VecDeque::new() }.start().recipient()
    }

    /// Takes inputs in their order: steps them if the role is held, forwards them if not.
    fn take(&mut self, inputs: Vec<Input<P>>, ctx: &mut Context<Self>) {
        match &mut self.tenure {
            Tenure::Held { held, span, stands } => {
                let (role, post) = held.take().expect("a hand-over ends within its handler");
                let _entered = span.clone().entered();
                match Self::step_all(role, post, inputs, ctx) {
                    Ok((role, mut post)) => {
                        // The same role may go on in a later term, and one that is several may be
                        // another of them.
                        let status = P::status(&post.state, role.name());
                        let now = (status.role, status.term);
                        if now != *stands {
                            *span = post.span(&status);
                            if now.0 != stands.0 {
                                span.in_scope(|| announce(&status, false));
                            }
                            *stands = now;
                        }
                        post.outlets.publish(status);
                        post.seat.set_at_rest(P::is_at_rest(&post.state));
                        *held = Some((role, post));
                    }
                    Err(successor) => self.tenure = Tenure::Over { successor, fenced: false },
                }
            }
            Tenure::Over { successor, .. } => successor.do_send(Delivery::Forwarded(inputs)),
        }
    }

    /// Steps each input and releases the effects once; returns the successor if the role ended on
    /// the way.
    fn step_all(
        mut role: R,
        mut post: Box<Post<P>>,
        inputs: Vec<Input<P>>,
        ctx: &mut Context<Self>,
    ) -> Result<Held<P, R>, Recipient<Delivery<P>>> {
        let now = post.clock.now();
        let mut inputs = inputs.into_iter();
        loop {
            while let Some(input) = inputs.next() {
                if let Input::Persisted { upto } = &input {
                    post.durable = post.durable.max(*upto);
                }
                let Post { state, effects, .. } = &mut *post;
                let Some(next) = advance(&mut role, state, now, input, effects) else { continue };
                match R::try_from(next) {
                    Ok(same) => role = same,
                    Err(next) => {
                        let durable = post.release().map(|upto| Input::Persisted { upto });
                        let rest = durable.into_iter().chain(inputs).collect();
                        return Err(Self::pass_on(next.into(), post, rest, ctx));
                    }
                }
            }
            match post.release() {
                Some(upto) => inputs = vec![Input::Persisted { upto }].into_iter(),
                None => return Ok((role, post)),
            }
        }
    }

    /// Gives the seat to `next`, with the rest of the batch as the first thing it sees.
    fn pass_on(
        next: P::Role,
        post: Box<Post<P>>,
        rest: Vec<Input<P>>,
        ctx: &mut Context<Self>,
    ) -> Recipient<Delivery<P>> {
        let seat = Arc::clone(&post.seat);
        let start = || {
            let successor = P::start(next, post, false);
            successor.do_send(Delivery::Forwarded(rest));
            ctx.address().do_send(Delivery::Fence);
            successor
        };
        seat.pass_on(start)
    }

    /// Says the last word to the successor once nothing can follow it from here.
    fn finish_if_done(&self) {
        if let Tenure::Over { successor, fenced: true } = &self.tenure
            && !self.succeeds
        {
            successor.do_send(Delivery::PredecessorDone);
        }
    }
}

impl<P: Hosted, R: Role<P>> Actor for RoleActor<P, R>
where
    Self: Unpin,
{
    type Context = Context<Self>;
}

impl<P: Hosted, R: Role<P>> Handler<Delivery<P>> for RoleActor<P, R>
where
    Self: Unpin,
{
    type Result = ();

    fn handle(&mut self, delivery: Delivery<P>, ctx: &mut Context<Self>) {
        let _guard = AbortOnPanic(std::any::type_name::<R>());
        match delivery {
            Delivery::Inputs(inputs) if self.succeeds => self.held.push_back(inputs),
            Delivery::Inputs(inputs) | Delivery::Forwarded(inputs) => self.take(inputs, ctx),
            Delivery::Inspect(answer) => match &self.tenure {
                Tenure::Held { held, .. } => {
                    let known = held.as_ref().map(|(role, post)| role.followers(&post.state));
                    answer.send(known.unwrap_or_default()).ok();
                }
                Tenure::Over { successor, .. } => successor.do_send(Delivery::Inspect(answer)),
            },
            Delivery::PredecessorDone => {
                self.succeeds = false;
                for inputs in std::mem::take(&mut self.held) {
                    self.take(inputs, ctx);
                }
                self.finish_if_done();
            }
            Delivery::Fence => {
                if let Tenure::Over { fenced, .. } = &mut self.tenure {
                    *fenced = true;
                }
                self.finish_if_done();
            }
        }
    }
}

#[cfg(test)]
mod tests;
