//! Pure: what a remedy does next. No clock, no I/O, no chance: each of them is given.
//!
//! ```text
//! idle → acting → verifying → idle                      recovered
//!                    ↓ not recovered
//!                 backing-off → acting …                up to `max_attempts`, `retry_delay` × 2ⁿ
//!                    ↓ attempts spent, or failure within the cool-down
//!                 exhausted                             a person acknowledges; one trial after `open_for`
//! ```
//!
//! An incident runs from the first failed run to the verified recovery. Within an attempt the steps are taken one after the
//! other, each only if those before it did not help.

mod gates;
#[cfg(test)]
mod tests;

pub use gates::{BREAKER_ACTIONS, BREAKER_WITHIN, Gates, HOST_ACTIONS, HOST_WITHIN};

use super::action::Effect;
use crate::board::{RemedyState, Suppression};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// A moment: the time since this host was started, which no change of its clock moves.
pub type Moment = Duration;

/// What was configured, resolved to numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// Attempts within one incident; at least 1.
    pub max_attempts: u32,
    /// Before the second attempt; it doubles with each one after.
    pub retry_delay: Duration,
    /// The longest that it grows.
    pub max_retry_delay: Duration,
    /// How soon after a recovery a failure means that repairing does not help.
    pub cooldown: Duration,
    /// How long what was restarted may take until it must be good.
    pub start_grace: Duration,
    /// Good looks in a row that verify a recovery; at least 1.
    pub successes: u32,
    /// Bad looks in a row, after the grace, that say that a step did not help; at least 1.
    pub failures: u32,
    /// How long after the grace is waited for a verdict at most.
    pub verify_within: Duration,
    /// After which time in exhaustion one trial is allowed; without it only a person helps.
    pub open_for: Option<Duration>,
    /// Whether it may act.
    pub armed: bool,
    /// Whether that much fails at once is what it waits for.
    pub expects_shared_cause: bool,
    /// The steps, by what they are there for; at least one.
    pub steps: Vec<Effect>,
}

/// What one look at the target says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// Banken's own fault: nothing is known.
    Unknown,
}

/// One look at the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// When it began: a look that began before an action says nothing about what the action did.
    pub started: Moment,
    /// What it says.
    pub verdict: Verdict,
    /// Since when it is broken for certain, which is when it first failed; none if that is not certain.
    pub broken_since: Option<Moment>,
}

/// What happens to a remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The target was looked at.
    Looked(Look),
    /// Time has passed.
    Tick,
    /// What [`Decision::Act`] asked for was written down and begins.
    Begun,
    /// It is not begun after all: it could not be written down, or the kill switch was set at the last moment.
    Withheld(Suppression),
    /// It ended.
    Ended(Ended),
    /// A person has taken note.
    Acknowledged,
    /// A person asks for one attempt now.
    Asked,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was carried out.
    Done,
    /// It failed, or a rule of safety forbade it.
    Failed,
    /// The target was left alone: it is being started, or a person has stopped it.
    Busy,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// An incident is open.
    Open,
    /// It would act and does not.
    Suppress(Suppression),
    /// Write the intent down, then take this step: [`Event::Begun`], or [`Event::Withheld`].
    Act {
        /// From 1.
        attempt: u32,
        /// From 0.
        step: usize,
    },
    /// What was done did not help.
    NotHelped,
    /// The next attempt waits for so long.
    BackOff(Duration),
    /// It gives up.
    GiveUp(GaveUp),
    /// The target is good again, so long after its first failure.
    Recovered(Duration),
    /// The target is good again without us.
    Close,
    /// A person has taken note.
    Acknowledge,
}

/// Why a remedy gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GaveUp {
    /// Every attempt was made.
    AttemptsSpent,
    /// It failed again too soon after the recovery.
    WithinCooldown,
}

/// Where the walk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Stage {
    #[default]
    Idle,
    Acting,
    Verifying {
        since: Moment,
    },
    BackingOff {
        until: Moment,
    },
    Exhausted {
        since: Moment,
    },
}

