//! What a remedy looks at: the runs of probes, and once a second what no probe sees.

use super::clock::Clock;
use super::plan::{Condition, POLL, Trigger};
use super::policy::{Look, Moment, Verdict};
use super::webhook::Inbox;
use crate::board::{Board, Pace, ProbeCell, Seen};
use crate::health;
use crate::observation::{Severity, unix_now};
use futures_util::future::select_all;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// A probe whose runs are looks.
struct Followed {
    name: String,
    cell: Option<Arc<ProbeCell>>,
    runs: Option<watch::Receiver<Option<Seen>>>,
    latest: Option<Seen>,
}

impl Followed {
    /// Follows the cell that is on the board now; a reload puts another one there.
    fn find(&mut self, board: &Board, pace: Pace) {
        let current = board.probe(&self.name);
        let is_same = match (&current, &self.cell) {
            (Some(current), Some(known)) => Arc::ptr_eq(current, known),
            (None, None) => true,
            _ => false,
        };
        if !is_same {
            self.cell = current;
            self.runs = self.cell.as_ref().map(|cell| cell.runs());
            if let Some(cell) = &self.cell {
                cell.set_pace(pace);
            }
        }
    }

    /// The next run of this probe.
    async fn next(&mut self) -> Seen {
        let Some(runs) = &mut self.runs else { return std::future::pending().await };
        loop {
            // Its sender is the cell, which is held here, so that this does not fail.
            if runs.changed().await.is_err() {
                return std::future::pending().await;
            }
            if let Some(seen) = *runs.borrow_and_update() {
                return seen;
            }
        }
    }
}

/// Looks at the condition of one remedy.
pub struct Watching {
    board: Arc<Board>,
    clock: Clock,
    condition: Condition,
    alerts: Arc<Inbox>,
    followed: Vec<Followed>,
    crossed_since: Option<Moment>,
    /// What a log said before is no news, in seconds since the Unix epoch.
    heard_until: f64,
    pace: Pace,
    polled: Instant,
}

impl Watching {
    /// Of this condition, from now on.
    pub fn new(board: Arc<Board>, clock: Clock, condition: Condition, alerts: Arc<Inbox>) -> Self {
        let followed = |name: &String| Followed { name: name.clone(), cell: None, runs: None, latest: None };
        let mut followed: Vec<_> = condition.probes.iter().map(followed).collect();
        for followed in &mut followed {
            followed.find(&board, Pace::Ordinary);
        }
        let (crossed_since, heard_until) = (None, unix_now());
        Self {
            board,
            clock,
            condition,
            alerts,
            followed,
            crossed_since,
            heard_until,
            pace: Pace::Ordinary,
            polled: Instant::now(),
        }
    }

