//! The cookies of one run (RFC 6265), kept narrower than a browser would: a cookie only goes back to the very host that set
//! it.

use super::request::host_of;
use http::header::SET_COOKIE;
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Uri};
use std::net::IpAddr;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// The most cookies of one run.
const MAX_COOKIES: usize = 50;

/// The longest name and value together.
const MAX_BYTES: usize = 4096;

/// What was set so far.
#[derive(Default)]
pub(super) struct Jar(Vec<Cookie>);

#[derive(Debug, PartialEq)]
struct Cookie {
    name: String,
    value: String,
    host: String,
    path: String,
    secure: bool,
}

/// What an answer's cookies came to.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Learned {
    /// Values that were set.
    pub(super) values: Vec<String>,
    /// Why the last of those that were ignored was.
    pub(super) ignored: Option<&'static str>,
}

impl Jar {
    /// Takes the cookies of an answer. `now` is in seconds since the Unix epoch.
    pub(super) fn learn(&mut self, uri: &Uri, headers: &HeaderMap, now: f64) -> Learned {
        let mut learned = Learned::default();
        for header in headers.get_all(SET_COOKIE) {
            match self.set(uri, header, now) {
                Ok(value) => learned.values.extend(value),
                Err(why) => learned.ignored = Some(why),
            }
        }
        learned
    }

    fn set(&mut self, uri: &Uri, header: &HeaderValue, now: f64) -> Result<Option<String>, &'static str> {
        let text = header.to_str().map_err(|_| "it is not text")?;
        let (cookie, is_over) = parse(text, uri, now)?;
        let known =
            |known: &Cookie| known.name == cookie.name && known.host == cookie.host && known.path == cookie.path;
        let known = self.0.iter().position(known);
        match known {
            Some(index) if is_over => {
                self.0.remove(index);
                Ok(None)
            }
            _ if is_over => Ok(None),
            None if self.0.len() >= MAX_COOKIES => Err("there are too many"),
            found => {
                let value = cookie.value.clone();
                match found {
                    Some(index) => self.0[index] = cookie,
                    None => self.0.push(cookie),
                }
                Ok(Some(value))
            }
        }
    }

    /// The header `cookie` of a request; the longest path first.
    pub(super) fn header(&self, uri: &Uri) -> Option<HeaderValue> {
        let host = host_of(uri).to_ascii_lowercase();
        let fits = |cookie: &&Cookie| {
            cookie.host == host && path_matches(uri.path(), &cookie.path) && (!cookie.secure || is_secure(uri))
        };
        let mut fitting: Vec<&Cookie> = self.0.iter().filter(fits).collect();
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<_> = fitting.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        if pairs.is_empty() { None } else { HeaderValue::try_from(pairs.join("; ")).ok() }
    }

    /// The value of the cookie of this name that the host set last.
    pub(super) fn get(&self, host: &str, name: &str) -> Option<&str> {
        let is_it = |cookie: &&Cookie| cookie.host.eq_ignore_ascii_case(host) && cookie.name == name;
        self.0.iter().rev().find(is_it).map(|cookie| cookie.value.as_str())
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// A cookie as `set-cookie` writes it (RFC 6265, section 5.2), and whether it is only set to be removed.
fn parse(text: &str, uri: &Uri, now: f64) -> Result<(Cookie, bool), &'static str> {
    let mut parts = text.split(';').map(str::trim);
    let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).ok_or("it has no name")?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() {
        return Err("it has no name");
    }
    if name.len() + value.len() > MAX_BYTES {
        return Err("it is too long");
    }
    let host = host_of(uri).to_ascii_lowercase();
    let mut cookie =
        Cookie { name: name.into(), value: value.into(), host, path: default_path(uri.path()), secure: false };
    let (mut expires, mut max_age) = (None, None);
    for part in parts {
        let (key, value) = part.split_once('=').map_or((part, ""), |(key, value)| (key.trim(), value.trim()));
        match key.to_ascii_lowercase().as_str() {
            "domain" if !domain_fits(value, &cookie.host) => return Err("it is for another domain"),
            "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
            "secure" => cookie.secure = true,
            "expires" => expires = read_date(value).or(expires),
            "max-age" => max_age = value.parse::<i64>().ok().or(max_age),
            _ => {}
        }
    }
    if cookie.secure && !is_secure(uri) {
        return Err("it is only for https://, and came over http://");
    }
    let is_over = max_age.map_or_else(|| expires.is_some_and(|at| at <= now), |seconds| seconds <= 0);
    Ok((cookie, is_over))
}

fn is_secure(uri: &Uri) -> bool {
    uri.scheme() == Some(&Scheme::HTTPS)
}

/// Whether the host may set cookies for the domain: its own, or one above it.
fn domain_fits(domain: &str, host: &str) -> bool {
    let domain = domain.trim_start_matches('.').to_ascii_lowercase();
    let above =
        || host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.')) && host.parse::<IpAddr>().is_err();
    domain.is_empty() || domain == host || above()
}

/// The folder of the path that set the cookie (RFC 6265, section 5.1.4).
fn default_path(path: &str) -> String {
    match path.rsplit_once('/') {
        None | Some(("", _)) => "/".to_owned(),
        Some((folder, _)) => folder.to_owned(),
    }
}