/// An incident that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Incident {
    since: Moment,
    /// The attempt that was begun last, from 1; 0 before the first.
    attempt: u32,
    /// The step of that attempt that was begun last or comes next.
    step: usize,
    /// Nothing more than one attempt: after exhaustion, or because a person asked.
    trial: bool,
    /// Whether a person asked for it, so that only the kill switch holds it back.
    asked: bool,
    /// Why it last was held back: told once, not at every look.
    suppressed: Option<Suppression>,
    /// How often the target was left alone because it was busy.
    busy: u32,
}

impl Incident {
    fn new(since: Moment) -> Self {
        Self { since, attempt: 0, step: 0, trial: false, asked: false, suppressed: None, busy: 0 }
    }
}

/// One remedy on its way. What is not saved is known again after the first look.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Walk {
    stage: Stage,
    incident: Option<Incident>,
    recovered_at: Option<Moment>,
    /// When it acted, for the breakers; the oldest first.
    acted: VecDeque<Moment>,
    /// When incidents were opened, to know a target that comes and goes.
    opened: VecDeque<Moment>,
    #[serde(skip)]
    broken_since: Option<Moment>,
    #[serde(skip)]
    good_in_a_row: u32,
    #[serde(skip)]
    bad_in_a_row: u32,
    /// What [`Decision::Act`] waits to be begun.
    #[serde(skip)]
    due: bool,
}

impl Walk {
    /// The state for people and rules.
    pub fn state(&self) -> RemedyState {
        match self.stage {
            Stage::Idle => RemedyState::Idle,
            Stage::Acting => RemedyState::Acting,
            Stage::Verifying { .. } => RemedyState::Verifying,
            Stage::BackingOff { .. } => RemedyState::BackingOff,
            Stage::Exhausted { .. } => RemedyState::Exhausted,
        }
    }

    /// When the open incident began with a first failure.
    pub fn incident_since(&self) -> Option<Moment> {
        self.incident.map(|incident| incident.since)
    }

    /// The attempt of the open incident, from 1; 0 before the first.
    pub fn attempt(&self) -> u32 {
        self.incident.map_or(0, |incident| incident.attempt)
    }

    /// Why the open incident is held back.
    pub fn suppression(&self) -> Option<Suppression> {
        self.incident.and_then(|incident| incident.suppressed)
    }

    /// Whether a person asked for what is being done.
    pub fn is_asked(&self) -> bool {
        self.incident.is_some_and(|incident| incident.asked)
    }

    /// When it acted, the oldest first, for the breaker of the host.
    pub fn acted(&self) -> &VecDeque<Moment> {
        &self.acted
    }

    /// Whether looks should come quickly, because what is done next hangs on them.
    pub fn is_urgent(&self, now: Moment) -> bool {
        match self.stage {
            Stage::Verifying { .. } => true,
            Stage::BackingOff { until } => now >= until && self.broken_since.is_none(),
            Stage::Idle | Stage::Acting | Stage::Exhausted { .. } => false,
        }
    }

    /// Takes over what was saved. A step that was begun and of which no end was saved is never taken again: whether it
    /// helped is looked at first. Gives back whether there was one.
    pub fn resume(&mut self, now: Moment) -> bool {
        let interrupted = self.stage == Stage::Acting;
        if interrupted {
            self.verify_from(now);
        }
        interrupted
    }

    /// The same walk on a host that was started anew: nobody knows how long it was off, so every wait goes on where it was.
    pub fn rebase(&mut self, saved_at: Moment, now: Moment) {
        let shift = |moment: &mut Moment| *moment = (now + *moment).saturating_sub(saved_at);
        match &mut self.stage {
            Stage::Verifying { since } | Stage::Exhausted { since } => shift(since),
            Stage::BackingOff { until } => shift(until),
            Stage::Idle | Stage::Acting => {}
        }
        self.incident.iter_mut().for_each(|incident| shift(&mut incident.since));
        self.recovered_at.iter_mut().for_each(shift);
        self.acted.iter_mut().for_each(shift);
        self.opened.iter_mut().for_each(shift);
    }

