//! The task of a client that is no member: takes calls, carries requests to the leader and answers
//! back, and keeps every deadline whatever becomes of the nodes.

use std::{
    collections::{BTreeMap, VecDeque},
    io, mem,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use consensus_core::{
    GroupId, NodeId, SubmitError, Time,
    client::{
        Attempted, Client, ClientEffect, Failure, Lookout, Move, Patience, Response, Whereabouts,
    },
    codec::{Decode, DecodeError},
};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until},
};

use super::line::{self, Event, Line, Trouble};
use crate::{
    call::{Answer, check_token},
    clock::NodeClock,
    error::{Code, Error, Result},
    inbox::{Called, Coming},
    transport::{
        Item, Kind, Network,
        admission::{Greeting, Host},
        conversation::{Conversation, Turn},
        guest::{BATCH_BYTES, REQUESTS_MAX},
        put_item,
    },
};

/// How patient a client is with its leader: as a node whose election timeout is 1 s.
const PATIENCE: Patience =
    Patience { retry_after: Duration::from_secs(1), pause: Duration::from_millis(100) };

/// The deadline of calls that name none.
const DEADLINE: Duration = Duration::from_secs(5);

/// How often the time is looked at while there are no calls.
const IDLE_TICK: Duration = Duration::from_secs(1);

/// How long the node may be silent before it is asked for a sign of life: while there are calls,
/// and while there are none.
const QUIET: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// How long the node may owe a sign of life before the connection is given up.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// What a courier is made of, and the world that it meets.
pub(crate) struct Parts {
    pub(crate) name: Arc<str>,
    pub(crate) group: GroupId,
    /// The addresses that the client was given.
    pub(crate) seeds: Vec<String>,
    /// Decides how long it pauses between attempts to connect.
    pub(crate) seed: u64,
    pub(crate) greeting: Greeting,
    pub(crate) network: Arc<dyn Network>,
    pub(crate) clock: NodeClock,
    /// How often the time is looked at while there are calls.
    pub(crate) tick: Duration,
}

/// Who waits for the group to be found, and until when.
type Finding = (oneshot::Sender<Result>, Instant);

/// The task of one client.
pub(crate) struct Courier {
    parts: Parts,
    client: Client<oneshot::Sender<Result<Answer>>>,
    lookout: Lookout,
    line: Line,
    /// Who is asked what any replica can answer, while no leader is connected.
    reached: Option<NodeId>,
    /// The address that was called last.
    at: String,
    /// What became of each address that was called last time.
    troubles: BTreeMap<String, Trouble>,
    /// Requests to the leader that did not fit into the last frame.
    waiting: VecDeque<Attempted>,
    /// Whether the node is to be asked where the leader is, as soon as it can be written to.
    inquires: bool,
    /// Since when it owes a sign of life.
    owed: Option<Instant>,
    finding: Option<Finding>,
    moves: Vec<Move>,
    effects: Vec<ClientEffect<oneshot::Sender<Result<Answer>>>>,
}

