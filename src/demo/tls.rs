//! The demo's certificate authority, and the two certificates of the TLS listener: a good one and an expired one.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};

use super::faults::Fault;
use super::folder::write_whole;
use super::switches::Switches;

const CA_FILE: &str = "ca.pem";
const CA_KEY_FILE: &str = "ca.key";

/// The configuration of the TLS listener; `ca.pem` in `dir` is what a client has to trust.
///
/// # Errors
/// When the CA cannot be read or written, or a certificate not be made.
pub(super) fn server_config(dir: &Path, listen: IpAddr, switches: Arc<Switches>) -> Result<ServerConfig> {
    let issuer = authority(dir)?;
    let now = OffsetDateTime::now_utc();
    let day = Duration::DAY;
    let resolver = Resolver {
        good: leaf(&issuer, listen, now - day, now + 365 * day)?,
        expired: leaf(&issuer, listen, now - 30 * day, now - day)?,
        switches,
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("cannot set TLS versions")?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // A resumed session shows no certificate, and would hide the fault.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Chooses the certificate at each handshake.
#[derive(Debug)]
struct Resolver {
    good: Arc<CertifiedKey>,
    expired: Arc<CertifiedKey>,
    switches: Arc<Switches>,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let expired = self.switches.is_on(Fault::ExpiredCertificate);
        Some(Arc::clone(if expired { &self.expired } else { &self.good }))
    }
}

/// The CA of an earlier run where there is one: a client that trusts `ca.pem` must survive a restart of the demo.
fn authority(dir: &Path) -> Result<Issuer<'static, KeyPair>> {
    if let Some(key) = stored_key(dir) {
        return Ok(Issuer::new(authority_params(), key));
    }
    let key = KeyPair::generate().context("cannot generate the CA's key")?;
    let certificate = authority_params().self_signed(&key).context("cannot make the CA's certificate")?;
    write_whole(&dir.join(CA_KEY_FILE), &key.serialize_pem(), 0o600)?;
    write_whole(&dir.join(CA_FILE), &certificate.pem(), 0o644)?;
    Ok(Issuer::new(authority_params(), key))
}

/// The stored CA's key, if it belongs to the stored certificate and that is good for another year.
fn stored_key(dir: &Path) -> Option<KeyPair> {
    let key = KeyPair::from_pem(&fs::read_to_string(dir.join(CA_KEY_FILE)).ok()?).ok()?;
    let der = CertificateDer::from_pem_file(dir.join(CA_FILE)).ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
    let same_key = certificate.public_key().subject_public_key.data.as_ref() == key.public_key_raw();
    let enough = certificate.validity().not_after.to_datetime() > OffsetDateTime::now_utc() + Duration::days(366);
    (same_key && enough).then_some(key)
}

fn authority_params() -> CertificateParams {
    let now = OffsetDateTime::now_utc();
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Banken demo");
    params.distinguished_name.push(DnType::CommonName, "Banken demo CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = now - Duration::days(60);
    params.not_after = now + Duration::days(3650);
    params
}

fn leaf(
    issuer: &Issuer<'_, KeyPair>,
    listen: IpAddr,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
) -> Result<Arc<CertifiedKey>> {
    let names = ["localhost", "demo", "banken-demo"].map(str::to_owned);
    let mut params = CertificateParams::new(names).context("cannot name the certificate")?;
    let mut addresses = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    if !listen.is_unspecified() && !addresses.contains(&listen) {
        addresses.push(listen);
    }
    params.subject_alt_names.extend(addresses.into_iter().map(SanType::IpAddress));
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params.not_before = not_before;
    params.not_after = not_after;

    let key = KeyPair::generate().context("cannot generate a key")?;
    let certificate = params.signed_by(&key, issuer).context("cannot sign a certificate")?;
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let signer = ring::sign::any_supported_type(&private).context("cannot use the key of a certificate")?;
    Ok(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], signer)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::demo::tests::scratch;

    #[test]
    fn the_authority_outlives_a_restart_and_a_broken_one_is_replaced() {
        let dir = scratch();
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let ca = || {
            server_config(dir.path(), ip, Arc::new(Switches::new())).unwrap();
            fs::read_to_string(dir.path().join(CA_FILE)).unwrap()
        };
        let first = ca();
        assert_eq!(first, ca());
        let mode = fs::metadata(dir.path().join(CA_KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(dir.path().join(CA_KEY_FILE), KeyPair::generate().unwrap().serialize_pem()).unwrap();
        assert_ne!(first, ca());
    }
}
