//! Asks a DNS server one question and holds its answer against what is expected.
//!
//! The messages are those of a library; sockets, time and what counts as an answer are kept here (`exchange`), because
//! there it is decided what a failure means: who did not answer, who answered something else, and which stranger's
//! datagram is no answer at all. A run costs one short-lived socket and no thread.

mod answers;
mod exchange;
mod question;
mod servers;
#[cfg(test)]
mod tests;
mod texts;

pub use answers::{Answers, Expect, Rcode, RecordKind};

use super::{Context, Kind, Settings};
use crate::observation::{Failure, Family, Readings, Reason, Scope};
use crate::values::{Address, Invalid};
use answers::Judge;
use exchange::Exchange;
use hickory_proto::op::{Message, ResponseCode};
use question::Question;
use schemars::JsonSchema;
use serde::Deserialize;
use servers::Servers;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

static RCODE: Family = Family::gauge(
    "banken_probe_dns_rcode",
    Scope::Probe,
    &[],
    "Response code of the answer: 0 is NOERROR, 3 is NXDOMAIN",
);
static ANSWERS: Family = Family::gauge(
    "banken_probe_dns_answers",
    Scope::Probe,
    &[],
    "Records of the type that was asked for in the answer",
);
static TTL: Family = Family::gauge(
    "banken_probe_dns_ttl_seconds",
    Scope::Probe,
    &[],
    "How long the answer may be kept by others: its smallest time to live, in seconds",
);
static SERIAL: Family =
    Family::gauge("banken_probe_dns_serial", Scope::Probe, &[], "Serial number of the zone, for questions of type SOA");
static TRUNCATED: Family = Family::gauge(
    "banken_probe_dns_truncated",
    Scope::Probe,
    &[],
    "Whether the answer over UDP was cut and asked for again over TCP, 1 or 0",
);
static RESENT: Family = Family::counter(
    "banken_probe_dns_resent_total",
    Scope::Probe,
    &[],
    "Questions that were sent again over UDP because no answer had come",
);

static FAMILIES: [&Family; 6] = [&RCODE, &ANSWERS, &TTL, &SERIAL, &TRUNCATED, &RESENT];

/// The row of this kind in the table.
pub static KIND: Kind = Kind {
    name: "dns",
    summary: "A DNS server answers a question as expected: response code, records, time to live",
    example: "\
- name: resolver
  timeout: 3s
  dns: { name: example.org, server: 127.0.0.1:53 }
- name: mail-exchangers
  dns:
    name: example.org
    type: MX
    server: 127.0.0.1:53
    expect: { min_answers: 2, answers: { contains: [10 mx1.example.org] } }
",
    reasons: &[
        Reason::Resolve,
        Reason::Connect,
        Reason::Timeout,
        Reason::Protocol,
        Reason::Status,
        Reason::Body,
        Reason::Missing,
    ],
    families: &FAMILIES,
    signals: &[],
};

/// The block `dns:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The name that is asked for; for PTR an address will do.
    pub name: String,
    /// The type of the records that are asked for.
    #[serde(default, rename = "type")]
    pub record_type: RecordKind,
    /// Who is asked; without it the servers of `/etc/resolv.conf`, one after another.
    #[serde(default)]
    pub server: Option<Address>,
    /// Over what it is asked.
    #[serde(default)]
    pub protocol: Protocol,
    /// Whether the server may ask others for the answer.
    #[serde(default = "yes")]
    pub recursion: bool,
    /// What the answer must be.
    #[serde(default)]
    pub expect: Expect,
}

fn yes() -> bool {
    true
}

/// Over what a question is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// UDP, and TCP when the answer is cut.
    #[default]
    Udp,
    /// TCP.
    Tcp,
}

impl Settings for Config {
    type Probe = Probe;

    fn build(&self, _: &Context) -> Result<Probe, Vec<Invalid>> {
        let mut invalid = Vec::new();
        let question = Question::new(&self.name, self.record_type, self.recursion)
            .map_err(|message| invalid.push(Invalid::new("name", message)));
        let judge = Judge::new(&self.expect, self.record_type, &mut invalid);
        match question {
            Ok(question) if invalid.is_empty() => Ok(Probe {
                exchange: Exchange { question, protocol: self.protocol },
                servers: Servers::new(self.server.as_ref()),
                judge,
            }),
            _ => Err(invalid),
        }
    }
}

/// A DNS probe that was built.
pub struct Probe {
    exchange: Exchange,
    servers: Servers,
    judge: Judge,
}

/// We end before the runner does, because we know better why: this much, or less of a short time.
const MARGIN: Duration = Duration::from_millis(20);

impl super::Probe for Probe {
    async fn run(&mut self, out: &mut Readings) -> Result<(), Failure> {
        let servers = self.servers.addresses(out).await?;
        let now = Instant::now();
        let time = out.deadline().saturating_duration_since(now);
        let deadline = now + time.saturating_sub(MARGIN.min(time / 20));
        let message = ask_in_turn(&self.exchange, servers, deadline, out).await?;
        self.judge.judge(&message, out)
    }
}

/// Asks one server after another until one has an answer; each gets its share of the time that is left. A server that
/// only says that it cannot help is passed over, as the system's own resolver does it.
async fn ask_in_turn(
    exchange: &Exchange,
    servers: &[SocketAddr],
    deadline: Instant,
    out: &mut Readings,
) -> Result<Message, Failure> {
    let mut passed: Option<Failure> = None;
    for (index, server) in servers.iter().enumerate() {
        let left = servers.len() - index;
        let share = deadline.saturating_duration_since(Instant::now()) / u32::try_from(left).unwrap_or(1);
        let is_last = left == 1;
        let failure = match exchange.ask(*server, Instant::now() + share, out).await {
            Ok(message) if is_last || is_final(message.metadata.response_code) => {
                out.note("server", server.to_string());
                if let Some(passed) = passed {
                    out.note("passed", passed.detail);
                }
                return Ok(message);
            }
            Ok(message) => Failure::new(
                Reason::Status,
                format!("{server} answered {}", answers::word(message.metadata.response_code)),
            ),
            Err(failure) => failure,
        };
        passed = Some(match passed {
            None => failure,
            Some(former) => Failure::new(failure.reason, format!("{}; {}", former.detail, failure.detail)),
        });
    }
    Err(passed.unwrap_or_else(|| Failure::new(Reason::Resolve, "there is no server to ask")))
}

/// Whether another server would hardly say something else.
fn is_final(code: ResponseCode) -> bool {
    matches!(code, ResponseCode::NoError | ResponseCode::NXDomain)
}
