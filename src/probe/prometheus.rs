//! Asks another exporter for its metrics and holds them against what must be there: series of metrics, and values within
//! their range or not too old.
//!
//! The answer is read once from its beginning to its end, whatever it holds: no series is kept.
//!
//! Of several things that are wrong the first in this order gives the reason: a bound that was exceeded; a line that cannot be
//! read; what is missing; what is too old; what is out of its range. The detail names all of them.

mod check;
mod look;
mod selector;
#[cfg(test)]
mod tests;

pub use check::{Check, Combine};
pub use selector::Selector;

use super::{Context, Kind, Settings};
use crate::exposition::{self, Dialect, Limits};
use crate::fetch::{Ask, Auth, Fetcher, Method, Protocol, Redirects, trim};
use crate::net::{IpChoice, TLS_FAMILIES, TlsConfig};
use crate::observation::{Failure, Family, Readings, Reason, Scope, unix_now};
use crate::values::{HttpUrl, Invalid, Secret, Size};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::response::Parts;
use look::{Look, Wanted};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

static SERIES: Family =
    Family::gauge("banken_prometheus_series", Scope::Probe, &[], "Samples in the last answer that could be read");
static FAMILIES_FOUND: Family =
    Family::gauge("banken_prometheus_families", Scope::Probe, &[], "Families with a sample in the last answer");
static MISSING: Family = Family::gauge(
    "banken_prometheus_missing_families",
    Scope::Probe,
    &[],
    "Required metrics without a sample in the last answer",
);
static BODY_BYTES: Family = Family::gauge(
    "banken_prometheus_body_bytes",
    Scope::Probe,
    &[],
    "Size of the last answer after inflating, in bytes",
);
static CHECK_VALUE: Family = Family::gauge(
    "banken_prometheus_check_value",
    Scope::Probe,
    &["check"],
    "Value of an exported check in the last answer",
);
static CHECK_VALID: Family = Family::gauge(
    "banken_prometheus_check_valid",
    Scope::Probe,
    &["check"],
    "Whether the series of a check were there and right in the last answer, 1 or 0",
);

const FAMILY_COUNT: usize = 6 + TLS_FAMILIES.len();
static FAMILIES: [&Family; FAMILY_COUNT] =
    [&SERIES, &FAMILIES_FOUND, &MISSING, &BODY_BYTES, &CHECK_VALUE, &CHECK_VALID, TLS_FAMILIES[0], TLS_FAMILIES[1]];

/// The row of this kind in the table.
pub static KIND: Kind = Kind {
    name: "prometheus",
    summary: "Another exporter publishes the metrics that must be there, with values that are right",
    example: "\
- name: bot-metrics
  prometheus:
    url: http://127.0.0.1:8082/metrics
    require: [ trading_bot_cycles_total, trading_bot_cycle_duration_seconds, trading_bot_price ]
    checks:
      - { name: win_rate, metric: trading_bot_win_rate, min: 0, max: 1, export: true }
      - { name: live, metric: trading_bot_api_only_mode, equals: 0 }
- name: node
  prometheus:
    url: http://127.0.0.1:9100/metrics
    require: [ node_cpu_seconds_total, 'node_filesystem_avail_bytes{mountpoint=\"/\"}' ]
    checks:
      - { name: textfiles, metric: node_textfile_mtime_seconds, max_age: 26h, optional: true }
",
    reasons: &[
        Reason::Resolve,
        Reason::Connect,
        Reason::Tls,
        Reason::Timeout,
        Reason::Status,
        Reason::Auth,
        Reason::Protocol,
        Reason::Limit,
        Reason::Missing,
        Reason::Stale,
        Reason::Body,
    ],
    families: &FAMILIES,
    signals: &[],
};

/// The block `prometheus:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the metrics are.
    pub url: HttpUrl,
    /// Headers of the request, each a text or `{ file: PATH }`; sent to the host of `url` alone.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// Credentials; sent to the host of `url` alone.
    #[serde(default)]
    pub auth: Option<Auth>,
    /// Which family of addresses is used.
    #[serde(default)]
    pub ip: IpChoice,
    /// How TLS is spoken.
    #[serde(default)]
    pub tls: TlsConfig,
    /// Metrics that must have at least one sample: names of families or of series, with conditions on labels if wanted.
    #[serde(default)]
    pub require: Vec<Selector>,
    /// What values must be.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// How many samples there must be at least.
    #[serde(default = "default_min_series")]
    pub min_series: u64,
    /// How many samples there may be at most.
    #[serde(default)]
    pub max_series: Option<u64>,
    /// The largest answer, after inflating.
    #[serde(default = "default_max_body")]
    pub max_body: Size,
}

