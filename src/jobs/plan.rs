//! What is written under `jobs:`, and what follows from it.

use super::cron::{Cron, time_zone};
use super::event::Step;
use super::lateness::{Rule, Schedule};
use crate::board::{JOB_DURATION, JobDescriptor};
use crate::health::Limit;
use crate::values::{Invalid, Pattern, Period, Secret, Thresholds, check_name, limits, too_short};
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// The name becomes the name of a file.
const MAX_NAME: usize = 128;

/// One entry under `jobs:`, as it is written.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "JobSpec")]
pub struct Spec {
    /// Unique name, the label `task`: lower-case letters, digits, `_`, `.`, `-`.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_.-]*$|\$\{"))]
    pub name: String,
    /// Optional label to gather jobs by.
    #[serde(default)]
    pub group: Option<String>,
    /// How often a run should end well. Without `every` and `cron` the job is never late.
    #[serde(default)]
    pub every: Option<Period>,
    /// When it should run: minute, hour, day of the month, month, day of the week, as in crontab(5).
    #[serde(default)]
    pub cron: Option<String>,
    /// The time zone of `cron`, by its IANA name; UTC without it.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// For how long after its time a success is waited for before the job is late.
    #[serde(default = "default_grace")]
    #[schemars(with = "Period")]
    pub grace: Period,
    /// How long a run may be under way before it is given up as abandoned.
    #[serde(default = "default_timeout")]
    #[schemars(with = "Period")]
    pub timeout: Period,
    /// Thresholds by signal: `duration`.
    #[serde(default)]
    pub thresholds: BTreeMap<String, Thresholds>,
    /// How many records a run should process.
    #[serde(default)]
    pub records: Records,
    /// Reports over HTTP must carry it: `Authorization: Bearer …`.
    #[serde(default)]
    pub token: Option<Secret>,
    /// The lines of a log that begin and end runs.
    #[serde(default)]
    pub log: Option<Lines>,
}

const fn default_grace() -> Period {
    Period(Duration::from_secs(60))
}

const fn default_timeout() -> Period {
    Period(Duration::from_secs(24 * 3600))
}

/// Bounds of the number of records.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Records {
    /// The fewest.
    pub min: Option<f64>,
    /// The most.
    pub max: Option<f64>,
}

/// The lines of a log that begin and end runs. Of their named groups these have a meaning: `run` (an id that tells
/// overlapping runs apart), `records`, `seconds` (the duration, where the line tells it), `time` (when it was written) and
/// `message`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lines {
    /// The log, by its name under `logs:`.
    pub name: String,
    /// A line that says that a run begins.
    #[serde(default)]
    pub start: Option<Pattern>,
    /// A line that says that a run ended well.
    #[serde(default)]
    pub success: Option<Pattern>,
    /// A line that says that a run failed.
    #[serde(default)]
    pub failure: Option<Pattern>,
    /// In which time zone `time` is meant where it has no offset, by its IANA name; UTC without it.
    #[serde(default)]
    pub time_zone: Option<String>,
}

impl Lines {
    fn patterns(&self) -> impl Iterator<Item = (Step, &Pattern)> {
        let patterns = [(Step::Start, &self.start), (Step::Success, &self.success), (Step::Failure, &self.failure)];
        patterns.into_iter().filter_map(|(step, pattern)| Some((step, pattern.as_ref()?)))
    }

    fn zone(&self) -> Result<TimeZone, String> {
        self.time_zone.as_deref().map_or(Ok(TimeZone::UTC), time_zone)
    }

    fn check(&self, invalid: &mut Vec<Invalid>) {
        invalid.extend(self.zone().err().map(|message| Invalid::new("log.time_zone", message)));
        if self.start.is_none() && self.success.is_none() {
            let message = "no line begins or ends a run: add start:, success: or both";
            invalid.push(Invalid::new("log", message));
        }
        let (with, without): (Vec<_>, Vec<_>) = self.patterns().partition(|(_, pattern)| pattern.has_group("run"));
        if let (Some((with, _)), Some((without, _))) = (with.first(), without.first()) {
            let (with, without) = (with.as_str(), without.as_str());
            let message = format!(
                "{with} has a group \"run\" and {without} has none: a run is known by its id from its beginning to its \
                 end, so give the group to all patterns or to none"
            );
            invalid.push(Invalid::new(format!("log.{without}"), message));
        }
    }
}

