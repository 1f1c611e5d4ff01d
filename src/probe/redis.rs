//! Asks a Redis server for PING and INFO: whether it answers, and what it says about memory, clients, saving, replication
//! and keys.
//!
//! The connection is kept between runs, as every client of such a server does it. It is taken away for the time of a run
//! and put back only when everything that was asked was answered, so that a run that is cut off never leaves half an
//! answer to the next one.
//!
//! The protocol is spoken in the room `resp`.

mod counters;
mod expect;
mod families;
mod info;
#[cfg(test)]
mod tests;

pub use expect::{Expect, Role};

use super::{Context, Kind, Settings};
use crate::net::{IpChoice, TLS_FAMILIES, TlsConfig};
use crate::observation::{Failure, Labels, Readings, Reason};
use crate::resp::{Connection, Login, Reply, Server, Trouble, reason_of, there};
use crate::values::{Address, Invalid, Secret};
use counters::Counters;
use info::Info;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// The row of this kind in the table.
pub static KIND: Kind = Kind {
    name: "redis",
    summary: "A Redis server answers; its memory, clients, saving, replication and keys",
    example: "\
- name: cache
  thresholds: { memory_ratio: { warning: 80%, critical: 95% }, clients: { warning: 80% } }
  redis: { address: 127.0.0.1:6379, username: watch, password: '${REDIS_PASSWORD:-change-me}' }
- name: cache-replica
  thresholds: { replication_lag: { warning: 15s, critical: 1m } }
  redis: { address: 127.0.0.1:6380, expect: { role: replica, link_up: true } }
",
    reasons: &[
        Reason::Resolve,
        Reason::Connect,
        Reason::Tls,
        Reason::Timeout,
        Reason::Protocol,
        Reason::Auth,
        Reason::Status,
        Reason::Missing,
        Reason::Stale,
        Reason::Limit,
    ],
    families: families::ALL,
    signals: families::SIGNALS,
};

/// The block `redis:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the server listens.
    pub address: Address,
    /// Which family of addresses to use.
    #[serde(default)]
    pub ip: IpChoice,
    /// The user of the server's access list; without it, the password is that of the default user.
    #[serde(default)]
    pub username: Option<String>,
    /// The password: a text, `${NAME}` or `{ file: PATH }`.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Turns TLS on and says how it is spoken; `tls: {}` for TLS as it comes.
    #[serde(default, deserialize_with = "there")]
    pub tls: Option<TlsConfig>,
    /// Counts the keys of this database alone, instead of those of all.
    #[serde(default)]
    pub database: Option<u32>,
    /// What the server must be, beside answering.
    #[serde(default)]
    pub expect: Expect,
}

impl Config {
    fn login(&self) -> Login<'_> {
        Login {
            address: &self.address,
            ip: self.ip,
            username: self.username.as_deref(),
            password: self.password.as_ref(),
            tls: self.tls.as_ref(),
        }
    }
}

impl Settings for Config {
    type Probe = Probe;

    fn build(&self, context: &Context) -> Result<Probe, Vec<Invalid>> {
        let mut invalid = Vec::new();
        let server = Server::new(self.login(), &context.roots).map_err(|mistakes| invalid.extend(mistakes));
        self.expect.check(&mut invalid);
        let Ok(server) = server else { return Err(invalid) };
        if !invalid.is_empty() {
            return Err(invalid);
        }
        Ok(Probe {
            config: self.clone(),
            server,
            kept: None,
            address: String::new(),
            certificate: [None; TLS_FAMILIES.len()],
            counters: Counters::default(),
            roles: families::role_labels(),
        })
    }
}

/// A probe of a Redis server that was built.
pub struct Probe {
    config: Config,
    server: Server,
    /// Where everything that was asked was answered.
    kept: Option<Connection>,
    /// Where that connection leads to.
    address: String,
    /// What its handshake showed, in the order of [`TLS_FAMILIES`].
    certificate: [Option<f64>; TLS_FAMILIES.len()],
    counters: Counters,
    roles: [Arc<Labels>; 2],
}

/// An older connection is replaced before it is used: whether the name leads elsewhere now, the certificate was renewed
/// or the password changed shows only in a new one.
const MAX_AGE: Duration = Duration::from_secs(300);

/// A kept connection may use this share of the time. What sits between may have forgotten it without a word, and then
/// the rest is for a new one.
const KEPT_SHARE: u32 = 3;

