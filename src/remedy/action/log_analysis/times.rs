//! When a line was written, as far as it says so at its beginning.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use regex::bytes::Regex;

/// A time stands within so many bytes.
const WITHIN: usize = 80;

/// `2026-11-28 12:00:00,123`, `2026-11-28T12:00:00Z`, `28/Nov/2026:12:00:00 +0900`.
const FORMS: &str = r"(?-u)(?:(\d{4})-(\d\d)-(\d\d)[T ]|(\d\d)/(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)/(\d{4}):)(\d\d):(\d\d):(\d\d)(?:[.,]\d{1,9})? ?(?:(Z)|([+-])(\d\d):?(\d\d))?";

const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// The part of a text that was written from `since` on, in seconds since the Unix epoch: from the first line that says such
/// a time. Where no line says a time, it is all of it.
pub fn from(text: &[u8], since: Option<f64>) -> &[u8] {
    let (Some(since), Ok(forms)) = (since, Regex::new(FORMS)) else { return text };
    let mut start = 0;
    let mut knows_times = false;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if let Some(at) = time_of(line, &forms) {
            if at >= since {
                // What stands before the first time belongs to something older, unless there is nothing older.
                return if knows_times { &text[start..] } else { text };
            }
            knows_times = true;
        }
        start += line.len();
    }
    if knows_times { &[] } else { text }
}

fn time_of(line: &[u8], forms: &Regex) -> Option<f64> {
    let found = forms.captures(&line[..line.len().min(WITHIN)])?;
    let number = |group: usize| std::str::from_utf8(found.get(group)?.as_bytes()).ok()?.parse::<i16>().ok();
    let small = |group: usize| number(group).and_then(|number| i8::try_from(number).ok());
    let (year, month, day) = if let Some(year) = number(1) {
        (year, small(2)?, small(3)?)
    } else {
        let month = found.get(5)?.as_bytes();
        let month = MONTHS.iter().position(|known| *known == month)? + 1;
        (number(6)?, i8::try_from(month).ok()?, small(4)?)
    };
    let day = Date::new(year, month, day).ok()?;
    let at: DateTime = day.to_datetime(Time::new(small(7)?, small(8)?, small(9)?.min(59), 0).ok()?);
    let zone = match (found.get(10), found.get(11)) {
        (Some(_), _) => TimeZone::UTC,
        (None, Some(sign)) => {
            let seconds = (i32::from(number(12)?) * 60 + i32::from(number(13)?)) * 60;
            let seconds = if sign.as_bytes() == b"-" { -seconds } else { seconds };
            Offset::from_seconds(seconds).ok()?.to_time_zone()
        }
        // Logs are written in the time of their host.
        (None, None) => TimeZone::system(),
    };
    Some(at.to_zoned(zone).ok()?.timestamp().as_second() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn times_are_read_in_the_usual_forms() {
        let forms = Regex::new(FORMS).unwrap();
        let at = date(2026, 11, 28).at(12, 0, 0, 0).to_zoned(TimeZone::UTC).unwrap().timestamp().as_second() as f64;
        for line in [
            "2026-11-28T12:00:00Z x",
            "[2026-11-28 12:00:00,123+00:00] ERROR",
            "10.0.0.1 - - [28/Nov/2026:21:00:00 +0900] \"GET / HTTP/1.1\" 500",
            "2026-11-28T07:00:00.123456-0500 x",
        ] {
            assert_eq!(time_of(line.as_bytes(), &forms), Some(at), "{line}");
        }
        for line in ["no time", "2026-13-45 12:00:00 x", "2026-11-28 99:00:00 x", ""] {
            assert_eq!(time_of(line.as_bytes(), &forms), None, "{line}");
        }
    }

    #[test]
    fn what_was_written_before_is_left_out_and_a_line_without_a_time_goes_with_the_one_before() {
        let text = b"2026-11-28T12:00:00Z a\n more of a\n2026-11-28T12:05:00Z b\n more of b\n2026-11-28T12:06:00Z c\n";
        let since = |minute: i8| {
            let at = date(2026, 11, 28).at(12, minute, 0, 0).to_zoned(TimeZone::UTC).unwrap().timestamp();
            String::from_utf8_lossy(from(text, Some(at.as_second() as f64))).into_owned()
        };
        assert!(since(5).starts_with("2026-11-28T12:05:00Z b\n more of b\n"), "{}", since(5));
        assert!(since(6).starts_with("2026-11-28T12:06"));
        assert_eq!(since(7), "");
        assert_eq!(since(0).len(), text.len());
        assert_eq!(from(b"no times\nat all\n", Some(5e9)), b"no times\nat all\n");
    }
}
