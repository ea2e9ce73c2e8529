//! How calls leave: in the order in which they were made, those of a batch with their envelopes in one
//! buffer.

use std::ops::Range;

use bytes::Bytes;

use super::{ATTEMPTS_MAX, Admin, Ask, CallId, Client, ClientEffect, Mutant, Session, call::Call};
use crate::{
    members::NodeId,
    replica::SESSION_WINDOW,
    time::{Time, WallTime},
};

/// The longest command that shares a buffer with others: one call that lasts long holds it all.
const SHARED_BYTES_MAX: usize = 4 << 10;

/// What becomes of a call that is ready.
enum Fate {
    /// It waits for somebody to take it, for a session, or for room in it.
    Waits,
    Leaves(Leaves),
    Ended,
}

/// Where a call goes, and where in its batch its envelope is if it is new.
struct Leaves {
    to: NodeId,
    envelope: Option<Range<usize>>,
}

impl<W> Client<W> {
    /// Sends whatever is ready: commands to the leader if there is one, queries home.
    pub fn flush(&mut self, now: Time, wall: WallTime, out: &mut Vec<ClientEffect<W>>) {
        if !self.directions.lead_anywhere() {
            // What waits for somebody may end meanwhile.
            if self.ready.len() > 2 * self.calls.len() {
                self.ready.retain(|id| self.calls.contains(*id));
            }
            return;
        }
        if self.leader().is_some() {
            self.open_session(wall);
        }
        // In the order of the calls, which is nearly theirs.
        let mut ready = std::mem::take(&mut self.ready);
        ready.sort_unstable();
        let (mut batch, mut leaving) = (Vec::new(), Vec::with_capacity(ready.len()));
        ready.retain(|id| match self.prepare(*id, &mut batch) {
            Fate::Waits => true,
            Fate::Leaves(leaves) => {
                leaving.push((*id, leaves));
                false
            }
            Fate::Ended => false,
        });
        self.ready = ready;
        let batch = Bytes::from(batch);
        for (id, leaves) in leaving {
            self.send(id, leaves, now, &batch, out);
        }
    }

    /// Opens a session if a command needs one and none is open or opening.
    fn open_session(&mut self, wall: WallTime) {
        if !matches!(self.session, Session::Closed) {
            return;
        }
        let mut ready = self.ready.iter();
        if ready.any(|id| self.calls.get(*id).is_some_and(Call::needs_session)) {
            self.session = Session::Opening(self.start(Call::new((None, None), wall, None)));
        }
    }

    /// Judges what a call that is ready waits for, and puts its envelope into `batch`.
    fn prepare(&mut self, id: CallId, batch: &mut Vec<u8>) -> Fate {
        let Some(call) = self.calls.get_mut(id) else { return Fate::Ended };
        let Some(to) = self.directions.of(call) else { return Fate::Waits };
        if call.sent >= ATTEMPTS_MAX {
            return self.exhausted(id);
        }
        if self.bugs.has(Mutant::RetryUnderNewNumber)
            && let Some((_, number)) = call.identity
        {
            self.unanswered.remove(number);
            call.unseal();
        }
        if call.envelope.is_some() {
            return Fate::Leaves(Leaves { to, envelope: None });
        }
        let identity = match (self.session, call.needs_session()) {
            (_, false) => None,
            (Session::Open(session), true) => {
                // Beyond the window it would be refused: wait for the oldest call to end.
                let oldest = self.unanswered.oldest();
                if self.unanswered.next().0 - oldest.0 >= SESSION_WINDOW {
                    return Fate::Waits;
                }
                Some((session, self.unanswered.push(), oldest))
            }
            (Session::Opening(_) | Session::Closed, true) => return Fate::Waits,
        };
        if call.size() <= SHARED_BYTES_MAX {
            return Fate::Leaves(Leaves { to, envelope: call.pack(identity, batch) });
        }
        let mut own = Vec::new();
        if let Some(at) = call.pack(identity, &mut own) {
            call.seal(&own.into(), at);
        }
        Fate::Leaves(Leaves { to, envelope: None })
    }

    /// Gives up sending a call: it ends at its deadline. The client's own has none, and is begun
    /// anew.
    fn exhausted(&mut self, id: CallId) -> Fate {
        if self.calls.get(id).is_some_and(|call| call.deadline.is_some()) {
            return Fate::Waits;
        }
        self.forget(id);
        Fate::Ended
    }

    /// Sends a call, whose envelope may be in `batch`.
    fn send(
        &mut self,
        id: CallId,
        Leaves { to, envelope }: Leaves,
        now: Time,
        batch: &Bytes,
        out: &mut Vec<ClientEffect<W>>,
    ) {
        let (directions, numbering) = (self.directions, self.numbering);
        let Some(call) = self.calls.get_mut(id) else { return };
        let attempt = numbering.attempt(id, call.sent);
        call.is_ready = false;
        if let Some(envelope) = envelope {
            call.seal(batch, envelope);
        }
        if let Some(Ask::Admin(admin)) = &call.ask
            && admin.is_met_by(to, call.asked)
        {
            self.finish(id, Ok(Admin::reply(Some(to)).into()), out);
            return;
        }
        let Some(request) = call.request() else { return };

        call.open.insert(attempt);
        let patience = self.patience.retry_after * 2_u32.pow(call.sent.min(5));
        call.due = Some(now + patience).filter(|_| !directions.lead_home(call));
        call.sent += 1;
        call.asked.get_or_insert(to);
        out.push(ClientEffect::Request { to, attempt, call: id, request });
    }
}
