//! Fetches one answer over HTTP, with the time of each phase: what is sent, whom we trust, where redirects lead, and a
//! body that is inflated and bounded. What an answer means is for the kinds of probe.
//!
//! It has its own small rooms: `template`, `request` and `auth` (what is sent), `trust` (whom over TLS), `redirect` (where an answer
//! leads), `exchange` (one request and its answer), `connection` and `stream` (what they travel over), `body` (read,
//! inflate, bound), `session` (what is carried from request to request), `cookies` and `taken` (what an answer gives to later requests).

mod auth;
mod body;
mod connection;
mod cookies;
mod exchange;
mod redirect;
mod request;
mod session;
mod stream;
mod taken;
mod template;
mod trust;

pub use auth::{Auth, Basic};
pub use exchange::Answer;
pub use redirect::Redirects;
pub use request::Method;
pub use session::{CONNECTION_REUSED, Session};

use crate::net::{IpChoice, Roots, TlsConfig};
use crate::observation::{Failure, Readings, Reason};
use crate::values::{HttpUrl, Invalid, Redactor, Secret};
use connection::Way;
use exchange::exchange;
use redirect::Step;
use request::Hop;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use template::Template;
use tokio::time::Instant;
use trust::Tls;

/// Which version of HTTP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// What the target chooses in the TLS handshake; HTTP/1.1 in clear.
    #[default]
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2; in clear with prior knowledge (RFC 9113, section 3.3).
    Http2,
}

impl Protocol {
    fn alpn(self) -> &'static [&'static [u8]] {
        match self {
            Protocol::Auto => &[b"h2", b"http/1.1"],
            Protocol::Http1 => &[b"http/1.1"],
            Protocol::Http2 => &[b"h2"],
        }
    }
}

/// What is asked for and how: the keys that all kinds share which fetch something.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// What is asked for.
    pub url: &'a HttpUrl,
    /// The method of the request.
    pub method: &'a Method,
    /// Headers of the request; sent to the host of `url` alone.
    pub headers: &'a BTreeMap<String, Secret>,
    /// The body of the request.
    pub body: Option<&'a Secret>,
    /// Credentials; sent to the host of `url` alone.
    pub auth: Option<&'a Auth>,
    /// Whether and how far redirects are followed.
    pub redirects: Redirects,
    /// Which version of HTTP is spoken.
    pub protocol: Protocol,
    /// Which family of addresses is used.
    pub ip: IpChoice,
    /// How TLS is spoken.
    pub tls: &'a TlsConfig,
}

/// Fetches what one configuration asks for, as often as it is told to.
pub struct Fetcher {
    template: Template,
    tls: Tls,
    redirects: Redirects,
    protocol: Protocol,
    ip: IpChoice,
    redactor: Redactor,
}

/// How the redirects ended.
pub enum Outcome {
    /// With an answer that was accepted.
    Accepted(Answer),
    /// With another one.
    Refused(Refusal),
}

/// An answer with another status than was wanted.
pub struct Refusal {
    answer: Answer,
    /// Why a redirect was not followed, if it is one.
    remark: &'static str,
}

/// A body buffer larger than this is given back after the run: thousands of probes must not each keep their largest.
const KEPT_CAPACITY: usize = 64 * 1024;

/// How long the begin of the body of a wrong answer is waited for; it only makes the failure easier to understand.
const EXCERPT_PATIENCE: Duration = Duration::from_secs(1);

/// The most of a redirect's body that is read, so that its connection can be used again.
const MAX_REDIRECT_BODY: u64 = 64 * 1024;

impl Fetcher {
    /// Makes everything that does not change from run to run; every mistake is written to `invalid`, with its path
    /// from the kind's block on.
    pub fn new(ask: &Ask<'_>, roots: &Roots, invalid: &mut Vec<Invalid>) -> Self {
        Self::build(ask, None, roots, invalid)
    }

    /// Like [`Fetcher::new`]; but `{{name}}` in the URL, in a header, in the body and in the bearer token stands for
    /// one of the values of these names, which earlier requests of the [`Session`] take.
    pub fn with_values(ask: &Ask<'_>, names: &BTreeSet<&str>, roots: &Roots, invalid: &mut Vec<Invalid>) -> Self {
        Self::build(ask, Some(names), roots, invalid)
    }

    fn build(ask: &Ask<'_>, names: Option<&BTreeSet<&str>>, roots: &Roots, invalid: &mut Vec<Invalid>) -> Self {
        let template = Template::new(ask, names, invalid);
        let mut tls = Tls::new(ask, roots);
        if let Err(mistakes) = tls.prepare(template.first.is_https()) {
            invalid.extend(mistakes.into_iter().map(|mistake| mistake.within("tls")));
        }
        let texts = ask.headers.values().chain(ask.body).map(|secret| secret.expose().to_owned());
        let redactor = Redactor::hiding(texts.chain(ask.auth.into_iter().flat_map(Auth::secrets)));
        Self { template, tls, redirects: ask.redirects, protocol: ask.protocol, ip: ask.ip, redactor }
    }

