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
    id: u16,
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
    pub(super) fn begin(plan: &Plan) -> Result<Self, Failure> {
        let mut random = vec![0; plan.size + 2];
        let mut filled = 0;
        while filled < random.len() {
            let got = getrandom(&mut random[filled..], GetRandomFlags::empty())
                .map_err(|errno| Failure::io(Reason::Local, "no random bytes", &errno.into()))?;
            filled += got;
        }
        let id = u16::from_be_bytes([random[plan.size], random[plan.size + 1]]);
        random.truncate(plan.size);
        Ok(Self { plan: *plan, id, payload: random, requests: Vec::new(), told: None })
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
                heard = socket.receive(&mut buffer, |heard, from| self.take(socket, heard, from)) => {
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
            match socket.receive_now(buffer, |heard, from| self.take(socket, heard, from)) {
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
    fn take(&mut self, socket: &Socket, heard: Heard<'_>, from: Option<IpAddr>) -> bool {
        let (mark, payload) = match heard {
            Heard::Answer(mark, payload) => (mark, Some(payload)),
            Heard::Refusal(mark, why) => {
                if mark.id == self.id && self.settle(mark, Fate::Refused) {
                    let whose = from.map_or_else(|| "somebody".to_owned(), |from| from.to_string());
                    self.told.get_or_insert(format!("{whose} says of {}: {why}", socket.target()));
                }
                return false;
            }
        };
        if (socket.keeps_id() && mark.id != self.id) || payload != Some(self.payload.as_slice()) {
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
    pub(super) fn silence(&self, target: IpAddr) -> Failure {
        let sent = self.requests.len();
        match self.told() {
            Some(told) => Failure::new(Reason::Connect, told),
            None => Failure::new(Reason::Timeout, format!("{target} answered none of {sent} requests")),
        }
    }
}