impl Spec {
    /// Resolves the entry.
    ///
    /// # Errors
    /// Every mistake in it, with paths from this entry on.
    pub fn plan(&self) -> Result<Plan, Vec<Invalid>> {
        let mut invalid = Vec::new();
        let mut wrong = |path: &str, message: String| invalid.push(Invalid::new(path, message));
        if let Err(message) = check_name(&self.name) {
            wrong("name", message);
        }
        if self.name.len() > MAX_NAME {
            wrong("name", format!("the name has {} characters: at most {MAX_NAME}", self.name.len()));
        }
        let schedule = self.schedule().unwrap_or_else(|(path, message)| {
            wrong(path, message);
            None
        });
        if let (Some(min), Some(max)) = (self.records.min, self.records.max)
            && min > max
        {
            wrong("records.max", format!("the most records ({max}) are below the fewest ({min}): exchange them"));
        }
        for (path, bound) in [("records.min", self.records.min), ("records.max", self.records.max)] {
            if bound.is_some_and(|bound| !bound.is_finite() || bound < 0.0) {
                wrong(path, "a number of records is finite and not negative".into());
            }
        }
        if self.token.as_ref().is_some_and(|token| token.expose().trim().is_empty()) {
            wrong("token", "the token is empty: give it a value, or leave it out to take reports without one".into());
        }
        invalid.extend(self.every.and_then(|every| too_short("every", every.0)));
        invalid.extend(too_short("timeout", self.timeout.0));
        let limits = limits(&self.thresholds, &[&JOB_DURATION], "a job", &mut invalid);
        if let Some(lines) = &self.log {
            lines.check(&mut invalid);
        }
        if !invalid.is_empty() {
            return Err(invalid);
        }
        let rule = schedule.map(|schedule| Rule { schedule, grace: self.grace.0.as_secs_f64() });
        let zone = self.log.as_ref().and_then(|lines| lines.zone().ok()).unwrap_or(TimeZone::UTC);
        Ok(Plan { spec: self.clone(), rule, limits, zone })
    }

    fn schedule(&self) -> Result<Option<Schedule>, (&'static str, String)> {
        match (&self.every, &self.cron, &self.time_zone) {
            (Some(_), Some(_), _) => {
                Err(("cron", "this job has both every and cron: keep the one that says when it runs".into()))
            }
            (_, None, Some(_)) => {
                Err(("time_zone", "a time zone needs cron: a period is as long everywhere; leave it out".into()))
            }
            (Some(every), None, None) => Ok(Some(Schedule::Every(every.0.as_secs_f64()))),
            (None, Some(line), name) => {
                let zone = name.as_deref().map_or(Ok(TimeZone::UTC), time_zone);
                let zone = zone.map_err(|message| ("time_zone", message))?;
                Cron::parse(line, zone).map(|cron| Some(Schedule::Cron(cron))).map_err(|message| ("cron", message))
            }
            (None, None, None) => Ok(None),
        }
    }
}

/// A job that is ready to be watched.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    spec: Spec,
    rule: Option<Rule>,
    limits: Vec<Limit>,
    /// In which the lines of its log tell times.
    zone: TimeZone,
}

/// What a job wants to hear of a log: a line that begins or ends a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// The log, by name.
    pub log: String,
    /// How the line is called when it is heard: `job/NAME/start`.
    pub id: String,
    /// What the line looks like.
    pub pattern: Pattern,
}

impl Plan {
    /// The label `task`.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// The lines of logs that begin and end its runs.
    pub fn wishes(&self) -> Vec<Wish> {
        let Some(lines) = &self.spec.log else { return Vec::new() };
        let wish = |(step, pattern): (Step, &Pattern)| Wish {
            log: lines.name.clone(),
            id: format!("job/{}/{}", self.spec.name, step.as_str()),
            pattern: pattern.clone(),
        };
        lines.patterns().map(wish).collect()
    }

    /// What reports over HTTP must carry.
    pub fn token(&self) -> Option<&Secret> {
        self.spec.token.as_ref()
    }

    /// What the board knows about it.
    pub fn descriptor(&self) -> JobDescriptor {
        JobDescriptor {
            name: self.spec.name.clone(),
            group: self.spec.group.clone(),
            schedule: self.schedule_in_words(),
            records_min: self.spec.records.min,
            records_max: self.spec.records.max,
            limits: self.limits.clone(),
        }
    }

    /// Whether it can be late.
    pub fn has_schedule(&self) -> bool {
        self.rule.is_some()
    }

