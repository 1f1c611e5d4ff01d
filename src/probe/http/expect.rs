//! What the status, the headers and the body of an answer must be.

use crate::observation::{Failure, Reason};
use crate::values::{Invalid, Pattern, Redactor, Size};
use http::HeaderMap;
use http::header::HeaderName;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error as _, Visitor};
use serde::{Deserialize, de};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// The block `expect:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Expect {
    /// Which statuses are right: a class (`2xx`), a number (`204`) or a range (`200-299`).
    pub status: Vec<StatusRange>,
    /// What must be found in the body.
    pub body_matches: Option<Pattern>,
    /// What must not be found in the body.
    pub body_lacks: Option<Pattern>,
    /// Headers that must be there, and what must be found in their values.
    pub headers: BTreeMap<String, Pattern>,
    /// The largest body, after inflating; a larger one is a failure and is not read to its end.
    pub max_body: Size,
}

impl Default for Expect {
    fn default() -> Self {
        Self {
            status: vec![StatusRange { first: 200, last: 299 }],
            body_matches: None,
            body_lacks: None,
            headers: BTreeMap::new(),
            max_body: Size(1 << 20),
        }
    }
}

/// A body that is kept in memory to be looked at must not be larger.
const MAX_KEPT_BODY: u64 = 16 << 20;

impl Expect {
    /// Whether the body must be kept to be looked at.
    pub(super) fn needs_body(&self) -> bool {
        self.body_matches.is_some() || self.body_lacks.is_some()
    }

    pub(super) fn check(&self, needs_body: bool, invalid: &mut Vec<Invalid>) {
        if self.status.is_empty() {
            let message = "no status is right: name at least one, or remove the key for 2xx";
            invalid.push(Invalid::new("expect.status", message));
        }
        for name in self.headers.keys() {
            if HeaderName::from_bytes(name.as_bytes()).is_err() {
                let message = format!("{name:?} is not a name of a header");
                invalid.push(Invalid::new(format!("expect.headers.{name}"), message));
            }
        }
        if needs_body && self.max_body.0 > MAX_KEPT_BODY {
            let message = "a body that is looked at is kept in memory: at most 16MiB";
            invalid.push(Invalid::new("expect.max_body", message));
        }
    }

    pub(super) fn accepts(&self, status: u16) -> bool {
        self.status.iter().any(|range| (range.first..=range.last).contains(&status))
    }

    /// The expected statuses in words.
    pub(super) fn statuses(&self) -> String {
        let all: Vec<_> = self.status.iter().map(ToString::to_string).collect();
        all.join(" or ")
    }

    /// The values of headers stand in no failure: they may be cookies.
    pub(super) fn judge_headers(&self, headers: &HeaderMap) -> Vec<Failure> {
        let wrong = |(name, pattern): (&String, &Pattern)| {
            let mut values = headers.get_all(name.as_str()).iter().peekable();
            if values.peek().is_none() {
                return Some(Failure::new(Reason::Body, format!("the header {name} is missing")));
            }
            let fits = values.any(|value| pattern.is_match(value.as_bytes()));
            let detail = || format!("the header {name} does not match {:?}", pattern.as_str());
            (!fits).then(|| Failure::new(Reason::Body, detail()))
        };
        self.headers.iter().filter_map(wrong).collect()
    }

    pub(super) fn judge_body(&self, body: &[u8], redactor: &Redactor) -> Vec<Failure> {
        let begins = || match body {
            [] => "it is empty".to_owned(),
            body => format!("it begins: {}", redactor.excerpt(body)),
        };
        let lacking = self.body_matches.as_ref().filter(|pattern| !pattern.is_match(body));
        let found = self.body_lacks.as_ref().filter(|pattern| pattern.is_match(body));
        let lacking = lacking.map(|pattern| format!("the body does not match {:?}; {}", pattern.as_str(), begins()));
        let found = found.map(|pattern| format!("the body matches {:?}, which it must not", pattern.as_str()));
        lacking.into_iter().chain(found).map(|detail| Failure::new(Reason::Body, detail)).collect()
    }
}

/// Statuses that are right: `2xx`, `204` or `200-299`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusRange {
    first: u16,
    last: u16,
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first, self.last) {
            (first, last) if first == last => write!(f, "{first}"),
            (first, last) if first % 100 == 0 && last == first + 99 => write!(f, "{}xx", first / 100),
            (first, last) => write!(f, "{first}-{last}"),
        }
    }
}

impl StatusRange {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no status: write a class (2xx), a number (204) or a range (200-299)");
        let class = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX"));
        let (first, last) = match (class, text.split_once('-')) {
            (Some(class), _) => {
                let class: u16 = class.parse().map_err(|_| wrong())?;
                if !(1..=5).contains(&class) {
                    return Err(format!("{text:?} is no class of statuses: they go from 1xx to 5xx"));
                }
                (class * 100, class * 100 + 99)
            }
            (None, Some((first, last))) => (number(first).ok_or_else(wrong)?, number(last).ok_or_else(wrong)?),
            (None, None) => {
                let only = number(text).ok_or_else(wrong)?;
                (only, only)
            }
        };
        if first < 100 || last > 599 {
            return Err(format!("{text:?} is no status: they go from 100 to 599"));
        }
        if first > last {
            return Err(format!("{text:?} is an empty range: write {last}-{first}"));
        }
        Ok(Self { first, last })
    }
}

fn number(text: &str) -> Option<u16> {
    let text = text.trim();
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

impl<'de> Deserialize<'de> for StatusRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrNumber;
        impl Visitor<'_> for TextOrNumber {
            type Value = StatusRange;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status: a class (2xx), a number (204) or a range (200-299)")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<StatusRange, E> {
                StatusRange::parse(text.trim()).map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<StatusRange, E> {
                StatusRange::parse(&number.to_string()).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(TextOrNumber).map_err(D::Error::custom)
    }
}

impl JsonSchema for StatusRange {
    fn schema_name() -> Cow<'static, str> {
        "Status".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A class (2xx), a number (204) or a range (200-299)",
            "oneOf": [
                { "type": "integer", "minimum": 100, "maximum": 599 },
                { "type": "string", "pattern": "^([1-5]xx|[1-5][0-9]{2}(-[1-5][0-9]{2})?)$|\\$\\{" }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read_as_class_number_or_range_and_shown_as_they_were_written() {
        for (text, first, last) in [("2xx", 200, 299), ("204", 204, 204), ("200-204", 200, 204)] {
            let range = StatusRange::parse(text).unwrap();
            assert_eq!((range.first, range.last, range.to_string().as_str()), (first, last, text));
        }
        for text in ["7xx", "0xx", "xx", "99", "600", "204-200", "200-", "-200", "+204", "2x", "", "OK", "65736"] {
            assert!(StatusRange::parse(text).is_err(), "{text}");
        }
    }
}
