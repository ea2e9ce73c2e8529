//! What tempts voters to break the promises that a lease rests on.

use std::time::Duration;

use super::{
    Failure,
    drive::Ending,
    event::Event,
    fault::Fault,
    protocol::{Judge, Simulated},
    script::Strike,
    world::World,
};
use crate::{client::Admin, members::NodeId, state_machine::StateMachine, time::Time};

impl<P: Simulated, S: StateMachine> World<'_, P, S> {
    /// Lets somebody campaign while the leader holds a lease, one way or the other.
    pub(super) fn tempt(&mut self, number: usize, strike: Strike) {
        let leader = self.leader().filter(|_| self.script.temper.leases.is_on());
        let Some(leader) = leader else { return };
        let seat = self.seats(strike);
        let mut others: Vec<NodeId> = self.judge.membership().members().collect();
        others.retain(|node| *node != leader);
        others.sort_by_key(|node| seat(*node));
        match strike.pick >> 8 & 3 {
            0 => self.cut_off(number, strike, leader),
            1 => self.estrange(number, strike, (leader, others)),
            _ => self.hold_a_word_back(number, strike, (leader, others)),
        }
    }

    /// The leader does not reach some of the others, who campaign; a voter that both sides reach
    /// starts again and again.
    fn estrange(&mut self, number: usize, strike: Strike, (leader, others): (NodeId, Vec<NodeId>)) {
        let (strays, faithful) = others.split_at(others.len() / 2);
        let Some(tempted) = faithful.first().copied() else { return };
        let text = format!("does not reach some, and {tempted} starts again and again");
        self.cut(number, (strike, leader), text, |from, to| {
            from == leader && strays.contains(&to) || to == leader && strays.contains(&from)
        });
        let timeout = self.script.temper.election_timeout;
        let until = self.now + strike.lasts.max(timeout * 4);
        self.schedule_in(timeout, Event::Startle(tempted, until));
    }

    /// The leader is asked to hand over to one that it does not reach before it has given up, and
    /// that it does not hear campaign.
    fn hold_a_word_back(
        &mut self,
        number: usize,
        strike: Strike,
        (leader, others): (NodeId, Vec<NodeId>),
    ) {
        let Some(to) = others.first().copied() else { return };
        let timeout = self.script.temper.election_timeout;
        let late = timeout + timeout / 20 * (1 + (strike.pick >> 16) as u32 % 10);
        let text = format!("is asked that {to} lead, which hears of it late and is not heard");
        self.network.hold(self.now + late, |from, node| from == leader && node == to);
        self.cut(number, (strike, leader), text, |from, node| from == to && node == leader);
        self.administer(leader, Admin::Transfer { to: Some(to) }, timeout * 4);
    }

    pub(super) fn on_startle(&mut self, node: NodeId, until: Time) -> Result<(), Failure> {
        if self.mended || self.now >= until {
            return Ok(());
        }
        let timeout = self.script.temper.election_timeout;
        let pause = self.host(node).random.between(timeout / 4, timeout * 3 / 2);
        self.schedule_in(pause, Event::Startle(node, until));
        if !self.host(node).is_awake() {
            return Ok(());
        }
        self.crash(node, Ending::Process)?;
        let life = self.host(node).life;
        self.schedule_in(Duration::from_micros(10), Event::Restart(node, life));
        Ok(())
    }

    /// Lets connections to a leader that comes to rest be lost now and then.
    pub(super) fn sever_some(&mut self, leader: NodeId) {
        let temper = &self.script.temper;
        if !temper.leases.is_on() || !temper.faults.has(Fault::Temptation) || self.mended {
            return;
        }
        let timeout = temper.election_timeout;
        let others: Vec<NodeId> = self.hosts.keys().copied().filter(|it| *it != leader).collect();
        for node in others {
            let random = &mut self.host(node).random;
            if random.happens(200_000) {
                let pause = random.between(Duration::ZERO, timeout / 2);
                self.schedule_in(pause, Event::Severed { node, peer: leader });
            }
        }
    }
}