    /// How eager the probes should be, from now on.
    pub fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
        for cell in self.followed.iter().filter_map(|followed| followed.cell.as_ref()) {
            cell.set_pace(pace);
        }
    }

    /// Something was done: what a log said before belongs to the time before.
    pub fn acted(&mut self) {
        self.heard_until = unix_now();
    }

    /// The cells of the probes that are looked at.
    pub fn cells(&self) -> impl Iterator<Item = &Arc<ProbeCell>> {
        self.followed.iter().filter_map(|followed| followed.cell.as_ref())
    }

    /// Ends with the next look. It may be dropped at any time, and must be now and then: probes that have come or gone are
    /// only noticed when it begins.
    pub async fn look(&mut self) -> Look {
        if self.followed.is_empty() {
            sleep_until(self.polled + POLL).await;
            self.polled = Instant::now();
            return self.poll();
        }
        self.followed.iter_mut().for_each(|followed| followed.find(&self.board, self.pace));
        let waiting = self.followed.iter_mut().map(|followed| Box::pin(followed.next()));
        let (seen, index, _) = select_all(waiting).await;
        self.followed[index].latest = Some(seen);
        self.judge(index, seen)
    }

    fn judge(&mut self, index: usize, seen: Seen) -> Look {
        match &self.condition.trigger {
            Trigger::Crossed { signal, severity, lasting, .. } => {
                let crossed = self.followed[index].cell.as_ref().and_then(|cell| crosses(cell, signal, *severity));
                let lasting = *lasting;
                self.crossing(self.clock.moment(seen.started), crossed, lasting)
            }
            _ => self.runs_together(),
        }
    }

    /// What the latest runs of all probes say together.
    fn runs_together(&self) -> Look {
        let latest: Vec<_> = self.followed.iter().filter_map(|followed| followed.latest).collect();
        let is_all = latest.len() == self.followed.len();
        let verdict = if latest.iter().any(|seen| seen.verdict == health::Verdict::Failure) {
            Verdict::Bad
        } else if is_all && latest.iter().all(|seen| seen.verdict == health::Verdict::Success) {
            Verdict::Good
        } else {
            Verdict::Unknown
        };
        let oldest = latest.iter().map(|seen| seen.started).min().unwrap_or_else(Instant::now);
        let down = latest.iter().map(|seen| seen.unhealthy_since).collect::<Option<Vec<_>>>().filter(|_| is_all);
        let broken_since = down.and_then(|since| since.into_iter().min()).filter(|_| self.is_triggered());
        Look {
            started: self.clock.moment(oldest),
            verdict,
            broken_since: broken_since.map(|since| self.clock.moment(since)),
        }
    }

    /// Whether what is waited for beside the probes is there.
    fn is_triggered(&self) -> bool {
        match &self.condition.trigger {
            Trigger::Down | Trigger::Crossed { .. } => true,
            Trigger::Matched { log, pattern, within } => {
                self.matched_at(log, pattern).is_some_and(|at| at >= unix_now() - within.as_secs_f64())
            }
            Trigger::Late { job } => self.late_since(job).is_some(),
            Trigger::Alerted { labels } => self.alerts.since(labels, unix_now()).is_some(),
        }
    }

    /// A look at what no probe sees.
    fn poll(&mut self) -> Look {
        let (now, unix) = (self.clock.now(), unix_now());
        let since = match &self.condition.trigger {
            Trigger::Crossed { log: Some(log), severity, lasting, .. } => {
                let (crossed, lasting) = (self.log_crosses(log, *severity), *lasting);
                return self.crossing(now, crossed, lasting);
            }
            Trigger::Matched { log, pattern, within } => {
                let oldest = (unix - within.as_secs_f64()).max(self.heard_until);
                self.matched_at(log, pattern).filter(|at| *at > oldest)
            }
            Trigger::Late { job } => self.late_since(job),
            Trigger::Alerted { labels } => self.alerts.since(labels, unix),
            Trigger::Down | Trigger::Crossed { .. } => None,
        };
        let broken_since = since.map(|since| self.clock.moment_at(since, unix));
        let verdict = if broken_since.is_some() { Verdict::Bad } else { Verdict::Good };
        Look { started: now, verdict, broken_since }
    }

    fn crossing(&mut self, started: Moment, crossed: Option<bool>, lasting: Duration) -> Look {
        let verdict = match crossed {
            Some(true) => Verdict::Bad,
            Some(false) => Verdict::Good,
            None => Verdict::Unknown,
        };
        match crossed {
            Some(true) => drop(self.crossed_since.get_or_insert(started)),
            Some(false) => self.crossed_since = None,
            None => {}
        }
        let broken_since = self.crossed_since.filter(|since| started >= *since + lasting);
        Look { started, verdict, broken_since }
    }

    fn matched_at(&self, log: &str, pattern: &str) -> Option<f64> {
        let logs = self.board.logs();
        let cell = logs.iter().find(|cell| cell.descriptor().name == log)?;
        let index = cell.descriptor().patterns.iter().position(|known| known.id == pattern)?;
        cell.read(|record| record.patterns.get(index)?.last_match_at)
    }

    fn log_crosses(&self, log: &str, severity: Severity) -> Option<bool> {
        let logs = self.board.logs();
        let cell = logs.iter().find(|cell| cell.descriptor().name == log)?;
        let limit = cell.descriptor().limits.first()?;
        let size = cell.read(|record| record.caught_up_at.map(|_| record.size as f64))?;
        Some(limit.levels.crossed_by(size).is_some_and(|crossed| crossed >= severity))
    }

    /// Since when a job is late, in seconds since the Unix epoch.
    fn late_since(&self, job: &str) -> Option<f64> {
        let jobs = self.board.jobs();
        let cell = jobs.iter().find(|cell| cell.descriptor().name == job)?;
        cell.read(|record| (record.late == Some(true)).then(|| record.due_at.unwrap_or_else(unix_now)))
    }
}

/// Whether the last run of a probe crossed a threshold of this severity or a graver one; none where it did not measure it.
fn crosses(cell: &ProbeCell, signal: &str, severity: Severity) -> Option<bool> {
    let limit = cell.descriptor().limits.iter().find(|limit| limit.signal.key == signal)?;
    let value = cell.read(|record| {
        let signals = record.readings().signals();
        signals.iter().find(|(known, _)| std::ptr::eq(*known, limit.signal)).map(|(_, value)| *value)
    })?;
    Some(limit.levels.crossed_by(value).is_some_and(|crossed| crossed >= severity))
}
