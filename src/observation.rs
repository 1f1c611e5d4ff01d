//! The one vocabulary in which every sense says what it saw: readings, failures with a closed set of reasons, phases.
//!
//! Nothing here does I/O and nothing here imports another room: probes write these types, health judges them, the
//! board keeps them and metrics print them.

mod labels;
mod readings;

pub use labels::Labels;
pub use readings::{Audience, Reading, Readings};

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// The words of a closed enum: alone, and rendered as a label, so that a scrape copies them.
macro_rules! label_words {
    ($type:ident, $label:literal, $($variant:ident = $word:literal),* $(,)?) => {
        impl $type {
            /// Every value, in the order of the enum.
            pub const ALL: [$type; [$($word),*].len()] = [$($type::$variant),*];

            /// The label value: one lower-case word.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $($type::$variant => $word,)*
                }
            }

            /// The whole label, as it stands in a sample.
            pub const fn label(self) -> &'static str {
                match self {
                    $($type::$variant => concat!($label, "=\"", $word, "\""),)*
                }
            }
        }
    };
}

pub(crate) use label_words;

/// Why a run failed: the only failure text that ever becomes a label value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Reason {
    /// The name could not be resolved to an address.
    Resolve,
    /// No connection: refused, unreachable or reset before anything was said.
    Connect,
    /// The TLS handshake failed or the certificate was not accepted.
    Tls,
    /// No complete answer within the probe's timeout.
    Timeout,
    /// The peer does not speak the protocol, or ended it half-way.
    Protocol,
    /// An answer with a status that was not expected.
    Status,
    /// The body or a header is not what was expected.
    Body,
    /// The answer is not JSON, or a field has another type or value than expected.
    Json,
    /// The peer refused our credentials.
    Auth,
    /// A query was refused or answered something unexpected.
    Query,
    /// The thing asked for (a process, a file, a field) is not there.
    Missing,
    /// The thing is there but older than allowed.
    Stale,
    /// A bound was exceeded: body size, redirects, number of instances.
    Limit,
    /// A watched process or command ended.
    Exit,
    /// Banken's own fault (no file descriptors, no memory, its own stall): never counted against the target.
    Local,
}

label_words!(
    Reason,
    "reason",
    Resolve = "resolve",
    Connect = "connect",
    Tls = "tls",
    Timeout = "timeout",
    Protocol = "protocol",
    Status = "status",
    Body = "body",
    Json = "json",
    Auth = "auth",
    Query = "query",
    Missing = "missing",
    Stale = "stale",
    Limit = "limit",
    Exit = "exit",
    Local = "local",
);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failed run: a closed reason for labels and rules, and a detail for logs and the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The cause, from the closed list.
    pub reason: Reason,
    /// What exactly happened, in words for a person. It never holds a secret and never becomes a label.
    pub detail: String,
}

impl Failure {
    /// A failure with its cause and what happened.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    /// A failed system call against the target, which becomes [`Reason::Local`] when the shortage is our own.
    pub fn io(reason: Reason, what: impl fmt::Display, error: &std::io::Error) -> Self {
        let reason = if is_own_shortage(error) { Reason::Local } else { reason };
        Self { reason, detail: format!("{what}: {error}") }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}

/// Whether an error says that this process or this host ran out of something, which is no fact about the target.
pub fn is_own_shortage(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    let shortages = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS, Errno::ADDRNOTAVAIL, Errno::AGAIN];
    error.raw_os_error().is_some_and(|code| shortages.iter().any(|shortage| shortage.raw_os_error() == code))
}

/// How grave a crossed threshold is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Look at it today.
    Warning,
    /// A person acts now.
    Critical,
}

label_words!(Severity, "severity", Info = "info", Warning = "warning", Critical = "critical");

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How grave what a log pattern finds is, in the words that error logs use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Gravity {
    /// An event worth knowing.
    Info,
    /// Something to look at.
    Warning,
    /// Something went wrong.
    Error,
    /// Something went so wrong that a person acts now.
    Critical,
}

label_words!(Gravity, "severity", Info = "info", Warning = "warning", Error = "error", Critical = "critical");

impl Gravity {
    /// How grave it is in the words of thresholds and alerts: an error is for today, not for tonight.
    pub const fn severity(self) -> Severity {
        match self {
            Gravity::Info => Severity::Info,
            Gravity::Warning | Gravity::Error => Severity::Warning,
            Gravity::Critical => Severity::Critical,
        }
    }
}

/// The parts into which a network probe's time divides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Name to addresses.
    Resolve,
    /// Opening the TCP connection.
    Connect,
    /// The TLS handshake.
    Tls,
    /// From the request until the first byte of the answer.
    Wait,
    /// From the first byte of the answer until its last.
    Transfer,
}

label_words!(
    Phase,
    "phase",
    Resolve = "resolve",
    Connect = "connect",
    Tls = "tls",
    Wait = "wait",
    Transfer = "transfer",
);

/// How a family's values behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FamilyType {
    /// Goes up and down.
    Gauge,
    /// Only goes up; its name ends in `_total`.
    Counter,
    /// Classic buckets, a sum and a count.
    Histogram,
}

