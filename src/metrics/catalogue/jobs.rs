//! The families of jobs.

use crate::board::{JobCell, JobRecord, JobResult};
use crate::metrics::samples::Samples;
use crate::observation::{Family, Scope};
use std::fmt;

/// What is known of one job at a scrape.
pub struct JobView<'a> {
    /// Its cell.
    pub cell: &'a JobCell,
    /// What the cell remembers.
    pub record: &'a JobRecord,
}

/// A family of every job, and how its samples follow from the record.
pub struct JobRow {
    /// What it says.
    pub family: Family,
    /// Writes its samples.
    pub write: fn(&JobView<'_>, &mut Samples<'_, '_>) -> fmt::Result,
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family::gauge(name, Scope::Task, labels, help)
}

/// Every family that each job has.
pub static PER_JOB: &[JobRow] = &[
    JobRow {
        family: Family::counter(
            "banken_job_runs_total",
            Scope::Task,
            &["result"],
            "Runs that ended, by result: success, failure, abandoned (began and never ended)",
        ),
        write: |view, out| {
            let mut ended = JobResult::ALL.into_iter().zip(view.record.ended);
            ended.try_for_each(|(result, count)| out.labelled(result.label(), count as f64))
        },
    },
    JobRow {
        family: gauge("banken_job_running", &[], "Runs that began and have not ended"),
        write: |view, out| out.value(view.record.running.len() as f64),
    },
    JobRow {
        family: gauge(
            "banken_job_started_timestamp_seconds",
            &[],
            "When the oldest run began that has not ended, in seconds since the Unix epoch; absent while none runs",
        ),
        write: |view, out| out.optional(view.record.running.first().map(|run| run.started_at)),
    },
    JobRow {
        family: gauge(
            "banken_job_last_success_timestamp_seconds",
            &[],
            "When a run last ended well, in seconds since the Unix epoch",
        ),
        write: |view, out| out.optional(view.record.last_success_at),
    },
    JobRow {
        family: gauge(
            "banken_job_last_report_timestamp_seconds",
            &[],
            "When a run last reported anything, in seconds since the Unix epoch",
        ),
        write: |view, out| out.optional(view.record.last_report_at),
    },
    JobRow {
        family: gauge("banken_job_duration_seconds", &[], "How long the latest run took that ended, in seconds"),
        write: |view, out| out.optional(view.record.duration),
    },
    JobRow {
        family: Family::histogram("banken_job_run_seconds", Scope::Task, &[], "How long runs took, in seconds"),
        write: |view, out| out.histogram(&view.record.durations),
    },
    JobRow {
        family: gauge("banken_job_records", &[], "Records that the latest run processed which said so"),
        write: |view, out| out.optional(view.record.records),
    },
    JobRow {
        family: gauge(
            "banken_job_records_expected",
            &["bound"],
            "Configured bounds of the number of records: min, max; only where the configuration sets one",
        ),
        write: |view, out| {
            let descriptor = view.cell.descriptor();
            let bounds = [("bound=\"min\"", descriptor.records_min), ("bound=\"max\"", descriptor.records_max)];
            bounds.into_iter().try_for_each(|(label, bound)| bound.map_or(Ok(()), |bound| out.labelled(label, bound)))
        },
    },
    JobRow {
        family: gauge(
            "banken_job_late",
            &[],
            "Whether no run ended well within its time and grace, 1 or 0; absent for a job without a time to run at",
        ),
        write: |view, out| out.optional(view.record.late.map(|late| f64::from(u8::from(late)))),
    },
    JobRow {
        family: gauge(
            "banken_job_due_timestamp_seconds",
            &[],
            "Until when the next success is expected, grace included, in seconds since the Unix epoch",
        ),
        write: |view, out| out.optional(view.record.due_at),
    },
];
