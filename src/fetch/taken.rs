//! Values that one answer gives and a later request needs, and the texts with `{{name}}` in which they are put.

use crate::observation::{Failure, Reason};
use crate::values::check_name;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The longest value that is taken: no server accepts more in a header.
const MAX_VALUE: usize = 16 * 1024;

/// Values by name, until the run ends.
#[derive(Default)]
pub(super) struct Taken(BTreeMap<String, String>);

impl Taken {
    /// Remembers a value. The answer chose it, so it is looked at before it is used.
    ///
    /// # Errors
    /// [`Reason::Missing`] for an empty one, [`Reason::Limit`] for one that is too long.
    pub(super) fn insert(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        if value.is_empty() {
            return Err(Failure::new(Reason::Missing, format!("the value for {name} is empty")));
        }
        if value.len() > MAX_VALUE {
            let detail = format!("the value for {name} has {} bytes, and at most {MAX_VALUE} are taken", value.len());
            return Err(Failure::new(Reason::Limit, detail));
        }
        self.0.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Where a value is put, which says how it must be written there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the path or the query of a URL, or in a form: percent-encoded.
    Url,
    /// In a header: as it is, and refused where no header can hold it.
    Header,
    /// In a JSON body, between quotes: escaped.
    Json,
    /// In any other body: as it is.
    Plain,
}

impl Place {
    /// By what the request says that its body is.
    pub(super) fn of_body(content_type: &[u8]) -> Self {
        let content_type = String::from_utf8_lossy(content_type).to_ascii_lowercase();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        match essence {
            "application/x-www-form-urlencoded" => Place::Url,
            json if json.ends_with("/json") || json.ends_with("+json") => Place::Json,
            _ => Place::Plain,
        }
    }

