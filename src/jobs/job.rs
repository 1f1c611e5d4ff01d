//! One job: its plan, its cell, and what is remembered beside what the cell shows.

use super::event::{Event, Step};
use super::lateness::{Absence, CLOCK_TOLERANCE, Expectation};
use super::ledger;
use super::plan::Plan;
use super::saved::{Saved, SavedRecord, Taken};
use crate::board::{JobCell, JobRecord, RunningRun};
use crate::state::{Loaded, Store};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a report is answered with.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Receipt {
    /// The job.
    pub task: String,
    /// The run as it was named; empty where it has no id.
    pub run: String,
    /// How many runs are under way now.
    pub running: usize,
    /// Whether the job is late now; none for a job without a time to run at.
    pub late: Option<bool>,
}

#[derive(Debug, Default)]
struct Memory {
    counted_from: f64,
    forgiven: bool,
    expected: Option<Expectation>,
    heard: BTreeMap<String, Taken>,
    save_failed: bool,
}

/// A job that is watched. Everything on it blocks while it is being saved.
#[derive(Debug)]
pub struct Job {
    plan: Plan,
    cell: Arc<JobCell>,
    store: Option<Store>,
    memory: Mutex<Memory>,
}

impl Job {
    /// Goes on where the saved state stands, or begins anew.
    pub fn begin(plan: Plan, store: Option<Store>, now: f64) -> Self {
        let saved = store.as_ref().and_then(|store| load(store, plan.name()));
        let cell = JobCell::new(
            plan.descriptor(),
            saved.as_ref().map_or_else(JobRecord::default, |saved| saved.record.restore()),
        );
        let mut memory = Memory { counted_from: now, ..Memory::default() };
        if let Some(saved) = saved {
            memory.heard = saved.heard;
            if saved.schedule == plan.schedule_in_words() {
                (memory.counted_from, memory.forgiven) = (saved.counted_from, saved.forgiven);
                let absence = Absence { from: saved.at, until: now };
                if saved.record.late != Some(true) {
                    forgive(&mut memory, &plan, absence);
                }
            }
        }
        let job = Self { plan, cell: Arc::new(cell), store, memory: Mutex::default() };
        job.begin_with(memory, now);
        job
    }

    /// Goes on where `former` stands, under what may have changed. Another schedule counts from now.
    pub fn succeeding(plan: Plan, former: &Job, now: f64) -> Self {
        let past = std::mem::take(&mut *former.locked());
        let cell = Arc::new(JobCell::succeeding(plan.descriptor(), &former.cell));
        let mut memory = past;
        if plan.schedule_in_words() != former.plan.schedule_in_words() {
            (memory.counted_from, memory.forgiven) = (now, false);
        }
        let job = Self { plan, cell, store: former.store.clone(), memory: Mutex::default() };
        job.begin_with(memory, now);
        job
    }

    fn begin_with(&self, memory: Memory, now: f64) {
        let mut locked = self.locked();
        *locked = memory;
        self.expect_from(&mut locked);
        self.judge(&mut locked, now);
        self.save(&mut locked, now);
    }

    /// What it is.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What the board shows of it.
    pub fn cell(&self) -> &Arc<JobCell> {
        &self.cell
    }

    /// Takes a report; when this returns, it is saved.
    pub fn report(&self, event: &Event) -> Receipt {
        let mut memory = self.locked();
        self.take(&mut memory, event);
        self.cell.read(|record| Receipt {
            task: self.plan.name().to_owned(),
            run: event.details.run.clone(),
            running: record.running.len(),
            late: record.late,
        })
    }

    /// Takes a line, unless it was taken before; when this returns, it is saved.
    pub fn hear(&self, id: &str, line: Taken, event: &Event) {
        let mut memory = self.locked();
        let known = memory.heard.get(id);
        // A log that counts anew has another epoch, so a lower number is then no repetition.
        if known.is_some_and(|known| known.epoch == line.epoch && line.sequence <= known.sequence) {
            return;
        }
        memory.heard.insert(id.to_owned(), line);
        self.take(&mut memory, event);
    }

    /// Looks for what is late and what never ended.
    pub fn look(&self, now: f64) {
        let mut memory = self.locked();
        if self.judge(&mut memory, now) {
            self.save(&mut memory, now);
        }
    }

