use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use time::OffsetDateTime;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::rig::Rig;

/// Believes everything, and keeps the certificate and what a strict client would have said of it.
#[derive(Debug)]
struct Recorder {
    strict: Arc<WebPkiServerVerifier>,
    seen: Mutex<Option<(CertificateDer<'static>, Result<(), Error>)>>,
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.strict.verify_server_cert(leaf, others, name, ocsp, now).map(|_| ());
        *self.seen.lock().unwrap() = Some((leaf.clone().into_owned(), verdict));
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.strict.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.strict.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.strict.supported_verify_schemes()
    }
}

/// A client that trusts the demo's CA file, connected; and the end of the certificate it was shown, with the verdict.
async fn connect(rig: &Rig, name: &str) -> (TlsStream<TcpStream>, OffsetDateTime, Result<(), Error>) {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(rig.dir.path().join("ca.pem")).unwrap()).unwrap();
    let strict = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let recorder = Arc::new(Recorder { strict, seen: Mutex::new(None) });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&recorder) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(rig.tls).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let (leaf, verdict) = recorder.seen.lock().unwrap().take().unwrap();
    let (_, parsed) = x509_parser::parse_x509_certificate(&leaf).unwrap();
    (stream, parsed.validity().not_after.to_datetime(), verdict)
}

#[tokio::test]
async fn the_certificate_is_good_for_every_local_name() {
    let rig = Rig::start().await;
    for name in ["localhost", "127.0.0.1", "::1", "demo", "banken-demo"] {
        let (_, not_after, verdict) = connect(&rig, name).await;
        verdict.unwrap();
        assert!(not_after > OffsetDateTime::now_utc() + time::Duration::days(300));
    }
    let (_, _, verdict) = connect(&rig, "example.com").await;
    assert!(
        matches!(verdict, Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. }))),
        "{verdict:?}"
    );
}

#[tokio::test]
async fn the_expired_certificate_is_expired_and_nothing_else() {
    let rig = Rig::start().await;
    rig.on("expired_certificate").await;
    let (_, not_after, verdict) = connect(&rig, "localhost").await;
    assert!(not_after < OffsetDateTime::now_utc());
    assert!(matches!(verdict, Err(Error::InvalidCertificate(CertificateError::ExpiredContext { .. }))), "{verdict:?}");
    rig.off("expired_certificate").await;
    let (_, not_after, verdict) = connect(&rig, "localhost").await;
    verdict.unwrap();
    assert!(not_after > OffsetDateTime::now_utc());
}

#[tokio::test]
async fn the_same_service_answers_over_h2() {
    let rig = Rig::start().await;
    let (stream, ..) = connect(&rig, "localhost").await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("https://localhost/health").body(Empty::<bytes::Bytes>::new()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.version(), http::Version::HTTP_2);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(&body[..], br#"{"status":"ok"}"#);
}
