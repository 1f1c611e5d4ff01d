//! One remedy at work: it looks, asks the policy, and does what that decides. Whatever is done is written down before, and
//! what came of it after.

mod saved;
#[cfg(test)]
mod tests;

use super::action::{Action as _, Done, Effect, Finding, Scene, Setback, Worker};
use super::journal::{Entry, What};
use super::plan::{POLL, Plan, URGENT};
use super::policy::{Decision, Ended, Event, Gates, GaveUp, Moment, Walk};
use super::requests::Request;
use super::shared::{Shared, is_own_fault, is_shared_cause};
use super::watching::Watching;
use crate::board::report::rfc3339;
use crate::board::{Deed, Outcome, Pace, RemedyCell, Suppression};
use crate::observation::unix_now;
use saved::Saved;
use std::collections::VecDeque;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

/// How long after its timeout a step may hold back the probes of its target, should nobody be left to let go of them.
const HOLD_MARGIN: Duration = Duration::from_secs(5);

/// How long a rehearsal may take.
const REHEARSAL: Duration = Duration::from_secs(10);

/// One remedy.
pub struct Runner {
    shared: Arc<Shared>,
    plan: Plan,
    workers: Arc<[Worker]>,
    cell: Arc<RemedyCell>,
    watching: Watching,
    walk: Walk,
    incident: String,
    scene: Scene,
    saved: Saved,
    requests: mpsc::Receiver<Request>,
}

impl Runner {
    /// A remedy that goes on where it was saved.
    pub fn new(
        shared: Arc<Shared>,
        plan: Plan,
        workers: Arc<[Worker]>,
        cell: Arc<RemedyCell>,
        requests: mpsc::Receiver<Request>,
    ) -> Self {
        let board = Arc::clone(&shared.board);
        let watching = Watching::new(board, shared.clock, plan.condition.clone(), Arc::clone(&shared.alerts));
        let (walk, incident, scene, saved) = (Walk::default(), String::new(), Scene::default(), Saved::default());
        Self { shared, plan, workers, cell, watching, walk, incident, scene, saved, requests }
    }

