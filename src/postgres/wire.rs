//! The bytes between us and the server, over TCP, TLS or a Unix socket, watched for what must not happen: a message larger
//! than we would keep, and a request to send the password in clear where strangers could read it.

use crate::observation::Reason;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::{fmt, io};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use x509_parser::parse_x509_certificate;

/// Whatever carries bytes both ways.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A stream to a server, watched.
pub struct Wire {
    stream: Box<dyn Transport>,
    /// The hash of the server's certificate, by which SCRAM is bound to this TLS connection (RFC 5929).
    end_point: Option<Vec<u8>>,
    watch: Watch,
}

impl Wire {
    /// `may_send_clear`: whether a password may be sent as it is when the server asks for that.
    pub fn new(stream: impl Transport + 'static, may_send_clear: bool) -> Self {
        Self { stream: Box::new(stream), end_point: None, watch: Watch::new(may_send_clear) }
    }

    /// Binds the login to the certificate that the TLS handshake has shown.
    pub fn bound_to(mut self, certificate: &[u8]) -> Self {
        self.end_point = end_point(certificate);
        self
    }
}

/// What a server said and we refuse to go along with.
#[derive(Debug)]
pub struct Refusal {
    pub reason: Reason,
    detail: &'static str,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail)
    }
}

impl std::error::Error for Refusal {}

/// The largest message of a server: a row, an error, a notice.
const MAX_MESSAGE: usize = 1 << 20;

/// Tag, length, and of a request for authentication its number.
const HEAD: usize = 9;

const TAG_AND_LENGTH: usize = 5;

/// The tag of requests for authentication, and the number of the one that wants the password as it is.
const AUTHENTICATION: u8 = b'R';
const CLEARTEXT_PASSWORD: u32 = 3;

/// With what a server can begin: a request for authentication, an error, a notice, a word about the protocol's version.
const OPENINGS: &[u8] = b"RENv";

/// Follows the messages of a server without keeping them.
struct Watch {
    may_send_clear: bool,
    has_begun: bool,
    head: [u8; HEAD],
    known: usize,
    rest: usize,
}

impl Watch {
    fn new(may_send_clear: bool) -> Self {
        Self { may_send_clear, has_begun: false, head: [0; HEAD], known: 0, rest: 0 }
    }

