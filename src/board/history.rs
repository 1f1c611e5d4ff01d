//! What a probe's page needs to remember: in each minute, ten minutes and hour how long the target was up, down or not
//! known, and how long runs took. Pure and of a fixed size; `app` keeps it on disk.
//!
//! Time belongs to the state that held while it passed, as in [`Record::unhealthy_for`](super::Record::unhealthy_for): an
//! incident counts from its first failure, once it is confirmed. Until then that time waits. Durations are monotonic; the
//! wall clock says only into which bucket they go.

mod packed;
mod ring;

pub use packed::{Packed, Packer};

use crate::health::{Incident, Status};
use ring::{Ring, Share, Slot};
use std::time::Duration;
use tokio::time::Instant;

/// A span up to now over which availability is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// One hour.
    Hour,
    /// 24 hours.
    Day,
    /// Seven days.
    Week,
    /// Thirty days.
    Month,
}

impl Window {
    /// The shortest first.
    pub const ALL: [Window; 4] = [Window::Hour, Window::Day, Window::Week, Window::Month];

    /// As it stands in an address and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Window::Hour => "1h",
            Window::Day => "24h",
            Window::Week => "7d",
            Window::Month => "30d",
        }
    }

    const fn seconds(self) -> f64 {
        match self {
            Window::Hour => 3600.0,
            Window::Day => 86_400.0,
            Window::Week => 7.0 * 86_400.0,
            Window::Month => 30.0 * 86_400.0,
        }
    }
}

/// How the time of a window was spent, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Uptime {
    /// Not in an incident.
    pub good: f64,
    /// In an incident.
    pub bad: f64,
    /// All of it, known or not.
    pub span: f64,
}

impl Uptime {
    /// The share of the known time that was not spent in an incident; none while nothing is known.
    pub fn ratio(&self) -> Option<f64> {
        let known = self.good + self.bad;
        (known > 0.0).then(|| self.good / known)
    }

    /// The share of the time that is known.
    pub fn known(&self) -> f64 {
        if self.span > 0.0 { ((self.good + self.bad) / self.span).min(1.0) } else { 0.0 }
    }
}

/// How long runs took, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latency {
    /// The shortest.
    pub min: f64,
    /// On average.
    pub mean: f64,
    /// The longest.
    pub max: f64,
}

/// One bucket, for a chart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// When it begins, in seconds since the Unix epoch.
    pub begin: f64,
    /// Seconds not in an incident.
    pub good: f64,
    /// Seconds in an incident.
    pub bad: f64,
    /// Known runs that ended in it.
    pub runs: u16,
    /// Those of them that failed.
    pub failed: u16,
    /// How long they took.
    pub latency: Option<Latency>,
}

/// Time and runs of a bucket. Latencies are kept as logarithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Tally {
    share: Share,
    min: u16,
    mean: u16,
    max: u16,
    runs: u16,
    failed: u16,
}

impl Slot for Tally {
    fn share(&mut self) -> &mut Share {
        &mut self.share
    }
}

/// Steps of a kept latency from one power of two to the next: 0.03 %.
const STEPS: f64 = 2048.0;

/// The shortest latency that is told from none, in seconds.
const SHORTEST: f64 = 1e-6;

fn squeezed(seconds: f64) -> u16 {
    ((seconds / SHORTEST).max(1.0).log2() * STEPS).round() as u16
}

fn stretched(kept: u16) -> f64 {
    (f64::from(kept) / STEPS).exp2() * SHORTEST
}

/// How many spans may wait for the verdict on them.
const MAX_PENDING: usize = 16;

/// What a run tells.
#[derive(Debug, Clone, Copy)]
pub struct Passed {
    /// The state that holds from now on.
    pub status: Status,
    /// What it did to an incident.
    pub incident: Option<Incident>,
    /// How long it took, and whether it succeeded; none if nothing is known of the target.
    pub run: Option<(Duration, bool)>,
    /// How long what it found is believed without another run.
    pub believed: Duration,
}

/// The history of one probe.
#[derive(Debug, Clone)]
pub struct History {
    minutes: Ring<Tally>,
    tens: Ring<Tally>,
    hours: Ring<Share>,
    /// Sums of the latencies in the newest minute and ten minutes.
    sums: [f64; 2],
    status: Status,
    /// Until when time is booked.
    until: Option<Instant>,
    /// Until when the state is believed.
    believed: Option<Instant>,
    /// Failing, and not known yet whether it becomes an incident: from and to, in seconds since the Unix epoch.
    pending: Vec<(f64, f64)>,
}

impl Default for History {
    fn default() -> Self {
        Self {
            minutes: Ring::new(60, 60),
            tens: Ring::new(600, 144),
            hours: Ring::new(3600, 720),
            sums: [0.0; 2],
            status: Status::Unknown,
            until: None,
            believed: None,
            pending: Vec::new(),
        }
    }
}

impl History {
    /// Books the time until now under the state that holds; `at` is now in seconds since the Unix epoch.
    pub fn pass(&mut self, at: f64, now: Instant) {
        let before = [self.minutes.newest(), self.tens.newest()];
        self.minutes.advance(at);
        self.tens.advance(at);
        self.hours.advance(at);
        let rings = [&self.minutes, &self.tens];
        for ((sum, ring), before) in self.sums.iter_mut().zip(rings).zip(before) {
            if ring.newest() != before {
                *sum = sum_of_newest(ring);
            }
        }
        let Some(until) = self.until.replace(now) else { return };
        let from = at - now.saturating_duration_since(until).as_secs_f64();
        let doubted = self.believed.map_or(Duration::ZERO, |believed| now.saturating_duration_since(believed));
        let to = at - doubted.as_secs_f64();
        if to <= from {
            return;
        }
        match self.status {
            Status::Unknown => {}
            Status::Healthy => self.book(from, to, true),
            Status::Unhealthy => self.book(from, to, false),
            Status::Suspect => self.wait(from, to),
        }
    }