fn default_min_series() -> u64 {
    1
}

fn default_max_body() -> Size {
    Size(MAX_BODY)
}

/// The whole answer is read into memory.
const MAX_BODY: u64 = 16 << 20;

/// The most entries of `require`.
const MAX_REQUIRED: usize = 1000;

/// The most entries of `checks`: each has two series.
const MAX_CHECKS: usize = 100;

/// What Prometheus itself says that it understands, without protobuf.
const FORMATS: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                       text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// More samples than fit into the largest body.
const BOUNDS: Limits = Limits { samples: MAX_BODY as usize, line: 64 << 10 };

/// After so many samples somebody else has a turn: a large answer must not hold up other probes.
const TURN: u64 = 5000;

impl Settings for Config {
    type Probe = Probe;

    fn build(&self, context: &Context) -> Result<Probe, Vec<Invalid>> {
        let mut invalid = Vec::new();
        let mut headers = self.headers.clone();
        if !headers.keys().any(|name| name.eq_ignore_ascii_case(ACCEPT.as_str())) {
            headers.insert(ACCEPT.as_str().to_owned(), Secret::from(FORMATS.to_owned()));
        }
        let ask = Ask {
            url: &self.url,
            method: &Method::default(),
            headers: &headers,
            body: None,
            auth: self.auth.as_ref(),
            redirects: Redirects::default(),
            protocol: Protocol::Auto,
            ip: self.ip,
            tls: &self.tls,
        };
        let fetcher = Fetcher::new(&ask, &context.roots, &mut invalid);
        self.check(&mut invalid);
        if invalid.is_empty() {
            Ok(Probe { fetcher, wanted: Wanted::new(self), config: self.clone(), body: Vec::new() })
        } else {
            Err(invalid)
        }
    }
}

impl Config {
    fn check(&self, invalid: &mut Vec<Invalid>) {
        for (index, check) in self.checks.iter().enumerate() {
            let mut mistakes = Vec::new();
            check.check(&mut mistakes);
            if let Some(first) = self.checks[..index].iter().position(|earlier| earlier.name == check.name) {
                let message = format!("{:?} is already the name of checks[{first}]", check.name);
                mistakes.push(Invalid::new("name", message));
            }
            invalid.extend(mistakes.into_iter().map(|mistake| mistake.within(&format!("checks[{index}]"))));
        }
        if self.require.len() > MAX_REQUIRED {
            invalid.push(Invalid::new("require", format!("at most {MAX_REQUIRED} metrics can be required")));
        }
        if self.checks.len() > MAX_CHECKS {
            invalid.push(Invalid::new("checks", format!("at most {MAX_CHECKS} checks can be made: make two probes")));
        }
        if self.max_series.is_some_and(|max| max < self.min_series) {
            invalid.push(Invalid::new("max_series", "max_series is below min_series: no number could be right"));
        }
        if !(1..=MAX_BODY).contains(&self.max_body.0) {
            invalid.push(Invalid::new("max_body", "set it to at least 1 and at most 16MiB"));
        }
    }
}

/// A probe of this kind that was built.
pub struct Probe {
    config: Config,
    fetcher: Fetcher,
    wanted: Wanted,
    body: Vec<u8>,
}

impl super::Probe for Probe {
    async fn run(&mut self, out: &mut Readings) -> Result<(), Failure> {
        for labels in &self.wanted.labels {
            out.flag_with(&CHECK_VALID, labels, false);
        }
        let result = self.ask(out).await;
        trim(&mut self.body);
        result
    }
}

impl Probe {
    async fn ask(&mut self, out: &mut Readings) -> Result<(), Failure> {
        let head = self.fetcher.fetch(self.config.max_body.0, &mut self.body, out).await?;
        out.set(&BODY_BYTES, self.body.len() as f64);
        let mut look = Look::new(&self.config, &self.wanted, self.fetcher.redactor(), unix_now());
        for item in exposition::read(&self.body, dialect(&head, &self.body), BOUNDS) {
            look.take(item);
            if look.series % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
        }
        look.conclude(out)
    }
}

/// The format of an answer: by its type, or by its end where it has none.
fn dialect(head: &Parts, body: &[u8]) -> Dialect {
    match head.headers.get(CONTENT_TYPE).map(|value| value.as_bytes().trim_ascii_start()) {
        None => Dialect::of(body),
        Some(text) => {
            let media = text.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
            let is_open = media.eq_ignore_ascii_case(b"application/openmetrics-text");
            if is_open { Dialect::OpenMetrics } else { Dialect::Prometheus }
        }
    }
}
