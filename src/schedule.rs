//! Cadence, phase, permits and cancellation: when each probe runs, and what counts as our own fault.

mod cadence;
mod pulse;
mod runner;

pub use pulse::Pulse;
pub use runner::{Frame, run_once};

use crate::board::{Board, Pace, ProbeCell};
use crate::health::{Incident, Transition};
use crate::observation::{Audience, Failure, Readings};
use crate::probe::{Cadence, Probe};
use cadence::Grid;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// Starts probes and keeps them running.
#[derive(Debug)]
pub struct Scheduler {
    board: Arc<Board>,
    permits: Arc<Semaphore>,
    pulse: Arc<Pulse>,
    anchor: Instant,
}

/// The first runs of a configuration are spread over at most this time, so that a start is quick and still no burst.
const FIRST_ROUND: Duration = Duration::from_secs(1);

impl Scheduler {
    /// A scheduler whose probes write to `board`, at most `concurrency` of them at once.
    pub fn new(board: Arc<Board>, concurrency: usize, pulse: Arc<Pulse>) -> Self {
        let permits = Arc::new(Semaphore::new(concurrency.clamp(1, Semaphore::MAX_PERMITS)));
        Self { board, permits, pulse, anchor: Instant::now() }
    }

    /// Starts a probe. It runs until it is stopped.
    pub fn start(&self, worker: impl Probe, cadence: Cadence, cell: Arc<ProbeCell>) -> Task {
        let (stop, stopped) = watch::channel(false);
        let grid = Grid::new(self.anchor, cadence.interval, &cell.descriptor().name);
        let runner = Watch {
            worker,
            cadence,
            grid,
            cell,
            board: Arc::clone(&self.board),
            permits: Arc::clone(&self.permits),
            pulse: Arc::clone(&self.pulse),
            sheet: Readings::default(),
            stopped,
        };
        Task { stop, handle: tokio::spawn(runner.watch()) }
    }
}

/// A probe that is running.
#[derive(Debug)]
pub struct Task {
    stop: watch::Sender<bool>,
    handle: JoinHandle<()>,
}

impl Task {
    /// Asks the probe to stop: a run that has begun may end, no other begins.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits for the end until `deadline`, then cuts the run off.
    pub async fn ended_by(mut self, deadline: Instant) {
        if tokio::time::timeout_at(deadline, &mut self.handle).await.is_err() {
            self.handle.abort();
            // Whatever the task held is freed only once it has really ended.
            let _ = self.handle.await;
        }
    }
}

/// One probe with its timer.
struct Watch<P> {
    worker: P,
    cadence: Cadence,
    grid: Grid,
    cell: Arc<ProbeCell>,
    board: Arc<Board>,
    permits: Arc<Semaphore>,
    pulse: Arc<Pulse>,
    sheet: Readings,
    stopped: watch::Receiver<bool>,
}

impl<P: Probe> Watch<P> {
    async fn watch(mut self) {
        let mut started = Instant::now();
        let mut due = started + self.grid.phase_within(FIRST_ROUND);
        loop {
            let is_held = self.held_until().is_some();
            tokio::select! {
                biased;
                _ = self.stopped.wait_for(|stop| *stop) => return,
                () = sleep_until(due) => {}
                () = self.worker.wake(), if !is_held => due = Instant::now(),
                () = self.cell.asked() => {
                    due = sooner(self.cell.pace(), self.cadence.retry_interval, due, started);
                    continue;
                }
            }
            if let Some(until) = self.held_until() {
                due = until;
                continue;
            }
            let begun = Instant::now();
            self.board.own.observe_lag(begun.saturating_duration_since(due));
            // The semaphore is never closed, so there is always a permit in the end.
            let permits = Arc::clone(&self.permits);
            let permit = permits.acquire().await;
            self.board.own.observe_permit_wait(begun.elapsed());
            started = Instant::now();
            self.run().await;
            drop(permit);
            due = self.next(due, started);
        }
    }

    async fn run(&mut self) {
        let sheet = std::mem::take(&mut self.sheet);
        let audience = Some(Arc::clone(&self.cell) as Arc<dyn Audience>);
        let frame = Frame { sheet, timeout: self.cadence.timeout, pulse: Some(&self.pulse), audience };
        let observation = run_once(&mut self.worker, frame).await;
        let failure = observation.outcome.as_ref().err().cloned();
        let (transition, sheet) = self.board.publish(&self.cell, observation, Instant::now());
        self.sheet = sheet;
        if let Some(transition) = transition {
            report(&self.cell, transition, failure.as_ref(), &self.board.causes(&self.cell));
        }
    }

