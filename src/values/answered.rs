//! Numbers and times as APIs write them in JSON.

use serde_json::Value;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A finite number, also in a string.
pub fn as_number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number: &f64| number.is_finite())
}

/// What a value says about a time.
#[derive(Debug, PartialEq)]
pub enum Dated {
    /// Seconds since the Unix epoch.
    At(f64),
    /// A date and a time of day, but of an unknown time zone.
    WithoutOffset,
    /// No time at all.
    Not,
}

/// Reads a time: RFC 3339, or a number since the Unix epoch, also in a string.
pub fn read_time(value: &Value) -> Dated {
    if let Some(number) = as_number(value) {
        return Dated::At(seconds(number));
    }
    let Value::String(text) = value else { return Dated::Not };
    let text = text.trim();
    match (parse(text), parse(&format!("{text}Z"))) {
        (Some(at), _) => Dated::At(at),
        (None, Some(_)) => Dated::WithoutOffset,
        (None, None) => Dated::Not,
    }
}

fn parse(text: &str) -> Option<f64> {
    // RFC 3339 allows a space between date and time, and Python's `str(datetime)` writes one.
    let text = if text.as_bytes().get(10) == Some(&b' ') { text.replacen(' ', "T", 1) } else { text.to_owned() };
    let time = OffsetDateTime::parse(&text, &Rfc3339).ok()?;
    Some(time.unix_timestamp() as f64 + f64::from(time.nanosecond()) / 1e9)
}

/// The unit by magnitude: read as seconds, each larger unit would lie beyond the year 5138.
fn seconds(number: f64) -> f64 {
    match number.abs() {
        size if size < 1e11 => number,
        size if size < 1e14 => number / 1e3,
        size if size < 1e17 => number / 1e6,
        _ => number / 1e9,
    }
}

/// An age or another span of time in words, to the second.
pub fn show_age(seconds: f64) -> String {
    let whole = Duration::try_from_secs_f64(seconds.max(0.0).round()).unwrap_or(Duration::MAX);
    humantime::format_duration(whole).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_are_read_in_every_form_that_apis_use() {
        let same = [
            json!("2025-01-02T03:04:05Z"),
            json!("2025-01-02T12:04:05+09:00"),
            json!("2025-01-02 03:04:05+00:00"),
            json!(1_735_787_045),
            json!(1_735_787_045_000_u64),
            json!(1_735_787_045_000_000_u64),
            json!(1_735_787_045_000_000_000_u64),
            json!("1735787045"),
            json!(" 1735787045000 "),
        ];
        for value in same {
            assert_eq!(read_time(&value), Dated::At(1_735_787_045.0), "{value}");
        }
        assert_eq!(read_time(&json!("2025-01-02T03:04:05.25Z")), Dated::At(1_735_787_045.25));
    }

    #[test]
    fn a_time_without_an_offset_is_told_from_no_time() {
        for text in ["2025-01-02T03:04:05", "2025-01-02 03:04:05.123456"] {
            assert_eq!(read_time(&json!(text)), Dated::WithoutOffset, "{text}");
        }
        for value in [json!("yesterday"), json!("2025-13-02T03:04:05Z"), json!(true), json!([1]), json!("")] {
            assert_eq!(read_time(&value), Dated::Not, "{value}");
        }
    }
}