fn path_matches(path: &str, cookie: &str) -> bool {
    path.strip_prefix(cookie).is_some_and(|rest| rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'))
}

/// A date of HTTP, also in the old form with dashes.
fn read_date(text: &str) -> Option<f64> {
    let text = text.replace('-', " ");
    OffsetDateTime::parse(&text, &Rfc2822).ok().map(|time| time.unix_timestamp() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: f64 = 1_700_000_000.0;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    /// What goes to `to` after `from` has set these.
    fn sent(from: &str, cookies: &[&str], to: &str) -> String {
        let mut jar = Jar::default();
        learn(&mut jar, from, cookies);
        jar.header(&uri(to)).map_or(String::new(), |value| value.to_str().unwrap().to_owned())
    }

    fn learn(jar: &mut Jar, from: &str, cookies: &[&str]) -> Learned {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(SET_COOKIE, HeaderValue::from_bytes(cookie.as_bytes()).unwrap());
        }
        jar.learn(&uri(from), &headers, NOW)
    }

    #[test]
    fn a_cookie_goes_back_to_its_host_and_path_alone() {
        let table = [
            ("http://a.example/login", "id=1", "http://a.example/x/y", "id=1"),
            ("http://A.example/login", "id=1", "http://a.example:81/", "id=1"),
            ("http://a.example/", "id=1; Domain=.example", "http://b.example/", ""),
            ("http://a.example/", "id=1; domain=example", "http://a.example/", "id=1"),
            ("http://a.example/", "id=1", "http://b.a.example/", ""),
            ("http://a.example/", "id=1; Domain=a.example", "http://b.a.example/", ""),
            ("http://a.example/app/login", "id=1", "http://a.example/app", "id=1"),
            ("http://a.example/app/login", "id=1", "http://a.example/apple", ""),
            ("http://a.example/app/login", "id=1; Path=/", "http://a.example/x", "id=1"),
            ("http://a.example/", "id=1; Path=/api/", "http://a.example/api/x", "id=1"),
            ("http://a.example/", "id=1; Path=/api/", "http://a.example/api", ""),
            ("http://a.example/app/login", "id=1; Path=relative", "http://a.example/app/x", "id=1"),
            ("https://a.example/", "id=1; Secure; HttpOnly", "https://a.example/", "id=1"),
            ("https://a.example/", "id=1; Secure", "http://a.example/", ""),
            ("http://a.example/", " id = 1=2 ; SameSite=Lax", "http://a.example/", "id=1=2"),
            ("http://a.example/", "id=\"1\"", "http://a.example/", "id=\"1\""),
        ];
        for (from, cookie, to, wanted) in table {
            assert_eq!(sent(from, &[cookie], to), wanted, "{cookie} from {from} to {to}");
        }
    }

    #[test]
    fn what_is_for_somebody_else_or_no_cookie_is_ignored_and_said() {
        let long = format!("id={}", "x".repeat(MAX_BYTES));
        let table = [
            ("http://a.example/", "id=1; Domain=b.example", "another domain"),
            ("http://a.example/", "id=1; Domain=c.a.example", "another domain"),
            ("http://xa.example/", "id=1; Domain=a.example", "another domain"),
            ("http://127.0.0.1/", "id=1; Domain=0.0.1", "another domain"),
            ("http://a.example/", "id=1; Secure", "only for https"),
            ("http://a.example/", "no pair", "no name"),
            ("http://a.example/", "=1", "no name"),
            ("http://a.example/", "id=\u{e9}", "not text"),
            ("http://a.example/", &long, "too long"),
        ];
        for (from, cookie, why) in table {
            let mut jar = Jar::default();
            let learned = learn(&mut jar, from, &[cookie]);
            assert!(learned.ignored.is_some_and(|said| said.contains(why)), "{cookie:.40}: {learned:?}");
            assert!(jar.0.is_empty() && learned.values.is_empty(), "{cookie:.40}");
        }
    }

    #[test]
    fn a_cookie_is_replaced_and_removed_by_its_name_and_path() {
        let from = "http://a.example/";
        assert_eq!(sent(from, &["id=1", "x=2", "id=3"], from), "id=3; x=2");
        for removal in [
            "id=; Max-Age=0",
            "id=; Max-Age=-1; Expires=Fri, 01 Jan 2100 00:00:00 GMT",
            "id=; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            "id=; Expires=Thu, 01-Jan-1970 00:00:00 GMT",
        ] {
            assert_eq!(sent(from, &["id=1", removal], from), "", "{removal}");
        }
        for kept in ["id=2; Expires=Fri, 01 Jan 2100 00:00:00 GMT", "id=2; Max-Age=60", "id=2; Expires=never"] {
            assert_eq!(sent(from, &["id=1", kept], from), "id=2", "{kept}");
        }
        assert_eq!(sent("http://a.example/x/y", &["id=1; Path=/", "id=2"], "http://a.example/x/z"), "id=2; id=1");
    }

    #[test]
    fn there_are_never_too_many() {
        let mut jar = Jar::default();
        let many: Vec<String> = (0..MAX_COOKIES + 5).map(|number| format!("c{number}={number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let learned = learn(&mut jar, "http://a.example/", &many);
        assert_eq!((jar.0.len(), learned.ignored), (MAX_COOKIES, Some("there are too many")));
        assert_eq!(learn(&mut jar, "http://a.example/", &["c1=again"]).values, ["again"]);
        assert_eq!(jar.get("A.example", "c1"), Some("again"));
        assert_eq!(jar.get("b.example", "c1"), None);
    }
}
