//! Values of the configuration that are right once they exist: a pattern is compiled, a secret is read, an address has
//! a port. Every owner's `Config` is made of them, so that a mistake is found where it stands in the file.

mod answered;
pub(crate) mod file;
mod mask;
mod mode;
mod pem;
mod quantity;
mod redactor;
mod secret;
mod thresholds;

pub use answered::{Dated, as_number, read_time, show_age};
pub use mask::{Masker, plain};
pub use mode::FileMode;
pub use pem::{Certificates, PrivateKey};
pub use quantity::{Quantity, Size, parse_size};
pub use redactor::Redactor;
pub use secret::Secret;
pub use thresholds::{Thresholds, limits};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// A mistake found after parsing: where, from the owner's own block on (`expect.status[1]`), what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The path from the block of whoever found it.
    pub path: String,
    /// What is wrong and how to mend it.
    pub message: String,
}

impl Invalid {
    /// A mistake at a path.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }

    /// The same mistake seen from the block above.
    #[must_use]
    pub fn within(self, parent: &str) -> Self {
        let path = match self.path.as_str() {
            "" => parent.to_owned(),
            path if path.starts_with('[') => format!("{parent}{path}"),
            path => format!("{parent}.{path}"),
        };
        Self { path, message: self.message }
    }
}

/// Implements `Deserialize` and `JsonSchema` for a value written as a string that `FromStr`-like `parse` understands.
macro_rules! text_value {
    ($type:ty, $name:literal, $expecting:literal, $parse:expr, $schema:tt) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        $parse(text).map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

/// A regular expression, compiled. It works on bytes, so that text which is not UTF-8 can be matched too.
#[derive(Debug, Clone)]
pub struct Pattern(regex::bytes::Regex);

impl Pattern {
    /// Whether it matches somewhere.
    pub fn is_match(&self, bytes: &[u8]) -> bool {
        self.0.is_match(bytes)
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl Pattern {
    /// Whether it has a group of this name.
    pub fn has_group(&self, name: &str) -> bool {
        self.0.capture_names().flatten().any(|group| group == name)
    }

    /// What the group of this name holds where the whole matches first.
    pub fn group<'a>(&self, name: &str, bytes: &'a [u8]) -> Option<&'a [u8]> {
        self.0.captures(bytes)?.name(name).map(|found| found.as_bytes())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

/// The largest compiled program of one pattern: what a pattern may cost in memory, not in time, which is always linear.
pub const PATTERN_SIZE_LIMIT: usize = 2 << 20;

fn parse_pattern(text: &str) -> Result<Pattern, String> {
    regex::bytes::RegexBuilder::new(text)
        .size_limit(PATTERN_SIZE_LIMIT)
        .build()
        .map(Pattern)
        .map_err(|error| format!("not a valid regular expression: {}", one_line(&error.to_string())))
}

text_value!(Pattern, "Pattern", "a regular expression", parse_pattern, {
    "type": "string", "description": "Regular expression (RE2 syntax, no look-around)"
});

/// A JSON path after RFC 9535, parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonPath {
    text: String,
    path: serde_json_path::JsonPath,
}

impl JsonPath {
    /// The nodes that the path selects.
    pub fn select<'a>(&self, value: &'a serde_json::Value) -> Vec<&'a serde_json::Value> {
        self.path.query(value).all()
    }

    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn parse_json_path(text: &str) -> Result<JsonPath, String> {
    match serde_json_path::JsonPath::parse(text) {
        Ok(path) => Ok(JsonPath { text: text.to_owned(), path }),
        Err(error) => {
            let hint = if text.starts_with('$') { "" } else { "; a path begins with $, as in $.current_price" };
            Err(format!("not a valid JSONPath (RFC 9535): {}{hint}", one_line(&error.to_string())))
        }
    }
}

text_value!(JsonPath, "JsonPath", "a JSONPath such as $.current_price", parse_json_path, {
    "type": "string", "pattern": "^\\$", "description": "JSONPath (RFC 9535), for example $.current_price"
});

/// A host and a port: `db.local:5432`, `127.0.0.1:80`, `[::1]:443`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// A name or an address, without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

fn parse_address(text: &str) -> Result<Address, String> {
    let wrong = || format!("{text:?} is not an address: write HOST:PORT, as in 127.0.0.1:8000 or [::1]:8000");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let host = match bare {
        Some(v6) => v6,
        None if host.contains(':') => return Err(wrong()),
        None => host,
    };
    if host.is_empty() || port == 0 {
        return Err(wrong());
    }
    Ok(Address { host: host.to_owned(), port })
}

text_value!(Address, "Address", "an address such as 127.0.0.1:8000", parse_address, {
    "type": "string", "pattern": "^.+:[0-9]+$|\\$\\{", "description": "HOST:PORT, for example 127.0.0.1:8000 or [::1]:8000"
});

/// An `http://` or `https://` URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl(http::Uri);

impl HttpUrl {
    /// The parsed URL: absolute, with a host.
    pub fn uri(&self) -> &http::Uri {
        &self.0
    }
}

fn parse_http_url(text: &str) -> Result<HttpUrl, String> {
    let uri: http::Uri = text.parse().map_err(|error| format!("not a valid URL: {error}"))?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        _ => return Err("not a URL that can be probed: it must begin with http:// or https://".into()),
    }
    let Some(authority) = uri.authority() else { return Err("the URL has no host".into()) };
    if authority.host().is_empty() {
        return Err("the URL has no host".into());
    }
    if authority.as_str().contains('@') {
        return Err(
            "credentials in a URL end up in logs: use auth: { basic: { username, password: { file: … } } }".into()
        );
    }
    Ok(HttpUrl(uri))
}

