//! Values that one step takes from its answer for the steps after it. They are secrets from then on.

use crate::fetch::{Fetcher, Session};
use crate::observation::{Failure, Reason};
use crate::values::{Invalid, JsonPath, Pattern, check_name};
use http::HeaderMap;
use http::header::HeaderName;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// Where a value stands in the answer; exactly one place.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// In a JSON body: the one text, number or boolean that the path selects.
    #[serde(default)]
    pub json: Option<JsonPath>,
    /// In a header of this name.
    #[serde(default)]
    pub header: Option<String>,
    /// In the body: what the group that is named like the value matches.
    #[serde(default)]
    pub body: Option<Pattern>,
    /// In the cookie of this name that the host of `url` set in this run.
    #[serde(default)]
    pub cookie: Option<String>,
}

/// A value that is taken.
pub(super) struct Take {
    name: String,
    place: Place,
}

enum Place {
    Json(JsonPath),
    Header(HeaderName),
    Body(Pattern),
    Cookie(String),
}

impl Place {
    fn of(name: &str, source: &Source) -> Result<Self, Invalid> {
        match source {
            Source { json: Some(path), header: None, body: None, cookie: None } => Ok(Place::Json(path.clone())),
            Source { json: None, header: Some(header), body: None, cookie: None } => {
                HeaderName::from_bytes(header.as_bytes())
                    .map(Place::Header)
                    .map_err(|_| Invalid::new("header", format!("{header:?} is not a name of a header")))
            }
            Source { json: None, header: None, body: Some(pattern), cookie: None } if pattern.has_group(name) => {
                Ok(Place::Body(pattern.clone()))
            }
            Source { json: None, header: None, body: Some(_), cookie: None } => {
                let message = format!("the pattern has no group of this name: write (?<{name}>…) around the value");
                Err(Invalid::new("body", message))
            }
            Source { json: None, header: None, body: None, cookie: Some(cookie) } => Ok(Place::Cookie(cookie.clone())),
            _ => Err(Invalid::new("", "set exactly one of json, header, body and cookie")),
        }
    }
}

impl Take {
    /// Nothing if the source is wrong, which is then in `invalid`.
    pub(super) fn new(name: &str, source: &Source, invalid: &mut Vec<Invalid>) -> Option<Self> {
        let place = match check_name(name) {
            Ok(()) => Place::of(name, source),
            Err(message) => Err(Invalid::new("", message)),
        };
        match place {
            Ok(place) => Some(Self { name: name.to_owned(), place }),
            Err(mistake) => {
                invalid.push(mistake.within(&format!("take.{name}")));
                None
            }
        }
    }

    pub(super) fn needs_body(&self) -> bool {
        matches!(self.place, Place::Json(_) | Place::Body(_))
    }

    /// Takes the value.
    ///
    /// # Errors
    /// When it is not there, or is no value. No failure shows what was found.
    pub(super) fn from(
        &self,
        fetcher: &Fetcher,
        headers: &HeaderMap,
        body: &[u8],
        session: &mut Session,
    ) -> Result<(), Failure> {
        let fail = |reason, what: String| Failure::new(reason, format!("no value for {}: {what}", self.name));
        let missing = |what: String| fail(Reason::Missing, what);
        let not_text = |what: &str| fail(Reason::Body, format!("{what} is not text"));
        let value = match &self.place {
            Place::Json(path) => in_json(path, body).map_err(|(reason, what)| fail(reason, what))?,
            Place::Header(name) => {
                let value = headers.get(name).ok_or_else(|| missing(format!("the header {name} is missing")))?;
                value.to_str().map_err(|_| not_text("the header"))?.to_owned()
            }
            Place::Body(pattern) => {
                let found = pattern.group(&self.name, body);
                let found = found.ok_or_else(|| missing(format!("the body does not match {:?}", pattern.as_str())))?;
                std::str::from_utf8(found).map_err(|_| not_text("what the pattern matches"))?.to_owned()
            }
            Place::Cookie(name) => {
                let cookie = session.cookie(fetcher, name);
                cookie.ok_or_else(|| missing(format!("the cookie {name} was not set")))?
            }
        };
        session.take(&self.name, &value)
    }
}

fn in_json(path: &JsonPath, body: &[u8]) -> Result<String, (Reason, String)> {
    let root: Value =
        serde_json::from_slice(body).map_err(|error| (Reason::Json, format!("the body is not JSON ({error})")))?;
    let found = path.select(&root);
    let path = path.as_str();
    match found.as_slice() {
        [] => Err((Reason::Missing, format!("{path} is missing"))),
        [Value::String(text)] => Ok(text.clone()),
        [single @ (Value::Number(_) | Value::Bool(_))] => Ok(single.to_string()),
        [_] => Err((Reason::Json, format!("{path} is not a text, a number or a boolean"))),
        several => Err((Reason::Json, format!("{path} selects {} values", several.len()))),
    }
}
