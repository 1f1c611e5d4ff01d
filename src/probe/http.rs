//! Asks for a page over a new connection, as a stranger would, and holds status, headers, body and JSON fields against
//! what is expected.
//!
//! The room has its own small rooms: `request` and `auth` (what is sent), `trust` (whom over TLS), `redirect` (where an
//! answer leads), `exchange` (one request over one connection), `stream` (plain or TLS), `body` (read, inflate, bound),
//! `expect` (status, headers, body), `json` (fields), `excerpt` (what of an answer may stand in a failure). Only this
//! file knows the order.
//!
//! Of several things that are wrong the first in this order gives the reason: the status; an answer that breaks off or
//! is too large; headers and body; of the JSON fields a missing one before a stale one before one with a wrong type or
//! value. The detail names all of them.

mod auth;
mod body;
mod excerpt;
mod exchange;
mod expect;
mod json;
mod redirect;
mod request;
mod stream;
#[cfg(test)]
mod tests;
mod trust;

pub use auth::{Auth, Basic};
pub use expect::{Expect, StatusRange};
pub use json::{Field, JsonType, Scalar};
pub use redirect::Redirects;
pub use request::Method;

use super::{Context, Kind};
use crate::net::{IpChoice, TLS_FAMILIES, TlsConfig};
use crate::observation::{Failure, Family, Readings, Reason, Scope, unix_now};
use crate::values::{HttpUrl, Invalid, Secret};
use excerpt::Redactor;
use exchange::{Answer, exchange};
use redirect::Step;
use request::{Hop, Template};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;
use trust::Tls;

static STATUS_CODE: Family =
    Family::gauge("banken_probe_http_status_code", Scope::Probe, &[], "Status code of the last answer");
static BODY_BYTES: Family =
    Family::gauge("banken_probe_http_body_bytes", Scope::Probe, &[], "Size of the body after inflating, in bytes");
static REDIRECTS: Family =
    Family::gauge("banken_probe_http_redirects", Scope::Probe, &[], "How many redirects were followed");

const FAMILY_COUNT: usize = 6 + TLS_FAMILIES.len();
static FAMILIES: [&Family; FAMILY_COUNT] = [
    &STATUS_CODE,
    &BODY_BYTES,
    &REDIRECTS,
    &json::FIELD_PRESENT,
    &json::FIELD_VALID,
    &json::VALUE,
    TLS_FAMILIES[0],
    TLS_FAMILIES[1],
];

/// The row of this kind in the table.
pub static KIND: Kind = Kind {
    name: "http",
    summary: "A page answers with the status, headers, body and JSON fields that are expected",
    example: "\
- name: ticker
  interval: 60s
  timeout: 15s
  thresholds: { duration: { info: 1s, warning: 5s, critical: 10s } }
  http:
    url: http://localhost:8082/api/ticker/DOGE_JPY
    json:
      - { field: current_price, path: $.current_price, type: number, above: 0 }
      - { field: mode, path: $.mode, equals: live }
      - { field: win_rate, path: $.kpi.win_rate, export: true, optional: true }
      - { field: quoted_at, path: $.timestamp, max_age: 2m }
- name: dashboard
  http: { url: 'http://localhost:8082/', expect: { body_matches: '<title>' } }
",
    reasons: &[
        Reason::Resolve,
        Reason::Connect,
        Reason::Tls,
        Reason::Timeout,
        Reason::Protocol,
        Reason::Status,
        Reason::Auth,
        Reason::Body,
        Reason::Json,
        Reason::Missing,
        Reason::Stale,
        Reason::Limit,
    ],
    families: &FAMILIES,
    signals: &[],
};

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

/// The block `http:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is asked for.
    pub url: HttpUrl,
    /// The method of the request.
    #[serde(default)]
    pub method: Method,
    /// Headers of the request, each a text or `{ file: PATH }`; sent to the host of `url` alone.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// The body of the request.
    #[serde(default)]
    pub body: Option<Secret>,
    /// Credentials; sent to the host of `url` alone.
    #[serde(default)]
    pub auth: Option<Auth>,
    /// What the answer must be.
    #[serde(default)]
    pub expect: Expect,
    /// What fields of a JSON answer must be.
    #[serde(default)]
    pub json: Vec<Field>,
    /// Whether and how far redirects are followed.
    #[serde(default)]
    pub redirects: Redirects,
    /// Which version of HTTP is spoken.
    #[serde(default)]
    pub protocol: Protocol,
    /// Which family of addresses is used.
    #[serde(default)]
    pub ip: IpChoice,
    /// How TLS is spoken.
    #[serde(default)]
    pub tls: TlsConfig,
}