    fn write(self, value: &str) -> String {
        match self {
            Place::Header | Place::Plain => value.to_owned(),
            Place::Url => percent_encoded(value),
            Place::Json => json_escaped(value),
        }
    }
}

/// The other forms in which a value leaves us.
pub(super) fn encoded_forms(value: &str) -> [String; 2] {
    [percent_encoded(value), json_escaped(value)]
}

/// Encodes what is not unreserved (RFC 3986, section 2.3), so that no value changes what a URL or a form means.
fn percent_encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// The inside of a JSON string.
fn json_escaped(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// A text with values to be filled in.
#[derive(Debug, PartialEq)]
pub(super) struct Text(Vec<Piece>);

#[derive(Debug, PartialEq)]
enum Piece {
    Literal(String),
    Value(String),
}

const OPEN: &str = "{{";
const CLOSE: &str = "}}";

impl Text {
    /// Reads `{{name}}`; `{{{{` stands for a literal `{{`. Nothing if the text has neither.
    ///
    /// # Errors
    /// For what is no name, or none of `names`. The text may be a secret and is not shown.
    pub(super) fn parse(text: &str, names: &BTreeSet<&str>) -> Result<Option<Self>, String> {
        if !text.contains(OPEN) {
            return Ok(None);
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(OPEN) {
            pieces.push(Piece::Literal(before.to_owned()));
            if let Some(after) = after.strip_prefix(OPEN) {
                pieces.push(Piece::Literal(OPEN.to_owned()));
                rest = after;
                continue;
            }
            let name = after.split_once(CLOSE).filter(|(name, _)| check_name(name.trim()).is_ok());
            let Some((name, after)) = name else {
                return Err("a \"{{\" begins no {{name}}: name a value that an earlier step takes, or write {{{{ for a literal {{".into());
            };
            let name = name.trim();
            if !names.contains(name) {
                return Err(format!(
                    "no earlier step takes {name}: add take: {{ {name}: … }} to one, or write {{{{{{{{ for a literal {{{{"
                ));
            }
            pieces.push(Piece::Value(name.to_owned()));
            rest = after;
        }
        pieces.push(Piece::Literal(rest.to_owned()));
        Ok(Some(Self(pieces)))
    }

    /// The text with each value as it must be written in this place.
    ///
    /// # Errors
    /// When a value cannot stand there.
    pub(super) fn fill(&self, taken: &Taken, place: Place) -> Result<String, Failure> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Value(name) => {
                    let value = taken.0.get(name).ok_or_else(|| {
                        Failure::new(Reason::Missing, format!("no value for {name} was taken in this run"))
                    })?;
                    // As a segment of a path these lead elsewhere, however they are encoded.
                    if place == Place::Url && matches!(value.as_str(), "." | "..") {
                        let detail = format!("the value that was taken for {name} cannot stand in a URL");
                        return Err(Failure::new(Reason::Body, detail));
                    }
                    text.push_str(&place.write(value));
                }
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str, place: Place, value: &str) -> Result<String, Failure> {
        let mut taken = Taken::default();
        taken.insert("token", value)?;
        let text = Text::parse(text, &BTreeSet::from(["token"])).unwrap().unwrap();
        text.fill(&taken, place)
    }

    #[test]
    fn a_value_is_written_as_its_place_wants_it() {
        let value = "a\"b/..&c=d e\r\n%é";
        let table = [
            (Place::Header, "Bearer {{token}}", format!("Bearer {value}")),
            (Place::Plain, "{{ token }}", value.to_owned()),
            (Place::Url, "http://h/x/{{token}}?y={{token}}", {
                let encoded = "a%22b%2F..%26c%3Dd%20e%0D%0A%25%C3%A9";
                format!("http://h/x/{encoded}?y={encoded}")
            }),
            (Place::Json, "{\"t\":{\"k\":\"{{token}}\"}}", "{\"t\":{\"k\":\"a\\\"b/..&c=d e\\r\\n%é\"}}".to_owned()),
            (Place::Plain, "{{{{token}} {{token}}", format!("{{{{token}}}} {value}")),
            (Place::Plain, "{\"a\":{{token}}}", format!("{{\"a\":{value}}}")),
        ];
        for (place, text, wanted) in table {
            assert_eq!(filled(text, place, value).unwrap(), wanted, "{text}");
        }
    }

    #[test]
    fn a_value_that_leads_elsewhere_or_is_empty_or_too_long_is_refused() {
        for dots in [".", ".."] {
            assert_eq!(filled("http://h/{{token}}/x", Place::Url, dots).unwrap_err().reason, Reason::Body);
        }
        assert_eq!(filled("{{token}}", Place::Plain, "").unwrap_err().reason, Reason::Missing);
        assert!(filled("{{token}}", Place::Plain, &"x".repeat(MAX_VALUE)).is_ok());
        let failure = filled("{{token}}", Place::Plain, &"x".repeat(MAX_VALUE + 1)).unwrap_err();
        assert_eq!(failure.reason, Reason::Limit);
        assert!(!failure.detail.contains("xx"), "{failure}");
    }

    #[test]
    fn what_is_no_name_of_a_value_is_a_mistake_that_shows_no_secret() {
        let names = BTreeSet::from(["token"]);
        assert_eq!(Text::parse("no braces: {\"a\":{}}", &names), Ok(None));
        for text in ["hunter2 {{", "{{hunter2 is }} it", "{{token}", "{{}}", "{{Token}}"] {
            let message = Text::parse(text, &names).unwrap_err();
            assert!(message.contains("an earlier step") && !message.contains("hunter2"), "{text}: {message}");
        }
        let message = Text::parse("{{csrf}}", &names).unwrap_err();
        assert!(message.starts_with("no earlier step takes csrf: add take: { csrf: … } to one"), "{message}");
        assert!(message.ends_with("or write {{{{ for a literal {{"), "{message}");
    }

    #[test]
    fn the_kind_of_a_body_is_told_by_its_content_type() {
        let table = [
            ("application/json", Place::Json),
            ("application/problem+JSON; charset=utf-8", Place::Json),
            ("application/x-www-form-urlencoded", Place::Url),
            ("text/plain", Place::Plain),
            ("", Place::Plain),
        ];
        for (content_type, place) in table {
            assert_eq!(Place::of_body(content_type.as_bytes()), place, "{content_type}");
        }
    }
}
