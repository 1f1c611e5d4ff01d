//! `docs/metrics.md`, written from the catalogue, so that it cannot say anything else than the binary.

use super::catalogue::{OWN, PER_JOB, PER_LOG, PER_PROBE, PER_REMEDY};
use super::own_process;
use crate::board::{JOB_DURATION, LOG_SIZE};
use crate::observation::Family;
use std::fmt::Write as _;

/// Families under one heading.
pub struct Section {
    /// The heading.
    pub title: String,
    /// What stands below it.
    pub families: Vec<&'static Family>,
}

/// What every probe has, whatever its kind.
pub fn every_probe() -> Section {
    Section { title: "Every probe".into(), families: PER_PROBE.iter().map(|row| &row.family).collect() }
}

/// Logs, jobs, remedies, and Banken itself.
pub fn other_sections() -> [Section; 4] {
    let logs = PER_LOG.iter().map(|row| &row.family).chain([LOG_SIZE.threshold]);
    let jobs = PER_JOB.iter().map(|row| &row.family).chain([JOB_DURATION.threshold]);
    let own = OWN.iter().map(|row| &row.family).chain(own_process::FAMILIES);
    [
        Section { title: "Logs".into(), families: logs.collect() },
        Section { title: "Jobs".into(), families: jobs.collect() },
        Section { title: "Remedies".into(), families: PER_REMEDY.iter().map(|row| &row.family).collect() },
        Section { title: "Banken itself".into(), families: own.collect() },
    ]
}

/// The page.
pub fn markdown(sections: &[Section]) -> String {
    let mut page = String::from(INTRODUCTION);
    for section in sections {
        // Writing to a String cannot fail.
        let _ = write!(page, "\n## {}\n\n| family | type | labels | meaning |\n|---|---|---|---|\n", section.title);
        for family in &section.families {
            let labels: Vec<_> = family.scope.labels().iter().chain(family.labels).copied().collect();
            let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
            let name = family.name;
            let _ = writeln!(page, "| `{name}` | {} | {labels} | {} |", family.family_type.as_str(), family.help);
        }
    }
    page
}

const INTRODUCTION: &str = "\
# Metrics

This page is what `banken kinds --metrics` prints, and a test holds it against a scrape of the running binary.

All values are in base units (seconds, bytes, ratios from 0 to 1). Counters end in `_total`, exist from the start and
go on across reloads of the configuration. A verdict or a time exists only once there is one. No sample carries a
timestamp, and no label holds error text, a URL or a process id. `group` is there only where the configuration sets
one. `job` and `instance` are Prometheus's own labels.

`GET /metrics` answers `text/plain; version=0.0.4` or `application/openmetrics-text; version=1.0.0`, as `Accept` asks
for, compressed with gzip where `Accept-Encoding` allows it.
";
