//! Fetches one answer over HTTP, with the time of each phase: what is sent, whom we trust, where redirects lead, and a
//! body that is inflated and bounded. What an answer means is for the kinds of probe.
//!
//! It has its own small rooms: `request` and `auth` (what is sent), `trust` (whom over TLS), `redirect` (where an answer
//! leads), `exchange` (one request over one connection), `stream` (plain or TLS), `body` (read, inflate, bound),
//! `excerpt` (what of an answer may stand in a failure).

mod auth;
mod body;
mod excerpt;
mod exchange;
mod redirect;
mod request;
mod stream;
mod trust;

pub use auth::{Auth, Basic};
pub use excerpt::Redactor;
pub use exchange::Answer;
pub use redirect::Redirects;
pub use request::Method;

use crate::net::{IpChoice, Roots, TlsConfig};
use crate::observation::{Failure, Readings, Reason};
use crate::values::{HttpUrl, Invalid, Secret};
use exchange::exchange;
use redirect::Step;
use request::{Hop, Template};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;
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
    /// With another one; why a redirect was not followed, if it is one.
    Refused(Answer, &'static str),
}

/// A body buffer larger than this is given back after the run: thousands of probes must not each keep their largest.
const KEPT_CAPACITY: usize = 64 * 1024;

/// How long the begin of the body of a wrong answer is waited for; it only makes the failure easier to understand.
const EXCERPT_PATIENCE: Duration = Duration::from_secs(1);

impl Fetcher {
    /// Makes everything that does not change from run to run; every mistake is written to `invalid`, with its path
    /// from the kind's block on.
    pub fn new(ask: &Ask<'_>, roots: &Roots, invalid: &mut Vec<Invalid>) -> Self {
        let template = Template::new(ask, invalid);
        let mut tls = Tls::new(ask, roots);
        if let Err(mistakes) = tls.prepare(template.first.is_https()) {
            invalid.extend(mistakes.into_iter().map(|mistake| mistake.within("tls")));
        }
        let redactor = Redactor::new(ask);
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
        out: &mut Readings,
        mut accept: impl FnMut(u16, usize, &mut Readings) -> bool,
    ) -> Result<Outcome, Failure> {
        let mut next: Option<Hop> = None;
        let mut trail = redirect::Trail::default();
        loop {
            let hop = next.as_ref().unwrap_or(&self.template.first);
            let client = if hop.is_https() { Some(self.tls.client(hop.host())?) } else { None };
            let answer = exchange(hop, client, self.protocol, self.ip, out).await?;
            if accept(answer.status(), trail.len(), out) {
                return Ok(Outcome::Accepted(answer));
            }
            match self.redirects.step(&self.template, hop, &answer.head, &mut trail)? {
                Step::Follow(hop) => {
                    out.note("redirect", hop.origin());
                    next = Some(*hop);
                }
                Step::Stay(remark) => return Ok(Outcome::Refused(answer, remark)),
            }
        }
    }

    /// The failure of an answer with another status than `expected`, and the size of what was read of its body.
    pub async fn refusal(
        &self,
        mut answer: Answer,
        remark: &str,
        expected: &str,
        body: &mut Vec<u8>,
        out: &Readings,
    ) -> (Failure, Option<u64>) {
        let status = answer.status();
        let mut detail = format!("HTTP {status} where {expected} was expected");
        if !remark.is_empty() {
            detail.push_str("; ");
            detail.push_str(remark);
        }
        let enough = self.redactor.wanted_bytes();
        let reading = body::read(&mut answer, enough as u64, enough, body);
        // An answer that dribbles must not turn a known status into a timeout.
        let left = out.deadline().saturating_duration_since(Instant::now()) / 2;
        let read = tokio::time::timeout(left.min(EXCERPT_PATIENCE), reading).await;
        if !body.is_empty() {
            detail.push_str("; the body begins: ");
            detail.push_str(&self.redactor.excerpt(body));
        }
        let reason = if matches!(status, 401 | 403 | 407) { Reason::Auth } else { Reason::Status };
        (Failure::new(reason, detail), read.ok().and_then(Result::ok))
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
        match self.ask(out, |status, _, _| (200..300).contains(&status)).await? {
            Outcome::Accepted(mut answer) => {
                answer.read(max_body, usize::MAX, body).await?;
                Ok(answer.head)
            }
            Outcome::Refused(answer, remark) => Err(self.refusal(answer, remark, "2xx", body, out).await.0),
        }
    }
}

/// Gives a large buffer back.
pub fn trim(body: &mut Vec<u8>) {
    if body.capacity() > KEPT_CAPACITY {
        *body = Vec::new();
    }
}
