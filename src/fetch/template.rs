//! What a configuration sends: checked when the probe is built, and filled in where values come from earlier answers.

use super::Ask;
use super::request::{Hop, sensitive};
use super::taken::{Place, Taken, Text};
use crate::observation::{Failure, Reason};
use crate::values::{Invalid, Secret};
use bytes::Bytes;
use http::Uri;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::Authority;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// What one request sends.
pub(super) struct Template {
    /// The request to the configured URL; where something has to be filled in, as it is written.
    pub(super) first: Hop,
    blanks: Option<Blanks>,
}

/// Where values stand that an earlier answer gives.
#[derive(Default)]
struct Blanks {
    url: Option<Text>,
    headers: Vec<(HeaderName, Text)>,
    body: Option<(Text, Place)>,
}

impl Template {
    /// Gathers headers and credentials; every mistake in them is written to `invalid`. With `names`, `{{name}}` stands
    /// for one of those values.
    pub(super) fn new(ask: &Ask<'_>, names: Option<&BTreeSet<&str>>, invalid: &mut Vec<Invalid>) -> Self {
        let mut custom = HeaderMap::new();
        let mut paths = Vec::new();
        for (name, value) in ask.headers {
            let path = format!("headers.{name}");
            match custom_header(name, value) {
                Ok((name, _)) if custom.contains_key(&name) => {
                    invalid.push(Invalid::new(path, "this header is set twice: letter case does not matter"));
                }
                Ok((name, value)) => {
                    paths.push((name.clone(), path));
                    custom.insert(name, value);
                }
                Err(message) => invalid.push(Invalid::new(path, message)),
            }
        }
        if let Some(auth) = ask.auth {
            if custom.contains_key(header::AUTHORIZATION) {
                let message = "auth and a header authorization are both set: keep one";
                invalid.push(Invalid::new("auth", message));
            }
            match auth.header().map(|text| secret_value(&text)) {
                Ok(Some(value)) => {
                    paths.push((header::AUTHORIZATION, "auth.bearer".into()));
                    custom.insert(header::AUTHORIZATION, value);
                }
                Ok(None) => invalid.push(Invalid::new("auth.bearer", "it holds characters that no header can hold")),
                Err(mistake) => invalid.push(mistake),
            }
        }
        let body = ask.body.map_or("", Secret::expose);
        let first = Hop::new(ask.url.uri(), ask.method.0.clone(), Some(&custom), body.to_owned().into());
        let blanks = names.and_then(|names| Blanks::find(&first, body, paths, names, invalid));
        Self { first, blanks }
    }

    /// The request with everything filled in.
    ///
    /// # Errors
    /// When a value cannot stand where it is wanted.
    pub(super) fn fill(&self, taken: &Taken) -> Result<Cow<'_, Hop>, Failure> {
        let Some(blanks) = &self.blanks else { return Ok(Cow::Borrowed(&self.first)) };
        let uri = match &blanks.url {
            // What is filled in is percent-encoded, so that a URL stays one, and of the same host.
            Some(text) => Uri::try_from(text.fill(taken, Place::Url)?)
                .map_err(|_| Failure::new(Reason::Limit, "the URL is too long with the values that were taken"))?,
            None => self.first.uri().clone(),
        };
        let mut custom = self.first.custom().cloned().unwrap_or_default();
        for (name, text) in &blanks.headers {
            let value = secret_value(&text.fill(taken, Place::Header)?).ok_or_else(|| {
                Failure::new(Reason::Body, format!("a value that was taken cannot stand in the header {name}"))
            })?;
            custom.insert(name.clone(), value);
        }
        let body = match &blanks.body {
            Some((text, place)) => text.fill(taken, *place)?.into(),
            None => self.first.body().clone(),
        };
        Ok(Cow::Owned(Hop::new(&uri, self.first.method().clone(), Some(&custom), body)))
    }
}

impl Blanks {
    fn find(
        hop: &Hop,
        body: &str,
        headers: Vec<(HeaderName, String)>,
        names: &BTreeSet<&str>,
        invalid: &mut Vec<Invalid>,
    ) -> Option<Self> {
        let mut read = |path: &str, text: &str| match Text::parse(text, names) {
            Ok(text) => text,
            Err(message) => {
                invalid.push(Invalid::new(path, message));
                None
            }
        };
        let mut blanks = Self { url: read("url", &hop.uri().to_string()), ..Self::default() };
        for (name, path) in headers {
            let value = hop.custom().and_then(|custom| custom.get(&name));
            let text = value.and_then(|value| read(&path, &String::from_utf8_lossy(value.as_bytes())));
            blanks.headers.extend(text.map(|text| (name, text)));
        }
        let content_type =
            hop.custom().and_then(|custom| custom.get(header::CONTENT_TYPE)).map_or(&b""[..], HeaderValue::as_bytes);
        blanks.body = read("body", body).map(|text| (text, Place::of_body(content_type)));
        (blanks.url.is_some() || !blanks.headers.is_empty() || blanks.body.is_some()).then_some(blanks)
    }
}

/// Headers that are Banken's own business: they say how the message is framed and how long the connection lives.
const OWN_HEADERS: [HeaderName; 6] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

fn custom_header(name: &str, value: &Secret) -> Result<(HeaderName, HeaderValue), String> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name:?} is not a name of a header"))?;
    if OWN_HEADERS.contains(&name) {
        return Err("Banken sets this header itself: remove it".into());
    }
    let value = secret_value(value.expose()).ok_or("its value holds characters that no header can hold")?;
    if name == header::HOST && Authority::from_maybe_shared(Bytes::copy_from_slice(value.as_bytes())).is_err() {
        return Err("its value is not a host".into());
    }
    Ok((name, value))
}

fn secret_value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_bytes(text.as_bytes()).ok().map(sensitive)
}
