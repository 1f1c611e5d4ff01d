//! Makes a TLS handshake and says until when the certificate is valid.

use super::{Context, Kind, Settings};
use crate::net::{IpChoice, TLS_FAMILIES, TlsClient, TlsConfig, dial};
use crate::observation::{Failure, Readings, Reason};
use crate::values::{Address, Certificates, Invalid, PrivateKey};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;

/// The row of this kind in the table.
pub static KIND: Kind = Kind {
    name: "tls",
    summary: "A TLS handshake succeeds; when the certificate expires, even if it is not accepted",
    example: "\
- name: certificate
  interval: 1h
  tls: { address: example.org:443 }
",
    reasons: &[Reason::Resolve, Reason::Connect, Reason::Tls, Reason::Timeout],
    families: &TLS_FAMILIES,
    signals: &[],
};

/// The block `tls:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to connect.
    pub address: Address,
    /// Which family of addresses to use.
    #[serde(default)]
    pub ip: IpChoice,
    /// The authorities that are trusted instead of the system's.
    #[serde(default)]
    pub ca: Option<Certificates>,
    /// Our own certificate, leaf first, for a target that asks for one.
    #[serde(default)]
    pub cert: Option<Certificates>,
    /// The key of our own certificate.
    #[serde(default)]
    pub key: Option<PrivateKey>,
    /// The name that is asked for (SNI) and verified, where it is not the host's.
    #[serde(default)]
    pub server_name: Option<String>,
}

impl Settings for Config {
    type Probe = Probe;

    fn build(&self, context: &Context) -> Result<Probe, Vec<Invalid>> {
        let tls = TlsConfig {
            ca: self.ca.clone(),
            cert: self.cert.clone(),
            key: self.key.clone(),
            server_name: self.server_name.clone(),
            ..TlsConfig::default()
        };
        let client = TlsClient::new(&tls, &[], &context.roots)?;
        Ok(Probe { address: self.address.clone(), ip: self.ip, client })
    }
}

/// A TLS probe that was built.
pub struct Probe {
    address: Address,
    ip: IpChoice,
    client: TlsClient,
}

impl super::Probe for Probe {
    async fn run(&mut self, out: &mut Readings) -> Result<(), Failure> {
        let stream = dial(&self.address.host, self.address.port, self.ip, out).await?;
        let mut stream = self.client.handshake(stream, &self.address.host, out).await?;
        // A polite end; a peer that has already gone changes nothing about the handshake that was made.
        let _ = stream.shutdown().await;
        Ok(())
    }
}