    /// Takes what happens at `now`. `jitter` is a number from 0 to 1 that is different each time.
    pub fn step(&mut self, event: Event, now: Moment, jitter: f64, gates: Gates, rules: &Rules) -> Vec<Decision> {
        let mut out = Vec::new();
        match event {
            Event::Looked(look) => self.looked(look, now, jitter, rules, &mut out),
            Event::Tick => self.waited_in_vain(now, jitter, rules, &mut out),
            Event::Begun => self.begun(now, rules),
            Event::Withheld(why) => {
                self.hold(why, &mut out);
                return out;
            }
            Event::Ended(ended) => self.ended(ended, now, jitter, rules, &mut out),
            Event::Acknowledged => self.acknowledged(&mut out),
            Event::Asked => self.asked(now, &mut out),
        }
        self.consider(now, gates, rules, &mut out);
        out
    }

    fn looked(&mut self, look: Look, now: Moment, jitter: f64, rules: &Rules, out: &mut Vec<Decision>) {
        self.broken_since = look.broken_since;
        // What began before the end of an action says nothing about it.
        let after = match self.stage {
            Stage::Acting => return,
            Stage::Verifying { since } => since,
            _ => Moment::ZERO,
        };
        if look.started < after {
            return;
        }
        match look.verdict {
            Verdict::Good => (self.good_in_a_row, self.bad_in_a_row) = (self.good_in_a_row.saturating_add(1), 0),
            Verdict::Bad if self.in_grace(look.started, rules) => self.good_in_a_row = 0,
            Verdict::Bad => (self.good_in_a_row, self.bad_in_a_row) = (0, self.bad_in_a_row.saturating_add(1)),
            Verdict::Unknown => return,
        }
        match self.stage {
            Stage::Verifying { .. } | Stage::BackingOff { .. } if self.good_in_a_row >= rules.successes => {
                self.recover(now, out);
            }
            Stage::Verifying { .. } if self.bad_in_a_row >= rules.failures => self.not_helped(now, jitter, rules, out),
            Stage::Idle
                if self.broken_since.is_none()
                    && self.good_in_a_row >= rules.successes
                    && self.incident.take().is_some() =>
            {
                out.push(Decision::Close);
            }
            _ => {}
        }
    }

    fn in_grace(&self, started: Moment, rules: &Rules) -> bool {
        matches!(self.stage, Stage::Verifying { since } if started < since + rules.start_grace)
    }

    /// No verdict came in time: nothing says that it helped, so the next attempt waits for evidence that it did not.
    fn waited_in_vain(&mut self, now: Moment, jitter: f64, rules: &Rules, out: &mut Vec<Decision>) {
        if let Stage::Verifying { since } = self.stage
            && now >= since + rules.start_grace + rules.verify_within
        {
            self.not_helped(now, jitter, rules, out);
        }
    }

    fn recover(&mut self, now: Moment, out: &mut Vec<Decision>) {
        if let Some(incident) = self.incident.take() {
            out.push(Decision::Recovered(now.saturating_sub(incident.since)));
        }
        self.stage = Stage::Idle;
        self.recovered_at = Some(now);
        self.broken_since = None;
    }

    fn not_helped(&mut self, now: Moment, jitter: f64, rules: &Rules, out: &mut Vec<Decision>) {
        out.push(Decision::NotHelped);
        self.next_step(now, jitter, rules, out);
    }

    /// The next step of the attempt; after the last one the next attempt, or the end.
    fn next_step(&mut self, now: Moment, jitter: f64, rules: &Rules, out: &mut Vec<Decision>) {
        let Some(incident) = &mut self.incident else {
            self.stage = Stage::Idle;
            return;
        };
        incident.step += 1;
        if incident.step < rules.steps.len() {
            self.stage = Stage::BackingOff { until: now };
        } else if incident.trial || incident.attempt >= rules.max_attempts {
            self.give_up(GaveUp::AttemptsSpent, now, out);
        } else {
            incident.step = 0;
            let delay = rules.delay_after(incident.attempt, jitter);
            self.stage = Stage::BackingOff { until: now + delay };
            out.push(Decision::BackOff(delay));
        }
    }