    /// Saves it as it stands, at the end.
    pub fn finish(&self, now: f64) {
        self.save(&mut self.locked(), now);
    }

    fn take(&self, memory: &mut Memory, event: &Event) {
        let abandoned = self.cell.update(|record| ledger::apply(record, event));
        self.tell_abandoned(&abandoned, "another run took its place");
        if event.step == Step::Success {
            memory.counted_from =
                self.plan.rule().map_or(event.at, |rule| rule.counted_from_success(event.at)).max(event.at);
            memory.forgiven = false;
            self.expect_from(memory);
        }
        self.judge(memory, event.at);
        self.save(memory, event.at);
    }

    fn expect_from(&self, memory: &mut Memory) {
        memory.expected = self.plan.rule().and_then(|rule| rule.expectation(memory.counted_from));
    }

    /// Whether something changed by the passing of time.
    fn judge(&self, memory: &mut Memory, now: f64) -> bool {
        if memory.counted_from > now + CLOCK_TOLERANCE {
            memory.counted_from = now;
            self.expect_from(memory);
        }
        let expected = memory.expected;
        let (abandoned, before, late) = self.cell.update(|record| {
            let abandoned = ledger::expire(record, self.plan.timeout(), now);
            let late = expected.map(|expected| expected.is_late(&record.running, now));
            record.due_at = expected.map(|expected| expected.due);
            (abandoned, std::mem::replace(&mut record.late, late), late)
        });
        self.tell_abandoned(&abandoned, "it did not end within the timeout");
        let job = self.plan.name();
        match (before == Some(true), late == Some(true)) {
            (false, true) => {
                let overdue = expected.map_or(0.0, |expected| now - expected.at);
                tracing::warn!(job, overdue_seconds = overdue.round(), "the job is late: no run ended well in time");
            }
            (true, false) => tracing::info!(job, "the job is no longer late"),
            _ => {}
        }
        before != late || !abandoned.is_empty()
    }

    fn tell_abandoned(&self, runs: &[RunningRun], why: &str) {
        for run in runs {
            tracing::warn!(job = self.plan.name(), run = run.id, why, "a run began and never ended: abandoned");
        }
    }

    /// A report counts also if it cannot be saved: told once, counted by the store.
    fn save(&self, memory: &mut Memory, now: f64) {
        let Some(store) = &self.store else { return };
        let saved = Saved {
            schedule: self.plan.schedule_in_words(),
            counted_from: memory.counted_from,
            forgiven: memory.forgiven,
            at: now,
            heard: memory.heard.clone(),
            record: self.cell.read(SavedRecord::of),
        };
        let result = store.save(&place(self.plan.name()), &saved);
        let job = self.plan.name();
        match &result {
            Ok(()) if memory.save_failed => tracing::info!(job, "the job can be saved again"),
            Err(error) if !memory.save_failed => {
                tracing::error!(job, %error, "the job cannot be saved: a restart would forget its latest runs");
            }
            _ => {}
        }
        memory.save_failed = result.is_err();
    }

    /// The memory is changed by assignments only, so a panic elsewhere leaves it whole.
    fn locked(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts from our return if a report may have been lost while we were away, once.
fn forgive(memory: &mut Memory, plan: &Plan, absence: Absence) {
    let Some(rule) = plan.rule() else { return };
    let expected = rule.expectation(memory.counted_from);
    if !memory.forgiven && expected.is_some_and(|expected| rule.may_be_lost(&expected, absence)) {
        (memory.counted_from, memory.forgiven) = (absence.until, true);
    }
}

fn place(name: &str) -> String {
    format!("jobs/{name}")
}

fn load(store: &Store, job: &str) -> Option<Saved> {
    match store.load(&place(job)) {
        Loaded::Nothing => None,
        Loaded::Latest(saved) => Some(saved),
        Loaded::Previous(saved, why) => {
            tracing::warn!(job, why, "the saved state of the job is damaged: the one before it is used");
            Some(saved)
        }
        Loaded::Damaged(why) => {
            tracing::error!(job, why, "the saved state of the job is damaged: it begins anew");
            None
        }
    }
}
