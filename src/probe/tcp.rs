//! Opens a TCP connection; optionally says something and expects an answer.

use super::{Context, Kind, Settings};
use crate::net::{IpChoice, dial};
use crate::observation::{Failure, Phase, Readings, Reason};
use crate::values::{Address, Invalid, Pattern, Secret};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The row of this kind in the table.
pub static KIND: Kind = Kind {
    name: "tcp",
    summary: "A port accepts connections; optionally answers what is expected",
    example: "\
- name: gateway
  tcp: { address: 127.0.0.1:8000 }
- name: mail
  tcp: { address: 127.0.0.1:25, expect: '^220 ' }
",
    reasons: &[Reason::Resolve, Reason::Connect, Reason::Timeout, Reason::Protocol, Reason::Body],
    families: &[],
    signals: &[],
};

/// The block `tcp:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to connect.
    pub address: Address,
    /// Which family of addresses to use.
    #[serde(default)]
    pub ip: IpChoice,
    /// Sent as soon as the connection is open.
    #[serde(default)]
    pub send: Option<Secret>,
    /// What the peer must say, within the first 64 KiB.
    #[serde(default)]
    pub expect: Option<Pattern>,
}

impl Settings for Config {
    type Probe = Probe;

    fn build(&self, _: &Context) -> Result<Probe, Vec<Invalid>> {
        Ok(Probe { config: self.clone(), heard: Vec::new() })
    }
}

/// A TCP probe that was built.
pub struct Probe {
    config: Config,
    heard: Vec<u8>,
}

/// How much of what the peer says is kept.
const MAX_ANSWER: usize = 64 * 1024;

impl super::Probe for Probe {
    async fn run(&mut self, out: &mut Readings) -> Result<(), Failure> {
        let Address { host, port } = &self.config.address;
        let mut stream = dial(host, *port, self.config.ip, out).await?;
        if let Some(text) = &self.config.send {
            out.enter(Phase::Wait);
            stream
                .write_all(text.expose().as_bytes())
                .await
                .map_err(|error| Failure::io(Reason::Protocol, "cannot send", &error))?;
        }
        if let Some(pattern) = &self.config.expect {
            out.enter(Phase::Wait);
            listen(&mut stream, pattern, &mut self.heard, out).await?;
        }
        out.leave();
        Ok(())
    }
}

/// Reads until the pattern matches, the peer is done or the bound is reached; the runner's timeout ends a silent peer.
async fn listen(
    stream: &mut TcpStream,
    pattern: &Pattern,
    heard: &mut Vec<u8>,
    out: &mut Readings,
) -> Result<(), Failure> {
    heard.clear();
    loop {
        let read = stream.read_buf(heard).await.map_err(|error| {
            Failure::io(Reason::Protocol, "the connection broke while waiting for an answer", &error)
        })?;
        if pattern.is_match(heard) {
            return Ok(());
        }
        if read == 0 || heard.len() >= MAX_ANSWER {
            let detail = format!("{} bytes were said and none of it matches {:?}", heard.len(), pattern.as_str());
            return Err(Failure::new(Reason::Body, detail));
        }
        out.enter(Phase::Transfer);
    }
}
