//! What is told, in parts that every way of telling puts together in its own form; bounded, and without secrets.

use crate::observation::{Severity, unix_now};
use crate::remedy::action::{Finding, Scene};
use crate::values::{Masker, plain};
use std::fmt::Write as _;

/// The longest title: Discord takes no longer one, and nobody reads it.
pub const MAX_TITLE: usize = 256;

/// The most characters of a sentence.
const MAX_SENTENCE: usize = 600;

/// The most characters of one line of a finding.
const MAX_LINE: usize = 300;

/// The most lines of findings.
const MAX_LINES: usize = 60;

/// What is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Which remedy.
    pub remedy: String,
    /// Which incident.
    pub incident: String,
    /// Which probe, log or job.
    pub target: String,
    /// On which host.
    pub host: String,
    /// How grave it is.
    pub severity: Severity,
    /// What is broken.
    pub title: String,
    /// The reason, from the closed list; empty where none is known.
    pub reason: &'static str,
    /// The reason in words.
    pub detail: String,
    /// The attempt to end it, from 1.
    pub attempt: u32,
    /// When it first failed, in seconds since the Unix epoch; 0 where that is not known.
    pub since: f64,
    /// What the steps before found out.
    pub findings: Vec<Finding>,
}

impl Message {
    /// What there is to tell of an incident.
    pub fn of(scene: &Scene, severity: Severity) -> Self {
        let masker = Masker::default();
        let sentence = |text: &str, limit: usize| plain(&masker.mask(&plain(text, 4096)), limit);
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let title = format!("{}: {}", scene.remedy, scene.condition);
        let mut left = MAX_LINES;
        let mut findings = Vec::new();
        for finding in &scene.findings {
            let lines: Vec<_> = finding.lines.iter().take(left).map(|line| sentence(line, MAX_LINE)).collect();
            left -= lines.len();
            findings.push(Finding { action: finding.action, lines });
        }
        Self {
            remedy: sentence(&scene.remedy, MAX_LINE),
            incident: sentence(&scene.incident, MAX_LINE),
            target: sentence(&scene.target, MAX_LINE),
            host: sentence(&host, MAX_LINE),
            severity,
            title: sentence(&title, MAX_TITLE - 1),
            reason: scene.failure.as_ref().map_or("", |failure| failure.reason.as_str()),
            detail: scene.failure.as_ref().map_or_else(String::new, |failure| sentence(&failure.detail, MAX_SENTENCE)),
            attempt: scene.attempt,
            since: scene.failing_since,
            findings,
        }
    }

    /// Why it is broken and what is being done, in a line or two.
    pub fn summary(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.reason.is_empty() {
            lines.push(format!("{}: {}", self.reason, self.detail));
        }
        let mut line = format!("host {}", self.host);
        if self.since > 0.0 {
            let _ = write!(line, ", since {}", stamp(self.since));
        }
        if self.attempt > 0 {
            let _ = write!(line, ", attempt {}", self.attempt);
        }
        if !self.incident.is_empty() {
            let _ = write!(line, ", incident {}", self.incident);
        }
        lines.push(line);
        lines
    }

    /// What was found out, a line for each thing.
    pub fn found(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for finding in self.findings.iter().filter(|finding| !finding.lines.is_empty()) {
            lines.push(format!("{}:", finding.action));
            lines.extend(finding.lines.iter().cloned());
        }
        lines
    }
}

/// A time as people and Alertmanager read it (RFC 3339), in UTC and whole seconds.
pub fn stamp(seconds: f64) -> String {
    let at = jiff::Timestamp::from_second(seconds as i64).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.to_string()
}

/// The same of a time from now on.
pub fn stamp_in(after: std::time::Duration) -> String {
    stamp(unix_now() + after.as_secs_f64())
}

/// As many whole lines as fit into so many characters; what is left out is said.
pub fn fit(lines: &[String], limit: usize) -> String {
    const LEFT_OUT: &str = "…";
    let mut text = String::new();
    let mut length = 0;
    for line in lines {
        let more = line.chars().count() + 1;
        if length + more + LEFT_OUT.chars().count() > limit {
            text.push_str(LEFT_OUT);
            break;
        }
        text.push_str(line);
        text.push('\n');
        length += more;
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::{Failure, Reason};

    #[test]
    fn what_strangers_wrote_is_told_bounded_on_one_line_and_without_secrets() {
        let scene = Scene {
            remedy: "fix".into(),
            condition: "log app: x\r\nSubject: evil\u{1b}[2J".into(),
            failure: Some(Failure::new(Reason::Query, "refused postgres://me:hunter2@db/app ".repeat(200))),
            findings: vec![Finding { action: "log_analysis", lines: vec!["token=hunter2 ".repeat(1000); 1000] }],
            ..Scene::default()
        };
        let message = Message::of(&scene, Severity::Warning);
        let all = format!("{message:?} {:?} {:?}", message.summary(), message.found());
        assert!(!all.contains("hunter2") && !all.contains("\\r") && !all.contains("\\u{1b}"), "{all}");
        assert_eq!(message.title, "fix: log app: x  Subject: evil");
        assert!(message.found().len() <= MAX_LINES + 1);
        assert!(message.found().iter().all(|line| line.chars().count() <= MAX_LINE + 1));
    }

    #[test]
    fn lines_are_left_out_where_there_is_no_room_and_that_is_said() {
        let lines: Vec<String> = ["äb", "cd", "ef"].map(str::to_owned).into();
        assert_eq!(fit(&lines, 100), "äb\ncd\nef");
        assert_eq!(fit(&lines, 7), "äb\ncd\n…");
        assert_eq!(fit(&lines, 2), "…");
    }
}
