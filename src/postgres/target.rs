//! What a URL says: where the server is, who we are, and whether TLS is spoken.

use crate::net::TlsConfig;
use crate::values::{Invalid, Secret};
use std::net::IpAddr;
use std::path::PathBuf;
use tokio_postgres::config::{Host, SslMode, SslNegotiation};

/// Where the server listens.
#[derive(Debug, PartialEq)]
pub enum Place {
    /// Over TCP.
    Tcp {
        /// A name or an address.
        host: String,
        /// The port.
        port: u16,
    },
    /// On a Unix socket.
    Unix(PathBuf),
}

/// Whether TLS is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// Never.
    Never,
    /// If the server offers it. Nothing is gained by verifying, where no TLS at all would do.
    IfOffered,
    /// Always, with a certificate that is verified unless `tls.verify` is `false`.
    Always,
}

/// A URL that was understood.
pub struct Target {
    pub place: Place,
    pub encryption: Encryption,
    /// User, password, database and what else is said at the login.
    pub login: tokio_postgres::Config,
    /// The password, as it stands in the URL and as it is.
    pub secrets: Vec<String>,
}

const DEFAULT_PORT: u16 = 5432;

/// What may stand behind the `?`, beside `sslmode`.
const OPTIONS: &[&str] =
    &["host", "port", "user", "password", "dbname", "application_name", "options", "channel_binding"];

const FORM: &str = "write postgres://USER:PASSWORD@HOST:PORT/DATABASE, and in the password %40 for @, %2F for /, %3F for \
                    ?, %23 for #, %25 for %";

fn wrong(message: impl Into<String>) -> Invalid {
    Invalid::new("url", message)
}

impl Target {
    /// Understands a URL. No message repeats a part of it: it holds the password, perhaps where nobody expects it.
    pub fn parse(url: &Secret, tls: Option<&TlsConfig>) -> Result<Self, Invalid> {
        let url = url.expose();
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let rest = rest.ok_or_else(|| wrong(format!("not a URL of PostgreSQL: {FORM}")))?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if rest.matches('@').count() != authority.matches('@').count() || authority.matches('@').count() > 1 {
            return Err(wrong(format!("there is an @, / or ? in a place where it ends a part of the URL: {FORM}")));
        }
        let (bare, ssl_mode) = take_ssl_mode(url)?;
        let mut login: tokio_postgres::Config =
            bare.parse().map_err(|_| wrong(format!("not a URL that can be understood: {FORM}")))?;
        let place = place(&login)?;
        if login.get_user().is_none_or(str::is_empty) {
            return Err(wrong("the URL names no user: write postgres://USER@HOST/DATABASE"));
        }
        if login.get_application_name().is_none() {
            login.application_name("banken");
        }
        // By then the handshake has been made, if there is one: see `Settled`.
        login.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
        let encryption = encryption(ssl_mode.as_deref(), tls, &place)?;
        let written = authority.split_once('@').and_then(|(user, _)| Some(user.split_once(':')?.1.to_owned()));
        let real = login.get_password().map(|password| String::from_utf8_lossy(password).into_owned());
        let mut secrets: Vec<String> = [Some(url.to_owned()), written, real].into_iter().flatten().collect();
        // The longest first: one may contain another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Ok(Self { place, encryption, login, secrets })
    }
}

/// Takes `sslmode` out of the URL: it knows values that the driver does not.
fn take_ssl_mode(url: &str) -> Result<(String, Option<String>), Invalid> {
    let Some((front, query)) = url.split_once('?') else { return Ok((url.to_owned(), None)) };
    let mut ssl_mode = None;
    let mut kept = Vec::new();
    for option in query.split('&').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("sslmode", mode)) => ssl_mode = Some(mode.to_owned()),
            Some((key, _)) if OPTIONS.contains(&key) => kept.push(option),
            _ => {
                let known = OPTIONS.join(", ");
                return Err(wrong(format!("behind the ? stands an option that is not known: use sslmode, {known}")));
            }
        }
    }
    let query = kept.join("&");
    Ok((if query.is_empty() { front.to_owned() } else { format!("{front}?{query}") }, ssl_mode))
}

