//! Whom we trust over TLS, and to whom we show our own certificate.

use super::Ask;
use super::request::host_of;
use crate::net::{Roots, TlsClient, TlsConfig};
use crate::observation::{Failure, Reason};
use crate::values::Invalid;

/// The TLS clients of one probe. They are made when they are first needed: an address in clear may lead to one that
/// is not, and the system's authorities are only read where TLS is spoken.
pub(super) struct Tls {
    config: TlsConfig,
    alpn: &'static [&'static [u8]],
    roots: Roots,
    own_host: String,
    own: Option<TlsClient>,
    foreign: Option<TlsClient>,
}

impl Tls {
    pub(super) fn new(ask: &Ask<'_>, roots: &Roots) -> Self {
        Self {
            config: ask.tls.clone(),
            alpn: ask.protocol.alpn(),
            roots: roots.clone(),
            own_host: host_of(ask.url.uri()),
            own: None,
            foreign: None,
        }
    }

    /// Finds mistakes in the block when the configuration is loaded.
    pub(super) fn prepare(&mut self, https: bool) -> Result<(), Vec<Invalid>> {
        if https || self.config != TlsConfig::default() {
            self.own = Some(TlsClient::new(&self.config, self.alpn, &self.roots)?);
        }
        Ok(())
    }

    /// The client for a host: our certificate and the name to verify belong to the host of `url` alone.
    pub(super) fn client(&mut self, host: &str) -> Result<&TlsClient, Failure> {
        let own = host.eq_ignore_ascii_case(&self.own_host);
        let slot = if own { &mut self.own } else { &mut self.foreign };
        if let Some(client) = slot {
            return Ok(client);
        }
        let mut config = self.config.clone();
        if !own {
            config = TlsConfig { cert: None, key: None, server_name: None, ..config };
        }
        match TlsClient::new(&config, self.alpn, &self.roots) {
            Ok(client) => Ok(slot.insert(client)),
            Err(mistakes) => {
                let messages: Vec<_> = mistakes.into_iter().map(|mistake| mistake.message).collect();
                Err(Failure::new(Reason::Local, format!("cannot speak TLS: {}", messages.join("; "))))
            }
        }
    }
}
