//! From what is written to what is ready to run: names resolved against what is watched, times against each other.

use super::action::{self, Block, Effect, Worker};
use super::policy::{BREAKER_ACTIONS, Rules};
use super::spec::{Crossed, Spec, When};
use crate::board::RemedyDescriptor;
use crate::health::Levels;
use crate::observation::Severity;
use crate::values::Invalid;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a remedy may look at, as far as its configuration must fit to it.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// Every probe by name.
    pub probes: BTreeMap<String, ProbeFacts>,
    /// Every log by name.
    pub logs: BTreeMap<String, LogFacts>,
    /// Every job that can be late.
    pub jobs: Vec<String>,
    /// Whether alerts can be received at all.
    pub takes_alerts: bool,
    /// The names of what is written with a mistake: it is unknown, and not missing.
    pub mistaken: BTreeSet<String>,
}

/// What is known of a probe before it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeFacts {
    /// Between two runs while the state is settled.
    pub interval: Duration,
    /// Between two runs while it is in doubt.
    pub retry_interval: Duration,
    /// The longest that a run may take.
    pub timeout: Duration,
    /// Failures in a row until it is unhealthy.
    pub failure_threshold: u32,
    /// Successes in a row until it is healthy again.
    pub success_threshold: u32,
    /// Thresholds that are configured, by the key of their signal.
    pub limits: BTreeMap<String, Levels>,
}

/// What is known of a log before it is read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LogFacts {
    /// The ids of its patterns.
    pub patterns: Vec<String>,
    /// Thresholds that are configured, by the key of their signal.
    pub limits: BTreeMap<String, Levels>,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq)]
pub enum Trigger {
    /// Every probe whose runs are looked at is unhealthy.
    Down,
    /// A threshold of a probe or a log is crossed for a time.
    Crossed {
        /// The log, where it is one.
        log: Option<String>,
        /// The key of the signal.
        signal: String,
        /// This grave at least.
        severity: Severity,
        /// For so long.
        lasting: Duration,
    },
    /// A pattern was found in a log.
    Matched {
        /// The log.
        log: String,
        /// The id of the pattern.
        pattern: String,
        /// So long ago at most.
        within: Duration,
    },
    /// A job is late.
    Late {
        /// The job.
        job: String,
    },
    /// An alert is firing.
    Alerted {
        /// Which labels it has at least.
        labels: BTreeMap<String, String>,
    },
}

/// What is waited for, and by whose runs it is seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// What is waited for.
    pub trigger: Trigger,
    /// The probes whose runs are the looks; where there are none, is looked once a second.
    pub probes: Vec<String>,
    /// The same for people: `probe dashboard is unhealthy`.
    pub words: String,
    /// What it is about, for people: `probe dashboard`.
    pub target: String,
}

/// How quickly is looked again while a verdict hangs on it.
pub const URGENT: Duration = Duration::from_millis(500);

/// How often is looked where no probe does.
pub const POLL: Duration = Duration::from_secs(1);

/// A remedy that is ready to be started.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Unique name; the label `remedy`.
    pub name: String,
    /// What it waits for.
    pub condition: Condition,
    /// What the policy goes by.
    pub rules: Rules,
    /// What it does, in order.
    pub blocks: Vec<Block>,
    /// Probes whose failure explains that of the target.
    pub depends_on: Vec<String>,
}

impl Plan {
    /// What the board knows about it.
    pub fn descriptor(&self) -> RemedyDescriptor {
        RemedyDescriptor {
            name: self.name.clone(),
            when: self.condition.words.clone(),
            target: self.condition.target.clone(),
            steps: self.blocks.iter().map(|block| block.kind().name).collect(),
            armed: self.rules.armed,
            max_attempts: self.rules.max_attempts,
        }
    }