    fn see(&mut self, mut bytes: &[u8]) -> Result<(), Refusal> {
        while let Some((first, others)) = bytes.split_first() {
            if self.rest > 0 {
                let skipped = self.rest.min(bytes.len());
                self.rest -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            self.head[self.known] = *first;
            self.known += 1;
            bytes = others;
            if self.known >= TAG_AND_LENGTH {
                self.judge()?;
            }
        }
        Ok(())
    }

    /// Looks at what is known of a message's head; a head that is whole is left behind.
    fn judge(&mut self) -> Result<(), Refusal> {
        let [tag, a, b, c, d, code @ ..] = self.head;
        if !self.has_begun && !OPENINGS.contains(&tag) {
            return Err(Refusal {
                reason: Reason::Protocol,
                detail: "the server does not speak PostgreSQL's protocol",
            });
        }
        self.has_begun = true;
        // The length counts itself.
        let body = (u32::from_be_bytes([a, b, c, d]) as usize).saturating_sub(4);
        if body > MAX_MESSAGE {
            return Err(Refusal {
                reason: Reason::Limit,
                detail: "the server sent a row or message of more than 1 MiB",
            });
        }
        let wanted = if tag == AUTHENTICATION && body >= code.len() { HEAD } else { TAG_AND_LENGTH };
        if self.known < wanted {
            return Ok(());
        }
        if wanted == HEAD && u32::from_be_bytes(code) == CLEARTEXT_PASSWORD && !self.may_send_clear {
            let detail = "the server asks for the password in clear, over a connection that others could read: use \
                          sslmode=verify-full, or scram-sha-256 in its pg_hba.conf";
            return Err(Refusal { reason: Reason::Auth, detail });
        }
        self.rest = body - (self.known - TAG_AND_LENGTH);
        self.known = 0;
        Ok(())
    }
}

/// The hash of a certificate that RFC 5929 calls tls-server-end-point; none where the signature names no hash.
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, parsed) = parse_x509_certificate(certificate).ok()?;
    match parsed.signature_algorithm.algorithm.to_id_string().as_str() {
        // RSA with MD5, SHA-1 and SHA-256; ECDSA with SHA-1 and SHA-256. What is weaker than SHA-256 is replaced by it.
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.1"
        | "1.2.840.10045.4.3.2" => Some(Sha256::digest(certificate).to_vec()),
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => Some(Sha384::digest(certificate).to_vec()),
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => Some(Sha512::digest(certificate).to_vec()),
        _ => None,
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = read
            && let Err(refusal) = self.watch.see(&buf.filled()[before..])
        {
            return Poll::Ready(Err(io::Error::other(refusal)));
        }
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl TlsStream for Wire {
    fn channel_binding(&self) -> ChannelBinding {
        self.end_point.clone().map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

/// Our own handshake is over, or was not wanted, when tokio-postgres is given the stream.
pub struct Settled;

impl TlsConnect<Wire> for Settled {
    type Stream = Wire;
    type Error = Infallible;
    type Future = Ready<Result<Wire, Infallible>>;

    fn connect(self, stream: Wire) -> Self::Future {
        ready(Ok(stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[tag], length.as_slice(), body].concat()
    }

    /// However the bytes are cut into pieces, the verdict is the same.
    fn verdict(may_send_clear: bool, bytes: &[u8]) -> Result<(), Reason> {
        let verdicts: Vec<_> = [1, 2, 3, 7, bytes.len()]
            .map(|size| {
                let mut watch = Watch::new(may_send_clear);
                bytes.chunks(size).try_for_each(|piece| watch.see(piece)).map_err(|refusal| refusal.reason)
            })
            .into();
        assert!(verdicts.iter().all(|verdict| *verdict == verdicts[0]), "{verdicts:?}");
        verdicts[0]
    }

    #[test]
    fn a_password_is_not_sent_in_clear_where_that_is_not_allowed() {
        let harmless = [message(b'R', &[0, 0, 0, 5, 1, 2, 3, 4]), message(b'Z', b"I"), message(b'1', b"")].concat();
        let request = message(b'R', &[0, 0, 0, 3]);
        assert_eq!(verdict(false, &harmless), Ok(()));
        assert_eq!(verdict(false, &[harmless.clone(), request.clone()].concat()), Err(Reason::Auth));
        assert_eq!(verdict(true, &[harmless.clone(), request].concat()), Ok(()));
        // The same bytes inside another message are no request.
        let inside = message(b'D', &message(b'R', &[0, 0, 0, 3]));
        assert_eq!(verdict(false, &[harmless, inside].concat()), Ok(()));
    }

    #[test]
    fn a_message_of_more_than_the_bound_is_refused_before_it_is_read() {
        let head = |body: usize| [b"E".as_slice(), u32::try_from(body + 4).unwrap().to_be_bytes().as_slice()].concat();
        assert_eq!(verdict(true, &head(MAX_MESSAGE)), Ok(()));
        assert_eq!(verdict(true, &head(MAX_MESSAGE + 1)), Err(Reason::Limit));
    }

    #[test]
    fn another_protocol_is_known_by_its_first_word() {
        assert_eq!(verdict(true, b"HTTP/1.1 400 Bad Request"), Err(Reason::Protocol));
        assert_eq!(verdict(true, &message(b'D', b"")), Err(Reason::Protocol));
    }

    #[test]
    fn a_certificate_is_hashed_as_its_signature_says() {
        let certificate = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap().cert;
        let expected = Sha256::digest(certificate.der()).to_vec();
        assert_eq!(end_point(certificate.der()), Some(expected));
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let certificate = rcgen::CertificateParams::new(["a".to_owned()]).unwrap().self_signed(&key).unwrap();
        assert_eq!(end_point(certificate.der()).unwrap().len(), 48);
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let certificate = rcgen::CertificateParams::new(["a".to_owned()]).unwrap().self_signed(&key).unwrap();
        assert_eq!(end_point(certificate.der()), None);
        assert_eq!(end_point(b"nothing"), None);
    }
}
