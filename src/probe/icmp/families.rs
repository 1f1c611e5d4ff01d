//! What this kind publishes.

use crate::observation::{Family, Scope, Signal, Unit};

pub(super) static REQUESTS: Family =
    Family::counter("banken_icmp_requests_total", Scope::Probe, &[], "Echo requests that were sent");

pub(super) static ANSWERS: Family =
    Family::counter("banken_icmp_answers_total", Scope::Probe, &[], "Echo requests that were answered in time");

pub(super) static LOSS_RATIO: Family = Family::gauge(
    "banken_icmp_loss_ratio",
    Scope::Probe,
    &[],
    "Share of the last run's requests that were not answered, 1 is all of them",
);

pub(super) static MIN: Family = Family::gauge(
    "banken_icmp_round_trip_min_seconds",
    Scope::Probe,
    &[],
    "Shortest round trip of the last run, in seconds",
);

pub(super) static MEAN: Family = Family::gauge(
    "banken_icmp_round_trip_mean_seconds",
    Scope::Probe,
    &[],
    "Mean round trip of the last run, in seconds",
);

pub(super) static MAX: Family = Family::gauge(
    "banken_icmp_round_trip_max_seconds",
    Scope::Probe,
    &[],
    "Longest round trip of the last run, in seconds",
);

/// The share of requests that were not answered.
pub static LOSS: Signal = Signal { key: "loss", unit: Unit::Ratio, threshold: &LOSS_THRESHOLD };

static LOSS_THRESHOLD: Family = Family::gauge(
    "banken_icmp_loss_threshold_ratio",
    Scope::Probe,
    &["severity"],
    "Configured threshold on the share of requests that are not answered",
);

/// The mean round trip.
pub static ROUND_TRIP: Signal = Signal { key: "round_trip", unit: Unit::Seconds, threshold: &ROUND_TRIP_THRESHOLD };

static ROUND_TRIP_THRESHOLD: Family = Family::gauge(
    "banken_icmp_round_trip_threshold_seconds",
    Scope::Probe,
    &["severity"],
    "Configured threshold on the mean round trip, in seconds",
);

/// In the order of the documentation. The families of thresholds follow from the signals.
pub(super) static ALL: &[&Family] = &[&REQUESTS, &ANSWERS, &LOSS_RATIO, &MIN, &MEAN, &MAX];