    /// What is allowed and hardly meant.
    pub fn warnings(&self) -> Vec<Invalid> {
        let acting = self.rules.steps.iter().filter(|effect| **effect != Effect::Looks).count();
        let mut warnings = Vec::new();
        if acting > BREAKER_ACTIONS {
            let message = format!(
                "{acting} steps change something, and the breaker lets a remedy act {BREAKER_ACTIONS} times in 15 \
                 minutes: the later steps wait for that"
            );
            warnings.push(Invalid::new("steps", message));
        }
        warnings
    }
}

impl Spec {
    /// Resolves the entry and builds its actions.
    ///
    /// # Errors
    /// Every mistake in it, with paths from this entry on.
    pub fn plan(
        &self,
        surroundings: &Surroundings,
        context: &action::Context,
    ) -> Result<(Plan, Vec<Worker>), Vec<Invalid>> {
        let mut invalid = Vec::new();
        self.check(&mut invalid);
        let (mut blocks, mut workers) = (Vec::new(), Vec::new());
        for (index, step) in self.steps.iter().enumerate() {
            let at = format!("steps[{index}]");
            match step.block() {
                Ok(block) => {
                    match block.build(context) {
                        Ok(worker) => workers.push(worker),
                        Err(mistakes) => invalid.extend(mistakes.into_iter().map(|mistake| mistake.within(&at))),
                    }
                    blocks.push(block);
                }
                Err(mistake) => invalid.push(mistake.within(&at)),
            }
        }
        for (index, name) in self.depends_on.iter().enumerate() {
            surroundings.probe(name, &format!("depends_on[{index}]"), &mut invalid);
        }
        let mut mistakes = Vec::new();
        let condition = self.when.condition(surroundings, &mut mistakes);
        invalid.extend(mistakes.into_iter().map(|mistake| mistake.within("when")));
        let Some(condition) = condition else { return Err(invalid) };
        let facts: Vec<_> = condition.probes.iter().filter_map(|name| surroundings.probes.get(name)).collect();
        let rules = self.rules(&condition, &facts, &blocks);
        Self::check_effects(&condition, &blocks, &mut invalid);
        if let (Some(within), Some(facts)) = (self.recover_within, slowest(&facts)) {
            Self::check_worst_case(within.0, facts, &condition, &rules, &blocks, &mut invalid);
        }
        if !invalid.is_empty() {
            return Err(invalid);
        }
        let plan = Plan { name: self.name.clone(), condition, rules, blocks, depends_on: self.depends_on.clone() };
        Ok((plan, workers))
    }

    fn rules(&self, condition: &Condition, facts: &[&ProbeFacts], blocks: &[Block]) -> Rules {
        let (successes, failures) = match condition.trigger {
            // One look each second says the same as the one before.
            _ if facts.is_empty() => (2, 2),
            _ => (
                facts.iter().map(|facts| facts.success_threshold).max().unwrap_or(1),
                facts.iter().map(|facts| facts.failure_threshold).max().unwrap_or(1),
            ),
        };
        let successes = self.verify.successes.map_or(successes, std::num::NonZeroU32::get);
        let look = slowest(facts).map_or(2 * POLL, ProbeFacts::look);
        let verify_within =
            self.verify.within.map_or(look * (successes + failures) + Duration::from_secs(5), |within| within.0);
        Rules {
            max_attempts: self.max_attempts.get(),
            retry_delay: self.retry_delay.0,
            max_retry_delay: self.max_retry_delay.0,
            cooldown: self.cooldown.0,
            start_grace: self.start_grace.0,
            successes,
            failures,
            verify_within,
            open_for: self.open_for.map(|open_for| open_for.0),
            armed: self.armed,
            expects_shared_cause: condition.trigger == Trigger::Down && condition.probes.len() > 1,
            steps: blocks.iter().map(|block| block.kind().effect).collect(),
        }
    }

