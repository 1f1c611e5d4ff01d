//! One request to one address: everything about it is made once, a run only clones it.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Uri, Version};
use http_body_util::Full;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use std::borrow::Cow;

const USER_AGENT: &str = concat!("Banken/", env!("CARGO_PKG_VERSION"));

/// The method of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub struct Method(pub(super) http::Method);

impl Method {
    /// Whether answers to it never have a body.
    pub fn has_no_body(&self) -> bool {
        self.0 == http::Method::HEAD
    }
}

impl TryFrom<String> for Method {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.chars().any(|c| c.is_ascii_lowercase()) {
            return Err(format!("methods are written in upper case: {}", text.to_ascii_uppercase()));
        }
        match http::Method::from_bytes(text.as_bytes()) {
            Ok(http::Method::CONNECT) => Err("CONNECT asks a proxy for a tunnel, not a target for an answer".into()),
            Ok(method) => Ok(Self(method)),
            Err(_) => Err(format!("{text:?} is not a method of HTTP, such as GET or POST")),
        }
    }
}

impl JsonSchema for Method {
    fn schema_name() -> Cow<'static, str> {
        "Method".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "Method in upper case, for example GET or POST" })
    }
}

/// A value that HTTP/2 neither indexes nor shows.
pub(super) fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

/// One request to one address.
#[derive(Clone)]
pub(super) struct Hop {
    uri: Uri,
    method: http::Method,
    host: String,
    target: Uri,
    headers: HeaderMap,
    headers_h1: HeaderMap,
    custom: Option<HeaderMap>,
    body: Bytes,
}

impl Hop {
    pub(super) fn new(uri: &Uri, method: http::Method, custom: Option<&HeaderMap>, body: Bytes) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        for (name, value) in custom.into_iter().flatten() {
            headers.insert(name.clone(), value.clone());
        }
        let path = origin_form(uri);
        let target = Uri::from(path.clone());
        let named_host = headers.remove(header::HOST);
        let mut headers_h1 = headers.clone();
        let host_value = named_host.or_else(|| HeaderValue::try_from(authority_of(uri)).ok());
        headers_h1.extend(host_value.map(|value| (header::HOST, value)));
        let host = host_of(uri);
        Self { uri: absolute(uri, path), method, host, target, headers, headers_h1, custom: custom.cloned(), body }
    }

    /// The request to where the answer leads: credentials, custom headers and body only stay with their origin.
    pub(super) fn redirected(&self, uri: &Uri, method: http::Method) -> Hop {
        let carries_body = method == self.method && self.has_body();
        let body = if carries_body { self.body.clone() } else { Bytes::new() };
        if !self.same_origin(uri) {
            return Hop::new(uri, method, None, body);
        }
        let mut custom = self.custom.clone();
        if let Some(custom) = custom.as_mut().filter(|_| !carries_body) {
            custom.remove(header::CONTENT_TYPE);
            custom.remove(header::CONTENT_ENCODING);
        }
        Hop::new(uri, method, custom.as_ref(), body)
    }

    pub(super) fn is_https(&self) -> bool {
        self.uri.scheme() == Some(&Scheme::HTTPS)
    }

    /// A name or an address, without brackets.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        port_of(&self.uri)
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// What was configured beside our own headers.
    pub(super) fn custom(&self) -> Option<&HeaderMap> {
        self.custom.as_ref()
    }

    pub(super) fn body(&self) -> &Bytes {
        &self.body
    }

    pub(super) fn method(&self) -> &http::Method {
        &self.method
    }

    pub(super) fn has_body(&self) -> bool {
        !self.body.is_empty()
    }

    /// Scheme, host and port, which may stand in a failure; a path may hold a secret.
    pub(super) fn origin(&self) -> String {
        origin_of(&self.uri)
    }

    pub(super) fn same_origin(&self, uri: &Uri) -> bool {
        self.uri.scheme() == uri.scheme()
            && self.host.eq_ignore_ascii_case(&host_of(uri))
            && self.port() == port_of(uri)
    }

    /// As HTTP/1.1 says it; unless the connection is to be kept, it is closed after the answer.
    pub(super) fn http1(&self, keep: bool, cookies: Option<&HeaderValue>) -> Request<Full<Bytes>> {
        let mut headers = self.headers_h1.clone();
        if !keep {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        self.request(self.target.clone(), Version::HTTP_11, headers, cookies)
    }

    pub(super) fn http2(&self, cookies: Option<&HeaderValue>) -> Request<Full<Bytes>> {
        let mut parts = self.uri.clone().into_parts();
        // In HTTP/2 the host that was asked for by name is the authority (RFC 9113, section 8.3.1).
        let named = self.custom.as_ref().and_then(|custom| custom.get(header::HOST));
        if let Some(authority) = named.and_then(|value| Authority::try_from(value.as_bytes()).ok()) {
            parts.authority = Some(authority);
        }
        let uri = Uri::from_parts(parts).unwrap_or_else(|_| self.uri.clone());
        self.request(uri, Version::HTTP_2, self.headers.clone(), cookies)
    }

    fn request(
        &self,
        uri: Uri,
        version: Version,
        mut headers: HeaderMap,
        cookies: Option<&HeaderValue>,
    ) -> Request<Full<Bytes>> {
        if let Some(cookies) = cookies {
            let own = headers.get(header::COOKIE).map(HeaderValue::as_bytes);
            let both = own.and_then(|own| HeaderValue::from_bytes(&[own, b"; ", cookies.as_bytes()].concat()).ok());
            headers.insert(header::COOKIE, sensitive(both.unwrap_or_else(|| cookies.clone())));
        }
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        *request.version_mut() = version;
        *request.headers_mut() = headers;
        request
    }
}

