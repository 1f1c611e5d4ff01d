//! TLS: certificates that are accepted or not, ours, and the choice of HTTP/2.

use super::wire::serve_http2;
use super::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::TlsAcceptor;

type Tls = tokio_rustls::server::TlsStream<TcpStream>;

pub(super) fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

pub(super) struct Identity {
    certificate: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
}

impl Identity {
    pub(super) fn new(ca: &CertifiedIssuer<'static, KeyPair>, name: &str, days: i64) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = time::OffsetDateTime::now_utc() - time::Duration::days(90);
        params.not_after = time::OffsetDateTime::now_utc() + time::Duration::days(days);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, ca).unwrap();
        Identity { certificate: certificate.der().clone(), pem: certificate.pem(), key }
    }

    pub(super) fn server(
        &self,
        ca: &CertifiedIssuer<'static, KeyPair>,
        ask_client: bool,
        alpn: &[&[u8]],
    ) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
        let builder = if ask_client {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(ca.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let mut config = builder.with_single_cert(vec![self.certificate.clone()], key).unwrap();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        config
    }
}

/// A target over TLS: HTTP/2 where it was negotiated, else `answer`.
async fn serve(config: ServerConfig, answer: Vec<u8>) -> Fake {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Fake::on(listener, move |stream, log| {
        let (acceptor, answer) = (acceptor.clone(), answer.clone());
        async move {
            let Ok(mut stream): Result<Tls, _> = acceptor.accept(stream).await else { return };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                return serve_http2(stream, 200, "").await;
            }
            let request = read_request(&mut stream).await;
            log.lock().unwrap().push(request);
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
        }
    })
}

pub(super) fn https(fake: &Fake) -> String {
    format!("https://{}", fake.address)
}

#[tokio::test]
async fn a_private_authority_can_be_trusted() {
    let (ca, folder) = (authority(), Folder::new("private"));
    let fake = serve(Identity::new(&ca, "127.0.0.1", 30).server(&ca, false, &[]), ok("hello")).await;
    let ca_file = folder.write("ca.pem", &ca.pem());
    let (result, out) = probe(&format!("{{ url: '{}', tls: {{ ca: {{ file: {ca_file} }} }} }}", https(&fake))).await;
    assert_eq!(result, Ok(()));
    assert_eq!(value(&out, "_tls_verified"), Some(1.0));
    assert!(phase(&out, Phase::Tls).is_some());
    let failure = failure(&format!("url: {}", https(&fake))).await;
    assert_eq!(failure.reason, Reason::Tls, "{failure}");
}

#[tokio::test]
async fn an_expired_certificate_fails_and_its_date_is_known() {
    let (ca, folder) = (authority(), Folder::new("expired"));
    let identity = Identity::new(&ca, "127.0.0.1", -3);
    let fake = serve(identity.server(&ca, false, &[]), ok("hello")).await;
    let ca_file = folder.write("ca.pem", &ca.pem());
    let yaml = |more: &str| format!("{{ url: '{}', tls: {{ ca: {{ file: {ca_file} }}{more} }} }}", https(&fake));
    let (result, out) = probe(&yaml("")).await;
    let failure = result.unwrap_err();
    assert_eq!(failure.reason, Reason::Tls);
    assert!(failure.detail.contains("expired"), "{failure}");
    let not_after = value(&out, "_tls_not_after_timestamp_seconds").expect("the date is known");
    let wanted = time::OffsetDateTime::now_utc().unix_timestamp() as f64 - 3.0 * 86400.0;
    assert!((not_after - wanted).abs() < 60.0, "{not_after} {wanted}");
    assert_eq!(value(&out, "_tls_verified"), Some(0.0));
    assert_eq!(value(&out, "_http_status_code"), None);
    let (result, out) = probe(&yaml(", verify: false")).await;
    assert_eq!((result, value(&out, "_tls_verified")), (Ok(()), Some(0.0)));
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_accepted_unless_that_name_is_asked_for() {
    let (ca, folder) = (authority(), Folder::new("name"));
    let fake = serve(Identity::new(&ca, "shop.example", 30).server(&ca, false, &[]), ok("")).await;
    let ca_file = folder.write("ca.pem", &ca.pem());
    let yaml = |more: &str| format!("{{ url: '{}', tls: {{ ca: {{ file: {ca_file} }}{more} }} }}", https(&fake));
    assert_eq!(failure(&yaml("")).await.reason, Reason::Tls);
    assert_eq!(probe(&yaml(", server_name: shop.example")).await.0, Ok(()));
}

#[tokio::test]
async fn a_certificate_of_ours_is_given_to_a_target_that_demands_one() {
    let (ca, folder) = (authority(), Folder::new("client"));
    let fake = serve(Identity::new(&ca, "127.0.0.1", 30).server(&ca, true, &[]), ok("")).await;
    let ours = Identity::new(&ca, "banken", 30);
    let ca_file = folder.write("ca.pem", &ca.pem());
    let (cert, key) = (folder.write("cert.pem", &ours.pem), folder.write("key.pem", &ours.key.serialize_pem()));
    let yaml = |more: &str| format!("{{ url: '{}', tls: {{ ca: {{ file: {ca_file} }}{more} }} }}", https(&fake));
    let with = format!(", cert: {{ file: {cert} }}, key: {{ file: {key} }}");
    assert_eq!(probe(&yaml(&with)).await.0, Ok(()));
    let failure = failure(&yaml("")).await;
    assert_eq!(failure.reason, Reason::Tls, "{failure}");
    assert!(
        failure.detail.to_lowercase().contains("certificaterequired")
            || failure.detail.contains("certificate required"),
        "{failure}"
    );
}

#[tokio::test]
async fn a_target_in_clear_is_no_target_over_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let fake = Fake::on(listener, |mut stream, _| async move {
        let _ = stream.write_all(&answer("400 Bad Request", "", "")).await;
    });
    let failure = failure(&format!("url: {}", https(&fake))).await;
    assert_eq!(failure.reason, Reason::Tls, "{failure}");
}