    /// Lines of a log are written by strangers, and whoever sends an alert may be wrong: what interrupts a service needs
    /// a probe that agrees.
    fn check_effects(condition: &Condition, blocks: &[Block], invalid: &mut Vec<Invalid>) {
        let hearsay = matches!(condition.trigger, Trigger::Matched { .. } | Trigger::Alerted { .. });
        if !hearsay || !condition.probes.is_empty() {
            return;
        }
        for (index, block) in blocks.iter().enumerate().filter(|(_, block)| block.kind().effect == Effect::Disturbs) {
            let message = format!(
                "{} interrupts what runs, and {} is no proof that it must: add and_probe: with the probe that agrees",
                block.kind().name,
                if matches!(condition.trigger, Trigger::Matched { .. }) { "a line in a log" } else { "an alert" },
            );
            invalid.push(Invalid::new(format!("steps[{index}]"), message));
        }
    }

    fn check_worst_case(
        within: Duration,
        facts: &ProbeFacts,
        condition: &Condition,
        rules: &Rules,
        blocks: &[Block],
        invalid: &mut Vec<Invalid>,
    ) {
        let mut parts = vec![(facts.detection_in_words(), facts.detection())];
        if let Trigger::Crossed { lasting, .. } = condition.trigger {
            parts.push(("for".into(), lasting));
        }
        let last = rules
            .steps
            .iter()
            .rposition(|effect| *effect != Effect::Looks)
            .unwrap_or(rules.steps.len().saturating_sub(1));
        for (index, block) in blocks.iter().enumerate().take(last + 1) {
            parts.push((format!("{} (its timeout)", block.kind().name), block.timeout()));
            if index < last && block.kind().effect != Effect::Looks {
                let look = facts.look() * rules.failures;
                parts.push((
                    format!("until {} is known not to have helped", block.kind().name),
                    rules.start_grace + look,
                ));
            }
        }
        parts.push(("start_grace".into(), rules.start_grace));
        parts.push((format!("{} good runs", rules.successes), facts.look() * rules.successes));
        let sum: Duration = parts.iter().map(|(_, time)| *time).sum();
        if sum > within {
            let show = |time: Duration| humantime::format_duration(time).to_string();
            let parts: Vec<_> = parts.iter().map(|(what, time)| format!("{} {what}", show(*time))).collect();
            let message = format!(
                "a recovery can take {}, longer than {}: {}; shorten one of them, or allow {}",
                show(sum),
                show(within),
                parts.join(" + "),
                show(sum),
            );
            invalid.push(Invalid::new("recover_within", message));
        }
    }
}

/// The probe whose verdict takes longest.
fn slowest<'a>(facts: &[&'a ProbeFacts]) -> Option<&'a ProbeFacts> {
    facts.iter().copied().max_by_key(|facts| facts.detection())
}

impl ProbeFacts {
    /// The longest from a failure until it is certain: up to an interval until the first run, then the others; each may
    /// hang until its timeout.
    pub fn detection(&self) -> Duration {
        self.interval + self.retry_interval.max(self.timeout) * (self.failure_threshold - 1) + self.timeout
    }

    fn detection_in_words(&self) -> String {
        let show = |time: Duration| humantime::format_duration(time).to_string();
        match self.failure_threshold - 1 {
            0 => format!("until it is certain (interval {} + timeout {})", show(self.interval), show(self.timeout)),
            more => format!(
                "until it is certain (interval {} + {more} × the longer of retry_interval {} and timeout {} + timeout)",
                show(self.interval),
                show(self.retry_interval),
                show(self.timeout)
            ),
        }
    }

    /// The longest from one look to the next while a verdict hangs on it.
    fn look(&self) -> Duration {
        self.timeout.max(self.retry_interval.min(URGENT))
    }
}

impl Surroundings {
    fn probe(&self, name: &str, path: &str, invalid: &mut Vec<Invalid>) -> Option<&ProbeFacts> {
        let found = self.probes.get(name);
        if found.is_none() && !self.mistaken.contains(name) {
            invalid.push(Invalid::new(path, unknown("probe", name, self.probes.keys())));
        }
        found
    }

