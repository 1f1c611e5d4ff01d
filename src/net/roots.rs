//! The certificate authorities that the system trusts.

use rustls::RootCertStore;
use std::sync::{Arc, OnceLock};

/// The system's certificate authorities, read at the first use: a site that probes no TLS does not pay for them.
///
/// Clones share one store: a probe that may be led to TLS keeps one, and nobody pays before it is.
#[derive(Debug, Default, Clone)]
pub struct Roots(Arc<OnceLock<Arc<RootCertStore>>>);

impl Roots {
    /// The system's store; where the system has none (a container from scratch), the one that was built in.
    pub fn get(&self) -> Arc<RootCertStore> {
        Arc::clone(self.0.get_or_init(|| Arc::new(load())))
    }
}

fn load() -> RootCertStore {
    let mut store = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    let (added, ignored) = store.add_parsable_certificates(native.certs);
    if added == 0 {
        tracing::info!("no certificate authorities found on this system: using the built-in set of Mozilla");
        store.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    } else if ignored > 0 {
        tracing::debug!(added, ignored, "certificate authorities of the system");
    }
    store
}
