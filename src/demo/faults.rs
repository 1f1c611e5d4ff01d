//! The closed table of faults and their parameters.

use std::fmt;
use std::time::Duration;

use http::StatusCode;

use super::market::TICKER_FIELDS;

const MIB: u64 = 1 << 20;
/// The most the memory fault may be told to hold: enough to pass any sensible threshold, too little to take a host down.
const MOST_MEMORY: u64 = 4096 * MIB;
/// The longest a duration parameter may be.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Writes the enum and the table from the same lines, so that neither can drift from the other.
macro_rules! faults {
    ($($variant:ident $name:literal [$($kind:ident $default:literal)?] $summary:literal;)*) => {
        /// One way in which the simulated service can misbehave.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Fault { $($variant),* }

        /// Every fault, in the order in which they are shown.
        pub(super) const TABLE: &[Row] = &[
            $(Row { fault: Fault::$variant, name: $name, summary: $summary, parameter: faults!(@ $($kind $default)?) }),*
        ];
    };
    (@) => { None };
    (@ $kind:ident $default:literal) => { Some(Parameter { kind: Kind::$kind, default: $default }) };
}

faults! {
    Slow "slow" [Duration "6s"] "every answer is delayed by the value";
    Error "error" [Status "500"] "every answer is an error with the value as its status";
    Hang "hang" [] "connections are accepted, requests are never answered";
    MissingField "missing_field" [Field "current_price"] "the ticker lacks the field named by the value";
    BadJson "bad_json" [] "the ticker's JSON is cut off in the middle";
    Stale "stale" [] "timestamps, prices and candles stop moving";
    ApiOnly "api_only" [] "the detailed health says mode api_only, and the log warns";
    AuthFailed "auth_failed" [] "the detailed health says that the exchange refuses the API key";
    ExternalData "external_data" [] "the external data fetcher fails";
    AtrHang "atr_hang" [] "candles are never delivered: the ATR initialization runs and never finishes";
    ExpiredCertificate "expired_certificate" [] "the TLS listener presents an expired certificate of the same CA";
    Memory "memory" [Bytes "1GiB"] "resident memory grows by 8 MiB a second up to the value";
    Cpu "cpu" [] "one thread burns a whole core";
    JobSlow "job_slow" [Duration "30s"] "a processing cycle takes as long as the value";
    JobFail "job_fail" [] "every processing cycle fails";
    JobSkip "job_skip" [] "processing cycles do not run at all";
    LogErrors "log_errors" [] "error lines burst into the log: tracebacks, a lost database, a full disk";
    Crash "crash" [] "the process ends at once; inside a shared process the listeners close instead";
}

/// One line of the table.
#[derive(Debug)]
pub(super) struct Row {
    pub fault: Fault,
    pub name: &'static str,
    pub summary: &'static str,
    pub parameter: Option<Parameter>,
}

/// The one value a fault may be given.
#[derive(Debug)]
pub(super) struct Parameter {
    pub kind: Kind,
    pub default: &'static str,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Duration,
    Status,
    Field,
    Bytes,
}

/// A parameter's value, parsed and within its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    None,
    Duration(Duration),
    Status(StatusCode),
    Field(&'static str),
    Bytes(u64),
}

impl Fault {
    pub fn named(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.name == name).map(|row| row.fault)
    }

    pub fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The value that `raw`, or the default where nothing is given, stands for.
    ///
    /// # Errors
    /// Says what is expected.
    pub fn value(self, raw: Option<&str>) -> Result<Value, String> {
        match (&self.row().parameter, raw) {
            (Some(parameter), raw) => parameter.kind.parse(raw.unwrap_or(parameter.default)),
            (None, None) => Ok(Value::None),
            (None, Some(_)) => Err(format!("{} takes no value", self.row().name)),
        }
    }
}

impl Kind {
    /// What a value has to look like, for the page and for refusals.
    pub fn expected(self) -> String {
        match self {
            Self::Duration => "a duration from 1ms to 24h, such as 6s".to_owned(),
            Self::Status => "an error status from 400 to 599".to_owned(),
            Self::Field => format!("a field of the ticker: {}", TICKER_FIELDS.join(", ")),
            Self::Bytes => "a size from 1MiB to 4GiB, such as 512MiB".to_owned(),
        }
    }

    fn parse(self, raw: &str) -> Result<Value, String> {
        let value = match self {
            Self::Duration => parse_duration(raw).map(Value::Duration),
            Self::Status => raw
                .parse::<u16>()
                .ok()
                .filter(|code| (400..600).contains(code))
                .and_then(|code| StatusCode::from_u16(code).ok())
                .map(Value::Status),
            Self::Field => TICKER_FIELDS.into_iter().find(|field| *field == raw).map(Value::Field),
            Self::Bytes => parse_size(raw).filter(|bytes| (MIB..=MOST_MEMORY).contains(bytes)).map(Value::Bytes),
        };
        value.ok_or_else(|| format!("value {raw:?}: expected {}", self.expected()))
    }
}

/// A duration within the bounds of every duration a fault takes.
pub(super) fn parse_duration(raw: &str) -> Option<Duration> {
    humantime::parse_duration(raw).ok().filter(|duration| (Duration::from_millis(1)..=LONGEST).contains(duration))
}

fn parse_size(raw: &str) -> Option<u64> {
    let split = raw.find(|c: char| !c.is_ascii_digit()).unwrap_or(raw.len());
    let (number, unit) = raw.split_at(split);
    let scale = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => MIB,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(scale)
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Duration(duration) => humantime::format_duration(*duration).fmt(f),
            Self::Status(status) => status.as_u16().fmt(f),
            Self::Field(field) => f.write_str(field),
            Self::Bytes(bytes) if bytes % (1 << 30) == 0 => write!(f, "{}GiB", bytes >> 30),
            Self::Bytes(bytes) if bytes % MIB == 0 => write!(f, "{}MiB", bytes / MIB),
            Self::Bytes(bytes) => bytes.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_name_of_its_own_and_a_default_that_parses() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.fault as usize, index);
            assert_eq!(Fault::named(row.name), Some(row.fault), "{} is there twice", row.name);
            assert!(row.fault.value(None).is_ok(), "{} has a default of no use", row.name);
            if let Some(parameter) = &row.parameter {
                assert_eq!(row.fault.value(None).unwrap().to_string(), parameter.default);
            }
        }
    }

    #[test]
    fn values_outside_their_bounds_are_refused_with_what_is_expected() {
        for (fault, raw) in [
            (Fault::Slow, "0s"),
            (Fault::Slow, "25h"),
            (Fault::Error, "200"),
            (Fault::Error, "600"),
            (Fault::MissingField, "no_such_field"),
            (Fault::Memory, "5GiB"),
            (Fault::Memory, "99999999999999GiB"),
            (Fault::Memory, "1mb"),
        ] {
            let refusal = fault.value(Some(raw)).unwrap_err();
            assert!(refusal.contains(raw) && refusal.contains("expected"), "{refusal}");
        }
        assert_eq!(Fault::Hang.value(Some("1")).unwrap_err(), "hang takes no value");
        assert_eq!(Fault::Memory.value(Some("64 MiB")), Ok(Value::Bytes(64 * MIB)));
    }
}
