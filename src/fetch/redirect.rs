//! Where an answer leads, and whether we go there.

use super::request::{Hop, origin_of};
use crate::observation::{Failure, Reason};
use http::header::LOCATION;
use http::{Method, StatusCode, Uri, response};
use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt::Write as _;

/// The block `redirects:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Redirects {
    /// How many are followed; with 0 the redirect itself is the answer.
    pub max: u8,
    /// Whether a redirect to another host or port is followed. Credentials and custom headers never go there.
    pub across_hosts: bool,
}

impl Default for Redirects {
    fn default() -> Self {
        Self { max: 5, across_hosts: true }
    }
}

/// The requests that were redirected in one run.
#[derive(Default)]
pub(super) struct Trail(Vec<(Method, Uri)>);

impl Trail {
    /// How many redirects were followed.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// What comes after an answer with an unexpected status.
pub(super) enum Step {
    /// The next request.
    Follow(Box<Hop>),
    /// It is the answer; why a redirect was not followed, if it is one.
    Stay(&'static str),
}

impl Redirects {
    /// Decides what comes after an answer.
    ///
    /// # Errors
    /// [`Reason::Limit`] for a loop or too many redirects, [`Reason::Protocol`] for one that leads nowhere.
    pub(super) fn step(self, hop: &Hop, answer: &response::Parts, trail: &mut Trail) -> Result<Step, Failure> {
        let followable = matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308);
        let Some(location) = answer.headers.get(LOCATION).filter(|_| followable) else { return Ok(Step::Stay("")) };
        if self.max == 0 {
            return Ok(Step::Stay("redirects are not followed (redirects.max is 0)"));
        }
        let uri = resolve(hop.uri(), location.as_bytes())
            .map_err(|what| Failure::new(Reason::Protocol, format!("HTTP {} {what}", answer.status.as_u16())))?;
        let method = method_after(answer.status, hop.method());
        if !hop.same_origin(&uri) {
            if !self.across_hosts {
                return Ok(Step::Stay("it leads to another host or port (redirects.across_hosts is false)"));
            }
            if hop.has_body() && method == *hop.method() {
                return Ok(Step::Stay("it leads to another host or port, where the body is not sent"));
            }
        }
        trail.0.push((hop.method().clone(), hop.uri().clone()));
        let next = hop.redirected(&uri, method);
        if trail.0.iter().any(|(method, uri)| method == next.method() && uri == next.uri()) {
            let detail = format!("a redirect loop: after {} redirects it is back at {}", trail.len(), next.origin());
            return Err(Failure::new(Reason::Limit, detail));
        }
        if trail.len() > usize::from(self.max) {
            let detail = format!("more than {} redirects; the last one leads to {}", self.max, origin_of(next.uri()));
            return Err(Failure::new(Reason::Limit, detail));
        }
        Ok(Step::Follow(Box::new(next)))
    }
}

/// The method of the next request (RFC 9110, section 15.4).
fn method_after(status: StatusCode, method: &Method) -> Method {
    match status.as_u16() {
        303 if method != Method::HEAD => Method::GET,
        301 | 302 if method == Method::POST => Method::GET,
        _ => method.clone(),
    }
}

/// Resolves a reference against the URL that gave it (RFC 3986, section 5.2).
fn resolve(base: &Uri, location: &[u8]) -> Result<Uri, String> {
    let encoded = encode(location.trim_ascii());
    let reference = encoded.split('#').next().unwrap_or_default();
    let scheme = base.scheme_str().unwrap_or("http");
    let authority = base.authority().map_or("", |authority| authority.as_str());
    let whole = if has_scheme(reference) {
        reference.to_owned()
    } else if reference.starts_with("//") {
        format!("{scheme}:{reference}")
    } else {
        let path = base.path();
        let merged = match reference.chars().next() {
            None => path.to_owned(),
            Some('/') => reference.to_owned(),
            Some('?') => format!("{path}{reference}"),
            Some(_) => format!("{}/{reference}", path.rsplit_once('/').map_or("", |(folder, _)| folder)),
        };
        format!("{scheme}://{authority}{}", without_dots(&merged))
    };
    let uri: Uri = whole.parse().map_err(|_| "leads to something that is not a URL".to_owned())?;
    match uri.scheme_str() {
        Some("http" | "https") if uri.host().is_some_and(|host| !host.is_empty()) => Ok(uri),
        _ => Err("leads to something that is neither http:// nor https://".to_owned()),
    }
}

/// Whether a reference is a whole URL: `scheme:` before any slash, question mark or hash.
fn has_scheme(reference: &str) -> bool {
    reference.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    })
}

/// Encodes what targets send although no URL can hold it: spaces, quotes, letters beyond ASCII.
fn encode(location: &[u8]) -> String {
    let mut text = String::with_capacity(location.len());
    for byte in location {
        if byte.is_ascii_graphic() && !br#""<>\^`{|}"#.contains(byte) {
            text.push(char::from(*byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// Removes `.` and `..` from the path of a reference (RFC 3986, section 5.2.4).
fn without_dots(reference: &str) -> String {
    let (path, query) = reference.split_at(reference.find('?').unwrap_or(reference.len()));
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    format!("/{}{query}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_resolved_as_rfc_3986_says() {
        let base: Uri = "http://a:81/b/c/d;p?q".parse().unwrap();
        let cases = [
            ("g", "http://a:81/b/c/g"),
            ("./g", "http://a:81/b/c/g"),
            ("g/", "http://a:81/b/c/g/"),
            ("/g", "http://a:81/g"),
            ("//g/x", "http://g/x"),
            ("?y", "http://a:81/b/c/d;p?y"),
            ("g?y/../x", "http://a:81/b/c/g?y/../x"),
            ("", "http://a:81/b/c/d;p"),
            ("..", "http://a:81/b/"),
            ("../g", "http://a:81/b/g"),
            ("../../../g", "http://a:81/g"),
            ("/a b/ü#top", "http://a:81/a%20b/%C3%BC"),
            ("https://other/x#y", "https://other/x"),
        ];
        for (reference, whole) in cases {
            assert_eq!(resolve(&base, reference.as_bytes()).unwrap(), whole, "{reference}");
        }
        for reference in ["ftp://a/", "javascript:alert(1)", "http:///x", "http://[::1/", "mailto:a@b"] {
            assert!(resolve(&base, reference.as_bytes()).is_err(), "{reference}");
        }
    }
}