#[tokio::test]
async fn the_protocol_is_negotiated_or_demanded() {
    let ca = authority();
    let identity = Identity::new(&ca, "127.0.0.1", 30);
    let both = serve(identity.server(&ca, false, &[b"h2", b"http/1.1"]), ok("HTTP/1.1")).await;
    let old = serve(identity.server(&ca, false, &[]), ok("HTTP/1.1")).await;
    let run = async |fake: &Fake, protocol: &str, matches: &str| {
        let settings =
            format!("tls: {{ verify: false }}, protocol: {protocol}, expect: {{ body_matches: '{matches}' }}");
        probe(&format!("{{ url: '{}', {settings} }}", https(fake))).await.0
    };
    assert_eq!(run(&both, "auto", "HTTP/2.0").await, Ok(()));
    assert_eq!(run(&both, "http2", "HTTP/2.0").await, Ok(()));
    assert_eq!(run(&both, "http1", "HTTP/1.1").await, Ok(()));
    assert_eq!(run(&old, "auto", "HTTP/1.1").await, Ok(()));
    let failure = run(&old, "http2", "HTTP").await.unwrap_err();
    assert_eq!(failure, Failure::new(Reason::Protocol, "the target does not offer HTTP/2"));
}

#[tokio::test]
async fn credentials_do_not_go_from_tls_to_clear() {
    let ca = authority();
    let clear = Fake::saying(ok("")).await;
    let location = format!("location: {}/in-clear\r\n", clear.url());
    let fake =
        serve(Identity::new(&ca, "127.0.0.1", 30).server(&ca, false, &[]), answer("302 Found", &location, "")).await;
    let yaml = format!("{{ url: '{}', auth: {{ bearer: t0ken }}, tls: {{ verify: false }} }}", https(&fake));
    let (result, out) = probe(&yaml).await;
    assert_eq!((result, value(&out, "_http_redirects")), (Ok(()), Some(1.0)));
    assert!(fake.heard()[0].contains("t0ken"));
    assert!(!clear.heard()[0].contains("t0ken"), "{:?}", clear.heard());
}

#[tokio::test]
async fn an_address_in_clear_may_lead_to_tls() {
    let (ca, folder) = (authority(), Folder::new("upgrade"));
    let fake = serve(Identity::new(&ca, "127.0.0.1", 30).server(&ca, false, &[]), ok("safe")).await;
    let location = format!("location: {}/\r\n", https(&fake));
    let clear = Fake::saying(answer("301 Moved", &location, "")).await;
    let ca_file = folder.write("ca.pem", &ca.pem());
    let yaml = |tls: &str| format!("{{ url: '{}', expect: {{ body_matches: safe }}{tls} }}", clear.url());
    let (result, out) = probe(&yaml(&format!(", tls: {{ ca: {{ file: {ca_file} }} }}"))).await;
    assert_eq!((result, value(&out, "_tls_verified")), (Ok(()), Some(1.0)));
    let failure = failure(&yaml("")).await;
    assert_eq!(failure.reason, Reason::Tls, "the system does not know this authority: {failure}");
}

#[tokio::test]
async fn our_certificate_is_not_shown_to_another_host() {
    let (ca, folder) = (authority(), Folder::new("foreign"));
    let fake = serve(Identity::new(&ca, "localhost", 30).server(&ca, true, &[]), ok("")).await;
    let location = format!("location: https://localhost:{}/\r\n", fake.address.port());
    let clear = Fake::saying(answer("302 Found", &location, "")).await;
    let ours = Identity::new(&ca, "banken", 30);
    let ca_file = folder.write("ca.pem", &ca.pem());
    let (cert, key) = (folder.write("cert.pem", &ours.pem), folder.write("key.pem", &ours.key.serialize_pem()));
    let tls = format!("tls: {{ ca: {{ file: {ca_file} }}, cert: {{ file: {cert} }}, key: {{ file: {key} }} }}");
    let failure = failure(&format!("{{ url: '{}', {tls} }}", clear.url())).await;
    assert_eq!(failure.reason, Reason::Tls, "{failure}");
    let direct = format!("{{ url: 'https://localhost:{}/', {tls} }}", fake.address.port());
    assert_eq!(probe(&direct).await.0, Ok(()));
}
