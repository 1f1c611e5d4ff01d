//! A mail of plain text. Everything that strangers wrote is encoded, so that it cannot become a header or a command.

use super::insist::{Attempt, Budget, Outcome, Trouble, insist};
use super::message::{Message, fit};
use super::smtp::{Envelope, Login, Server};
use crate::net::{IpChoice, TlsClient, TlsConfig};
use crate::remedy::action::Context;
use crate::values::{Address, Invalid, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use tokio::time::Instant;

/// The block `mail:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AlertMail")]
pub struct Config {
    /// The server that takes mail for sending: `smtp.example.org:587`.
    pub server: Address,
    /// Whether TLS is asked for (`starttls`, port 587), spoken at once (`tls`, port 465), or not at all (`none`).
    #[serde(default)]
    pub tls: Encryption,
    /// How TLS is spoken: another authority, another name.
    #[serde(default)]
    pub trust: TlsConfig,
    /// Which family of addresses to use.
    #[serde(default)]
    pub ip: IpChoice,
    /// The sender's address.
    pub from: String,
    /// Whom it is sent to; at most 20.
    pub to: Vec<String>,
    /// The name for the login, where the server wants one.
    #[serde(default)]
    pub username: Option<String>,
    /// The password: a text or `{ file: PATH }`.
    #[serde(default)]
    pub password: Option<Secret>,
}

/// Whether and when TLS is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "AlertMailTls")]
pub enum Encryption {
    /// From the command `STARTTLS` on (RFC 3207); a server that does not offer it is not used.
    #[default]
    Starttls,
    /// From the beginning (RFC 8314).
    Tls,
    /// Never: for a server on this machine.
    None,
}

/// More receivers are a mailing list.
const MAX_RECEIVERS: usize = 20;

/// The longest address (RFC 5321, section 4.5.3.1.3).
const MAX_ADDRESS: usize = 254;

/// The most characters of a text.
const MAX_TEXT: usize = 16_000;

/// Bytes of text in one encoded word: with its frame, and the name of the header before it, a line stays within 76 characters (RFC 2047, section 2).
const WORD_BYTES: usize = 39;

/// A mail server and whom it is asked to tell.
pub struct Mail {
    server: Server,
    envelope: Envelope,
}

impl Mail {
    pub fn build(config: &Config, context: &Context) -> Result<Self, Vec<Invalid>> {
        let mut invalid = Vec::new();
        let addresses = std::iter::once(("from".to_owned(), &config.from));
        let addresses = addresses.chain(config.to.iter().enumerate().map(|(index, to)| (format!("to[{index}]"), to)));
        for (path, address) in addresses {
            if !is_address(address) {
                let message = format!(
                    "{address:?} is not an address that can be used: write it plainly, as in admin@example.org"
                );
                invalid.push(Invalid::new(path, message));
            }
        }
        if config.to.is_empty() || config.to.len() > MAX_RECEIVERS {
            invalid.push(Invalid::new("to", format!("name 1 to {MAX_RECEIVERS} receivers")));
        }
        let login = match (&config.username, &config.password) {
            (Some(username), Some(password)) => Some(Login { username: username.clone(), password: password.clone() }),
            (None, None) => None,
            (Some(_), None) => {
                invalid.push(Invalid::new(
                    "password",
                    "there is a username and no password: add password: { file: PATH }",
                ));
                None
            }
            (None, Some(_)) => {
                invalid.push(Invalid::new("username", "there is a password and no username: add one"));
                None
            }
        };
        if login.is_some() && config.tls == Encryption::None && !is_loopback(&config.server.host) {
            let message = "without TLS the password could be read by others on its way: write starttls or tls";
            invalid.push(Invalid::new("tls", message));
        }
        let client = match config.tls {
            Encryption::None => None,
            _ => match TlsClient::new(&config.trust, &[], &context.roots) {
                Ok(client) => Some(client),
                Err(mistakes) => {
                    invalid.extend(mistakes.into_iter().map(|mistake| mistake.within("trust")));
                    None
                }
            },
        };
        if !invalid.is_empty() {
            return Err(invalid);
        }
        let server = Server::new(config.server.clone(), config.ip, config.tls, client, login);
        Ok(Self { server, envelope: Envelope { from: config.from.clone(), to: config.to.clone() } })
    }

    pub fn shown(&self) -> String {
        format!("{} by mail through {}", self.envelope.to.join(", "), self.server.address)
    }

    pub async fn send(&self, message: &Message, budget: Budget) -> Outcome {
        let text = compose(&self.envelope, message, &jiff::Zoned::now());
        insist(budget, &Handing { mail: self, text: &text }).await
    }
}

/// One mail on its way.
struct Handing<'h> {
    mail: &'h Mail,
    text: &'h str,
}

