//! Every family that does not belong to a kind, with the values of its samples: one row each.

mod jobs;
mod logs;
mod remedies;

pub use jobs::{JobView, PER_JOB};
pub use logs::{LogView, PER_LOG};
pub use remedies::{PER_REMEDY, RemedyView};

use crate::board::{Blame, Board, Histogram, ProbeCell, Record};
use crate::health::Status;
use crate::metrics::samples::Samples;
use crate::observation::{Family, Reason, Scope};
use std::fmt;
use tokio::time::Instant;

/// What is known of one probe at a scrape.
pub struct ProbeView<'a> {
    /// Its cell.
    pub cell: &'a ProbeCell,
    /// What the cell remembers.
    pub record: &'a Record,
    /// Which of the probes that it depends on fail now.
    pub failing: Blame,
    /// The moment of the scrape.
    pub now: Instant,
}

/// A family of every probe, and how its samples follow from the record.
pub struct ProbeRow {
    /// What it says.
    pub family: Family,
    /// Writes its samples.
    pub write: fn(&ProbeView<'_>, &mut Samples<'_, '_>) -> fmt::Result,
}

/// A family about Banken itself.
pub struct OwnRow {
    /// What it says.
    pub family: Family,
    /// Writes its samples.
    pub write: fn(&Board, &mut Samples<'_, '_>) -> fmt::Result,
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family::gauge(name, Scope::Probe, labels, help)
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family::counter(name, Scope::Probe, labels, help)
}

/// Every family that each probe has, whatever its kind.
pub static PER_PROBE: &[ProbeRow] = &[
    ProbeRow {
        family: gauge("banken_probe_success", &[], "Whether the last run that says something succeeded, 1 or 0"),
        write: |view, out| {
            let success = view.record.last_known.as_ref().map(|run| f64::from(u8::from(run.outcome.is_ok())));
            out.optional(success)
        },
    },
    ProbeRow {
        family: gauge(
            "banken_probe_healthy",
            &[],
            "The verdict after thresholds, 1 or 0; absent until the first verdict, and kept while the state is unknown",
        ),
        write: |view, out| out.optional(view.record.state.healthy().map(|healthy| f64::from(u8::from(healthy)))),
    },
    ProbeRow {
        family: gauge(
            "banken_probe_success_ratio",
            &[],
            "Share of successes among the last 100 runs that say something",
        ),
        write: |view, out| out.optional(view.record.success_ratio()),
    },
    ProbeRow {
        family: gauge(
            "banken_probe_state",
            &["state"],
            "Which state the probe is in, 1 for that state and 0 for the others: unknown, healthy, suspect, unhealthy",
        ),
        write: |view, out| {
            let current = view.record.state.status();
            Status::ALL
                .into_iter()
                .try_for_each(|status| out.labelled(status.label(), f64::from(u8::from(status == current))))
        },
    },
    ProbeRow {
        family: gauge(
            "banken_probe_caused_by",
            &["cause"],
            "Whether the probe fails while this other one does on which it depends (depends_on), 1 or 0: only the cause should alert",
        ),
        write: |view, out| {
            if view.cell.dependencies().is_empty() {
                return Ok(());
            }
            let blame = view.record.blame(view.failing);
            let mut dependencies = view.cell.dependencies().iter().enumerate();
            dependencies.try_for_each(|(position, dependency)| {
                out.rendered(&dependency.labels, f64::from(u8::from(blame.holds(position))))
            })
        },
    },
    ProbeRow {
        family: gauge(
            "banken_probe_duration_seconds",
            &[],
            "How long the last run that says something took, in seconds",
        ),
        write: |view, out| out.optional(view.record.last_known.as_ref().map(|run| run.duration.as_secs_f64())),
    },
    ProbeRow {
        family: Family::histogram("banken_probe_latency_seconds", Scope::Probe, &[], "How long runs took, in seconds"),
        write: |view, out| out.histogram(&view.record.latency),
    },
    ProbeRow {
        family: gauge(
            "banken_probe_phase_duration_seconds",
            &["phase"],
            "How long each phase of the last run took, in seconds: resolve, connect, tls, wait, transfer",
        ),
        write: |view, out| {
            let mut phases = view.record.readings().phases();
            phases.try_for_each(|(phase, time)| out.labelled(phase.label(), time.as_secs_f64()))
        },
    },
    ProbeRow {
        family: counter("banken_probe_runs_total", &[], "Runs, whatever they ended with"),
        write: |view, out| out.value(view.record.runs as f64),
    },
    ProbeRow {
        family: counter("banken_probe_failures_total", &["reason"], "Runs in which the target failed, by reason"),
        write: |view, out| {
            let possible = view.cell.descriptor().reasons;
            let unexpected = |reason: &&Reason| view.record.failures(**reason) > 0 && !possible.contains(reason);
            let reasons = possible.iter().chain(Reason::ALL.iter().filter(unexpected));
            reasons.copied().try_for_each(|reason| out.labelled(reason.label(), view.record.failures(reason) as f64))
        },
    },
    ProbeRow {
        family: counter(
            "banken_probe_unknown_total",
            &[],
            "Runs that ended with a fault of Banken's own, which say nothing about the target",
        ),
        write: |view, out| out.value(view.record.unknown as f64),
    },
    ProbeRow {
        family: counter("banken_probe_incidents_total", &[], "Incidents: how often the probe became unhealthy"),
        write: |view, out| out.value(view.record.incidents as f64),
    },
    ProbeRow {
        family: counter(
            "banken_probe_unhealthy_seconds_total",
            &[],
            "Time spent in incidents, from the first failure to the verified recovery, in seconds",
        ),
        write: |view, out| out.value(view.record.unhealthy_for(view.now).as_secs_f64()),
    },
    ProbeRow {
        family: gauge("banken_probe_consecutive_failures", &[], "Failed runs in a row"),
        write: |view, out| out.value(f64::from(view.record.state.consecutive_failures())),
    },
    ProbeRow {
        family: gauge(
            "banken_probe_last_run_timestamp_seconds",
            &[],
            "When the probe last ran, in seconds since the Unix epoch",
        ),
        write: |view, out| out.optional(view.record.last_run_at),
    },
    ProbeRow {
        family: gauge(
            "banken_probe_last_success_timestamp_seconds",
            &[],
            "When the probe last succeeded, in seconds since the Unix epoch",
        ),
        write: |view, out| out.optional(view.record.last_success_at),
    },
    ProbeRow {
        family: gauge(
            "banken_probe_interval_seconds",
            &[],
            "How often the probe runs while its state is settled, in seconds",
        ),
        write: |view, out| out.value(view.cell.descriptor().interval.as_secs_f64()),
    },
];

/// The versions that a binary was built from.
#[derive(Debug, Clone, Copy)]
pub struct BuildInfo {
    /// Of the crate.
    pub version: &'static str,
    /// Of the source.
    pub revision: &'static str,
    /// Of the compiler.
    pub rustc: &'static str,
}

/// What this binary was built from.
pub const BUILD: BuildInfo =
    BuildInfo { version: env!("CARGO_PKG_VERSION"), revision: env!("BANKEN_REVISION"), rustc: env!("BANKEN_RUSTC") };

const fn own_gauge(name: &'static str, help: &'static str) -> Family {
    Family::gauge(name, Scope::Bare, &[], help)
}

const fn own_histogram(name: &'static str, help: &'static str) -> Family {
    Family::histogram(name, Scope::Bare, &[], help)
}

/// Every family about Banken itself.
pub static OWN: &[OwnRow] = &[
    OwnRow {
        family: Family::gauge(
            "banken_build_info",
            Scope::Bare,
            &["version", "revision", "rustc"],
            "What this binary was built from; always 1",
        ),
        write: |_, out| {
            let BuildInfo { version, revision, rustc } = BUILD;
            let labels = [("version", version), ("revision", revision), ("rustc", rustc)];
            out.rendered(&crate::observation::Labels::render(&labels), 1.0)
        },
    },
    OwnRow {
        family: own_gauge(
            "banken_config_last_reload_successful",
            "Whether the latest attempt to load a configuration was taken over, 1 or 0",
        ),
        write: |board, out| out.value(f64::from(u8::from(board.own.reload().successful))),
    },
    OwnRow {
        family: own_gauge(
            "banken_config_last_reload_success_timestamp_seconds",
            "When a configuration was last taken over, in seconds since the Unix epoch",
        ),
        write: |board, out| out.value(board.own.reload().last_success_at),
    },
    OwnRow {
        family: own_histogram("banken_schedule_lag_seconds", "How late runs began, in seconds"),
        write: |board, out| histogram(&board.own.lag(), out),
    },
    OwnRow {
        family: own_histogram(
            "banken_schedule_permit_wait_seconds",
            "How long due runs waited for their permit, in seconds",
        ),
        write: |board, out| histogram(&board.own.permit_wait(), out),
    },
    OwnRow {
        family: Family::counter(
            "banken_schedule_missed_total",
            Scope::Bare,
            &[],
            "Runs that were due and were skipped because the run before was not done",
        ),
        write: |board, out| out.value(board.own.missed() as f64),
    },
    OwnRow {
        family: Family::counter(
            "banken_state_saves_total",
            Scope::Bare,
            &[],
            "Times when what must survive a restart was saved to disk",
        ),
        write: |board, out| out.value(board.own.saves.saved() as f64),
    },
    OwnRow {
        family: Family::counter(
            "banken_state_save_failures_total",
            Scope::Bare,
            &[],
            "Times when what must survive a restart could not be saved to disk",
        ),
        write: |board, out| out.value(board.own.saves.failed() as f64),
    },
    OwnRow {
        family: Family::counter(
            "banken_state_damaged_total",
            Scope::Bare,
            &[],
            "Saved states that were found damaged at the start",
        ),
        write: |board, out| out.value(board.own.saves.damaged() as f64),
    },
    OwnRow {
        family: own_gauge(
            "banken_scrape_duration_seconds",
            "How long the scrape before this one took to encode, in seconds",
        ),
        write: |board, out| out.optional(board.own.scrape_duration().map(|time| time.as_secs_f64())),
    },
];

fn histogram(histogram: &Histogram, out: &mut Samples<'_, '_>) -> fmt::Result {
    out.histogram(histogram)
}
