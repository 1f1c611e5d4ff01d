//! A probe, a log and a job as rows of the page.

use crate::board::report::{Ago, Check, Fact, Found, JobCheck, LogCheck, RunLine, readings};
use crate::board::{LogCell, ProbeCell};
use crate::health::Status;
use crate::observation::{Severity, Unit};

/// One row.
pub struct Row {
    /// Unique on the page.
    pub id: String,
    /// What is watched.
    pub name: String,
    /// What it is.
    pub kind: &'static str,
    /// The group it stands in.
    pub group: Option<String>,
    /// The colour.
    pub class: &'static str,
    /// The state in a word: a colour is never alone.
    pub word: &'static str,
    /// The state in a sign.
    pub symbol: &'static str,
    /// What a person wants to know first.
    pub message: String,
    /// When it was last heard of.
    pub when: String,
    /// Values.
    pub facts: Vec<Fact>,
    /// Longer texts: the lines that a log's patterns found, the runs of a job.
    pub notes: Vec<Fact>,
    /// Everything about it as JSON.
    pub link: String,
    /// The state itself.
    pub state: Status,
    /// Whether it stands among what needs attention.
    pub needs_attention: bool,
}

fn ago(at: Option<f64>, now: f64) -> String {
    at.map_or("–".into(), |at| format!("{} ago", Ago::since(at, now)))
}

fn fact(what: &str, value: impl Into<String>) -> Fact {
    Fact { what: what.to_owned(), value: value.into() }
}

/// What is common to all rows.
struct Standing {
    state: Status,
    severity: Option<Severity>,
    /// Whether it is not known although it should be.
    in_doubt: bool,
}

impl Row {
    fn new(kind: &'static str, name: &str, sense: &str, standing: &Standing) -> Self {
        let Standing { state, severity, in_doubt } = *standing;
        // A threshold that is crossed is the news of what works otherwise.
        let (class, word, symbol) = match severity.filter(|_| state == Status::Healthy) {
            None => (class(state), state.as_str(), symbol(state)),
            Some(severity) => (severity_class(severity), severity.as_str(), severity_symbol(severity)),
        };
        Self {
            id: format!("{sense}-{name}"),
            name: name.to_owned(),
            kind,
            group: None,
            class,
            word,
            symbol,
            message: String::new(),
            when: String::new(),
            facts: Vec::new(),
            notes: Vec::new(),
            link: format!("/api/v1/{sense}s/{name}"),
            state,
            needs_attention: in_doubt
                || matches!(state, Status::Unhealthy | Status::Suspect)
                || severity.is_some_and(|severity| severity >= Severity::Warning),
        }
    }

    /// A probe.
    pub fn of_probe(cell: &ProbeCell, check: &Check, now: f64) -> Self {
        let in_doubt = check.state == Status::Unknown && check.last_run_at.is_some();
        let standing = Standing { state: check.state, severity: check.severity, in_doubt };
        let mut facts = vec![
            fact("in this state for", check.since_at.map_or("–".into(), |at| Ago::since(at, now).to_string())),
            fact("success, last 100 runs", check.success_ratio.map_or("–".into(), |ratio| Unit::Ratio.show(ratio))),
        ];
        cell.read(|record| {
            let notes = record.readings().notes().iter();
            facts.extend(notes.map(|(what, value)| fact(what, value)));
            let phases = record.readings().phases();
            facts.extend(phases.map(|(phase, time)| {
                fact(&format!("time to {}", phase.as_str()), Unit::Seconds.show(time.as_secs_f64()))
            }));
            facts.extend(readings(record).map(|reading| Fact::of(reading, check.kind)));
        });
        Self {
            group: check.group.clone(),
            message: check.message.clone(),
            when: ago(check.last_run_at, now),
            facts,
            ..Self::new(check.kind, &cell.descriptor().name, "probe", &standing)
        }
    }

    /// A log.
    pub fn of_log(cell: &LogCell, check: &LogCheck, now: f64) -> Self {
        let standing = Standing { state: check.state, severity: check.severity, in_doubt: false };
        let bytes = |bytes: u64| Unit::Bytes.show(bytes as f64);
        let mut facts = vec![
            fact("lines read", check.lines.to_string()),
            fact("files", check.files.to_string()),
            fact("largest file", bytes(check.size_bytes)),
            fact("not read yet", bytes(check.lag_bytes)),
        ];
        facts.extend(check.matches.iter().map(|(id, found)| fact(id, found_in_words(found, now))));
        let mut found: Vec<_> = check.matches.iter().filter(|(_, found)| !found.line.is_empty()).collect();
        found.sort_by(|(_, a), (_, b)| b.last_at.unwrap_or(0.0).total_cmp(&a.last_at.unwrap_or(0.0)));
        let last_match = found.first().and_then(|(_, found)| found.last_at);
        Self {
            group: check.group.clone(),
            message: check.message.clone(),
            when: ago(last_match, now),
            facts,
            notes: found.into_iter().map(|(id, found)| fact(id, found.line.clone())).collect(),
            ..Self::new("log", &cell.descriptor().name, "log", &standing)
        }
    }

    /// A job.
    pub fn of_job(name: &str, check: &JobCheck, now: f64) -> Self {
        let standing = Standing { state: check.state, severity: check.severity, in_doubt: false };
        let mut facts = Vec::new();
        facts.extend(check.schedule.as_ref().map(|schedule| fact("runs", schedule)));
        facts.extend(check.due.as_ref().map(|due| fact("next success until", due)));
        facts.push(fact("running now", check.running.to_string()));
        facts.extend(check.last_success.as_ref().map(|at| fact("last success", at)));
        facts.extend(check.runs.iter().map(|(result, count)| fact(&format!("runs: {result}"), count.to_string())));
        Self {
            group: check.group.clone(),
            message: check.message.clone(),
            when: ago(check.last_report_at, now),
            facts,
            notes: check.last_runs.iter().map(|run| run_in_words(run, now)).collect(),
            ..Self::new("job", name, "job", &standing)
        }
    }
}

fn found_in_words(found: &Found, now: f64) -> String {
    let Found { count, severity, .. } = found;
    format!("{count} × {severity}, last {}", ago(found.last_at, now))
}

fn run_in_words(run: &RunLine, now: f64) -> Fact {
    let mut parts = vec![ago(Some(run.ended_at), now)];
    parts.extend(run.duration_seconds.map(|seconds| Unit::Seconds.show(seconds)));
    parts.extend(run.records.map(|records| format!("{records} records")));
    parts.extend([&run.run, &run.message].into_iter().filter(|text| !text.is_empty()).cloned());
    fact(run.result, parts.join(" · "))
}

/// A colour is never alone: the word and the symbol say the same.
pub fn class(state: Status) -> &'static str {
    match state {
        Status::Unknown => "unknown",
        Status::Healthy => "healthy",
        Status::Suspect => "suspect",
        Status::Unhealthy => "unhealthy",
    }
}

fn severity_class(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "suspect",
        Severity::Critical => "unhealthy",
    }
}

fn symbol(state: Status) -> &'static str {
    match state {
        Status::Unknown => "?",
        Status::Healthy => "✓",
        Status::Suspect => "!",
        Status::Unhealthy => "✗",
    }
}

fn severity_symbol(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "i",
        Severity::Warning => symbol(Status::Suspect),
        Severity::Critical => symbol(Status::Unhealthy),
    }
}