impl Attempt for Handing<'_> {
    async fn attempt(&self, until: Instant) -> Result<String, Trouble> {
        self.mail.server.send(&self.mail.envelope, self.text, until).await
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A plain address: `local@domain` without anything that has a meaning elsewhere.
fn is_address(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    text.len() <= MAX_ADDRESS
        && text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty()
                && local.chars().all(legal)
                && !domain.is_empty()
                && domain.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '[' | ']' | ':'))
        })
}

/// The whole mail, with the line ends of SMTP. Its lines are short and in ASCII, and none begins with a dot.
fn compose(envelope: &Envelope, message: &Message, now: &jiff::Zoned) -> String {
    let host: String = message.host.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')).collect();
    let date = jiff::fmt::rfc2822::to_string(now).unwrap_or_default();
    let subject = format!("[{}] {}", message.severity, message.title);
    let lines = [vec![message.title.clone(), String::new()], message.summary(), vec![String::new()], message.found()];
    let text = fit(&lines.concat(), MAX_TEXT).replace('\n', "\r\n") + "\r\n";
    // The same news has the same id however often it is sent, so that a mailbox can tell.
    let id = Sha256::digest(format!("{}\0{}\0{}\0{now}", message.incident, message.title, message.attempt));
    let id: String = id.iter().take(16).fold(String::new(), |mut id, byte| {
        // Writing to a String cannot fail.
        let _ = write!(id, "{byte:02x}");
        id
    });
    let mut mail = format!("From: <{}>\r\n", envelope.from);
    for (index, to) in envelope.to.iter().enumerate() {
        let head = if index == 0 { "To:" } else { "," };
        // Folded, so that no line grows with the number of receivers.
        let _ = write!(mail, "{head}{} <{to}>", if index == 0 { "" } else { "\r\n" });
    }
    let _ = write!(
        mail,
        "\r\nSubject: {}\r\nDate: {date}\r\nMessage-ID: <{id}@{host}>\r\nAuto-Submitted: auto-generated\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n",
        encoded_words(&subject)
    );
    let body = STANDARD.encode(text);
    for line in body.as_bytes().chunks(76) {
        mail.push_str(&String::from_utf8_lossy(line));
        mail.push_str("\r\n");
    }
    mail
}

/// A text of a header as encoded words (RFC 2047), whatever is in it.
fn encoded_words(text: &str) -> String {
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut end = rest.len().min(WORD_BYTES);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (word, left) = rest.split_at(end);
        words.push(format!("=?utf-8?B?{}?=", STANDARD.encode(word)));
        rest = left;
    }
    words.join("\r\n ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::Severity;
    use crate::remedy::action::Scene;

    #[test]
    fn what_strangers_wrote_becomes_no_header_and_no_command() {
        let scene = Scene {
            condition: "x\r\nBcc: evil@example.org\r\n\r\n.\r\nMAIL FROM:<evil@example.org> 落ちた ".repeat(20),
            ..Scene::default()
        };
        let message = Message::of(&scene, Severity::Critical);
        let envelope = Envelope { from: "a@b.c".into(), to: vec!["d@e.f".into(), "g@h.i".into()] };
        let now: jiff::Zoned = "2026-11-28T12:00:00+00:00[UTC]".parse().unwrap();
        let mail = compose(&envelope, &message, &now);
        assert!(mail.is_ascii() && mail.split("\r\n").all(|line| line.len() <= 78 && !line.starts_with('.')), "{mail}");
        assert!(!mail.replace("\r\n", "").contains(['\r', '\n']) && !mail.contains("evil"), "{mail}");
        let (head, _) = mail.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("From: <a@b.c>\r\nTo: <d@e.f>,\r\n <g@h.i>\r\nSubject: =?utf-8?B?"), "{head}");
        assert!(head.contains("\r\nDate: Sat, 28 Nov 2026 12:00:00 +0000\r\n"), "{head}");
    }

    #[test]
    fn only_plain_addresses_are_taken() {
        for good in ["a@b", "first.last+tag@mail.example.org"] {
            assert!(is_address(good), "{good}");
        }
        for bad in ["", "a", "@b", "a@", "a@b@c", "a b@c", "Name <a@b>", "a@b\r\nRCPT TO:<c@d>", "ü@b", "a@b>"] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}