impl FamilyType {
    /// The word in a `# TYPE` line.
    pub const fn as_str(self) -> &'static str {
        match self {
            FamilyType::Gauge => "gauge",
            FamilyType::Counter => "counter",
            FamilyType::Histogram => "histogram",
        }
    }
}

/// Which labels of its cell a family carries before its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `probe`, `kind` and, where one is set, `group`.
    Probe,
    /// `probe` alone.
    Name,
    /// `log` and, where one is set, `group`.
    Log,
    /// `task` and, where one is set, `group`: `job` is Prometheus's own label.
    Task,
    /// `remedy`.
    Remedy,
    /// None: there is one of it on a host.
    Bare,
}

impl Scope {
    /// The names of those labels.
    pub const fn labels(self) -> &'static [&'static str] {
        match self {
            Scope::Probe => &["probe", "kind", "group"],
            Scope::Name => &["probe"],
            Scope::Log => &["log", "group"],
            Scope::Task => &["task", "group"],
            Scope::Remedy => &["remedy"],
            Scope::Bare => &[],
        }
    }
}

/// One metric family: what `# HELP` and `# TYPE` say about it, and which labels its samples carry.
///
/// Each kind of probe declares its families as statics in its own file; readings refer to them.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// The full name with prefix, unit and, for counters, `_total`.
    pub name: &'static str,
    /// What it says, with its unit, without a full stop at the end.
    pub help: &'static str,
    /// Gauge, counter or histogram.
    pub family_type: FamilyType,
    /// Which labels of the cell it carries.
    pub scope: Scope,
    /// Its own labels beside those of the scope.
    pub labels: &'static [&'static str],
}

impl Family {
    /// A gauge.
    pub const fn gauge(name: &'static str, scope: Scope, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, help, family_type: FamilyType::Gauge, scope, labels }
    }

    /// A counter; `name` must end in `_total`.
    pub const fn counter(
        name: &'static str,
        scope: Scope,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, help, family_type: FamilyType::Counter, scope, labels }
    }

    /// A classic histogram.
    pub const fn histogram(
        name: &'static str,
        scope: Scope,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, help, family_type: FamilyType::Histogram, scope, labels }
    }
}

/// The unit in which a signal is measured and its thresholds are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Written `5s`, `1m30s`.
    Seconds,
    /// Written `512MiB`, `2GB`.
    Bytes,
    /// Written `0.9` or `90%`.
    Ratio,
}

impl Unit {
    /// Formats a value for a person.
    pub fn show(self, value: f64) -> String {
        match self {
            Unit::Seconds if value < 0.001 => format!("{:.0} µs", value * 1e6),
            Unit::Seconds if value < 1.0 => format!("{:.0} ms", value * 1000.0),
            Unit::Seconds => format!("{value:.1} s"),
            Unit::Bytes if value < 1024.0 => format!("{value:.0} B"),
            Unit::Bytes if value < 1_048_576.0 => format!("{:.1} KiB", value / 1024.0),
            Unit::Bytes if value < 1_073_741_824.0 => format!("{:.1} MiB", value / 1_048_576.0),
            Unit::Bytes => format!("{:.2} GiB", value / 1_073_741_824.0),
            Unit::Ratio => format!("{:.1} %", value * 100.0),
        }
    }
}

/// A quantity that a user may set thresholds on: its key under `thresholds:` and the family that publishes them.
#[derive(Debug, PartialEq, Eq)]
pub struct Signal {
    /// The key under `thresholds:`.
    pub key: &'static str,
    /// How its thresholds are written.
    pub unit: Unit,
    /// The family that publishes the configured thresholds, with a `severity` label.
    pub threshold: &'static Family,
}

/// Seconds since the Unix epoch: for display, timestamps and the age of what targets date, never for cadence.
pub fn unix_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// What one run saw, as the runner hands it to the board.
#[derive(Debug)]
pub struct Observation {
    /// When the run began, in seconds since the Unix epoch: for display and timestamps only.
    pub started_at: f64,
    /// How long the run took.
    pub duration: std::time::Duration,
    /// Success, or why not.
    pub outcome: Result<(), Failure>,
    /// Everything that became known, also in a failed run.
    pub readings: Readings,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_listed_in_the_order_of_their_numbers() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index, "{reason} stands at the wrong place in Reason::ALL");
        }
    }

    #[test]
    fn a_small_value_is_told_in_a_small_unit() {
        let seconds = [0.000_45, 0.25, 61.0].map(|value| Unit::Seconds.show(value));
        assert_eq!(seconds, ["450 µs", "250 ms", "61.0 s"]);
        let bytes = [321.0, 2048.0, 117_758_689.0, 5e9].map(|value| Unit::Bytes.show(value));
        assert_eq!(bytes, ["321 B", "2.0 KiB", "112.3 MiB", "4.66 GiB"]);
    }

    #[test]
    fn running_out_of_descriptors_is_our_own_fault_and_a_refusal_is_not() {
        let own = std::io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        assert_eq!(Failure::io(Reason::Connect, "connect", &own).reason, Reason::Local);
        let theirs = std::io::Error::from_raw_os_error(rustix::io::Errno::CONNREFUSED.raw_os_error());
        assert_eq!(Failure::io(Reason::Connect, "connect", &theirs).reason, Reason::Connect);
    }
}