    fn give_up(&mut self, why: GaveUp, now: Moment, out: &mut Vec<Decision>) {
        self.stage = Stage::Exhausted { since: now };
        out.push(Decision::GiveUp(why));
    }

    fn begun(&mut self, now: Moment, rules: &Rules) {
        let Some(incident) = self.incident.as_mut().filter(|_| self.due) else { return };
        self.due = false;
        incident.suppressed = None;
        if incident.step == 0 {
            incident.attempt += 1;
        }
        if rules.steps.get(incident.step) != Some(&Effect::Looks) {
            // What was seen before says nothing any more: the next action needs fresh evidence.
            self.broken_since = None;
            self.acted.push_back(now);
            while self.acted.front().is_some_and(|moment| *moment + HOST_WITHIN < now) {
                self.acted.pop_front();
            }
        }
        self.stage = Stage::Acting;
    }

    fn ended(&mut self, ended: Ended, now: Moment, jitter: f64, rules: &Rules, out: &mut Vec<Decision>) {
        let Some(incident) = self.incident.as_mut().filter(|_| self.stage == Stage::Acting) else { return };
        let effect = rules.steps.get(incident.step).copied().unwrap_or(Effect::Looks);
        let is_last = incident.step + 1 >= rules.steps.len();
        match (ended, effect) {
            (Ended::Busy, _) => {
                // Nothing was touched: neither the attempt nor the action counts, and somebody may be at work.
                if incident.step == 0 {
                    incident.attempt -= 1;
                }
                incident.busy = (incident.busy + 1).min(MAX_BUSY_DOUBLINGS);
                let pause = BUSY_PAUSE * 2_u32.pow(incident.busy - 1);
                if effect != Effect::Looks {
                    self.acted.pop_back();
                }
                self.stage = Stage::BackingOff { until: now + pause };
                self.hold(Suppression::TargetBusy, out);
            }
            (_, Effect::Looks) if !is_last => self.next_step(now, jitter, rules, out),
            (Ended::Failed, _) => self.next_step(now, jitter, rules, out),
            (Ended::Done, _) => self.verify_from(now),
        }
    }

    fn verify_from(&mut self, now: Moment) {
        self.stage = Stage::Verifying { since: now };
        (self.good_in_a_row, self.bad_in_a_row) = (0, 0);
    }

    fn hold(&mut self, why: Suppression, out: &mut Vec<Decision>) {
        self.due = false;
        if let Some(incident) = self.incident.as_mut().filter(|incident| incident.suppressed != Some(why)) {
            incident.suppressed = Some(why);
            out.push(Decision::Suppress(why));
        }
    }

    fn acknowledged(&mut self, out: &mut Vec<Decision>) {
        if matches!(self.stage, Stage::Exhausted { .. }) {
            self.stage = Stage::Idle;
            self.incident = None;
            self.recovered_at = None;
            self.opened.clear();
            out.push(Decision::Acknowledge);
        }
    }

    fn asked(&mut self, now: Moment, out: &mut Vec<Decision>) {
        if matches!(self.stage, Stage::Acting | Stage::Verifying { .. }) {
            return;
        }
        let since = self.incident.map(|incident| incident.since).or(self.broken_since).unwrap_or(now);
        self.stage = Stage::Idle;
        self.incident = Some(Incident { trial: true, asked: true, ..Incident::new(since) });
        out.push(Decision::Open);
    }