    fn held_until(&self) -> Option<Instant> {
        match self.cell.pace() {
            Pace::Held(until) if until > Instant::now() => Some(until),
            _ => None,
        }
    }

    fn next(&self, due: Instant, started: Instant) -> Instant {
        let now = Instant::now();
        if let Pace::Urgent(every) = self.cell.pace() {
            return (started + every).max(now);
        }
        if self.cell.read(|record| record.state.is_in_doubt()) {
            return (started + self.cadence.retry_interval).max(now);
        }
        let (next, missed) = self.grid.next(due, now);
        if missed > 0 {
            self.board.own.add_missed(missed);
        }
        next
    }
}

/// When a probe runs next, now that somebody has asked for it or its pace has changed.
fn sooner(pace: Pace, retry_interval: Duration, due: Instant, started: Instant) -> Instant {
    let now = Instant::now();
    match pace {
        Pace::Held(until) => until,
        Pace::Urgent(every) => (started + every).max(now),
        // Whoever asks does not make it run more often than it would in doubt.
        Pace::Ordinary => due.min((started + retry_interval).max(now)),
    }
}

/// One structured line for each change of state.
fn report(cell: &ProbeCell, transition: Transition, failure: Option<&Failure>, causes: &[String]) {
    let descriptor = cell.descriptor();
    let (from, to) = (transition.from.as_str(), transition.to.as_str());
    let (probe, kind, group) = (&descriptor.name, descriptor.kind, descriptor.group.as_deref());
    let reason = failure.map(|failure| failure.reason.as_str());
    let detail = failure.map(|failure| failure.detail.as_str());
    let caused_by = (!causes.is_empty()).then(|| causes.join(", "));
    match (transition.incident, failure) {
        (Some(Incident::Confirmed), _) => {
            tracing::error!(probe, kind, group, from, to, reason, detail, caused_by, "probe is unhealthy");
        }
        (Some(Incident::Recovered), _) => tracing::info!(probe, kind, group, from, to, "probe has recovered"),
        (None, Some(_)) => {
            tracing::warn!(probe, kind, group, from, to, reason, detail, caused_by, "probe changed state");
        }
        (None, None) => tracing::info!(probe, kind, group, from, to, "probe changed state"),
    }
}

/// Stops all tasks and waits for them together until `deadline`.
pub async fn end_all(tasks: Vec<Task>, deadline: Instant) {
    for task in &tasks {
        task.stop();
    }
    for task in tasks {
        task.ended_by(deadline).await;
    }
}

