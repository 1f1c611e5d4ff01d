//! One POST of JSON to a fixed address, told in words in which no part of that address but its host stands.

use super::insist::{Attempt, Budget, Outcome, Trouble, insist};
use crate::fetch::{Ask, Auth, Fetcher, Method, Outcome as Fetched, Protocol, Redirects, Session};
use crate::net::{IpChoice, Roots, TlsConfig};
use crate::observation::{Failure, Readings, Reason};
use crate::remedy::action::Context;
use crate::values::{HttpUrl, Invalid, Redactor, Secret};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Shorter parts of a path are words, and no secrets.
const SHORTEST_SECRET: usize = 8;

/// Where something is sent, and how.
pub struct Post {
    url: HttpUrl,
    headers: BTreeMap<String, Secret>,
    auth: Option<Auth>,
    tls: TlsConfig,
    method: Method,
    roots: Roots,
    redactor: Redactor,
}

impl Post {
    /// Checks everything that does not change; mistakes have the keys `url`, `headers`, `auth` and `tls`.
    pub fn build(
        url: HttpUrl,
        headers: &BTreeMap<String, Secret>,
        auth: Option<&Auth>,
        tls: &TlsConfig,
        context: &Context,
    ) -> Result<Self, Vec<Invalid>> {
        let method = Method::try_from("POST".to_owned()).map_err(|message| vec![Invalid::new("", message)])?;
        let mut headers = headers.clone();
        if !headers.keys().any(|name| name.eq_ignore_ascii_case("content-type")) {
            headers.insert("Content-Type".into(), Secret::from("application/json".to_owned()));
        }
        let path = url.uri().path_and_query().map_or("", |path| path.as_str());
        let parts = path.split(['/', '?', '&', '=']).filter(|part| part.len() >= SHORTEST_SECRET);
        let long = Some(path).filter(|path| path.len() >= SHORTEST_SECRET);
        let secrets = parts.chain(long).map(str::to_owned);
        let secrets = secrets.chain(headers.values().map(|value| value.expose().to_owned()));
        let secrets = secrets.chain(auth.into_iter().flat_map(Auth::secrets));
        // A type of content is no secret, and would make holes in sentences.
        let redactor = Redactor::hiding(secrets.filter(|text| text != "application/json"));
        let post = Self {
            url,
            headers,
            auth: auth.cloned(),
            tls: tls.clone(),
            method,
            roots: context.roots.clone(),
            redactor,
        };
        let mut invalid = Vec::new();
        drop(post.fetcher(&Secret::from(String::new()), &mut invalid));
        if invalid.is_empty() { Ok(post) } else { Err(invalid) }
    }

    /// The host, for people.
    pub fn host(&self) -> String {
        let uri = self.url.uri();
        let host = uri.host().unwrap_or_default();
        uri.port_u16().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    fn fetcher(&self, body: &Secret, invalid: &mut Vec<Invalid>) -> Fetcher {
        let ask = Ask {
            url: &self.url,
            method: &self.method,
            headers: &self.headers,
            body: Some(body),
            auth: self.auth.as_ref(),
            // Nobody chose where a redirect leads.
            redirects: Redirects { max: 0, across_hosts: false },
            protocol: Protocol::Auto,
            ip: IpChoice::Any,
            tls: &self.tls,
        };
        Fetcher::new(&ask, &self.roots, invalid)
    }

    /// Sends it until it is taken.
    pub async fn send(&self, body: &serde_json::Value, budget: Budget) -> Outcome {
        let body = Secret::from(body.to_string());
        let sent = insist(budget, &Sending { post: self, body: &body }).await;
        sent.map_err(|words| self.redactor.redact(&words).into_owned())
    }
}

/// One message on its way.
struct Sending<'s> {
    post: &'s Post,
    body: &'s Secret,
}

impl Attempt for Sending<'_> {
    async fn attempt(&self, until: Instant) -> Result<String, Trouble> {
        let mut invalid = Vec::new();
        let mut fetcher = self.post.fetcher(self.body, &mut invalid);
        if let Some(mistake) = invalid.pop() {
            return Err(Trouble::lasting(mistake.message));
        }
        let mut session = Session::new([&fetcher]);
        let mut out = Readings::default();
        out.begin(until, None);
        let answer = fetcher.ask(&mut session, &mut out, |status, _, _| (200..300).contains(&status)).await;
        match answer {
            Ok(Fetched::Accepted(_)) => Ok(String::new()),
            Ok(Fetched::Refused(refusal)) => {
                let (status, after) = (refusal.status(), retry_after(refusal.headers()));
                let mut said = Vec::new();
                let (failure, _) = refusal.explain("2xx", &mut session, &mut said, &out).await;
                let passes = matches!(status, 408 | 425 | 429) || status >= 500;
                Err(Trouble { words: failure.detail, passes, after })
            }
            Err(failure) => Err(trouble(&failure)),
        }
    }
}

fn trouble(failure: &Failure) -> Trouble {
    // A certificate does not become good in seconds.
    let lasts = matches!(failure.reason, Reason::Tls | Reason::Auth);
    Trouble { words: failure.to_string(), passes: !lasts, after: None }
}

/// How long to wait, in seconds (RFC 9110, section 10.2.3); Discord writes parts of them too.
fn retry_after(headers: &http::HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// An address that is a secret. No message repeats a part of it.
pub fn secret_url(url: &Secret) -> Result<HttpUrl, Invalid> {
    let text = url.expose().trim();
    text.parse().map_err(|_| {
        let message = "not an address that can be used: it begins with http:// or https://, has a host, and no user or \
                       password before an @ (write auth: for those)";
        Invalid::new("url", message)
    })
}