    /// Whether it acts now.
    fn consider(&mut self, now: Moment, gates: Gates, rules: &Rules, out: &mut Vec<Decision>) {
        let asked = self.incident.filter(|incident| incident.asked).map(|incident| incident.since);
        // It takes the last look to be bad, not only the verdict from before.
        let evidence = self.broken_since.filter(|_| self.good_in_a_row == 0);
        let Some(since) = asked.or(evidence).filter(|_| !self.due && self.is_time(now, rules)) else { return };
        let was_exhausted = matches!(self.stage, Stage::Exhausted { .. });
        let incident = match self.incident {
            Some(incident) if !was_exhausted => incident,
            Some(former) => Incident { trial: true, suppressed: former.suppressed, ..Incident::new(former.since) },
            None => self.open(since, now, rules, out),
        };
        let is_first = incident.attempt == 0 && !incident.asked && !was_exhausted;
        if is_first && self.is_too_soon(now, rules) {
            self.hold(Suppression::Cooldown, out);
            return self.give_up(GaveUp::WithinCooldown, now, out);
        }
        let effect = rules.steps.get(incident.step).copied().unwrap_or(Effect::Looks);
        if let Some(why) = gates.closed(rules, effect, incident.asked, self.is_flapping(now), self.acts_too_often(now))
        {
            self.hold(why, out);
            if incident.asked {
                // Whoever asked is told, and asks again.
                self.incident = None;
            }
            return;
        }
        if was_exhausted {
            self.recovered_at = None;
        }
        self.incident = Some(incident);
        self.due = true;
        let attempt = if incident.step == 0 { incident.attempt + 1 } else { incident.attempt };
        out.push(Decision::Act { attempt, step: incident.step });
    }

    fn is_time(&self, now: Moment, rules: &Rules) -> bool {
        match self.stage {
            Stage::Idle => true,
            Stage::BackingOff { until } => now >= until,
            Stage::Exhausted { since } => rules.open_for.is_some_and(|open_for| now >= since + open_for),
            Stage::Acting | Stage::Verifying { .. } => false,
        }
    }

    fn open(&mut self, since: Moment, now: Moment, rules: &Rules, out: &mut Vec<Decision>) -> Incident {
        let incident = Incident::new(since);
        self.incident = Some(incident);
        self.opened.push_back(now);
        while self.opened.len() > FLAPS || self.opened.front().is_some_and(|moment| *moment + FLAPS_WITHIN < now) {
            self.opened.pop_front();
        }
        (self.good_in_a_row, self.bad_in_a_row) = (0, rules.failures);
        out.push(Decision::Open);
        incident
    }

    fn is_too_soon(&self, now: Moment, rules: &Rules) -> bool {
        self.recovered_at.is_some_and(|moment| now < moment + rules.cooldown)
    }

    fn is_flapping(&self, now: Moment) -> bool {
        self.opened.iter().filter(|moment| **moment + FLAPS_WITHIN >= now).count() >= FLAPS
    }

    fn acts_too_often(&self, now: Moment) -> bool {
        self.acted.iter().filter(|moment| **moment + BREAKER_WITHIN > now).count() >= BREAKER_ACTIONS
    }
}

/// So many incidents within [`FLAPS_WITHIN`] mean that the target comes and goes by itself.
pub const FLAPS: usize = 4;

/// Within which time incidents are counted.
pub const FLAPS_WITHIN: Duration = Duration::from_secs(30 * 60);

/// How soon it is tried again where the target was left alone. It doubles each time.
const BUSY_PAUSE: Duration = Duration::from_secs(5);

/// How often that doubles, up to some five minutes.
const MAX_BUSY_DOUBLINGS: u32 = 7;

impl Rules {
    /// How long is waited after an attempt (from 1): it doubles each time, is capped, and is up to a tenth shorter or longer.
    pub fn delay_after(&self, attempt: u32, jitter: f64) -> Duration {
        let doubled = 2_u32.checked_pow(attempt.saturating_sub(1)).and_then(|n| self.retry_delay.checked_mul(n));
        let delay = doubled.unwrap_or(self.max_retry_delay).min(self.max_retry_delay);
        delay.mul_f64(0.9 + 0.2 * jitter.clamp(0.0, 1.0))
    }
}