    fn log(&self, name: &str, path: &str, invalid: &mut Vec<Invalid>) -> Option<&LogFacts> {
        let found = self.logs.get(name);
        if found.is_none() && !self.mistaken.contains(name) {
            invalid.push(Invalid::new(path, unknown("log", name, self.logs.keys())));
        }
        found
    }
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a String>) -> String {
    let known: Vec<_> = known.map(String::as_str).take(20).collect();
    let remedy = match known.as_slice() {
        [] => format!("add it under {what}s:"),
        known => format!("use one of {}, or add it under {what}s:", known.join(", ")),
    };
    format!("there is no {what} {name:?}: {remedy}")
}

/// How long ago a pattern may have been found.
const MATCHED_WITHIN: Duration = Duration::from_secs(300);

impl When {
    fn condition(&self, around: &Surroundings, invalid: &mut Vec<Invalid>) -> Option<Condition> {
        let given = [
            ("probe", self.probe.is_some()),
            ("all_down", !self.all_down.is_empty()),
            ("threshold", self.threshold.is_some()),
            ("log", self.log.is_some()),
            ("job", self.job.is_some()),
            ("alert", self.alert.is_some()),
        ];
        let given: Vec<_> = given.into_iter().filter(|(_, given)| *given).map(|(key, _)| key).collect();
        let [key] = given.as_slice() else {
            let message = match given.as_slice() {
                [] => "nothing to wait for: add exactly one of probe, all_down, threshold, log, job, alert".to_owned(),
                several => format!("several conditions ({}): keep one", several.join(", ")),
            };
            invalid.push(Invalid::new("", message));
            return None;
        };
        let known = invalid.len();
        self.check_keys(key, invalid);
        let condition = match *key {
            "probe" => Some(Self::down(std::slice::from_ref(self.probe.as_ref()?), "probe", around, invalid)),
            "all_down" => Some(Self::down(&self.all_down, "all_down", around, invalid)),
            "threshold" => self.threshold.as_ref()?.condition(around, invalid),
            "log" => self.matched(around, invalid),
            "job" => self.late(around, invalid),
            _ => self.alerted(around, invalid),
        };
        condition.filter(|_| invalid.len() == known)
    }

    /// Keys that only go with another condition.
    fn check_keys(&self, key: &str, invalid: &mut Vec<Invalid>) {
        let only = [
            ("pattern", self.pattern.is_some(), &["log"][..]),
            ("within", self.within.is_some(), &["log"]),
            ("late", self.late.is_some(), &["job"]),
            ("and_probe", self.and_probe.is_some(), &["log", "job", "alert"]),
        ];
        for (own, _, with) in only.into_iter().filter(|(_, given, with)| *given && !with.contains(&key)) {
            let message = format!("{own} goes with {}, not with {key}: remove it", with.join(", "));
            invalid.push(Invalid::new(own, message));
        }
    }

    fn down(names: &[String], key: &str, around: &Surroundings, invalid: &mut Vec<Invalid>) -> Condition {
        for (index, name) in names.iter().enumerate() {
            let path = if key == "probe" { key.to_owned() } else { format!("{key}[{index}]") };
            around.probe(name, &path, invalid);
        }
        let (words, target) = match names {
            [name] => (format!("probe {name} is unhealthy"), format!("probe {name}")),
            names => (format!("probes {} are all unhealthy", names.join(", ")), format!("probes {}", names.join(", "))),
        };
        Condition { trigger: Trigger::Down, probes: names.to_vec(), words, target }
    }

    fn matched(&self, around: &Surroundings, invalid: &mut Vec<Invalid>) -> Option<Condition> {
        let log = self.log.as_ref()?;
        let facts = around.log(log, "log", invalid);
        let Some(pattern) = &self.pattern else {
            invalid.push(Invalid::new("pattern", "which pattern of the log? add pattern: with its id"));
            return None;
        };
        if let Some(facts) = facts.filter(|facts| !facts.patterns.contains(pattern)) {
            let known: Vec<_> = facts.patterns.iter().map(String::as_str).take(40).collect();
            let message = format!("the log {log:?} has no pattern {pattern:?}: use one of {}", known.join(", "));
            invalid.push(Invalid::new("pattern", message));
        }
        let within = self.within.map_or(MATCHED_WITHIN, |within| within.0);
        let trigger = Trigger::Matched { log: log.clone(), pattern: pattern.clone(), within };
        Some(self.agreed(trigger, format!("{pattern} was found in log {log}"), format!("log {log}"), around, invalid))
    }

