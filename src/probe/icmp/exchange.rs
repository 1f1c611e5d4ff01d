//! Requests to one host, sent one after the other while answers come in.

use super::families::{ANSWERS, REQUESTS};
use super::packet::{HEADER, Heard, Mark, OVERHEAD};
use super::socket::Socket;
use crate::observation::{Failure, Readings, Reason};
use rustix::rand::{GetRandomFlags, getrandom};
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// What is sent and how long it is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) count: u16,
    pub(super) spacing: Duration,
    pub(super) wait: Duration,
    pub(super) size: usize,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Waiting,
    Answered(Duration),
    Refused,
}

/// The requests of one run and what became of them.
#[derive(Debug)]
pub(super) struct Exchange {
    plan: Plan,
    target: IpAddr,
    id: u16,
    /// Whether the identifier of an answer must be ours; else the kernel has sorted answers by one of its own.
    keeps_id: bool,
    /// Random, so that no answer to anybody else, or to an earlier run, can be taken for ours.
    payload: Vec<u8>,
    requests: Vec<(Instant, Fate)>,
    /// What was said instead of an answer.
    told: Option<String>,
}

/// What is left in the socket at the end is at most this many packets of others.
const MAX_LEFT: usize = 1000;

impl Exchange {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// [`Reason::Local`] if the kernel gives no random bytes.
    pub(super) fn begin(plan: &Plan, target: IpAddr, keeps_id: bool) -> Result<Self, Failure> {
        let mut random = vec![0; plan.size + 2];
        let mut filled = 0;
        while filled < random.len() {
            let got = getrandom(&mut random[filled..], GetRandomFlags::empty())
                .map_err(|errno| Failure::io(Reason::Local, "no random bytes", &errno.into()))?;
            filled += got;
        }
        let id = u16::from_be_bytes([random[plan.size], random[plan.size + 1]]);
        random.truncate(plan.size);
        Ok(Self { plan: *plan, target, id, keeps_id, payload: random, requests: Vec::new(), told: None })
    }

    /// Sends every request and takes what comes back, until each has its fate or the time is over.
    ///
    /// # Errors
    /// When nothing can be sent: [`Reason::Connect`], or [`Reason::Local`] for what this host forbids or lacks.
    pub(super) async fn run(&mut self, socket: &Socket, until: Instant, out: &mut Readings) -> Result<(), Failure> {
        let mut buffer = vec![0; self.payload.len() + HEADER + OVERHEAD];
        let mut due = Instant::now();
        loop {
            if Instant::now() >= due && self.is_sending() {
                self.send(socket, out)?;
                due = Instant::now() + if self.is_sending() { self.plan.spacing } else { self.plan.wait };
            }
            if !self.is_sending() && self.requests.iter().all(|(_, fate)| *fate != Fate::Waiting) {
                return Ok(());
            }
            let pause = due.min(until);
            tokio::select! {
                biased;
                () = sleep_until(pause) => if pause == until || !self.is_sending() {
                    self.drain(socket, &mut buffer, out);
                    return Ok(());
                },
                heard = socket.receive(&mut buffer, |heard, from| self.take(heard, from)) => {
                    self.note(heard, out);
                }
            }
        }
    }

    fn is_sending(&self) -> bool {
        self.requests.len() < usize::from(self.plan.count)
    }

    fn send(&mut self, socket: &Socket, out: &mut Readings) -> Result<(), Failure> {
        let mark = Mark { id: self.id, sequence: self.requests.len() as u16 };
        let at = Instant::now();
        match socket.send(mark, &self.payload) {
            Ok(()) => {
                out.add(&REQUESTS, 1.0);
                self.requests.push((at, Fate::Waiting));
            }
            // An error about an earlier request is told to the next one.
            Err(failure) if failure.reason == Reason::Connect && !self.requests.is_empty() => {
                self.told.get_or_insert(failure.detail);
                self.requests.push((at, Fate::Refused));
            }
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    /// What had arrived when time ran out, because we were late to look.
    fn drain(&mut self, socket: &Socket, buffer: &mut [u8], out: &mut Readings) {
        for _ in 0..MAX_LEFT {
            match socket.receive_now(buffer, |heard, from| self.take(heard, from)) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                heard => self.note(heard, out),
            }
        }
    }

    fn note(&mut self, heard: std::io::Result<Option<bool>>, out: &mut Readings) {
        match heard {
            Ok(Some(true)) => out.add(&ANSWERS, 1.0),
            Ok(_) => {}
            // A datagram socket says so when the host or a router refused.
            Err(error) => {
                self.told.get_or_insert(error.to_string());
                if let Some((_, fate)) = self.requests.iter_mut().find(|(_, fate)| *fate == Fate::Waiting) {
                    *fate = Fate::Refused;
                }
            }
        }
    }

    /// True for the first answer to a request of ours.
    fn take(&mut self, heard: Heard<'_>, from: Option<IpAddr>) -> bool {
        let (mark, payload) = match heard {
            Heard::Answer(mark, payload) => (mark, Some(payload)),
            Heard::Refusal(mark, why) => {
                if mark.id == self.id && self.settle(mark, Fate::Refused) {
                    let whose = from.map_or_else(|| "somebody".to_owned(), |from| from.to_string());
                    self.told.get_or_insert(format!("{whose} says of {}: {why}", self.target));
                }
                return false;
            }
        };
        if (self.keeps_id && mark.id != self.id) || payload != Some(self.payload.as_slice()) {
            return false;
        }
        let Some((sent, _)) = self.requests.get(usize::from(mark.sequence)) else { return false };
        let took = sent.elapsed();
        self.settle(mark, Fate::Answered(took))
    }

    /// False for what has its fate already: a duplicate.
    fn settle(&mut self, mark: Mark, fate: Fate) -> bool {
        match self.requests.get_mut(usize::from(mark.sequence)) {
            Some((_, waiting @ Fate::Waiting)) => {
                *waiting = fate;
                true
            }
            _ => false,
        }
    }

    /// How many requests were sent.
    pub(super) fn sent(&self) -> usize {
        self.requests.len()
    }

    /// The round trips of those that were answered.
    pub(super) fn answers(&self) -> impl Iterator<Item = Duration> + '_ {
        self.requests.iter().filter_map(|(_, fate)| match fate {
            Fate::Answered(took) => Some(*took),
            _ => None,
        })
    }