impl super::Probe for Probe {
    async fn run(&mut self, out: &mut Readings) -> Result<(), Failure> {
        let (mut connection, answer) = self.greet(out).await?;
        let verdict = self.judge(answer);
        if let Err(failure) = &verdict
            && failure.reason != Reason::Status
        {
            return verdict;
        }
        let mut judged = Ok(());
        // A server that loads or cannot save refuses PING, and still says in INFO how it is.
        match connection.ask(&["INFO"], out).await {
            Ok(Reply::Text(text)) => {
                let info = Info::of(&text);
                if info.is_empty() {
                    return verdict.and(Err(Failure::new(Reason::Protocol, "INFO was answered with something else")));
                }
                info.write(self.config.database, &self.roles, out);
                self.counters.take(&info, Instant::now(), out);
                verdict?;
                judged = self.config.expect.judge(&info);
            }
            Ok(Reply::Refusal(text)) => {
                verdict?;
                let text = self.server.veil().show(text.as_bytes());
                if self.config.expect.needs_info() {
                    let detail = format!("expect cannot be checked, because INFO is refused: {text}");
                    return Err(Failure::new(Reason::Auth, detail));
                }
                out.note("info", format!("refused, so that only the answer to PING is known: {text}"));
            }
            Ok(Reply::Word(word)) => {
                let word = self.server.veil().show(word.as_bytes());
                return verdict.and(Err(Failure::new(Reason::Protocol, format!("INFO was answered with {word}"))));
            }
            Err(trouble) => return verdict.and(Err(trouble.failure("while waiting for INFO", self.server.veil()))),
        }
        if connection.is_quiet() {
            self.kept = Some(connection);
        }
        judged
    }
}

impl Probe {
    /// A connection on which PING was answered, and the answer: the kept one if it still serves, else a new one.
    async fn greet(&mut self, out: &mut Readings) -> Result<(Connection, Reply), Failure> {
        // From here on it belongs to this run: whoever drops the run drops it.
        if let Some(mut kept) = self.kept.take().filter(|kept| kept.age() < MAX_AGE) {
            let patience = out.deadline().saturating_duration_since(Instant::now()) / KEPT_SHARE;
            let trouble = if kept.is_quiet() {
                match timeout(patience, ping(&mut kept, out)).await {
                    Ok(Ok(answer)) => {
                        out.note("address", self.address.clone());
                        for (family, value) in TLS_FAMILIES.into_iter().zip(self.certificate) {
                            out.set(family, value.unwrap_or(f64::NAN));
                        }
                        return Ok((kept, answer));
                    }
                    Ok(Err(trouble)) => trouble.words(self.server.veil()),
                    Err(_) => "it did not answer".to_owned(),
                }
            } else {
                "the server had closed it".to_owned()
            };
            out.note("renewed", format!("a new connection, because the former one is of no use: {trouble}"));
        }
        let mut connection = self.open(out).await?;
        match ping(&mut connection, out).await {
            Ok(answer) => Ok((connection, answer)),
            Err(trouble) => Err(trouble.failure("while waiting for the answer to PING", self.server.veil())),
        }
    }

    /// A new connection on which we are who we should be.
    async fn open(&mut self, out: &mut Readings) -> Result<Connection, Failure> {
        let (connection, address) = self.server.open(out).await?;
        self.address = address;
        self.certificate = TLS_FAMILIES.map(|family| out.value(family));
        Ok(connection)
    }

    fn judge(&self, answer: Reply) -> Result<(), Failure> {
        match answer {
            Reply::Word(word) if word == "PONG" => Ok(()),
            Reply::Word(word) => {
                let detail = format!("PING was answered with {}", self.server.veil().show(word.as_bytes()));
                Err(Failure::new(Reason::Protocol, detail))
            }
            Reply::Text(_) => Err(Failure::new(Reason::Protocol, "PING was answered with a text")),
            Reply::Refusal(text) => {
                let hint =
                    if text.starts_with("NOAUTH") { ": set password, and username where there is one" } else { "" };
                let detail = format!("PING is refused{hint}: {}", self.server.veil().show(text.as_bytes()));
                Err(Failure::new(reason_of(&text), detail))
            }
        }
    }
}

async fn ping(connection: &mut Connection, out: &mut Readings) -> Result<Reply, Trouble> {
    let since = Instant::now();
    let answer = connection.ask(&["PING"], out).await?;
    if matches!(answer, Reply::Word(_)) {
        out.set(&families::PING_SECONDS, since.elapsed().as_secs_f64());
    }
    Ok(answer)
}
