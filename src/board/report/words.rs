//! Times and values as people read them.

use crate::observation::{FamilyType, Reading, Unit};
use std::fmt;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// A time in seconds since the Unix epoch as RFC 3339 in UTC, to the second.
pub fn rfc3339(at: f64) -> String {
    moment(at).and_then(|moment| moment.format(&Rfc3339).ok()).unwrap_or_default()
}

/// A time in seconds since the Unix epoch as a time of day in UTC.
pub fn clock_time(at: f64) -> String {
    let format = format_description!("[hour]:[minute]:[second] UTC");
    moment(at).and_then(|moment| moment.format(format).ok()).unwrap_or_default()
}

fn moment(at: f64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(at as i64).ok()
}

/// So many of each, in words; logs and jobs only where there are any.
pub fn extent(probes: usize, logs: usize, jobs: usize, remedies: usize) -> String {
    let count = |number: usize, one: &str, more: &str| format!("{number} {}", if number == 1 { one } else { more });
    let others = [(logs, "log", "logs"), (jobs, "job", "jobs"), (remedies, "remedy", "remedies")];
    let mut words = vec![count(probes, "probe", "probes")];
    words.extend(others.into_iter().filter(|(n, ..)| *n > 0).map(|(n, one, more)| count(n, one, more)));
    words.join(", ")
}

/// How long ago something was, in one unit: `12 s`, `5 min`, `3 h`, `2 d`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ago {
    /// Seconds.
    pub seconds: f64,
}

impl Ago {
    /// From a moment until now, both in seconds since the Unix epoch.
    pub fn since(at: f64, now: f64) -> Self {
        Self { seconds: (now - at).max(0.0) }
    }
}

impl Ago {
    /// The number to tell, and its unit: 0 for seconds, then minutes, hours, days.
    pub fn parts(self) -> (f64, usize) {
        let seconds = self.seconds;
        match seconds {
            _ if seconds < 100.0 => (seconds, 0),
            _ if seconds < 100.0 * 60.0 => (seconds / 60.0, 1),
            _ if seconds < 72.0 * 3600.0 => (seconds / 3600.0, 2),
            _ => (seconds / 86400.0, 3),
        }
    }
}

impl fmt::Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = self.parts();
        write!(f, "{number:.0} {}", ["s", "min", "h", "d"][unit])
    }
}

/// A reading as a line for people: `resident memory`, `112.3 MiB`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What it is, from the family's name.
    pub what: String,
    /// How much it is, in its unit.
    pub value: String,
}

impl Fact {
    /// From a reading of a kind; prefix and unit of the family's name are left out.
    pub fn of(reading: &Reading, kind: &str) -> Self {
        let name = reading.family.name;
        let name = name.strip_prefix("banken_").unwrap_or(name);
        let name = name.strip_prefix("probe_").unwrap_or(name);
        let name = name.strip_prefix(kind).map_or(name, |rest| rest.trim_start_matches('_'));
        let is_counter = reading.family.family_type == FamilyType::Counter;
        let name = name.strip_suffix("_total").unwrap_or(name);
        let (name, value) = match name {
            _ if name.ends_with("_timestamp_seconds") => (&name[..name.len() - 18], rfc3339(reading.value)),
            _ if name.ends_with("_seconds") => (&name[..name.len() - 8], Unit::Seconds.show(reading.value)),
            _ if name.ends_with("_bytes") => (&name[..name.len() - 6], Unit::Bytes.show(reading.value)),
            _ if name.ends_with("_ratio") => (&name[..name.len() - 6], Unit::Ratio.show(reading.value)),
            _ => (name, format!("{}", (reading.value * 1e6).round() / 1e6)),
        };
        let mut what = name.replace('_', " ");
        if is_counter && reading.family.name.ends_with("_seconds_total") {
            // A share of the same thing may stand beside it.
            what.push_str(" time");
        }
        if let Some(labels) = &reading.labels {
            for pair in labels.text().trim_end_matches('"').split("\",") {
                what.push_str(" · ");
                what.push_str(pair.split_once("=\"").map_or(pair, |(_, value)| value));
            }
        }
        Self { what, value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::{Family, Labels, Scope};
    use std::sync::Arc;

    #[test]
    fn times_are_told_in_the_unit_a_person_would_use() {
        let ago = |seconds: f64| Ago { seconds }.to_string();
        assert_eq!([ago(12.0), ago(300.0), ago(7200.0), ago(864_000.0)], ["12 s", "5 min", "2 h", "10 d"]);
        assert_eq!(rfc3339(1_766_917_800.4), "2025-12-28T10:30:00Z");
        assert_eq!(clock_time(1_766_917_800.4), "10:30:00 UTC");
        assert_eq!(rfc3339(f64::MAX), "");
    }

    #[test]
    fn a_reading_loses_its_prefix_and_gains_its_unit() {
        static MEMORY: Family = Family::gauge("banken_process_resident_memory_bytes", Scope::Name, &[], "Memory");
        let reading = Reading { family: &MEMORY, labels: None, value: 117_758_689.0 };
        let fact = Fact::of(&reading, "process");
        assert_eq!((fact.what.as_str(), fact.value.as_str()), ("resident memory", "112.3 MiB"));
    }

    #[test]
    fn the_time_of_a_counter_is_told_from_a_share_and_labels_by_their_values() {
        static CPU: Family = Family::counter("banken_host_cpu_seconds_total", Scope::Bare, &["mode", "core"], "CPU");
        let labels = Arc::new(Labels::render(&[("mode", "user"), ("core", "0")]));
        let reading = Reading { family: &CPU, labels: Some(labels), value: 90.0 };
        let fact = Fact::of(&reading, "host");
        assert_eq!((fact.what.as_str(), fact.value.as_str()), ("cpu time · user · 0", "90.0 s"));
    }
}
