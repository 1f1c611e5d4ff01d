//! A server, and how a connection to it is had on which we are who we should be.

use super::{Connection, Reply, Veil};
use crate::net::{IpChoice, Roots, TlsClient, TlsConfig, dial};
use crate::observation::{Failure, Readings, Reason};
use crate::values::{Address, Invalid, Secret};
use serde::{Deserialize, Deserializer};

/// What an owner's block says of its server.
#[derive(Debug, Clone, Copy)]
pub struct Login<'a> {
    /// Where it listens.
    pub address: &'a Address,
    /// Which family of addresses to use.
    pub ip: IpChoice,
    /// The user of its access list.
    pub username: Option<&'a str>,
    /// The password.
    pub password: Option<&'a Secret>,
    /// How TLS is spoken, where it is.
    pub tls: Option<&'a TlsConfig>,
}

/// A server that can be reached.
pub struct Server {
    address: Address,
    ip: IpChoice,
    username: Option<String>,
    password: Option<Secret>,
    tls: Option<TlsClient>,
    veil: Veil,
}

impl Server {
    /// Checks what is written and makes what TLS needs.
    ///
    /// # Errors
    /// Every mistake, with the keys `username`, `password` and `tls`.
    pub fn new(login: Login<'_>, roots: &Roots) -> Result<Self, Vec<Invalid>> {
        let mut invalid = Vec::new();
        if login.username.is_some() && login.password.is_none() {
            invalid.push(Invalid::new("username", "a user without a password: add password: { file: PATH }"));
        }
        for (key, empty) in [
            ("username", login.username == Some("")),
            ("password", login.password.is_some_and(|password| password.expose().is_empty())),
        ] {
            if empty {
                invalid.push(Invalid::new(key, "it is empty: set it, or remove the key"));
            }
        }
        let tls = match login.tls.map(|tls| TlsClient::new(tls, &[], roots)).transpose() {
            Ok(tls) => tls,
            Err(mistakes) => {
                invalid.extend(mistakes.into_iter().map(|mistake| mistake.within("tls")));
                None
            }
        };
        if !invalid.is_empty() {
            return Err(invalid);
        }
        Ok(Self {
            address: login.address.clone(),
            ip: login.ip,
            username: login.username.map(str::to_owned),
            password: login.password.cloned(),
            tls,
            veil: Veil::new(login.password),
        })
    }

    /// What hides the password in what the server says.
    pub fn veil(&self) -> &Veil {
        &self.veil
    }

    /// A new connection on which we are who we should be, and the address to which it leads.
    ///
    /// # Errors
    /// Those of resolving, connecting and TLS, and [`Reason::Auth`] when we are not let in.
    pub async fn open(&self, out: &mut Readings) -> Result<(Connection, String), Failure> {
        let Address { host, port } = &self.address;
        let stream = dial(host, *port, self.ip, out).await?;
        let address = stream.peer_addr().map(|address| address.to_string()).unwrap_or_default();
        let mut connection = match &self.tls {
            None => Connection::new(stream),
            Some(client) => Connection::new(client.handshake(stream, host, out).await?),
        };
        let Some(password) = &self.password else { return Ok((connection, address)) };
        let user = self.username.as_deref();
        let command: Vec<_> = ["AUTH"].into_iter().chain(user).chain([password.expose()]).collect();
        match connection.ask(&command, out).await {
            Ok(Reply::Word(word)) if word == "OK" => Ok((connection, address)),
            Ok(Reply::Refusal(text)) => Err(not_let_in(&text, user)),
            Ok(_) => Err(Failure::new(Reason::Protocol, "AUTH was answered with something else than OK")),
            Err(trouble) => Err(trouble.failure("while waiting for the answer to AUTH", &self.veil)),
        }
    }
}

/// A block that is there is a block: `tls:` with nothing behind it must not mean that a password travels in clear.
///
/// # Errors
/// Those of the block.
pub fn there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TlsConfig>, D::Error> {
    TlsConfig::deserialize(deserializer).map(Some)
}

/// What the first word of a refusal means.
pub fn reason_of(text: &str) -> Reason {
    match text.split(' ').next().unwrap_or_default() {
        "NOAUTH" | "WRONGPASS" | "NOPERM" | "DENIED" => Reason::Auth,
        "ERR" if text.contains("max number of clients") => Reason::Limit,
        "ERR" if text.contains("operation not permitted") || text.contains("invalid password") => Reason::Auth,
        _ => Reason::Status,
    }
}

/// Why AUTH failed. The server's own words are left out: some servers repeat what they were sent.
fn not_let_in(text: &str, user: Option<&str>) -> Failure {
    let code = text.split(' ').next().unwrap_or_default();
    let detail = match (reason_of(text), code) {
        (Reason::Limit, _) => return Failure::new(Reason::Limit, "the maximum number of clients is reached"),
        (Reason::Status, "LOADING") => return Failure::new(Reason::Status, "the server is loading its data (LOADING)"),
        (_, "DENIED") => "the server is in protected mode and answers only its own host (DENIED)".to_owned(),
        (Reason::Auth, _) => match user {
            Some(user) => format!("the user {user:?} or its password is refused ({code})"),
            None => format!("the password is refused ({code})"),
        },
        _ if text.contains("without any password configured") => {
            "a password is set here, but the server has none for its default user: remove it, or name the user"
                .to_owned()
        }
        _ => "AUTH is refused: the server does not know it in this form".to_owned(),
    };
    Failure::new(Reason::Auth, detail)
}
