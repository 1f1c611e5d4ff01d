//! How a connection to a server is opened: over TCP, with TLS where it is wanted, or a Unix socket; and the login.

use super::refusal::{During, Secrets};
use super::session::Session;
use super::target::{Encryption, Place, Target};
use super::wire::{Settled, Wire};
use crate::net::{IpChoice, Roots, TlsClient, TlsConfig, dial};
use crate::observation::{Failure, Phase, Readings, Reason};
use crate::values::{Invalid, Secret};
use std::path::Path;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

/// Opens connections to one server.
pub struct Dialer {
    target: Target,
    ip: IpChoice,
    tls: Option<TlsClient>,
    /// Whether a TLS connection protects even a password that is sent as it is: verified, or expressly not wanted to be.
    tls_is_wanted: bool,
    /// Hides our secrets in what the server says.
    pub secrets: Secrets,
}

/// What is sent to ask for TLS, and the two answers to it (PostgreSQL, "Message Formats", `SSLRequest`).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
const SSL_OFFERED: u8 = b'S';
const SSL_NOT_OFFERED: u8 = b'N';

impl Dialer {
    /// Understands a URL and makes what TLS needs.
    ///
    /// # Errors
    /// Every mistake in `url` and `tls`.
    pub fn build(url: &Secret, tls: Option<&TlsConfig>, ip: IpChoice, roots: &Roots) -> Result<Self, Vec<Invalid>> {
        let target = Target::parse(url, tls).map_err(|mistake| vec![mistake])?;
        let mut config = tls.cloned().unwrap_or_default();
        config.verify &= target.encryption != Encryption::IfOffered;
        let within =
            |mistakes: Vec<Invalid>| mistakes.into_iter().map(|mistake| mistake.within("tls")).collect::<Vec<_>>();
        let tls = match target.encryption {
            Encryption::Never => None,
            _ => Some(TlsClient::new(&config, &[], roots).map_err(within)?),
        };
        let secrets = Secrets::new(target.secrets.clone());
        Ok(Self { tls_is_wanted: target.encryption == Encryption::Always, target, ip, tls, secrets })
    }

    /// Connects and logs in.
    ///
    /// # Errors
    /// Why that failed, without our secrets.
    pub async fn open(&self, out: &mut Readings) -> Result<Session, Failure> {
        let notes_before = out.notes().len();
        let wire = match &self.target.place {
            Place::Tcp { host, port } => self.over_tcp(host, *port, out).await?,
            Place::Unix(path) => over_unix(path, out).await?,
        };
        out.enter(Phase::Wait);
        let (client, connection) = self
            .target
            .login
            .connect_raw(wire, Settled)
            .await
            .map_err(|error| self.secrets.failed("the login failed", &error, During::Login))?;
        Ok(Session::new(client, connection, out.gauges().to_vec(), out.notes()[notes_before..].to_vec()))
    }

    async fn over_tcp(&self, host: &str, port: u16, out: &mut Readings) -> Result<Wire, Failure> {
        let mut stream = dial(host, port, self.ip, out).await?;
        // Without an address it is no loopback: the careful side.
        let is_local = stream.peer_addr().is_ok_and(|address| address.ip().is_loopback());
        let Some(tls) = &self.tls else { return Ok(Wire::new(stream, is_local)) };
        out.enter(Phase::Tls);
        if !offers_tls(&mut stream).await? {
            if self.target.encryption == Encryption::Always {
                let detail = "the server does not offer TLS: switch it on there (ssl = on), or write sslmode=disable in \
                              the url where nobody else can read or change what is sent";
                return Err(Failure::new(Reason::Tls, detail));
            }
            out.leave();
            return Ok(Wire::new(stream, is_local));
        }
        let stream = tls.handshake(stream, host, out).await?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).cloned();
        let wire = Wire::new(stream, is_local || self.tls_is_wanted);
        Ok(match certificate {
            Some(certificate) => wire.bound_to(&certificate),
            None => wire,
        })
    }
}

/// Asks for TLS. Exactly one byte is read, so that nothing said in clear can pass for a part of what is said over TLS.
async fn offers_tls(stream: &mut TcpStream) -> Result<bool, Failure> {
    let broke = |error| Failure::io(Reason::Protocol, "the connection broke when TLS was asked for", &error);
    stream.write_all(&SSL_REQUEST).await.map_err(broke)?;
    match stream.read_u8().await.map_err(broke)? {
        SSL_OFFERED => Ok(true),
        SSL_NOT_OFFERED => Ok(false),
        b'E' => Err(Failure::new(Reason::Protocol, "the server answered with an error when TLS was asked for")),
        other => {
            let detail =
                format!("the server does not speak PostgreSQL: asked for TLS, it said {}", [other].escape_ascii());
            Err(Failure::new(Reason::Protocol, detail))
        }
    }
}

async fn over_unix(path: &Path, out: &mut Readings) -> Result<Wire, Failure> {
    out.enter(Phase::Connect);
    let what = format!("cannot connect to {}", path.display());
    let stream = UnixStream::connect(path).await.map_err(|error| match error.kind() {
        // Here this is no shortage of ours: the server does not take connections from its queue.
        std::io::ErrorKind::WouldBlock => Failure::new(Reason::Connect, format!("{what}: its queue is full")),
        _ => Failure::io(Reason::Connect, what, &error),
    })?;
    out.leave();
    out.note("address", path.display().to_string());
    Ok(Wire::new(stream, true))
}