impl Courier {
    /// Makes a courier that has not called anybody yet.
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            client: Client::new(PATIENCE),
            lookout: Lookout::new(parts.seeds.clone(), parts.seed),
            parts,
            line: Line::Down,
            reached: None,
            at: String::new(),
            troubles: BTreeMap::new(),
            waiting: VecDeque::new(),
            inquires: false,
            owed: None,
            finding: None,
            moves: Vec::new(),
            effects: Vec::new(),
        }
    }

    /// Serves calls until nobody can call any more and all are answered, or until the group was not
    /// found in time.
    pub(crate) async fn run(
        mut self,
        mut calls: Coming,
        (found, deadline): (oneshot::Sender<Result>, Duration),
    ) {
        self.finding = Some((found, Instant::now() + deadline));
        let mut alarm = pin!(sleep_until(Instant::now()));
        let mut open = true;
        while open || !self.client.is_quiet() {
            tokio::select! {
                biased;
                () = &mut alarm => self.tick(),
                event = self.line.next() => self.on_event(event),
                called = calls.recv(), if open => match called {
                    Some((called, _place)) => {
                        self.on_called(called);
                        // What else waits goes into the same batch.
                        while let Ok((called, _place)) = calls.try_recv() {
                            self.on_called(called);
                        }
                    }
                    None => open = false,
                },
            }
            self.flush();
            if self.gives_up() {
                return;
            }
            let due = self.due();
            if alarm.is_elapsed() || due < alarm.deadline() {
                alarm.as_mut().reset(due);
            }
        }
    }

    fn now(&self) -> Time {
        self.parts.clock.now()
    }

    /// Returns when to look at the time next.
    fn due(&self) -> Instant {
        let now = Instant::now();
        if !self.client.is_quiet() {
            return now + self.parts.tick;
        }
        let later = now + IDLE_TICK;
        let lookout = self.lookout.due().map(|due| now + due.since(self.now()));
        let finding = self.finding.as_ref().map(|(_, deadline)| *deadline);
        [lookout, finding].into_iter().flatten().fold(later, Instant::min)
    }

    fn tick(&mut self) {
        let now = self.now();
        self.client.tick(now, &mut self.effects);
        self.lookout.tick(now, &mut self.moves);
        let Line::Up(conversation, _) = &self.line else { return };
        let quiet = if self.client.is_quiet() { QUIET.1 } else { QUIET.0 };
        match self.owed {
            Some(since) if since.elapsed() > SILENCE_MAX => {
                self.lose(&io::ErrorKind::TimedOut.into());
            }
            None if conversation.heard().elapsed() > quiet => {
                (self.owed, self.inquires) = (Some(Instant::now()), true);
            }
            Some(_) | None => {}
        }
    }

    fn on_called(&mut self, Called { ask, after, deadline, answer, .. }: Called) {
        if let Err(error) = check_token(after, self.parts.group, &self.parts.name) {
            answer.send(Err(error)).ok();
            return;
        }
        let deadline = self.now() + deadline.unwrap_or(DEADLINE);
        let wall = self.parts.clock.wall();
        if let Err((error, answer)) = self.client.call(ask, answer, wall, deadline) {
            answer.send(Err(Error::of_call(&error, &self.parts.name))).ok();
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Answered(Ok((conversation, host))) => self.on_admitted(conversation, host),
            Event::Answered(Err(trouble)) => self.on_trouble(trouble),
            Event::Turned(Ok(Turn::Heard(frame))) => {
                self.owed = None;
                if let Err(error) = self.on_frame(frame) {
                    self.lose(&io::Error::new(io::ErrorKind::InvalidData, error));
                }
            }
            Event::Turned(Ok(Turn::Said)) => {}
            Event::Turned(Ok(Turn::Ended)) => self.lose(&io::ErrorKind::ConnectionReset.into()),
            Event::Turned(Err(error)) => self.lose(&error),
        }
    }

    fn on_admitted(&mut self, conversation: Conversation, host: Host) {
        tracing::debug!(group = %self.parts.name, node = %host.node, "connected");
        self.parts.greeting = self.parts.greeting.clone().wanting(Some(host.cluster.clone()));
        self.troubles.clear();
        self.line = Line::Up(conversation, host);
        if let Some((found, _)) = self.finding.take() {
            found.send(Ok(())).ok();
        }
    }

    fn on_trouble(&mut self, trouble: Trouble) {
        let (group, at) = (&self.parts.name, &self.at);
        tracing::debug!(%group, %at, reason = %trouble.reason, "not connected");
        self.troubles.insert(at.clone(), trouble);
        self.line = Line::Down;
        self.lookout.lost(self.now(), &mut self.moves);
    }

    fn lose(&mut self, error: &io::Error) {
        self.on_trouble(Trouble::unreachable(error));
    }

    fn on_frame(&mut self, mut frame: Bytes) -> Result<(), DecodeError> {
        let now = self.now();
        while !frame.is_empty() {
            let item = Item::decode(&mut frame)?;
            if item.group != self.parts.group {
                return Err(DecodeError::Invalid("group"));
            }
            match item.kind {
                Kind::Response => {
                    let Response { attempt, result } = Response::decode_all(item.bytes)?;
                    let is_lost = |error: &SubmitError| {
                        matches!(error, SubmitError::NotLeader { .. } | SubmitError::NoState { .. })
                    };
                    if matches!(&result, Err(Failure::Refused(error)) if is_lost(error)) {
                        self.inquires = true;
                    }
                    self.client.answered(now, attempt, result, &mut self.effects);
                }
                Kind::Whereabouts => {
                    let whereabouts = Whereabouts::decode_all(item.bytes)?;
                    if let Line::Up(_, host) = &self.line {
                        self.lookout.told(now, host.node, whereabouts, &mut self.moves);
                    }
                }
                Kind::Message | Kind::Request => return Err(DecodeError::Invalid("item")),
            }
        }
        Ok(())
    }

    /// Carries out what was decided, and writes what waits as one frame.
    fn flush(&mut self) {
        for made in mem::take(&mut self.moves) {
            match made {
                Move::Call(address) => {
                    let Parts { network, greeting, .. } = &self.parts;
                    self.line = Line::Calling(line::call(network, address.clone(), greeting));
                    self.at = address;
                }
                Move::Route(leader) => {
                    // What was to go to another goes to this one, once it is asked again.
                    self.waiting.clear();
                    self.client.route(leader);
                }
            }
            (self.owed, self.inquires) = (None, false);
        }
        let reached = self.lookout.watched();
        if reached != self.reached {
            self.reached = reached;
            self.waiting.clear();
            self.client.reach(reached);
        }
        // Only what can be written now becomes an attempt, since one that waits may be in a log as
        // far as its call is told; and what comes meanwhile goes into the same frame.
        if self.waiting.is_empty() && self.line.free().is_some() {
            self.client.flush(self.now(), self.parts.clock.wall(), &mut self.effects);
        }
        for effect in mem::take(&mut self.effects) {
            match effect {
                ClientEffect::Request { attempt, request, .. } => {
                    self.waiting.push_back(Attempted { attempt, request });
                }
                ClientEffect::Finish { caller, result, .. } => {
                    let Parts { group, name, .. } = &self.parts;
                    caller.send(Answer::of(result, *group, name)).ok();
                }
            }
        }
        self.write();
    }

    fn write(&mut self) {
        let Self { line, waiting, parts, .. } = self;
        let Some(conversation) = line.free() else { return };
        if waiting.is_empty() {
            if mem::take(&mut self.inquires) {
                conversation.say(|_| {});
            }
            return;
        }
        conversation.say(|body| {
            let mut room = BATCH_BYTES;
            for place in 0..REQUESTS_MAX {
                let fits = |next: &mut Attempted| place == 0 || next.request.size() <= room;
                let Some(next) = waiting.pop_front_if(fits) else { break };
                room = room.saturating_sub(next.request.size());
                put_item(body, parts.group, Kind::Request, &next);
            }
        });
    }

    /// Tells who waits for the group that it was not found, if it is time to; true if so.
    fn gives_up(&mut self) -> bool {
        let Some((found, deadline)) = &self.finding else { return false };
        let lasting = |seed| self.troubles.get(seed).is_some_and(|trouble| trouble.lasting);
        let hopeless = self.parts.seeds.iter().all(lasting);
        if !hopeless && Instant::now() < *deadline && !found.is_closed() {
            return false;
        }
        let error = self.not_found();
        if let Some((found, _)) = self.finding.take() {
            found.send(Err(error)).ok();
        }
        true
    }

    fn not_found(&self) -> Error {
        let name = &self.parts.name;
        let troubles = || self.parts.seeds.iter().filter_map(|seed| self.troubles.get(seed));
        let worst = troubles().max_by_key(|it| (it.lasting, it.code != Code::Unreachable));
        let code = worst.map_or(Code::Unreachable, |trouble| trouble.code);
        let reasons = self.parts.seeds.iter().map(|seed| {
            let reason = self.troubles.get(seed).map_or("no answer yet", |it| &it.reason);
            format!("{seed}: {reason}")
        });
        let reasons = reasons.collect::<Vec<_>>().join("; ");
        let help = match code {
            Code::Unreachable => ". Start the nodes, or give the addresses of their peer ports",
            _ => "",
        };
        Error::new(code, format!("no node takes this client of {name:?}: {reasons}{help}"))
    }
}