    /// What was said instead of an answer.
    pub(super) fn told(&self) -> Option<&str> {
        self.told.as_deref()
    }

    /// The failure of a run without any answer.
    pub(super) fn silence(&self) -> Failure {
        let sent = self.requests.len();
        match self.told() {
            Some(told) => Failure::new(Reason::Connect, told),
            None => Failure::new(Reason::Timeout, format!("{} answered none of {sent} requests", self.target)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan { count: 3, spacing: Duration::from_millis(10), wait: Duration::from_millis(10), size: 16 };

    /// Two requests are under way, and what then comes in is said to answer one of ours or not.
    fn heard(keeps_id: bool, heard: &[(u16, u16, bool)]) -> (Vec<bool>, Exchange) {
        let mut exchange = Exchange::begin(&PLAN, "192.0.2.1".parse().unwrap(), keeps_id).unwrap();
        exchange.requests = vec![(Instant::now(), Fate::Waiting); 2];
        let (own, foreign) = (exchange.payload.clone(), vec![0; 16]);
        let answers = heard
            .iter()
            .map(|(id_offset, sequence, is_own)| {
                let mark = Mark { id: exchange.id.wrapping_add(*id_offset), sequence: *sequence };
                exchange.take(Heard::Answer(mark, if *is_own { &own } else { &foreign }), None)
            })
            .collect();
        (answers, exchange)
    }

    #[test]
    fn an_answer_is_ours_by_its_payload_and_its_marks_and_counts_once() {
        let cases = [(0, 0, true), (0, 0, true), (1, 1, true), (0, 1, false), (0, 2, true), (0, 1, true)];
        let (answers, exchange) = heard(true, &cases);
        assert_eq!(answers, [true, false, false, false, false, true]);
        assert_eq!((exchange.sent(), exchange.answers().count()), (2, 2));
        // The kernel's own socket has another identifier, and shows nobody else's answers.
        assert_eq!(heard(false, &[(1, 1, true), (1, 1, false)]).0, [true, false]);
    }

    #[test]
    fn a_refusal_counts_for_the_request_that_it_quotes_and_the_first_is_told() {
        let mut exchange = Exchange::begin(&PLAN, "192.0.2.1".parse().unwrap(), true).unwrap();
        exchange.requests = vec![(Instant::now(), Fate::Waiting); 2];
        let router = Some("198.51.100.1".parse().unwrap());
        let foreign = Mark { id: exchange.id.wrapping_add(1), sequence: 0 };
        assert!(!exchange.take(Heard::Refusal(foreign, "host unreachable"), router));
        assert_eq!((exchange.told(), exchange.requests[0].1), (None, Fate::Waiting));
        assert_eq!(exchange.silence().reason, Reason::Timeout);
        for sequence in [1, 0] {
            let mark = Mark { id: exchange.id, sequence };
            assert!(!exchange.take(Heard::Refusal(mark, "host unreachable"), router));
        }
        assert!(exchange.requests.iter().all(|(_, fate)| *fate == Fate::Refused));
        let told = "198.51.100.1 says of 192.0.2.1: host unreachable";
        assert_eq!(exchange.silence(), Failure::new(Reason::Connect, told));
    }

    #[test]
    fn no_two_runs_have_the_same_payload() {
        let payload = || Exchange::begin(&PLAN, "192.0.2.1".parse().unwrap(), true).unwrap().payload;
        let (one, other) = (payload(), payload());
        assert!(one.len() == 16 && one != other);
    }
}