    /// Takes what a run that ended now tells.
    pub fn take(&mut self, passed: &Passed, at: f64, now: Instant) {
        self.pass(at, now);
        match (passed.incident, passed.status) {
            (Some(Incident::Confirmed), _) => self.settle(false),
            (_, Status::Healthy | Status::Unhealthy) => self.settle(true),
            _ => {}
        }
        self.status = passed.status;
        self.believed = now.checked_add(passed.believed);
        if let Some((duration, succeeded)) = passed.run {
            let seconds = duration.as_secs_f64();
            for (ring, sum) in [&mut self.minutes, &mut self.tens].into_iter().zip(&mut self.sums) {
                if let Some(tally) = ring.get_mut(ring.newest()) {
                    *sum += seconds;
                    count(tally, seconds, *sum, succeeded);
                }
            }
        }
    }

    /// How the time of a window was spent.
    pub fn uptime(&self, window: Window, at: f64) -> Uptime {
        match window {
            Window::Hour => uptime(&self.minutes, self.minutes.length(), at, |tally| tally.share),
            Window::Day => uptime(&self.tens, self.tens.length(), at, |tally| tally.share),
            Window::Week => uptime(&self.hours, 7 * 24, at, |share| *share),
            Window::Month => uptime(&self.hours, self.hours.length(), at, |share| *share),
        }
        .with(self.waiting(window, at))
    }

    /// The minutes of the last hour, the oldest first.
    pub fn minutes(&self, at: f64) -> Vec<Point> {
        points(&self.minutes, at, point)
    }

    /// The ten minutes of the last day, the oldest first.
    pub fn tens(&self, at: f64) -> Vec<Point> {
        points(&self.tens, at, point)
    }

    /// The hours of the last thirty days, the oldest first; nothing is known of the runs in them.
    pub fn hours(&self, at: f64) -> Vec<Point> {
        points(&self.hours, at, |share, begin| point(&Tally { share: *share, ..Tally::default() }, begin))
    }

    /// What waits is good until it is known to be bad.
    fn waiting(&self, window: Window, at: f64) -> f64 {
        let begin = at - window.seconds();
        self.pending.iter().map(|(from, to)| (to - from.max(begin)).max(0.0)).sum()
    }

    fn book(&mut self, from: f64, to: f64, good: bool) {
        self.minutes.book(from, to, good);
        self.tens.book(from, to, good);
        self.hours.book(from, to, good);
    }

    fn wait(&mut self, from: f64, to: f64) {
        match self.pending.last_mut() {
            // One span goes on, unless the clock was put back.
            Some((begin, end)) if (from - *end).abs() < 1.0 && to > *begin => *end = to,
            _ => {
                if self.pending.len() == MAX_PENDING {
                    let (from, to) = self.pending.remove(0);
                    self.book(from, to, true);
                }
                self.pending.push((from, to));
            }
        }
    }

    fn settle(&mut self, good: bool) {
        for (from, to) in std::mem::take(&mut self.pending) {
            self.book(from, to, good);
        }
    }
}

impl Uptime {
    fn with(mut self, waiting: f64) -> Self {
        self.good += waiting;
        self
    }
}

/// The sum of the latencies in the newest bucket, as far as it is kept.
fn sum_of_newest(ring: &Ring<Tally>) -> f64 {
    ring.get(ring.newest()).map_or(0.0, |tally| stretched(tally.mean) * f64::from(tally.runs))
}

fn count(tally: &mut Tally, seconds: f64, sum: f64, succeeded: bool) {
    let kept = squeezed(seconds);
    tally.min = if tally.runs == 0 { kept } else { tally.min.min(kept) };
    tally.max = tally.max.max(kept);
    tally.runs = tally.runs.saturating_add(1);
    tally.failed = tally.failed.saturating_add(u16::from(!succeeded));
    tally.mean = squeezed(sum / f64::from(tally.runs));
}

fn point(tally: &Tally, begin: f64) -> Point {
    let latency = (tally.runs > 0).then(|| Latency {
        min: stretched(tally.min),
        mean: stretched(tally.mean),
        max: stretched(tally.max),
    });
    let (good, bad) = (tally.share.good_seconds(), tally.share.bad_seconds());
    Point { begin, good, bad, runs: tally.runs, failed: tally.failed, latency }
}

fn points<T: Slot>(ring: &Ring<T>, at: f64, point: impl Fn(&T, f64) -> Point) -> Vec<Point> {
    let last = ring.number(at);
    let first = (last + 1).saturating_sub(ring.length() as u64);
    let nothing = T::default();
    (first..=last).map(|number| point(ring.get(number).unwrap_or(&nothing), number as f64 * ring.width())).collect()
}

fn uptime<T: Slot>(ring: &Ring<T>, buckets: usize, at: f64, share: impl Fn(&T) -> Share) -> Uptime {
    let last = ring.number(at);
    let first = (last + 1).saturating_sub(buckets as u64);
    let shares = (first..=last).filter_map(|number| ring.get(number)).map(share);
    let nothing = Uptime { span: at - first as f64 * ring.width(), ..Uptime::default() };
    shares.fold(nothing, |sum, share| Uptime {
        good: sum.good + share.good_seconds(),
        bad: sum.bad + share.bad_seconds(),
        ..sum
    })
}

#[cfg(test)]
mod tests;
