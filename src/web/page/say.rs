//! What a person wants to know first of a probe, a log, a job and a remedy, in the language of the page.

use super::ages::age;
use crate::board::{EndedRun, JobDescriptor, JobRecord, JobResult, LogDescriptor, LogRecord, Record};
use crate::board::{RemedyDescriptor, RemedyRecord, RemedyState};
use crate::health::Crossing;
use crate::observation::{Failure, Reason, Signal, Unit};
use crate::web::words::{Form, Words, fill};

/// What is said: the reason in words, where there is one, and what exactly happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// The reason in words.
    pub lead: &'static str,
    /// What exactly happened.
    pub text: String,
}

impl Said {
    fn of(text: impl Into<String>) -> Self {
        Self { lead: "", text: text.into() }
    }
}

/// A failure.
pub fn failure(words: &'static Words, failure: &Failure) -> Said {
    Said { lead: words.reason(failure.reason), text: failure.detail.clone() }
}

/// A probe.
pub fn probe(words: &'static Words, record: &Record) -> Said {
    if let Some(fault) = &record.own_fault {
        return failure(words, fault);
    }
    let Some(run) = &record.last_known else { return Said::of(words.not_run_yet) };
    let (lead, first) = match &run.outcome {
        Ok(()) => ("", fill(words.ok_in, &[&Unit::Seconds.show(run.duration.as_secs_f64())])),
        Err(failure) => (words.reason(failure.reason), failure.detail.clone()),
    };
    let mut parts = vec![first];
    // What a kind has thresholds on is what is worth a look: the memory of a process, the disk of a host.
    let crossed = record.crossing.map(|crossing| crossing.signal.key);
    let worth_a_look = |signal: &Signal| signal.unit != Unit::Seconds && Some(signal.key) != crossed;
    let signals = record.readings().signals().iter().filter(|(signal, _)| worth_a_look(signal));
    parts.extend(signals.map(|(signal, value)| format!("{} {}", signal.key, signal.unit.show(*value))));
    parts.extend(record.crossing.map(|crossing| crossing_in_words(words, &crossing)));
    Said { lead, text: parts.join(words.semicolon) }
}

fn crossing_in_words(words: &Words, crossing: &Crossing) -> String {
    let unit = crossing.signal.unit;
    let (value, threshold) = (unit.show(crossing.value), unit.show(crossing.threshold));
    fill(words.above, &[crossing.signal.key, &value, &threshold, words.severity(crossing.severity)])
}

/// A log. `news` is what was found last, if anything was: its pattern, how grave it is, and when.
pub fn log(words: &'static Words, record: &LogRecord, descriptor: &LogDescriptor, latest: Option<usize>) -> Said {
    if let Some(fault) = &record.fault {
        return failure(words, fault);
    }
    if record.caught_up_at.is_none() {
        return Said::of(fill(words.being_read, &[&Unit::Bytes.show(record.lag as f64)]));
    }
    let mut parts = vec![fill(words.lines_read, &[&record.counts.lines.to_string()])];
    let found = latest.and_then(|at| Some((descriptor.patterns.get(at)?, record.patterns.get(at)?)));
    match found.and_then(|(pattern, found)| Some((pattern, found.last_match_at?))) {
        Some((pattern, at)) => {
            parts.push(format!("{} ({}) {}", pattern.id, words.gravity(pattern.gravity), age(Form::Ago, at)));
        }
        None => parts.push(words.nothing_found.to_owned()),
    }
    if record.lag > 1 << 20 {
        parts.push(fill(words.behind, &[&Unit::Bytes.show(record.lag as f64)]));
    }
    Said::of(parts.join(words.semicolon))
}

