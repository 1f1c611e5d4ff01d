//! What is reported of a run.

use super::written::instant;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;

/// The longest run id, in bytes.
const MAX_RUN_ID: usize = 128;

/// The longest message, in characters.
const MAX_MESSAGE: usize = 500;

/// Which part of a run is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It begins.
    Start,
    /// It ended well.
    Success,
    /// It failed.
    Failure,
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Start, Self::Success, Self::Failure];

    /// How it is called in paths and ids.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }

    /// By the name it has in paths and ids.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.as_str() == name)
    }
}

/// What a report says beside its step, not checked yet.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Details {
    /// Tells overlapping runs apart; empty where there is none.
    pub run: String,
    /// How many records were processed.
    pub records: Option<f64>,
    /// For people.
    pub message: String,
    /// How long the run took, in seconds, where the reporter knows it.
    pub duration: Option<f64>,
}

/// A report that can be taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub(super) step: Step,
    pub(super) details: Details,
    /// In seconds since the Unix epoch.
    pub(super) at: f64,
}

impl Event {
    /// Checks a report that was made at `at`, in seconds since the Unix epoch.
    ///
    /// # Errors
    /// What cannot be taken, and what could be.
    pub fn new(step: Step, mut details: Details, at: f64) -> Result<Self, String> {
        if details.run.len() > MAX_RUN_ID {
            return Err(format!("run has {} bytes: at most {MAX_RUN_ID}", details.run.len()));
        }
        if details.run.chars().any(char::is_control) {
            return Err("run holds control characters: leave them out".into());
        }
        for (name, value) in [("records", details.records), ("duration_seconds", details.duration)] {
            if value.is_some_and(|value| !is_amount(value)) {
                return Err(format!("{name} must be a number that is finite and not negative"));
            }
        }
        details.message = readable(&details.message);
        Ok(Self { step, details, at })
    }

    /// What a line of a log says that was read at `read_at`; what cannot be taken of it is left out, because nobody is
    /// there to be told. A time that the line tells is meant in `zone`, and cannot be later than the reading.
    pub fn heard(step: Step, captures: &BTreeMap<String, String>, read_at: f64, zone: &TimeZone) -> Self {
        let text = |name: &str| captures.get(name).map(|text| text.trim()).unwrap_or_default();
        let amount = |name: &str| text(name).parse().ok().filter(|value| is_amount(*value));
        let details = Details {
            run: run_id(text("run")),
            records: amount("records"),
            message: readable(text("message")),
            duration: amount("seconds"),
        };
        let written_at = instant(text("time"), zone).unwrap_or(read_at);
        Self { step, details, at: written_at.min(read_at) }
    }
}

fn is_amount(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}

fn run_id(text: &str) -> String {
    let clean = text.chars().filter(|c| !c.is_control());
    let mut id = String::new();
    for c in clean {
        if id.len() + c.len_utf8() > MAX_RUN_ID {
            break;
        }
        id.push(c);
    }
    id
}

/// One line that is not too long.
fn readable(text: &str) -> String {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().take(MAX_MESSAGE).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_that_cannot_be_taken_says_why() {
        let check = |details: Details| Event::new(Step::Success, details, 0.0);
        let message = |details| check(details).unwrap_err();
        assert!(message(Details { run: "x".repeat(129), ..Details::default() }).contains("at most 128"));
        assert!(message(Details { run: "a\nb".into(), ..Details::default() }).contains("control"));
        for value in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(message(Details { records: Some(value), ..Details::default() }).contains("records"));
            assert!(message(Details { duration: Some(value), ..Details::default() }).contains("duration_seconds"));
        }
        assert!(check(Details { run: "x".repeat(128), records: Some(0.0), ..Details::default() }).is_ok());
    }

    #[test]
    fn a_message_is_one_line_of_bounded_length() {
        let details = Details { message: format!(" a\n\u{1b}[31mb{}", "ü".repeat(600)), ..Details::default() };
        let event = Event::new(Step::Failure, details, 0.0).unwrap();
        assert!(event.details.message.starts_with("a  [31mb"));
        assert_eq!(event.details.message.chars().count(), MAX_MESSAGE);
    }

    #[test]
    fn a_line_is_taken_as_far_as_it_can_be_read() {
        let captures = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        let event = Event::heard(
            Step::Success,
            &captures(&[("run", " 17 "), ("records", "7"), ("seconds", "1.25"), ("message", "done"), ("other", "x")]),
            9.0,
            &TimeZone::UTC,
        );
        let expected = Details { run: "17".into(), records: Some(7.0), message: "done".into(), duration: Some(1.25) };
        assert_eq!(event, Event { step: Step::Success, details: expected, at: 9.0 });
        let long = "é".repeat(100);
        let event = Event::heard(
            Step::Start,
            &captures(&[("run", &long), ("records", "many"), ("seconds", "-1")]),
            0.0,
            &TimeZone::UTC,
        );
        assert_eq!(event.details, Details { run: "é".repeat(64), ..Details::default() });
        let at = |time: &str| Event::heard(Step::Start, &captures(&[("time", time)]), 100.0, &TimeZone::UTC).at;
        let milliseconds = |time: &str| (at(time) * 1000.0) as u64;
        let times = ["1970-01-01 00:01:00,5", "1970-01-02 00:00:00", "soon"];
        assert_eq!(times.map(milliseconds), [60_500, 100_000, 100_000]);
    }
}