    /// Hides our secrets in what the target says.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Follows redirects until there is an answer that stays. `accept` is shown each status and how many redirects led
    /// to it, and says whether it is the one that is wanted.
    ///
    /// # Errors
    /// When there is no answer, or redirects that lead nowhere.
    pub async fn ask(
        &mut self,
        session: &mut Session,
        out: &mut Readings,
        mut accept: impl FnMut(u16, usize, &mut Readings) -> bool,
    ) -> Result<Outcome, Failure> {
        let first = self.template.fill(&session.taken)?;
        let mut next: Option<Hop> = None;
        let mut trail = redirect::Trail::default();
        loop {
            let hop = next.as_ref().unwrap_or(&first);
            let client = if hop.is_https() { Some(self.tls.client(hop.host())?) } else { None };
            // Only connections to the configured origin are kept: nobody chose the others.
            let home = (session.keep_alive && hop.same_origin(first.uri())).then(|| first.origin());
            let kept = home.as_deref().and_then(|home| session.kept(home));
            let way = Way {
                client,
                protocol: self.protocol,
                ip: self.ip,
                keep: home.is_some(),
                counts_reuse: session.keep_alive,
                cookies: session.cookies_for(hop.uri()),
            };
            let mut answer = exchange(hop, &way, kept, out).await?;
            answer.home = home;
            session.hear(hop.uri(), &answer.head.headers, out);
            if accept(answer.status(), trail.len(), out) {
                return Ok(Outcome::Accepted(answer));
            }
            match self.redirects.step(hop, &answer.head, &mut trail)? {
                Step::Follow(hop) => {
                    out.note("redirect", session.redactor().clean(hop.origin()));
                    if way.keep {
                        finish(session, answer, out).await;
                    }
                    next = Some(*hop);
                }
                Step::Stay(remark) => return Ok(Outcome::Refused(Refusal { answer, remark })),
            }
        }
    }

    /// Fetches an answer with a status of 2xx and reads its body, of which there may be at most `max_body` bytes.
    ///
    /// # Errors
    /// When there is no such answer, or more of it.
    pub async fn fetch(
        &mut self,
        max_body: u64,
        body: &mut Vec<u8>,
        out: &mut Readings,
    ) -> Result<http::response::Parts, Failure> {
        let result = self.fetch_within(max_body, body, out).await;
        out.leave();
        result
    }

    async fn fetch_within(
        &mut self,
        max_body: u64,
        body: &mut Vec<u8>,
        out: &mut Readings,
    ) -> Result<http::response::Parts, Failure> {
        let mut session = Session::new([&*self]);
        match self.ask(&mut session, out, |status, _, _| (200..300).contains(&status)).await? {
            Outcome::Accepted(mut answer) => {
                answer.read(max_body, usize::MAX, body).await?;
                Ok(answer.head)
            }
            Outcome::Refused(refusal) => Err(refusal.explain("2xx", &mut session, body, out).await.0),
        }
    }
}

impl Refusal {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.answer.status()
    }

    /// The headers.
    pub fn headers(&self) -> &http::HeaderMap {
        &self.answer.head.headers
    }

    /// The failure of this answer where `expected` was wanted, and the size of what was read of its body.
    pub async fn explain(
        self,
        expected: &str,
        session: &mut Session,
        body: &mut Vec<u8>,
        out: &Readings,
    ) -> (Failure, Option<u64>) {
        let Self { mut answer, remark } = self;
        let status = answer.status();
        let mut detail = format!("HTTP {status} where {expected} was expected");
        if !remark.is_empty() {
            detail.push_str("; ");
            detail.push_str(remark);
        }
        let enough = session.redactor().wanted_bytes();
        let reading = body::read(&mut answer, enough as u64, enough, body);
        let read = tokio::time::timeout(patience(out), reading).await;
        session.keep(answer).await;
        if !body.is_empty() {
            detail.push_str("; the body begins: ");
            detail.push_str(&session.redactor().excerpt(body));
        }
        let reason = if matches!(status, 401 | 403 | 407) { Reason::Auth } else { Reason::Status };
        (Failure::new(reason, detail), read.ok().and_then(Result::ok))
    }
}

/// Reads what is left of a redirect, so that its connection can be used again.
async fn finish(session: &mut Session, mut answer: Answer, out: &Readings) {
    let mut nothing = Vec::new();
    let reading = body::read(&mut answer, MAX_REDIRECT_BODY, 0, &mut nothing);
    if let Ok(Ok(_)) = tokio::time::timeout(patience(out), reading).await {
        session.keep(answer).await;
    }
}

/// An answer that dribbles must not turn a known status into a timeout.
fn patience(out: &Readings) -> Duration {
    let left = out.deadline().saturating_duration_since(Instant::now()) / 2;
    left.min(EXCERPT_PATIENCE)
}

/// Gives a large buffer back.
pub fn trim(body: &mut Vec<u8>) {
    if body.capacity() > KEPT_CAPACITY {
        *body = Vec::new();
    }
}