/// How long a run may go on after a reload has removed or changed its probe.
pub const RELOAD_GRACE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Descriptor;
    use crate::health::Policy;
    use crate::observation::{Family, Reason, Scope};
    use std::sync::Mutex;
    use tokio::sync::Notify;

    const SECOND: Duration = Duration::from_secs(1);
    const CADENCE: Cadence =
        Cadence { interval: Duration::from_secs(60), retry_interval: Duration::from_secs(5), timeout: SECOND };

    /// Does as its script says, one letter a run: `s`ucceeds, `f`ails, `h`angs; the last letter goes on for ever.
    struct Scripted {
        script: &'static str,
        runs: Arc<Mutex<Vec<Instant>>>,
        wake: Arc<Notify>,
    }

    impl Probe for Scripted {
        async fn run(&mut self, _: &mut Readings) -> Result<(), Failure> {
            let number = {
                let mut runs = self.runs.lock().unwrap();
                runs.push(Instant::now());
                runs.len()
            };
            match self.script.as_bytes().get(number - 1).or(self.script.as_bytes().last()) {
                Some(b'f') => Err(Failure::new(Reason::Connect, "told to fail")),
                Some(b'h') => std::future::pending().await,
                _ => Ok(()),
            }
        }

        async fn wake(&mut self) {
            self.wake.notified().await;
        }
    }

    struct Stage {
        scheduler: Scheduler,
        board: Arc<Board>,
    }

    struct Watched {
        task: Task,
        cell: Arc<ProbeCell>,
        runs: Arc<Mutex<Vec<Instant>>>,
        wake: Arc<Notify>,
    }

    impl Stage {
        fn with_permits(permits: usize) -> Self {
            let board = Arc::new(Board::default());
            let pulse = Arc::new(Pulse::default());
            let beating = Arc::clone(&pulse);
            tokio::spawn(async move { beating.beat().await });
            Self { scheduler: Scheduler::new(Arc::clone(&board), permits, pulse), board }
        }

        fn watch(&self, name: &str, script: &'static str, cadence: Cadence) -> Watched {
            let cell = Arc::new(ProbeCell::new(Descriptor {
                name: name.into(),
                kind: "fake",
                group: None,
                interval: cadence.interval,
                policy: Policy { failure_threshold: 3, success_threshold: 2 },
                limits: Vec::new(),
                reasons: &[],
                families: &[],
                depends_on: Vec::new(),
            }));
            let (runs, wake) = (Arc::default(), Arc::new(Notify::new()));
            let probe = Scripted { script, runs: Arc::clone(&runs), wake: Arc::clone(&wake) };
            let task = self.scheduler.start(probe, cadence, Arc::clone(&cell));
            Watched { task, cell, runs, wake }
        }
    }

    impl Watched {
        fn runs(&self) -> Vec<Instant> {
            self.runs.lock().unwrap().clone()
        }

        fn gaps(&self) -> Vec<u64> {
            self.runs().windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs_f64().round() as u64).collect()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_suspect_target_is_probed_every_retry_interval_until_the_verdict() {
        let stage = Stage::with_permits(10);
        let watched = stage.watch("x", "ssfffssss", CADENCE);
        tokio::time::sleep(10 * CADENCE.interval).await;
        let gaps = watched.gaps();
        // Healthy: a whole interval; suspect: 5 s twice; unhealthy: back on the grid; in recovery: 5 s once.
        assert_eq!(gaps[1], 60, "{gaps:?}");
        assert_eq!(&gaps[2..4], &[5, 5], "{gaps:?}");
        assert!(gaps[4] > 5 && gaps[4] <= 60, "{gaps:?}");
        assert_eq!(gaps[5], 5, "{gaps:?}");
        assert_eq!(gaps[7], 60, "{gaps:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_run_shows_is_seen_while_it_lasts_and_counted_once() {
        static RUNNING: Family = Family::gauge("banken_test_running", Scope::Probe, &[], "Running");
        static ATTEMPTS: Family = Family::counter("banken_test_attempts_total", Scope::Probe, &[], "Attempts");
        struct Slow;
        impl Probe for Slow {
            async fn run(&mut self, out: &mut Readings) -> Result<(), Failure> {
                out.flag(&RUNNING, true);
                out.add(&ATTEMPTS, 1.0);
                out.show();
                tokio::time::sleep(20 * SECOND).await;
                out.flag(&RUNNING, false);
                out.add(&ATTEMPTS, 1.0);
                Ok(())
            }
        }
        let stage = Stage::with_permits(10);
        let cell = stage.watch("settings", "s", CADENCE).cell;
        let cell = Arc::new(ProbeCell::new(cell.descriptor().clone()));
        let patient = Cadence { timeout: 30 * SECOND, ..CADENCE };
        let _task = stage.scheduler.start(Slow, patient, Arc::clone(&cell));
        let seen =
            || cell.read(|record| (record.readings().value(&RUNNING), record.sums().iter().map(|s| s.value).sum()));
        tokio::time::sleep(10 * SECOND).await;
        assert_eq!(seen(), (Some(1.0), 1.0));
        tokio::time::sleep(20 * SECOND).await;
        assert_eq!(seen(), (Some(0.0), 2.0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_asked_runs_soon_and_no_more_often_than_in_doubt() {
        let stage = Stage::with_permits(10);
        let watched = stage.watch("x", "s", CADENCE);
        tokio::time::sleep(10 * SECOND).await;
        let before = watched.runs();
        watched.cell.ask();
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(watched.runs().len(), before.len() + 1, "its last run is longer ago than the retry interval");
        for _ in 0..10 {
            watched.cell.ask();
            tokio::time::sleep(SECOND).await;
        }
        let gaps = watched.gaps();
        assert!(gaps[before.len()..].iter().all(|gap| *gap >= 5), "{gaps:?}");
        assert!(watched.runs().len() >= before.len() + 2, "{gaps:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_is_held_while_its_target_is_repaired_and_runs_quickly_while_a_verdict_hangs_on_it() {
        let stage = Stage::with_permits(10);
        let watched = stage.watch("x", "s", CADENCE);
        tokio::time::sleep(SECOND).await;
        let before = watched.runs().len();
        watched.cell.set_pace(Pace::Held(Instant::now() + 200 * SECOND));
        watched.wake.notify_one();
        tokio::time::sleep(190 * SECOND).await;
        assert_eq!(watched.runs().len(), before);
        watched.cell.set_pace(Pace::Urgent(SECOND / 2));
        tokio::time::sleep(5 * SECOND).await;
        let quick = watched.runs().len() - before;
        assert!((10..=11).contains(&quick), "{quick}");
        watched.cell.set_pace(Pace::Ordinary);
        tokio::time::sleep(130 * SECOND).await;
        let ordinary = watched.runs().len() - before - quick;
        assert!((2..=4).contains(&ordinary), "{ordinary}");
        // Whoever held it and is gone does not hold it for ever.
        watched.cell.set_pace(Pace::Held(Instant::now() + 10 * SECOND));
        let held = watched.runs().len();
        tokio::time::sleep(60 * SECOND).await;
        assert!(watched.runs().len() > held);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_wakes_runs_at_once() {
        let stage = Stage::with_permits(10);
        let watched = stage.watch("x", "s", CADENCE);
        tokio::time::sleep(3 * SECOND).await;
        let before = watched.runs().len();
        watched.wake.notify_one();
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(watched.runs().len(), before + 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_target_that_hangs_misses_its_ticks_and_blocks_nobody_else() {
        let stage = Stage::with_permits(2);
        let every_second = Cadence { interval: SECOND, retry_interval: SECOND, timeout: Duration::from_millis(3500) };
        let hanging = stage.watch("hanging", "h", every_second);
        let fine = stage.watch("fine", "s", every_second);
        tokio::time::sleep(100 * SECOND).await;
        assert!(fine.runs().len() >= 99, "{}", fine.runs().len());
        assert!(hanging.runs().len() <= 30, "{}", hanging.runs().len());
        assert!(stage.board.own.missed() >= 50, "{}", stage.board.own.missed());
        assert_eq!(hanging.cell.read(|record| record.failures(Reason::Timeout)) as usize, hanging.runs().len() - 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_permit_says_so() {
        let stage = Stage::with_permits(1);
        let cadence = Cadence { timeout: 10 * SECOND, ..CADENCE };
        let _hanging = stage.watch("hanging", "h", cadence);
        let _waiting = stage.watch("waiting", "h", cadence);
        tokio::time::sleep(15 * SECOND).await;
        let waits = stage.board.own.permit_wait();
        assert_eq!(waits.count(), 2);
        assert!(waits.sum() > 8.0, "{}", waits.sum());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_lets_the_run_end_and_cuts_off_what_hangs() {
        let stage = Stage::with_permits(10);
        let cadence = Cadence { timeout: 60 * SECOND, ..CADENCE };
        let (idle, hanging) = (stage.watch("idle", "s", cadence), stage.watch("hanging", "h", cadence));
        tokio::time::sleep(3 * SECOND).await;
        let begun = Instant::now();
        end_all(vec![idle.task, hanging.task], begun + 5 * SECOND).await;
        assert_eq!(begun.elapsed(), 5 * SECOND);
        let runs = idle.runs.lock().unwrap().len();
        tokio::time::sleep(3 * CADENCE.interval).await;
        assert_eq!(idle.runs.lock().unwrap().len(), runs);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_round_is_spread_and_soon_done_whatever_the_interval() {
        let stage = Stage::with_permits(1000);
        let hourly = Cadence { interval: Duration::from_secs(3600), ..CADENCE };
        let begun = Instant::now();
        let all: Vec<_> = (0..200).map(|number| stage.watch(&format!("probe-{number}"), "s", hourly)).collect();
        stage.board.replace_probes(all.iter().map(|watched| Arc::clone(&watched.cell)).collect());
        assert_eq!(stage.board.waiting_for_first_run(), 200);
        tokio::time::sleep(2 * SECOND).await;
        assert_eq!(stage.board.waiting_for_first_run(), 0);
        let early = all.iter().filter(|watched| watched.runs()[0] < begun + SECOND / 2).count();
        assert!((60..140).contains(&early), "{early} of 200 ran in the first half second");
    }
}
