//! TLS as a client: the handshake, the certificate's dates even when it is not accepted, and whether it was.

use super::Roots;
use crate::observation::{Failure, Family, Phase, Readings, Reason, Scope};
use crate::values::{Certificates, Invalid, PrivateKey};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A TLS connection over TCP.
pub type TlsStream = tokio_rustls::client::TlsStream<TcpStream>;

static NOT_AFTER: Family = Family::gauge(
    "banken_probe_tls_not_after_timestamp_seconds",
    Scope::Probe,
    &[],
    "When the certificate that the target presented expires, in seconds since the Unix epoch, known even when it was not accepted",
);
static VERIFIED: Family = Family::gauge(
    "banken_probe_tls_verified",
    Scope::Probe,
    &[],
    "Whether the certificate was valid for the name and signed by a trusted authority, 1 or 0",
);

/// What a handshake publishes, for every kind that makes one.
pub static TLS_FAMILIES: [&Family; 2] = [&NOT_AFTER, &VERIFIED];

/// How a target is spoken to over TLS.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// The authorities that are trusted instead of the system's.
    pub ca: Option<Certificates>,
    /// Our own certificate, leaf first, for a target that asks for one.
    pub cert: Option<Certificates>,
    /// The key of our own certificate.
    pub key: Option<PrivateKey>,
    /// The name that is asked for (SNI) and verified, where it is not the host's.
    pub server_name: Option<String>,
    /// `false` accepts any certificate; whether it would have been accepted is published all the same.
    pub verify: bool,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self { ca: None, cert: None, key: None, server_name: None, verify: true }
    }
}

/// A client that speaks TLS as one configuration says; one handshake at a time.
pub struct TlsClient {
    connector: TlsConnector,
    recorder: Arc<Recorder>,
    server_name: Option<ServerName<'static>>,
}

impl TlsClient {
    /// Builds the client.
    ///
    /// # Errors
    /// Every mistake in the block.
    pub fn new(config: &TlsConfig, alpn: &[&[u8]], roots: &Roots) -> Result<Self, Vec<Invalid>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = match &config.ca {
            Some(ca) => Arc::new(private_roots(ca)?),
            None => roots.get(),
        };
        let judge = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .build()
            .map_err(|error| vec![Invalid::new("ca", format!("no certificate authority to verify with: {error}"))])?;
        let recorder = Arc::new(Recorder { judge, enforce: config.verify, seen: Mutex::new(None) });
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| vec![Invalid::new("", error.to_string())])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&recorder) as Arc<dyn ServerCertVerifier>);
        let mut client = match (&config.cert, &config.key) {
            (Some(cert), Some(key)) => builder
                .with_client_auth_cert(cert.as_slice().to_vec(), key.to_der())
                .map_err(|error| vec![Invalid::new("cert", format!("certificate and key do not fit: {error}"))])?,
            (None, None) => builder.with_no_client_auth(),
            (Some(_), None) => return Err(vec![Invalid::new("", "cert is set without key: add key: { file: PATH }")]),
            (None, Some(_)) => return Err(vec![Invalid::new("", "key is set without cert: add cert: { file: PATH }")]),
        };
        client.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        // A resumed session presents no certificate, and its dates would go missing.
        client.resumption = Resumption::disabled();
        let server_name = config
            .server_name
            .as_deref()
            .map(|name| parse_server_name(name).map_err(|message| vec![Invalid::new("server_name", message)]))
            .transpose()?;
        Ok(Self { connector: TlsConnector::from(Arc::new(client)), recorder, server_name })
    }

    /// Makes the handshake over an open connection and writes down what the certificate says.
    ///
    /// # Errors
    /// [`Reason::Tls`] when the handshake fails or the certificate is not accepted.
    pub async fn handshake(&self, stream: TcpStream, host: &str, out: &mut Readings) -> Result<TlsStream, Failure> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => parse_server_name(host).map_err(|message| Failure::new(Reason::Tls, message))?,
        };
        self.recorder.forget();
        out.enter(Phase::Tls);
        let result = self.connector.connect(name, stream).await;
        out.leave();
        let seen = self.recorder.take();
        if let Some(seen) = &seen {
            seen.write(out);
        }
        match (result, seen.and_then(|seen| seen.rejection)) {
            (Ok(stream), _) => Ok(stream),
            (Err(_), Some(rejection)) => {
                Err(Failure::new(Reason::Tls, format!("the certificate is not accepted: {rejection}")))
            }
            (Err(error), None) => Err(Failure::io(Reason::Tls, "the TLS handshake failed", &error)),
        }
    }
}

fn parse_server_name(name: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(name.to_owned()).map_err(|_| format!("{name:?} is not a host name that TLS can verify"))
}

fn private_roots(ca: &Certificates) -> Result<RootCertStore, Vec<Invalid>> {
    let mut store = RootCertStore::empty();
    for certificate in ca.as_slice() {
        store
            .add(certificate.clone())
            .map_err(|error| vec![Invalid::new("ca", format!("a certificate in the file is not usable: {error}"))])?;
    }
    Ok(store)
}

/// What one handshake showed.
#[derive(Debug)]
struct Seen {
    leaf: CertificateDer<'static>,
    rejection: Option<String>,
}

impl Seen {
    fn write(&self, out: &mut Readings) {
        out.flag(&VERIFIED, self.rejection.is_none());
        match x509_parser::parse_x509_certificate(&self.leaf) {
            Ok((_, certificate)) => {
                let not_after = certificate.validity().not_after;
                out.set(&NOT_AFTER, not_after.timestamp() as f64);
                out.note("certificate", format!("{}, valid until {not_after}", certificate.subject()));
            }
            Err(error) => out.note("certificate", format!("unreadable: {error}")),
        }
    }
}

/// Verifies as rustls does, but writes down the certificate before it judges.
#[derive(Debug)]
struct Recorder {
    judge: Arc<WebPkiServerVerifier>,
    enforce: bool,
    seen: Mutex<Option<Seen>>,
}

impl Recorder {
    fn forget(&self) {
        self.take();
    }

    fn take(&self) -> Option<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict = self.judge.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let rejection = verdict.as_ref().err().map(ToString::to_string);
        let seen = Seen { leaf: end_entity.clone().into_owned(), rejection };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        if self.enforce { verdict } else { Ok(ServerCertVerified::assertion()) }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.judge.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.judge.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}
