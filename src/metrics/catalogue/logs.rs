//! The families of logs.

use crate::board::{CaptureRecord, LogCell, LogRecord};
use crate::metrics::samples::Samples;
use crate::observation::{Family, Scope};
use std::fmt;

/// What is known of one log at a scrape.
pub struct LogView<'a> {
    /// Its cell.
    pub cell: &'a LogCell,
    /// What the cell remembers.
    pub record: &'a LogRecord,
}

/// A family of every log, and how its samples follow from the record.
pub struct LogRow {
    /// What it says.
    pub family: Family,
    /// Writes its samples.
    pub write: fn(&LogView<'_>, &mut Samples<'_, '_>) -> fmt::Result,
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family::gauge(name, Scope::Log, labels, help)
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family::counter(name, Scope::Log, labels, help)
}

/// Every family that each log has. Patterns with their captured groups are families with labels of their own.
pub static PER_LOG: &[LogRow] = &[
    LogRow {
        family: counter("banken_log_lines_total", &[], "Complete lines read"),
        write: |view, out| out.value(view.record.counts.lines as f64),
    },
    LogRow {
        family: counter("banken_log_bytes_total", &[], "Bytes of the lines read"),
        write: |view, out| out.value(view.record.counts.bytes as f64),
    },
    LogRow {
        family: counter(
            "banken_log_long_lines_total",
            &[],
            "Lines longer than 64 KiB, of which only the beginning was looked at",
        ),
        write: |view, out| out.value(view.record.counts.long_lines as f64),
    },
    LogRow {
        family: counter(
            "banken_log_matches_total",
            &["pattern", "severity"],
            "Lines, or records of several lines, that a pattern found",
        ),
        write: |view, out| {
            let mut patterns = view.cell.pattern_labels().iter().zip(&view.record.patterns);
            patterns.try_for_each(|(labels, pattern)| out.rendered(&labels.pattern, pattern.matches as f64))
        },
    },
    LogRow {
        family: gauge(
            "banken_log_last_match_timestamp_seconds",
            &["pattern", "severity"],
            "When a pattern's latest match was read, in seconds since the Unix epoch",
        ),
        write: |view, out| {
            let mut patterns = view.cell.pattern_labels().iter().zip(&view.record.patterns);
            patterns.try_for_each(|(labels, pattern)| match pattern.last_match_at {
                Some(at) => out.rendered(&labels.pattern, at),
                None => Ok(()),
            })
        },
    },
    LogRow {
        family: counter(
            "banken_log_captures_total",
            &["pattern", "capture", "value"],
            "Matches by the text of a named group; value is one of those that the rule lists, or other",
        ),
        write: |view, out| {
            captures(view, |labels, record| match record {
                CaptureRecord::Counts(counts) => {
                    labels.iter().zip(counts).try_for_each(|(labels, count)| out.rendered(labels, *count as f64))
                }
                _ => Ok(()),
            })
        },
    },
    LogRow {
        family: gauge(
            "banken_log_value",
            &["pattern", "capture"],
            "The number in a named group of the latest match, in the unit of the log",
        ),
        write: |view, out| {
            captures(view, |labels, record| match record {
                CaptureRecord::Latest(Some(value)) => labels.iter().try_for_each(|labels| out.rendered(labels, *value)),
                _ => Ok(()),
            })
        },
    },
    LogRow {
        family: Family::histogram(
            "banken_log_values",
            Scope::Log,
            &["pattern", "capture"],
            "The numbers in a named group of all matches, in the unit of the log",
        ),
        write: |view, out| {
            captures(view, |labels, record| match record {
                CaptureRecord::Histogram(values) => {
                    labels.iter().try_for_each(|labels| out.rendered_histogram(labels, values))
                }
                _ => Ok(()),
            })
        },
    },
    LogRow {
        family: gauge("banken_log_size_bytes", &[], "Size of the log's largest file that is followed, in bytes"),
        write: |view, out| out.value(view.record.size as f64),
    },
    LogRow {
        family: gauge(
            "banken_log_volume_bytes",
            &[],
            "Size of all files of the log, rotated and compressed ones included, in bytes",
        ),
        write: |view, out| out.value(view.record.volume as f64),
    },
    LogRow {
        family: gauge("banken_log_lag_bytes", &[], "Bytes that are in the log and have not been read yet"),
        write: |view, out| out.value(view.record.lag as f64),
    },
    LogRow {
        family: gauge("banken_log_files", &[], "Files that are followed"),
        write: |view, out| out.value(view.record.files as f64),
    },
    LogRow {
        family: gauge("banken_log_files_ignored", &[], "Files beyond max_files, which are not followed"),
        write: |view, out| out.value(view.record.files_ignored as f64),
    },
    LogRow {
        family: gauge("banken_log_readable", &[], "Whether the log can be read, 1 or 0"),
        write: |view, out| out.value(f64::from(u8::from(view.record.fault.is_none()))),
    },
    LogRow {
        family: counter("banken_log_rotations_total", &[], "Files that were renamed away"),
        write: |view, out| out.value(view.record.counts.rotations as f64),
    },
    LogRow {
        family: counter(
            "banken_log_truncations_total",
            &[],
            "Files that were cut or rewritten after they had been read; what was written just before may be lost",
        ),
        write: |view, out| out.value(view.record.counts.truncations as f64),
    },
    LogRow {
        family: counter("banken_log_gaps_total", &[], "Times when something was gone before it could be read"),
        write: |view, out| out.value(view.record.counts.gaps as f64),
    },
];

fn captures(
    view: &LogView<'_>,
    mut write: impl FnMut(&[crate::observation::Labels], &CaptureRecord) -> fmt::Result,
) -> fmt::Result {
    for (labels, pattern) in view.cell.pattern_labels().iter().zip(&view.record.patterns) {
        for (labels, record) in labels.captures.iter().zip(&pattern.captures) {
            write(labels, record)?;
        }
    }
    Ok(())
}