    /// Runs until `stop` says so; a step that has begun comes to its end first.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        self.resume().await;
        loop {
            let event = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                Some(request) = self.requests.recv() => match request {
                    Request::Acknowledge => Event::Acknowledged,
                    Request::Run => Event::Asked,
                },
                look = self.watching.look() => Event::Looked(look),
                () = sleep(POLL) => Event::Tick,
            };
            self.happen(event).await;
        }
        self.shared.set_together(&self.plan.name, &[]);
        self.watching.set_pace(Pace::Ordinary);
    }

    /// Takes up what was saved. A step that was begun and whose end is not known is never taken again without a look.
    async fn resume(&mut self) {
        let (name, now) = (self.plan.name.clone(), self.shared.clock.now());
        if let Some(saved) = Saved::load(self.shared.store.clone(), &name).await {
            self.walk = saved.walk_at(now);
            self.incident.clone_from(&saved.incident);
            self.saved = saved;
        }
        if self.walk.resume(now) {
            let words =
                "Banken ended while this step was taken: whether it helped is looked at before anything is done again";
            tracing::warn!(remedy = name, "{words}");
            self.note(What::Interrupted, words, Some(false)).await;
        }
        self.shared.set_acted(&name, self.walk.acted());
        if self.plan.rules.armed && self.plan.rules.expects_shared_cause {
            self.shared.set_together(&name, &self.plan.condition.probes);
        }
        self.show().await;
    }

    /// Asks the policy and does what it decides, until nothing follows.
    async fn happen(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let (now, gates) = (self.shared.clock.now(), self.gates());
            let decisions = self.walk.step(event, now, jitter(), gates, &self.plan.rules);
            for decision in decisions {
                if let Some(next) = self.carry_out(decision).await {
                    events.push_back(next);
                }
            }
        }
        self.show().await;
    }

    async fn carry_out(&mut self, decision: Decision) -> Option<Event> {
        let remedy = self.plan.name.as_str();
        match decision {
            Decision::Act { attempt, step } => return self.act(attempt, step).await,
            Decision::Open => {
                self.incident = format!("{remedy}-{}", (unix_now() * 1000.0) as u64);
                self.scene = Scene::default();
                let asked = || "a person asked for one attempt".to_owned();
                let words = if self.walk.is_asked() { asked() } else { self.plan.condition.words.clone() };
                tracing::info!(remedy, incident = self.incident, condition = words, "an incident is open");
                // Saved before it is told: an incident that anybody has heard of is never forgotten.
                if let Err(error) = self.save().await {
                    tracing::error!(remedy = self.plan.name, %error, "where it stands cannot be saved");
                }
                self.note(What::Opened, &words, None).await;
            }
            Decision::Suppress(why) => self.suppressed(why).await,
            Decision::NotHelped => self.note(What::NotHelped, "what was done did not help", Some(false)).await,
            Decision::BackOff(delay) => {
                let words = format!("the next attempt waits for {:.0} s", delay.as_secs_f64());
                self.note(What::BackingOff, &words, None).await;
            }
            Decision::GiveUp(why) => {
                let words = match why {
                    GaveUp::AttemptsSpent => "every attempt was made: a person is needed",
                    GaveUp::WithinCooldown => "it failed again within the cool-down: a person is needed",
                };
                tracing::error!(remedy, incident = self.incident, why = words, "the remedy gave up");
                self.note(What::GaveUp, words, Some(false)).await;
            }
            Decision::Recovered(took) => {
                let seconds = took.as_secs_f64();
                self.cell.update(|record| record.recovery.observe(seconds));
                tracing::info!(
                    remedy,
                    incident = self.incident,
                    seconds,
                    "the target has recovered, which is verified"
                );
                self.note_with(What::Recovered, |entry| {
                    entry.detail = format!("verified {seconds:.1} s after the first failure");
                    entry.seconds = Some(seconds);
                })
                .await;
            }
            Decision::Close => self.note(What::Closed, "the target is good again without us", None).await,
            Decision::Acknowledge => {
                tracing::info!(remedy, "somebody has taken note");
                self.note(What::Acknowledged, "somebody has taken note: it may act again", None).await;
            }
        }
        None
    }

    async fn suppressed(&mut self, why: Suppression) {
        let remedy = self.plan.name.as_str();
        self.cell.update(|record| record.suppressed[why as usize] += 1);
        tracing::warn!(remedy, incident = self.incident, reason = why.as_str(), "it would act, and does not");
        self.note(What::Suppressed, &format!("{}: {}", why.as_str(), why.in_words()), None).await;
        if why == Suppression::DryRun {
            self.set_scene(1);
            let workers = Arc::clone(&self.workers);
            for (index, worker) in workers.iter().enumerate() {
                let words = match timeout(REHEARSAL, worker.rehearse(&self.scene)).await {
                    Ok(Ok(lines)) => lines.join("; "),
                    Ok(Err(setback)) => setback.to_string(),
                    Err(_) => format!("not known within {REHEARSAL:?}"),
                };
                let action = self.action(index);
                self.note_with(What::Would, |entry| {
                    (entry.step, entry.action, entry.detail) = (index as u32 + 1, action.into(), words);
                })
                .await;
            }
        }
    }

    /// Writes the intent down, acts, and writes down what came of it.
    async fn act(&mut self, attempt: u32, step: usize) -> Option<Event> {
        let (action, effect) = (self.action(step), self.plan.rules.steps[step]);
        let own =
            |entry: &mut Entry| (entry.attempt, entry.step, entry.action) = (attempt, step as u32 + 1, action.into());
        let mut intent = self.entry(What::Intent);
        own(&mut intent);
        if let Err(why) = self.intend(step, intent).await {
            return Some(Event::Withheld(why));
        }
        let (remedy, incident) = (self.plan.name.clone(), self.incident.clone());
        tracing::warn!(remedy, incident, action, attempt, "acting");
        self.show_record();
        self.set_scene(attempt);
        let limit = self.plan.blocks[step].timeout();
        if effect == Effect::Disturbs {
            self.watching.set_pace(Pace::Held(Instant::now() + limit + HOLD_MARGIN));
        }
        let began = Instant::now();
        let workers = Arc::clone(&self.workers);
        let result = timeout(limit, workers[step].act(&mut self.scene)).await.unwrap_or_else(|_| {
            let limit = humantime::format_duration(limit);
            Err(Setback::Failed(format!("not done within {limit}: it was cut off; give it more time, or look why")))
        });
        self.watching.acted();
        let seconds = began.elapsed().as_secs_f64();
        let (ended, outcome, words) = match &result {
            Ok(Done { detail }) => (Ended::Done, "success", detail.clone()),
            Err(setback @ Setback::Busy(_)) => (Ended::Busy, "busy", setback.to_string()),
            Err(setback) => (Ended::Failed, "failure", setback.to_string()),
        };
        if effect == Effect::Disturbs {
            // Whatever was interrupted may start in peace; where nothing was, another remedy may try.
            let now = self.shared.clock.now();
            let until = if ended == Ended::Done { now + self.plan.rules.start_grace } else { now };
            self.claim(step, now, until);
        }
        match ended {
            Ended::Done => self.cell.update(|record| record.count(action, Outcome::Success)),
            Ended::Failed => self.cell.update(|record| record.count(action, Outcome::Failure)),
            Ended::Busy => {}
        }
        tracing::warn!(remedy, incident, action, outcome, seconds, detail = words, "acted");
        self.scene.findings.push(Finding { action, lines: vec![words.clone()] });
        self.note_with(What::Result, |entry| {
            own(entry);
            (entry.outcome, entry.detail, entry.seconds) = (outcome.into(), words, Some(seconds));
        })
        .await;
        Some(Event::Ended(ended))
    }

    /// Nothing is done that is not on disk before: the journal says what, the state says that it has begun.
    async fn intend(&mut self, step: usize, entry: Entry) -> Result<(), Suppression> {
        let effect = self.plan.rules.steps[step];
        let switches = Arc::clone(&self.shared.switches);
        // At the very last moment, not as it stood a second ago.
        if tokio::task::spawn_blocking(move || switches.is_killed()).await.unwrap_or(true) {
            return Err(Suppression::KillSwitch);
        }
        let now = self.shared.clock.now();
        let until = now + self.plan.blocks[step].timeout() + self.plan.rules.start_grace;
        if effect == Effect::Disturbs && !self.claim(step, now, until) {
            return Err(Suppression::TargetBusy);
        }
        if effect != Effect::Looks && !self.walk.is_asked() && !self.shared.reserve(&self.plan.name, now) {
            self.claim(step, now, now);
            return Err(Suppression::Breaker);
        }
        let before = self.walk.clone();
        let written = self.write_down(entry, now).await;
        if let Err(error) = &written {
            self.walk = before;
            tracing::error!(remedy = self.plan.name, %error, "what it intends to do cannot be written down, so it is not done");
        }
        self.shared.set_acted(&self.plan.name, self.walk.acted());
        written.map_err(|_| Suppression::Journal)
    }

    /// Takes what a step touches for this remedy, until then.
    fn claim(&self, step: usize, now: Moment, until: Moment) -> bool {
        self.shared.claim(&self.plan.name, &self.plan.blocks[step].subject(), now, until)
    }

    async fn write_down(&mut self, entry: Entry, now: Moment) -> std::io::Result<()> {
        self.shared.write(entry).await?;
        self.walk.step(Event::Begun, now, 0.0, self.gates(), &self.plan.rules);
        self.save().await
    }

    fn action(&self, step: usize) -> &'static str {
        self.plan.blocks[step].kind().name
    }

    fn gates(&self) -> Gates {
        let board = &self.shared.board;
        let fails = |name: &String| board.probe(name).is_some_and(|cell| cell.read(|record| record.state.is_failing()));
        let is_together = self.plan.rules.expects_shared_cause;
        Gates {
            own_fault: is_own_fault(board)
                || self.watching.cells().any(|cell| cell.read(|record| record.own_fault.is_some())),
            kill_switch: self.shared.switches.killed(),
            maintenance: self.shared.switches.in_maintenance(&self.plan.name),
            dependency: self.plan.depends_on.iter().any(fails)
                || (!is_together && self.watching.cells().any(|cell| !board.causes(cell).is_empty())),
            shared_cause: is_shared_cause(board)
                || (!is_together && self.shared.is_of_a_whole(&self.plan.condition.probes)),
            host_breaker: self.shared.host_breaker(self.shared.clock.now()),
        }
    }

    /// What actions may tell about the incident; what the steps before found stays.
    fn set_scene(&mut self, attempt: u32) {
        let failure = self.watching.cells().find_map(|cell| {
            cell.read(|record| record.last_known.as_ref().and_then(|run| run.outcome.as_ref().err().cloned()))
        });
        let failing_since = self.walk.incident_since().map_or_else(unix_now, |since| self.unix(since));
        let scene = &mut self.scene;
        scene.remedy.clone_from(&self.plan.name);
        scene.incident.clone_from(&self.incident);
        scene.condition.clone_from(&self.plan.condition.words);
        scene.target.clone_from(&self.plan.condition.target);
        scene.failure = failure.or(scene.failure.take());
        scene.failing_since = failing_since;
        scene.attempt = attempt;
    }

    /// A moment in seconds since the Unix epoch.
    fn unix(&self, moment: Moment) -> f64 {
        unix_now() + moment.as_secs_f64() - self.shared.clock.now().as_secs_f64()
    }

    fn entry(&self, what: What) -> Entry {
        Entry {
            at: rfc3339(unix_now()),
            remedy: self.plan.name.clone(),
            incident: self.incident.clone(),
            what,
            attempt: self.walk.attempt(),
            step: 0,
            action: String::new(),
            outcome: String::new(),
            detail: String::new(),
            seconds: None,
        }
    }

    async fn note(&mut self, what: What, words: &str, good: Option<bool>) {
        let mut entry = self.entry(what);
        words.clone_into(&mut entry.detail);
        self.tell(entry, good).await;
    }

    async fn note_with(&mut self, what: What, own: impl FnOnce(&mut Entry)) {
        let mut entry = self.entry(what);
        own(&mut entry);
        let good = match (what, entry.outcome.as_str()) {
            (What::Recovered, _) | (What::Result, "success") => Some(true),
            (What::Result, "failure") => Some(false),
            _ => None,
        };
        self.tell(entry, good).await;
    }

    async fn tell(&mut self, entry: Entry, good: Option<bool>) {
        self.cell.update(|record| record.remember(deed(&entry, unix_now(), good)));
        if let Err(error) = self.shared.write(entry).await {
            tracing::error!(remedy = self.plan.name, %error, "the journal cannot be written");
        }
    }

    /// Publishes where it stands, saves it where that has changed, and looks as often as that asks for.
    async fn show(&mut self) {
        self.show_record();
        let now = self.shared.clock.now();
        self.watching.set_pace(if self.walk.is_urgent(now) { Pace::Urgent(URGENT) } else { Pace::Ordinary });
        if let Err(error) = self.save().await {
            tracing::error!(remedy = self.plan.name, %error, "where it stands cannot be saved");
        }
    }

    fn show_record(&self) {
        let (state, unix) = (self.walk.state(), unix_now());
        let incident_since = self.walk.incident_since().map(|since| self.unix(since));
        let suppression = self.walk.suppression();
        let is_news = self.cell.update(|record| {
            let is_news = record.state != state || record.suppression != suppression;
            if record.state != state {
                record.since = Some(unix);
            }
            record.state = state;
            record.incident_since = incident_since;
            record.attempt = self.walk.attempt();
            record.suppression = suppression;
            is_news
        });
        if is_news {
            self.shared.board.raise();
        }
    }

    async fn save(&mut self) -> std::io::Result<()> {
        let now = self.shared.clock.now();
        self.saved.save(self.shared.store.clone(), &self.plan.name, &self.walk, &self.incident, now).await
    }
}

/// A number from 0 to 1 that is different each time.
fn jitter() -> f64 {
    let random = std::hash::RandomState::new().build_hasher().finish();
    random as f64 / u64::MAX as f64
}

/// An entry of the journal as people see it.
pub fn deed(entry: &Entry, at: f64, good: Option<bool>) -> Deed {
    let words = match (entry.what, entry.action.as_str(), entry.outcome.as_str()) {
        (What::Intent, action, _) => format!("{action}: begins"),
        (What::Would, action, _) => format!("{action}: {}", entry.detail),
        (What::Result, action, outcome) => format!("{action}: {outcome}: {}", entry.detail),
        (what, _, _) if entry.detail.is_empty() => what.in_words().to_owned(),
        (what, _, _) => format!("{}: {}", what.in_words(), entry.detail),
    };
    Deed { at, incident: entry.incident.clone(), words, good }
}