impl std::str::FromStr for HttpUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_http_url(text)
    }
}

text_value!(HttpUrl, "HttpUrl", "a URL such as http://127.0.0.1:8082/", parse_http_url, {
    "type": "string", "pattern": "^https?://|\\$\\{", "description": "http:// or https:// URL"
});

/// A duration as text: `30s`, `1m30s`, `500ms`.
///
/// # Errors
/// How a duration is written.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{text:?} is not a duration ({error}): write a number and a unit, as in 30s or 1m30s"))
}

/// A duration of the configuration; on its own type so that the message says how to write one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

text_value!(Period, "Duration", "a duration such as 30s", |text: &str| parse_duration(text).map(Period), {
    "type": "string", "pattern": "^[0-9]+ *[a-z]+( *[0-9]+ *[a-z]+)*$|\\$\\{", "description": "Duration, for example 30s, 1m30s or 500ms"
});

impl serde::Serialize for Period {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        humantime_serde::serialize(&self.0, serializer)
    }
}

/// Below this a cadence is a busy loop.
const SHORTEST_PERIOD: Duration = Duration::from_millis(10);

/// The mistake of a period that is too short, if it is.
pub fn too_short(key: &str, period: Duration) -> Option<Invalid> {
    let message = || format!("{} is too short: at least 10ms", humantime::format_duration(period));
    (period < SHORTEST_PERIOD).then(|| Invalid::new(key, message()))
}

/// A name that can be a label, a path of the API and a key on the command line.
///
/// # Errors
/// What a name looks like.
pub fn check_name(name: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.' | '-');
    let first = name.chars().next();
    if first.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit()) && name.chars().all(legal) {
        Ok(())
    } else {
        Err(format!(
            "{name:?} is not a name: begin with a lower-case letter or a digit, go on with those, '_', '.' and '-'"
        ))
    }
}

/// Folds a message of several lines into one, for errors that stand on one line.
pub fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_need_a_host_and_a_port() {
        assert_eq!(parse_address("[::1]:80"), Ok(Address { host: "::1".into(), port: 80 }));
        assert_eq!(parse_address("db:5432").map(|a| a.to_string()), Ok("db:5432".into()));
        for text in ["db", "db:", ":80", "::1:80", "db:0", "db:99999"] {
            assert!(parse_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn urls_need_a_scheme_and_a_host_and_no_credentials() {
        assert!(parse_http_url("https://example.org/x?y=1").is_ok());
        for text in ["example.org", "ftp://example.org", "http://", "/path", "http://user:secret@host/"] {
            let message = parse_http_url(text).unwrap_err();
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn a_pattern_that_would_need_much_memory_is_refused() {
        assert!(parse_pattern(r"(a{1000}){1000}").is_err());
        assert!(parse_pattern("a(b").unwrap_err().contains("unclosed group"));
    }

    #[test]
    fn a_mistake_keeps_its_whole_path_on_the_way_up() {
        let mistake = Invalid::new("[2].path", "x").within("json").within("http").within("probes[3]");
        assert_eq!(mistake.path, "probes[3].http.json[2].path");
    }
}