    /// `every 5m`, `*/5 * * * * Asia/Tokyo`.
    pub(super) fn schedule_in_words(&self) -> Option<String> {
        let cron = || {
            let zone = self.spec.time_zone.as_deref().unwrap_or("UTC");
            self.spec.cron.as_ref().map(|line| format!("{} {zone}", line.trim()))
        };
        self.spec.every.map(|every| format!("every {}", humantime::format_duration(every.0))).or_else(cron)
    }

    pub(super) fn rule(&self) -> Option<&Rule> {
        self.rule.as_ref()
    }

    pub(super) fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// In seconds.
    pub(super) fn timeout(&self) -> f64 {
        self.spec.timeout.0.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(yaml: &str) -> Spec {
        serde_yaml::from_str(&format!("name: cycle\n{yaml}")).unwrap()
    }

    fn mistakes(yaml: &str) -> Vec<(String, String)> {
        let found = spec(yaml).plan().err().unwrap_or_default();
        found.into_iter().map(|mistake| (mistake.path, mistake.message)).collect()
    }

    #[test]
    fn a_job_is_only_its_name_if_nothing_more_is_known() {
        let plan = spec("").plan().unwrap();
        assert_eq!((plan.rule(), plan.schedule_in_words(), plan.timeout()), (None, None, 86_400.0));
        assert!(plan.wishes().is_empty());
    }

    #[test]
    fn the_schedule_is_told_in_words() {
        let words = |yaml: &str| spec(yaml).plan().unwrap().schedule_in_words().unwrap();
        assert_eq!(words("every: 5m"), "every 5m");
        assert_eq!(words("cron: '*/5 * * * *'"), "*/5 * * * * UTC");
        assert_eq!(words("cron: '@daily'\ntime_zone: Asia/Tokyo"), "@daily Asia/Tokyo");
    }

    #[test]
    fn every_mistake_is_told_where_it_stands() {
        for (yaml, path, said) in [
            ("every: 5m\ncron: '@daily'", "cron", "both every and cron"),
            ("every: 5m\ntime_zone: UTC", "time_zone", "needs cron"),
            ("time_zone: UTC", "time_zone", "needs cron"),
            ("cron: '* * * * * *'", "cron", "seconds"),
            ("cron: '0 0 31 2 *'", "cron", "never runs"),
            ("cron: '@daily'\ntime_zone: Mars/Base", "time_zone", "IANA"),
            ("every: 1ms", "every", "too short"),
            ("timeout: 0s", "timeout", "too short"),
            ("records: { min: 5, max: 1 }", "records.max", "exchange"),
            ("records: { min: -1 }", "records.min", "not negative"),
            ("token: ''", "token", "empty"),
            ("thresholds: { memory: { warning: 1MiB } }", "thresholds.memory", "a job has no signal"),
            ("thresholds: { duration: { warning: 2m, critical: 1m } }", "thresholds.duration.critical", "below"),
            ("log: { name: app, failure: x }", "log", "start:"),
            ("log: { name: app, start: 'run (?P<run>\\d+)', success: done }", "log.success", "group"),
        ] {
            let found = mistakes(yaml);
            assert!(found.len() == 1 && found[0].0 == path && found[0].1.contains(said), "{yaml}: {found:?}");
        }
        assert_eq!(mistakes("every: 5m\ncron: x\nrecords: { min: 5, max: 1 }\ntoken: ' '").len(), 3);
        let long = Spec { name: "x".repeat(129), ..spec("") };
        assert!(long.plan().unwrap_err()[0].message.contains("at most 128"));
        assert_eq!(Spec { name: "A".into(), ..spec("") }.plan().unwrap_err()[0].path, "name");
    }

    #[test]
    fn a_job_of_a_log_wants_to_hear_its_lines() {
        let yaml = "log: { name: app, start: 'ATR init', success: 'ATR ready in (?P<seconds>[\\d.]+)s' }";
        let wishes = spec(yaml).plan().unwrap().wishes();
        let ids: Vec<_> = wishes.iter().map(|wish| (wish.log.as_str(), wish.id.as_str())).collect();
        assert_eq!(ids, [("app", "job/cycle/start"), ("app", "job/cycle/success")]);
    }

    #[test]
    fn a_token_is_never_shown_and_a_plan_changes_with_it() {
        let plan = |yaml: &str| spec(yaml).plan().unwrap();
        assert!(!format!("{:?}", plan("token: s3cret")).contains("s3cret"));
        assert_ne!(plan("token: s3cret"), plan("token: other"));
        assert_eq!(plan("cron: '@daily'\ntime_zone: Asia/Tokyo"), plan("cron: '@daily'\ntime_zone: Asia/Tokyo"));
    }
}
