//! Asks for a page over a new connection, as a stranger would, and holds status, headers, body and JSON fields against
//! what is expected.
//!
//! How an answer is fetched stands in the room `fetch`. Here is what it must be: `expect` (status, headers, body) and
//! `json` (fields). Only this file knows the order.
//!
//! Of several things that are wrong the first in this order gives the reason: the status; an answer that breaks off or
//! is too large; headers and body; of the JSON fields a missing one before a stale one before one with a wrong type or
//! value. The detail names all of them.

mod expect;
mod json;
#[cfg(test)]
mod tests;

pub use expect::{Expect, StatusRange};
pub use json::{Field, JsonType, Scalar};

use super::{Context, Kind, Settings};
use crate::fetch::{Answer, Ask, Auth, Fetcher, Method, Outcome, Protocol, Redirects, trim};
use crate::net::{IpChoice, TLS_FAMILIES, TlsConfig};
use crate::observation::{Failure, Family, Readings, Reason, Scope, unix_now};
use crate::values::{HttpUrl, Invalid, Secret};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

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

impl Settings for Config {
    type Probe = Probe;

    fn build(&self, context: &Context) -> Result<Probe, Vec<Invalid>> {
        let mut invalid = Vec::new();
        let ask = Ask {
            url: &self.url,
            method: &self.method,
            headers: &self.headers,
            body: self.body.as_ref(),
            auth: self.auth.as_ref(),
            redirects: self.redirects,
            protocol: self.protocol,
            ip: self.ip,
            tls: &self.tls,
        };
        let fetcher = Fetcher::new(&ask, &context.roots, &mut invalid);
        let needs_body = self.expect.needs_body() || !self.json.is_empty();
        self.expect.check(needs_body, &mut invalid);
        if needs_body && self.method.has_no_body() {
            let message = "the answer to HEAD has no body: use GET, or remove what is expected of the body";
            invalid.push(Invalid::new("method", message));
        }
        let fields = json::Fields::new(&self.json, &mut invalid);
        if !invalid.is_empty() {
            return Err(invalid);
        }
        Ok(Probe { fetcher, expect: self.expect.clone(), needs_body, fields, body: Vec::new() })
    }
}

/// An HTTP probe that was built.
pub struct Probe {
    fetcher: Fetcher,
    expect: Expect,
    needs_body: bool,
    fields: json::Fields,
    body: Vec<u8>,
}

impl super::Probe for Probe {
    async fn run(&mut self, out: &mut Readings) -> Result<(), Failure> {
        self.fields.begin(out);
        let result = self.ask(out).await;
        out.leave();
        trim(&mut self.body);
        result
    }
}

impl Probe {
    /// Asks until there is an answer that stays, and judges it.
    async fn ask(&mut self, out: &mut Readings) -> Result<(), Failure> {
        let expect = &self.expect;
        let asked = self.fetcher.ask(out, |status, redirects, out| {
            out.set(&STATUS_CODE, f64::from(status));
            out.set(&REDIRECTS, redirects as f64);
            expect.accepts(status)
        });
        match asked.await? {
            Outcome::Accepted(answer) => self.judge(answer, out).await,
            Outcome::Refused(answer, remark) => {
                let expected = self.expect.statuses();
                let (failure, bytes) = self.fetcher.refusal(answer, remark, &expected, &mut self.body, out).await;
                if let Some(bytes) = bytes {
                    out.set(&BODY_BYTES, bytes as f64);
                }
                Err(failure)
            }
        }
    }

    /// An answer with the expected status: headers, body and fields.
    async fn judge(&mut self, mut answer: Answer, out: &mut Readings) -> Result<(), Failure> {
        let cap = self.expect.max_body.0;
        let keep = if self.needs_body { usize::MAX } else { 0 };
        let bytes = answer.read(cap, keep, &mut self.body).await;
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
        wrong.extend(self.expect.judge_body(&self.body, self.fetcher.redactor()));
        if !self.fields.is_empty() {
            self.fields.judge(&self.body, unix_now(), self.fetcher.redactor(), out, &mut wrong);
        }
        if wrong.is_empty() { Ok(()) } else { Err(gather(wrong)) }
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