    fn late(&self, around: &Surroundings, invalid: &mut Vec<Invalid>) -> Option<Condition> {
        let job = self.job.as_ref()?;
        if self.late != Some(true) {
            invalid.push(Invalid::new("late", "say what about the job: add late: true"));
        }
        if !around.jobs.contains(job) && !around.mistaken.contains(job) {
            let message = format!("there is no job {job:?} that can be late: add it under jobs: with every or cron");
            invalid.push(Invalid::new("job", message));
        }
        let trigger = Trigger::Late { job: job.clone() };
        Some(self.agreed(trigger, format!("job {job} is late"), format!("job {job}"), around, invalid))
    }

    fn alerted(&self, around: &Surroundings, invalid: &mut Vec<Invalid>) -> Option<Condition> {
        let labels = self.alert.clone()?;
        if labels.is_empty() {
            invalid
                .push(Invalid::new("alert", "every alert would do: write at least one label, as in { alertname: … }"));
        }
        if !around.takes_alerts {
            let message = "alerts are only taken with a token: add repair: { webhook_token: { file: … } }";
            invalid.push(Invalid::new("alert", message));
        }
        let shown: Vec<_> = labels.iter().map(|(label, value)| format!("{label}={value:?}")).collect();
        let words = format!("an alert with {} is firing", shown.join(", "));
        Some(self.agreed(Trigger::Alerted { labels }, words, "alert".into(), around, invalid))
    }

    fn agreed(
        &self,
        trigger: Trigger,
        words: String,
        target: String,
        around: &Surroundings,
        invalid: &mut Vec<Invalid>,
    ) -> Condition {
        let Some(name) = &self.and_probe else { return Condition { trigger, probes: Vec::new(), words, target } };
        around.probe(name, "and_probe", invalid);
        let words = format!("{words}, and probe {name} is unhealthy");
        Condition { trigger, probes: vec![name.clone()], words, target: format!("probe {name}") }
    }
}

impl Crossed {
    fn condition(&self, around: &Surroundings, invalid: &mut Vec<Invalid>) -> Option<Condition> {
        let mut mistakes = Vec::new();
        let (limits, what, name) = match (&self.probe, &self.log) {
            (Some(name), None) => {
                (around.probe(name, "probe", &mut mistakes).map(|facts| &facts.limits), "probe", name)
            }
            (None, Some(name)) => (around.log(name, "log", &mut mistakes).map(|facts| &facts.limits), "log", name),
            _ => {
                let message = "of what? add exactly one of probe and log";
                invalid.push(Invalid::new("threshold", message));
                return None;
            }
        };
        let set = limits.and_then(|limits| limits.get(&self.signal));
        let reached =
            |levels: &Levels| Severity::ALL.into_iter().any(|s| s >= self.severity && levels.get(s).is_some());
        if limits.is_some() && !set.is_some_and(reached) {
            let message = format!(
                "the {what} {name:?} has no threshold on {} of {} or graver: add thresholds: {{ {}: {{ {}: … }} }} to it",
                self.signal, self.severity, self.signal, self.severity
            );
            mistakes.push(Invalid::new("signal", message));
        }
        invalid.extend(mistakes.into_iter().map(|mistake| mistake.within("threshold")));
        let lasting = self.lasting.map_or(Duration::ZERO, |lasting| lasting.0);
        let mut words = format!("{} of {what} {name} is above its {} threshold", self.signal, self.severity);
        if lasting > Duration::ZERO {
            words = format!("{words} for {}", humantime::format_duration(lasting));
        }
        Some(Condition {
            trigger: Trigger::Crossed {
                log: self.log.clone(),
                signal: self.signal.clone(),
                severity: self.severity,
                lasting,
            },
            probes: self.probe.iter().cloned().collect(),
            words,
            target: format!("{what} {name}"),
        })
    }
}
