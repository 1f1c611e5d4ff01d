//! A log in words.

use super::{Ago, rfc3339};
use crate::board::{LogCell, LogRecord};
use crate::health::Status;
use crate::observation::{Gravity, Reason, Severity, Unit};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// For so long a match is news.
pub const NEWS_SECONDS: f64 = 15.0 * 60.0;

/// One log in short.
#[derive(Debug, Clone, Serialize)]
pub struct LogCheck {
    /// healthy, unhealthy (it cannot be read) or unknown.
    pub status: &'static str,
    /// What a person wants to know first.
    pub message: String,
    /// The group, where one is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The gravest of what was found in the last 15 minutes, and of the thresholds that are crossed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Why it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Complete lines read.
    pub lines: u64,
    /// Files that are followed.
    pub files: usize,
    /// Size of the largest file, in bytes.
    pub size_bytes: u64,
    /// What has not been read yet, in bytes.
    pub lag_bytes: u64,
    /// What was found, by pattern; patterns that found nothing are left out.
    pub matches: BTreeMap<String, Found>,
    /// The status itself.
    #[serde(skip)]
    pub state: Status,
}

/// What one pattern found.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// info, warning, error or critical.
    pub severity: &'static str,
    /// How often.
    pub count: u64,
    /// When last, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// The beginning of the last line.
    pub line: String,
    /// When last, in seconds since the Unix epoch.
    #[serde(skip)]
    pub last_at: Option<f64>,
    /// The severity itself.
    #[serde(skip)]
    pub gravity: Gravity,
}

impl LogCheck {
    /// Of one cell, at `now` (seconds since the Unix epoch).
    pub fn of(cell: &LogCell, now: f64) -> Self {
        let descriptor = cell.descriptor();
        cell.read(|record| {
            let fault = record.fault.as_ref();
            let state = match fault {
                Some(fault) if fault.reason == Reason::Local => Status::Unknown,
                Some(_) => Status::Unhealthy,
                None if record.caught_up_at.is_none() => Status::Unknown,
                None => Status::Healthy,
            };
            let patterns = || descriptor.patterns.iter().zip(&record.patterns);
            let news = patterns().filter(|(_, found)| found.last_match_at.is_some_and(|at| is_news(at, now)));
            let crossing = record.crossing(descriptor).map(|crossing| crossing.severity);
            let matches = patterns().filter(|(_, found)| found.matches > 0).map(|(pattern, found)| {
                let found = Found {
                    severity: pattern.gravity.as_str(),
                    count: found.matches,
                    last: found.last_match_at.map(rfc3339),
                    line: found.last_line.clone(),
                    last_at: found.last_match_at,
                    gravity: pattern.gravity,
                };
                (pattern.id.clone(), found)
            });
            let matches = matches.collect();
            Self {
                status: state.as_str(),
                message: message(record, &matches, now),
                group: descriptor.group.clone(),
                severity: news.map(|(pattern, _)| pattern.gravity.severity()).chain(crossing).max(),
                reason: fault.map(|fault| fault.reason.as_str()),
                lines: record.counts.lines,
                files: record.files,
                size_bytes: record.size,
                lag_bytes: record.lag,
                matches,
                state,
            }
        })
    }
}

fn is_news(at: f64, now: f64) -> bool {
    now - at < NEWS_SECONDS
}

fn message(record: &LogRecord, matches: &BTreeMap<String, Found>, now: f64) -> String {
    if let Some(fault) = &record.fault {
        return fault.to_string();
    }
    if record.caught_up_at.is_none() {
        return format!("is being read, {} to go", Unit::Bytes.show(record.lag as f64));
    }
    let mut message = format!("{} lines", record.counts.lines);
    let known = matches.iter().filter_map(|(id, found)| Some((found.last_at?, id, found)));
    // The gravest of what is news, else the latest.
    let rank = |at: f64, found: &Found| is_news(at, now).then_some(found.gravity);
    match known.max_by(|(a, _, x), (b, _, y)| rank(*a, x).cmp(&rank(*b, y)).then(a.total_cmp(b))) {
        // Writing to a String cannot fail.
        Some((at, id, found)) => {
            let _ = write!(message, "; {id} ({}) {} ago", found.severity, Ago::since(at, now));
        }
        None => message.push_str("; nothing found"),
    }
    if record.lag > 1 << 20 {
        let _ = write!(message, "; {} behind", Unit::Bytes.show(record.lag as f64));
    }
    message
}