impl Config {
    /// Builds the probe.
    ///
    /// # Errors
    /// Every mistake in the block, with its path.
    pub fn build(&self, context: &Context) -> Result<Probe, Vec<Invalid>> {
        let mut invalid = Vec::new();
        let template = Template::new(self, &mut invalid);
        let needs_body = self.expect.needs_body() || !self.json.is_empty();
        self.expect.check(needs_body, &mut invalid);
        if needs_body && self.method.has_no_body() {
            let message = "the answer to HEAD has no body: use GET, or remove what is expected of the body";
            invalid.push(Invalid::new("method", message));
        }
        let fields = json::Fields::new(&self.json, &mut invalid);
        let mut tls = Tls::new(self, context);
        if let Err(mistakes) = tls.prepare(template.first.is_https()) {
            invalid.extend(mistakes.into_iter().map(|mistake| mistake.within("tls")));
        }
        if !invalid.is_empty() {
            return Err(invalid);
        }
        Ok(Probe {
            redactor: Redactor::new(self),
            template,
            tls,
            expect: self.expect.clone(),
            needs_body,
            fields,
            redirects: self.redirects,
            protocol: self.protocol,
            ip: self.ip,
            body: Vec::new(),
        })
    }
}

/// An HTTP probe that was built.
pub struct Probe {
    template: Template,
    tls: Tls,
    expect: Expect,
    needs_body: bool,
    fields: json::Fields,
    redirects: Redirects,
    protocol: Protocol,
    ip: IpChoice,
    redactor: Redactor,
    body: Vec<u8>,
}

/// A body buffer larger than this is given back after the run: thousands of probes must not each keep their largest.
const KEPT_CAPACITY: usize = 64 * 1024;

/// How long the begin of the body of a wrong answer is waited for; it only makes the failure easier to understand.
const EXCERPT_PATIENCE: Duration = Duration::from_secs(1);

impl super::Probe for Probe {
    async fn run(&mut self, out: &mut Readings) -> Result<(), Failure> {
        self.fields.begin(out);
        let result = self.ask(out).await;
        out.leave();
        if self.body.capacity() > KEPT_CAPACITY {
            self.body = Vec::new();
        }
        result
    }
}

impl Probe {
    /// Follows redirects until there is an answer, and judges it.
    async fn ask(&mut self, out: &mut Readings) -> Result<(), Failure> {
        let mut next: Option<Hop> = None;
        let mut trail = redirect::Trail::default();
        loop {
            let hop = next.as_ref().unwrap_or(&self.template.first);
            let client = if hop.is_https() { Some(self.tls.client(hop.host())?) } else { None };
            let answer = exchange(hop, client, self.protocol, self.ip, out).await?;
            let status = answer.head.status;
            out.set(&STATUS_CODE, f64::from(status.as_u16()));
            out.set(&REDIRECTS, trail.len() as f64);
            if self.expect.accepts(status.as_u16()) {
                return self.judge(answer, out).await;
            }
            match self.redirects.step(&self.template, hop, &answer.head, &mut trail)? {
                Step::Follow(hop) => {
                    out.note("redirect", hop.origin());
                    next = Some(*hop);
                }
                Step::Stay(remark) => return Err(self.refuse(answer, remark, out).await),
            }
        }
    }

    /// An answer with the expected status: headers, body and fields.
    async fn judge(&mut self, mut answer: Answer, out: &mut Readings) -> Result<(), Failure> {
        let cap = self.expect.max_body.0;
        let keep = if self.needs_body { usize::MAX } else { 0 };
        let bytes = body::read(&mut answer, cap, keep, &mut self.body).await;
        out.leave();
        let mut wrong = self.expect.judge_headers(&answer.head.headers);
        // The connection ends here, before the work that needs none.
        drop(answer);
        match bytes {
            Ok(bytes) => out.set(&BODY_BYTES, bytes as f64),
            Err(failure) => {
                wrong.insert(0, failure);
                return Err(gather(wrong));
            }
        }
        wrong.extend(self.expect.judge_body(&self.body, &self.redactor));
        if !self.fields.is_empty() {
            self.fields.judge(&self.body, unix_now(), &self.redactor, out, &mut wrong);
        }
        if wrong.is_empty() { Ok(()) } else { Err(gather(wrong)) }
    }

    /// The failure of an answer with another status than expected.
    async fn refuse(&mut self, mut answer: Answer, remark: &'static str, out: &mut Readings) -> Failure {
        let status = answer.head.status.as_u16();
        let mut detail = format!("HTTP {status} where {} was expected", self.expect.statuses());
        if !remark.is_empty() {
            detail.push_str("; ");
            detail.push_str(remark);
        }
        let enough = self.redactor.wanted_bytes();
        let reading = body::read(&mut answer, enough as u64, enough, &mut self.body);
        // An answer that dribbles must not turn a known status into a timeout.
        let left = out.deadline().saturating_duration_since(Instant::now()) / 2;
        if let Ok(Ok(bytes)) = tokio::time::timeout(left.min(EXCERPT_PATIENCE), reading).await {
            out.set(&BODY_BYTES, bytes as f64);
        }
        if !self.body.is_empty() {
            detail.push_str("; the body begins: ");
            detail.push_str(&self.redactor.excerpt(&self.body));
        }
        Failure::new(if matches!(status, 401 | 403 | 407) { Reason::Auth } else { Reason::Status }, detail)
    }
}

/// Several things that are wrong as one failure: the first reason counts, every detail is told.
fn gather(wrong: Vec<Failure>) -> Failure {
    let mut all = wrong.into_iter();
    let Some(mut first) = all.next() else { return Failure::new(Reason::Local, "nothing is wrong") };
    for other in all {
        first.detail.push_str("; ");
        first.detail.push_str(&other.detail);
    }
    first
}