/// A job, at `now` in seconds since the Unix epoch.
pub fn job(words: &'static Words, record: &JobRecord, descriptor: &JobDescriptor, now: f64) -> Said {
    let mut parts = Vec::new();
    if record.late == Some(true) {
        parts.push(match record.due_at {
            Some(due) => fill(words.late_for, &[&age(Form::Lasting, due)]),
            None => words.late.to_owned(),
        });
    }
    parts.extend(record.running.first().map(|run| fill(words.running, &[&age(Form::Lasting, run.started_at)])));
    parts.push(record.last_run().map_or_else(|| words.no_run_ended.to_owned(), |run| ended(words, run)));
    if let Some(crossing) = record.crossing(descriptor, now) {
        // The value grows while a run goes on; the running time tells it already.
        let threshold = Unit::Seconds.show(crossing.threshold);
        let value = if record.running.is_empty() { Unit::Seconds.show(crossing.value) } else { String::new() };
        parts.push(fill(words.above, &[words.duration, &value, &threshold, words.severity(crossing.severity)]));
    }
    if record.records_are_unusual(descriptor) {
        parts.push(fill(words.records_unusual, &[&record.records.unwrap_or_default().to_string()]));
    }
    Said::of(parts.join(words.semicolon))
}

fn ended(words: &Words, run: &EndedRun) -> String {
    let how = match run.result {
        JobResult::Success => words.last_run_ok,
        JobResult::Failure => words.last_run_failed,
        JobResult::Abandoned => words.last_run_lost,
    };
    let mut parts = vec![fill(how, &[&age(Form::Ago, run.ended_at)])];
    parts.extend(run.duration.map(|seconds| fill(words.took, &[&Unit::Seconds.show(seconds)])));
    parts.extend(run.records.map(|records| fill(words.records, &[&records.to_string()])));
    let mut text = parts.join(words.comma);
    if run.result == JobResult::Failure && !run.message.is_empty() {
        text.push_str(words.colon);
        text.push_str(&run.message);
    }
    text
}

/// A remedy.
pub fn remedy(words: &'static Words, record: &RemedyRecord, descriptor: &RemedyDescriptor) -> Said {
    let (attempt, most) = (record.attempt.to_string(), descriptor.max_attempts.to_string());
    let of_all = |text: &str| fill(text, &[&attempt, &most]);
    Said::of(match (record.state, record.suppression) {
        (RemedyState::Exhausted, _) => words.remedy_gave_up.to_owned(),
        (RemedyState::Acting, _) => of_all(words.remedy_acts),
        (RemedyState::Verifying, _) => of_all(words.remedy_looks),
        (RemedyState::BackingOff, None) => of_all(words.remedy_waits),
        (_, Some(suppression)) => fill(words.remedy_would, &[words.suppression(suppression)]),
        (RemedyState::Idle, None) => words.remedy_nothing.to_owned(),
    })
}

/// The runbook for a failing probe: by what is wrong with it, never by its kind.
pub fn runbook_of_probe(record: &Record) -> Option<&'static str> {
    let is_own = record.own_fault.as_ref().is_some_and(|fault| fault.reason == Reason::Local);
    if record.state.is_failing() && !is_own {
        return Some("BankenProbeDown");
    }
    record.crossing.map(|crossing| match crossing.signal.unit {
        Unit::Seconds => "BankenProbeSlow",
        Unit::Bytes | Unit::Ratio => "BankenThresholdCrossed",
    })
}

#[cfg(test)]
mod tests {
    use crate::shipped::runbook;

    #[test]
    fn every_runbook_that_the_page_links_to_is_there() {
        let rows = [include_str!("rows/log.rs"), include_str!("rows/job.rs"), include_str!("rows/remedy.rs")];
        let source = [include_str!("say.rs"), &rows.concat()].concat();
        let named = regex::Regex::new("\"(Banken[A-Z][A-Za-z]+)\"").unwrap();
        let mut checked = 0;
        for name in named.captures_iter(&source) {
            assert!(runbook(&name[1]).is_some(), "{}", &name[1]);
            checked += 1;
        }
        assert!(checked > 6, "only {checked} names were found");
    }
}
