//! What this kind publishes.

use crate::observation::{Family, Scope, Signal, Unit};

pub(super) static MATCHES: Family =
    Family::gauge("banken_file_matches", Scope::Probe, &[], "Number of files that are there");

pub(super) static NEWEST: Family = Family::gauge(
    "banken_file_newest_timestamp_seconds",
    Scope::Probe,
    &[],
    "When the newest file was written last, in seconds since the Unix epoch",
);

pub(super) static OLDEST: Family = Family::gauge(
    "banken_file_oldest_timestamp_seconds",
    Scope::Probe,
    &[],
    "When the oldest file was written last, in seconds since the Unix epoch",
);

pub(super) static MODIFIED: Family = Family::gauge(
    "banken_file_modified_timestamp_seconds",
    Scope::Probe,
    &[],
    "When the file whose age is judged was written last, in seconds since the Unix epoch",
);

pub(super) static SIZE: Family =
    Family::gauge("banken_file_size_bytes", Scope::Probe, &[], "Size of the file that is judged, in bytes");

pub(super) static TOTAL: Family =
    Family::gauge("banken_file_total_bytes", Scope::Probe, &[], "Size of all files together, in bytes");

pub(super) static VALID: Family =
    Family::gauge("banken_file_valid", Scope::Probe, &[], "Whether the syntax of what is judged is right, 1 or 0");

/// How long ago the file that is judged was written.
pub static AGE: Signal = Signal { key: "age", unit: Unit::Seconds, threshold: &AGE_THRESHOLD };

static AGE_THRESHOLD: Family = Family::gauge(
    "banken_file_age_threshold_seconds",
    Scope::Probe,
    &["severity"],
    "Configured threshold on the age of a file, in seconds",
);

/// The size of the file that is judged.
pub static SIZE_SIGNAL: Signal = Signal { key: "size", unit: Unit::Bytes, threshold: &SIZE_THRESHOLD };

static SIZE_THRESHOLD: Family = Family::gauge(
    "banken_file_size_threshold_bytes",
    Scope::Probe,
    &["severity"],
    "Configured threshold on the size of a file, in bytes",
);

/// In the order of the documentation. The families of thresholds follow from the signals.
pub(super) static ALL: &[&Family] = &[&MATCHES, &MODIFIED, &NEWEST, &OLDEST, &SIZE, &TOTAL, &VALID];