/// The path and the query of a URL as they stand in a request; the path is never empty.
fn origin_form(uri: &Uri) -> PathAndQuery {
    let root = || PathAndQuery::from_static("/");
    match uri.path_and_query() {
        Some(path) if path.as_str().starts_with('/') => path.clone(),
        Some(path) => PathAndQuery::try_from(format!("/{}", path.as_str())).unwrap_or_else(|_| root()),
        None => root(),
    }
}

fn absolute(uri: &Uri, path: PathAndQuery) -> Uri {
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path);
    parts.authority = authority_of(uri).try_into().ok().or(parts.authority);
    Uri::from_parts(parts).unwrap_or_else(|_| uri.clone())
}

/// Host and port as they are sent, without credentials.
fn authority_of(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default();
    uri.port_u16().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Scheme, host and port of a URL.
pub(super) fn origin_of(uri: &Uri) -> String {
    format!("{}://{}", uri.scheme_str().unwrap_or("http"), authority_of(uri))
}

/// The host of a URL, without the brackets of an IPv6 address.
pub(super) fn host_of(uri: &Uri) -> String {
    uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned()
}

fn port_of(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or(if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let hop = |uri: &str| Hop::new(&uri.parse().unwrap(), http::Method::GET, None, Bytes::new());
        let table = [
            ("https://a/x", "https://A:443/y", true),
            ("http://[::1]/", "http://[::1]:80/", true),
            ("https://a:81/", "http://a:81/", false),
            ("http://a:81/", "https://a:81/", false),
            ("https://a/", "https://a:444/", false),
            ("https://a/", "https://b/", false),
        ];
        for (from, to, same) in table {
            assert_eq!(hop(from).same_origin(&to.parse().unwrap()), same, "{from} {to}");
        }
    }

    #[test]
    fn the_path_of_a_request_is_never_empty_and_its_host_holds_no_credentials() {
        for (uri, path) in [("http://a", "/"), ("http://a?x=1", "/?x=1"), ("http://a/b?x=1", "/b?x=1")] {
            let hop = Hop::new(&uri.parse().unwrap(), http::Method::GET, None, Bytes::new());
            assert_eq!(hop.http1(false, None).uri(), path, "{uri}");
        }
        let hop = Hop::new(&"http://u:p@a:81/".parse().unwrap(), http::Method::GET, None, Bytes::new());
        assert_eq!(hop.http1(false, None).headers()[header::HOST], "a:81");
        assert_eq!(hop.http2(None).uri(), "http://a:81/");
        assert_eq!(hop.origin(), "http://a:81");
    }
}
