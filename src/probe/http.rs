//! Asks for a page over a new connection, as a stranger would, and holds status, headers, body and JSON fields against
//! what is expected. Where one request is not enough, it goes step by step.
//!
//! How an answer is fetched stands in the room `fetch`. Here is what it must be: `expect` (status, headers, body) and
//! `json` (fields). `request` holds one answer against both; `steps` makes several requests of it, each of which may
//! `take` values for those after it. A probe without steps is a journey of one request without a name.

mod expect;
mod json;
mod request;
mod steps;
mod take;
#[cfg(test)]
mod tests;

pub use expect::{Expect, StatusRange};
pub use json::{Field, JsonType, Scalar};
pub use steps::Step;
pub use take::Source;

use super::{Context, Kind, Settings};
use crate::fetch::{Auth, CONNECTION_REUSED, Method, Protocol, Redirects, Session, trim};
use crate::net::{IpChoice, TLS_FAMILIES, TlsConfig};
use crate::observation::{Failure, Family, Readings, Reason, Scope};
use crate::values::{HttpUrl, Invalid, Secret};
use request::{Part, Request, Shared};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

static STATUS_CODE: Family =
    Family::gauge("banken_probe_http_status_code", Scope::Probe, &[], "Status code of the last answer");
static BODY_BYTES: Family =
    Family::gauge("banken_probe_http_body_bytes", Scope::Probe, &[], "Size of the body after inflating, in bytes");
static REDIRECTS: Family =
    Family::gauge("banken_probe_http_redirects", Scope::Probe, &[], "How many redirects were followed");

const FAMILY_COUNT: usize = 9 + TLS_FAMILIES.len();
static FAMILIES: [&Family; FAMILY_COUNT] = [
    &STATUS_CODE,
    &BODY_BYTES,
    &REDIRECTS,
    &CONNECTION_REUSED,
    &steps::DURATION,
    &steps::SUCCESS,
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
  http: { url: 'http://localhost:8082/', expect: { body_matches: '<title>' }, keep_alive: true }
- name: login
  http:
    steps:
      - name: login
        method: POST
        url: http://localhost:8082/api/login
        headers: { content-type: application/json }
        body: '{\"user\": \"watchdog\", \"password\": \"${WATCHDOG_PASSWORD:-unset}\"}'
        take: { token: { json: $.access_token } }
      - name: me
        url: http://localhost:8082/api/me
        auth: { bearer: '{{token}}' }
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
#[schemars(extend("oneOf" = [{ "required": ["url"] }, { "required": ["steps"] }]))]
pub struct Config {
    /// What is asked for; this, or `steps`.
    #[serde(default)]
    pub url: Option<HttpUrl>,
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
    /// Several requests instead of one, in this order, all within one timeout: the first that fails ends the run.
    #[serde(default)]
    #[schemars(length(max = steps::MAX_STEPS))]
    pub steps: Vec<Step>,
    /// Whether the connection is kept for the next run; else each request opens a new one, as a stranger would.
    #[serde(default)]
    pub keep_alive: bool,
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
        let shared = Shared { protocol: self.protocol, ip: self.ip, tls: &self.tls, roots: &context.roots };
        let requests = match &self.url {
            _ if !self.steps.is_empty() => {
                self.check_alone(&mut invalid);
                steps::build(&self.steps, &shared, &mut invalid)
            }
            Some(url) => vec![Request::new(&self.part(url), None, &shared, &mut invalid)],
            None => {
                let message = "the key \"url\" is missing: add it, or steps";
                invalid.push(Invalid::new("", message));
                Vec::new()
            }
        };
        if !invalid.is_empty() {
            return Err(invalid);
        }
        let session = Session::new(requests.iter().map(Request::fetcher))
            .keeping_connections(self.keep_alive)
            .with_cookies(!self.steps.is_empty());
        Ok(Probe { requests, session, body: Vec::new() })
    }
}

impl Config {
    /// The one request of a probe without steps.
    fn part<'a>(&'a self, url: &'a HttpUrl) -> Part<'a> {
        Part {
            url,
            method: &self.method,
            headers: &self.headers,
            body: self.body.as_ref(),
            auth: self.auth.as_ref(),
            expect: &self.expect,
            json: &self.json,
            redirects: self.redirects,
        }
    }

    /// Beside steps nothing may stand that belongs to one request.
    fn check_alone(&self, invalid: &mut Vec<Invalid>) {
        let set = [
            ("url", self.url.is_some()),
            ("method", self.method != Method::default()),
            ("headers", !self.headers.is_empty()),
            ("body", self.body.is_some()),
            ("auth", self.auth.is_some()),
            ("expect", self.expect != Expect::default()),
            ("json", !self.json.is_empty()),
            ("redirects", self.redirects != Redirects::default()),
        ];
        for (key, _) in set.into_iter().filter(|(_, set)| *set) {
            let message =
                format!("{key} stands beside steps: move it into the step that it belongs to, or remove steps");
            invalid.push(Invalid::new(key, message));
        }
    }
}

/// An HTTP probe that was built.
pub struct Probe {
    requests: Vec<Request>,
    session: Session,
    body: Vec<u8>,
}

impl super::Probe for Probe {
    async fn run(&mut self, out: &mut Readings) -> Result<(), Failure> {
        // A run that was cut off has left its cookies and values behind.
        self.session.forget();
        let result = self.go(out).await;
        out.leave();
        self.session.forget();
        trim(&mut self.body);
        result
    }
}

impl Probe {
    async fn go(&mut self, out: &mut Readings) -> Result<(), Failure> {
        for request in &self.requests {
            request.begin(out);
        }
        for request in &mut self.requests {
            request.run(&mut self.session, &mut self.body, out).await?;
        }
        Ok(())
    }
}