fn place(login: &tokio_postgres::Config) -> Result<Place, Invalid> {
    let several = "several hosts or ports: a probe watches one server, so make a probe of each";
    let port = match login.get_ports() {
        [] => DEFAULT_PORT,
        [port] => *port,
        _ => return Err(wrong(several)),
    };
    match login.get_hosts() {
        [Host::Tcp(host)] if host.is_empty() => Err(wrong(format!("the URL has no host: {FORM}"))),
        [Host::Tcp(host)] if port > 0 => Ok(Place::Tcp { host: host.clone(), port }),
        [Host::Unix(folder)] => Ok(Place::Unix(folder.join(format!(".s.PGSQL.{port}")))),
        [] => Err(wrong(format!(
            "the URL has no host: {FORM}; for a Unix socket postgres:///DATABASE?host=/var/run/postgresql&user=USER"
        ))),
        [_] => Err(wrong("port 0 is no port")),
        _ => Err(wrong(several)),
    }
}

fn encryption(ssl_mode: Option<&str>, tls: Option<&TlsConfig>, place: &Place) -> Result<Encryption, Invalid> {
    let host = match place {
        Place::Tcp { host, .. } => host,
        Place::Unix(_) if tls.is_some() => {
            return Err(Invalid::new("tls", "there is no TLS on a Unix socket, and no need of it: remove the block"));
        }
        Place::Unix(_) => match ssl_mode {
            None | Some("disable" | "prefer") => return Ok(Encryption::Never),
            Some(_) => return Err(wrong("there is no TLS on a Unix socket, and no need of it: remove sslmode")),
        },
    };
    let unsaid = if tls.is_none() && is_loopback(host) { "prefer" } else { "require" };
    match (ssl_mode.unwrap_or(unsaid), tls) {
        ("disable", None) => Ok(Encryption::Never),
        ("prefer", None) => Ok(Encryption::IfOffered),
        ("disable" | "prefer", Some(_)) => Err(Invalid::new(
            "tls",
            "with sslmode=disable or prefer nothing is verified: remove this block, or write sslmode=verify-full",
        )),
        ("verify-full", Some(tls)) if !tls.verify => {
            Err(Invalid::new("tls.verify", "false contradicts sslmode=verify-full: remove one of them"))
        }
        ("require" | "verify-full", _) => Ok(Encryption::Always),
        ("allow", _) => Err(wrong("sslmode=allow is not known: use prefer, or better verify-full")),
        ("verify-ca", _) => Err(wrong(
            "sslmode=verify-ca is not known: use verify-full, and tls: { server_name: NAME } where the certificate has \
             another name than the host",
        )),
        _ => Err(wrong("sslmode is one of disable, prefer, require, verify-full")),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str, tls: &str) -> Result<Target, Invalid> {
        let url: Secret = serde_yaml::from_str(&format!("'{url}'")).unwrap();
        let tls: Option<TlsConfig> = serde_yaml::from_str(tls).unwrap();
        Target::parse(&url, tls.as_ref())
    }

    #[test]
    fn a_url_says_where_the_server_is_and_who_we_are() {
        let target = parse("postgres://banken:p%40ss@db.local:5433/app?application_name=me", "null").unwrap();
        assert_eq!(target.place, Place::Tcp { host: "db.local".into(), port: 5433 });
        assert_eq!(target.login.get_password(), Some(b"p@ss".as_slice()));
        assert_eq!((target.login.get_user(), target.login.get_dbname()), (Some("banken"), Some("app")));
        assert_eq!(target.login.get_application_name(), Some("me"));
        assert!(target.secrets.contains(&"p@ss".into()) && target.secrets.contains(&"p%40ss".into()));
        let target = parse("postgresql://banken@[::1]", "null").unwrap();
        assert_eq!(target.place, Place::Tcp { host: "::1".into(), port: 5432 });
        assert_eq!(target.login.get_application_name(), Some("banken"));
        for url in ["postgres:///app?host=/run/pg&user=me&port=5433", "postgres://me@%2Frun%2Fpg:5433/app"] {
            let target = parse(url, "null").unwrap();
            assert_eq!(target.place, Place::Unix("/run/pg/.s.PGSQL.5433".into()), "{url}");
        }
    }

    #[test]
    fn whether_tls_is_spoken_follows_from_sslmode_the_block_and_the_host() {
        use Encryption::{Always, IfOffered, Never};
        let cases = [
            ("localhost", "", "null", IfOffered),
            ("127.0.0.1", "", "null", IfOffered),
            ("[::1]", "", "null", IfOffered),
            ("localhost", "", "{}", Always),
            ("10.0.0.1", "", "null", Always),
            ("localhost.example.org", "", "null", Always),
            ("db", "?sslmode=disable", "null", Never),
            ("db", "?sslmode=prefer", "null", IfOffered),
            ("localhost", "?sslmode=require", "null", Always),
            ("localhost", "?sslmode=verify-full", "null", Always),
            ("db", "?sslmode=require", "verify: false", Always),
            ("%2Frun", "", "null", Never),
            ("%2Frun", "?sslmode=prefer", "null", Never),
        ];
        for (host, query, tls, expected) in cases {
            let target =
                parse(&format!("postgres://me@{host}/app{query}"), tls).unwrap_or_else(|e| panic!("{host} {e:?}"));
            assert_eq!(target.encryption, expected, "{host} {query} {tls}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_without_showing_the_secret() {
        let cases = [
            ("mysql://me:s3cret@db/app", "null", "not a URL of PostgreSQL"),
            ("host=db user=me password=s3cret", "null", "not a URL of PostgreSQL"),
            ("postgres://me:s3cret@more@db/app", "null", "%40 for @"),
            ("postgres://me:s3cret/more@db/app", "null", "%40 for @"),
            ("postgres://me:s3cret?more@db/app", "null", "%40 for @"),
            ("postgres://me:s3cret@db:x/app", "null", "that can be understood"),
            ("postgres://me:s3cret@db:0/app", "null", "no port"),
            ("postgres://:s3cret@db/app", "null", "names no user"),
            ("postgres://db/app?password=s3cret", "null", "names no user"),
            ("postgres:///app?user=me&password=s3cret", "null", "no host"),
            ("postgres://me:s3cret@/app", "null", "no host"),
            ("postgres://me:s3cret@a,b/app", "null", "several hosts"),
            ("postgres://me:s3cret@db/app?s3cret=1", "null", "not known: use sslmode, host"),
            ("postgres://me:s3cret@db/app?sslmode=verify-ca", "null", "use verify-full"),
            ("postgres://me:s3cret@db/app?sslmode=allow", "null", "use prefer"),
            ("postgres://me:s3cret@db/app?sslmode=s3cret", "null", "one of disable"),
            ("postgres://me:s3cret@db/app?sslmode=prefer", "{}", "nothing is verified"),
            ("postgres://me:s3cret@db/app?sslmode=verify-full", "verify: false", "contradicts"),
            ("postgres://me:s3cret@%2Frun/app?sslmode=require", "null", "no TLS on a Unix socket"),
            ("postgres://me:s3cret@%2Frun/app", "{}", "no TLS on a Unix socket"),
        ];
        for (url, tls, expected) in cases {
            let Err(mistake) = parse(url, tls) else { panic!("{url} is accepted") };
            assert!(mistake.message.contains(expected), "{url}: {}", mistake.message);
            assert!(!mistake.message.contains("s3cret"), "{url}: {}", mistake.message);
        }
    }
}
