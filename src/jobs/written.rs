//! When a line of a log was written, as the line itself tells it. Pure.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, fmt::strtime};

/// The forms without an offset that logs use: Python's, RFC 3339's without its end, nginx's, and that of the tradition.
const FORMS: [&str; 4] = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y/%m/%d %H:%M:%S%.f", "%d/%b/%Y:%H:%M:%S"];

/// Seconds since the Unix epoch; a text without an offset is meant in `zone`. None if it is no time.
pub fn instant(text: &str, zone: &TimeZone) -> Option<f64> {
    // Python separates the milliseconds by a comma.
    let text = text.trim().replace(',', ".");
    let absolute = || {
        text.parse::<Timestamp>()
            .ok()
            .or_else(|| strtime::parse("%d/%b/%Y:%H:%M:%S %z", &text).ok()?.to_timestamp().ok())
    };
    let local = || {
        let civil = FORMS.iter().find_map(|form| DateTime::strptime(form, &text).ok())?;
        civil.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp())
    };
    absolute().or_else(local).map(|instant| instant.as_microsecond() as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::cron::time_zone;

    #[test]
    fn times_are_read_as_logs_write_them() {
        let tokyo = time_zone("Asia/Tokyo").unwrap();
        let cases = [
            ("2026-11-22T01:00:00Z", 1_795_309_200.0),
            ("2026-11-22T10:00:00.5+09:00", 1_795_309_200.5),
            ("2026-11-22 10:00:00,250", 1_795_309_200.25),
            (" 2026-11-22T10:00:00 ", 1_795_309_200.0),
            ("2026/11/22 10:00:00", 1_795_309_200.0),
            ("22/Nov/2026:10:00:00", 1_795_309_200.0),
            ("22/Nov/2026:02:00:00 +0100", 1_795_309_200.0),
        ];
        for (text, expected) in cases {
            assert_eq!(instant(text, &tokyo), Some(expected), "{text}");
        }
        for text in ["", "yesterday", "2026-13-01 00:00:00", "10:00:00", "2026-11-22"] {
            assert_eq!(instant(text, &tokyo), None, "{text}");
        }
    }
}
