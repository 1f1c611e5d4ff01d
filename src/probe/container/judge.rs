//! Whether a container is as it should be, and in which words it is not. Pure.

use super::{Expect, ExpectedHealth, ExpectedState};
use crate::machine::docker::{Health, Inspected};
use crate::observation::{Failure, Reason};
use crate::values::one_line;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// So much of what a health check has written is shown.
pub(super) const MAX_WORDS: usize = 160;

/// Seconds since the Unix epoch. Docker writes the year 1 where there is no time.
pub(super) fn timestamp(text: &str) -> Option<f64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    (time.unix_timestamp() > 0).then(|| time.unix_timestamp_nanos() as f64 / 1e9)
}

/// A container that was never started has not ended either.
pub(super) fn has_ended(inspected: &Inspected) -> bool {
    timestamp(&inspected.state.finished_at).is_some()
}

pub(super) fn judge(expect: Expect, name: &str, inspected: &Inspected) -> Result<(), Failure> {
    let state = &inspected.state;
    let is_at_work = state.running && !matches!(state.status.as_str(), "paused" | "restarting");
    match expect.state {
        ExpectedState::Running if !is_at_work => return Err(not_running(name, inspected)),
        ExpectedState::Exited if state.running || !has_ended(inspected) => {
            return Err(Failure::new(Reason::Status, format!("{name} is {}, expected exited", state.status)));
        }
        ExpectedState::Exited if state.exit_code != 0 || state.oom_killed => {
            return Err(Failure::new(Reason::Exit, how_it_ended(name, inspected)));
        }
        _ => {}
    }
    if !state.running {
        return Ok(());
    }
    let detail = match (expect.health, state.health()) {
        (ExpectedHealth::NotUnhealthy | ExpectedHealth::Healthy, Health::Unhealthy) => unhealthy(name, inspected),
        (ExpectedHealth::Healthy, Health::Starting) => format!("the health check of {name} has not succeeded yet"),
        (ExpectedHealth::Healthy, Health::None) => {
            format!("{name} has no health check: give it one, or remove health: healthy")
        }
        _ => return Ok(()),
    };
    Err(Failure::new(Reason::Status, detail))
}

fn not_running(name: &str, inspected: &Inspected) -> Failure {
    let state = &inspected.state;
    if state.status == "paused" {
        return Failure::new(Reason::Status, format!("{name} is paused, expected running"));
    }
    if has_ended(inspected) {
        return Failure::new(Reason::Exit, how_it_ended(name, inspected));
    }
    let error = because(&state.error);
    Failure::new(Reason::Exit, format!("{name} was made, but does not run: it is {}{error}", state.status))
}

fn how_it_ended(name: &str, inspected: &Inspected) -> String {
    let state = &inspected.state;
    let signal = state.exit_code.checked_sub(128).filter(|signal| (1..=64).contains(signal));
    let signal = signal.map_or_else(String::new, |signal| format!(" (signal {signal})"));
    let memory = if state.oom_killed { ", out of memory" } else { "" };
    format!(
        "{name} is {}: it ended with exit code {}{signal}{memory}, at {}{}",
        state.status,
        state.exit_code,
        state.finished_at,
        because(&state.error)
    )
}

fn unhealthy(name: &str, inspected: &Inspected) -> String {
    let Some(health) = &inspected.state.health else { return format!("{name} is unhealthy") };
    let streak = match health.failing_streak {
        streak @ 1.. => format!(", {streak} checks in a row have failed"),
        _ => String::new(),
    };
    let last = health.last_words().map_or_else(String::new, |(words, code)| {
        let words = shortened(words);
        let said = if words.is_empty() { String::new() } else { format!(" and said: {words}") };
        format!("; the last one ended with exit code {code}{said}")
    });
    format!("{name} is unhealthy{streak}{last}")
}

fn because(error: &str) -> String {
    if error.is_empty() { String::new() } else { format!(": {}", shortened(error)) }
}

/// The end of a text on one line: what is said last says most.
fn shortened(text: &str) -> String {
    let line = one_line(text);
    let length = line.chars().count();
    if length <= MAX_WORDS { line } else { format!("…{}", line.chars().skip(length - MAX_WORDS).collect::<String>()) }
}
