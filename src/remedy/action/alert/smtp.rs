//! The protocol by which a mail is handed over (RFC 5321), with STARTTLS (RFC 3207) and a login (RFC 4954).
//!
//! It is spoken here, over our own connection and handshake, so that whom we trust is configured as everywhere else; and
//! because what is needed of it are seven commands with bounded answers.

use super::insist::Trouble;
use super::mail::Encryption;
use crate::net::{IpChoice, TlsClient, dial};
use crate::observation::{Failure, Readings, Reason};
use crate::values::{Address, Redactor, Secret, plain};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Who sends, and to whom.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// The sender.
    pub from: String,
    /// The receivers.
    pub to: Vec<String>,
}

/// Who we are.
pub struct Login {
    /// The name.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// A server that takes mail.
pub struct Server {
    /// Where it is.
    pub address: Address,
    ip: IpChoice,
    encryption: Encryption,
    client: Option<TlsClient>,
    login: Option<Login>,
    redactor: Redactor,
}

/// The most bytes of one answer, in all its lines.
const MAX_ANSWER: usize = 16 << 10;

/// The most of an answer that is told.
const MAX_SAID: usize = 200;

trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A conversation.
struct Talk<S> {
    stream: S,
    /// What came and was not read yet.
    buffer: Vec<u8>,
}

/// What a server answered.
struct Answer {
    code: u16,
    lines: Vec<String>,
}

impl Server {
    /// Nothing is connected yet.
    pub fn new(
        address: Address,
        ip: IpChoice,
        encryption: Encryption,
        client: Option<TlsClient>,
        login: Option<Login>,
    ) -> Self {
        let secrets = login.iter().flat_map(|login| {
            let password = login.password.expose();
            let plain = STANDARD.encode(format!("\0{}\0{password}", login.username));
            [password.to_owned(), STANDARD.encode(password), plain]
        });
        let redactor = Redactor::hiding(secrets);
        Self { address, ip, encryption, client, login, redactor }
    }

    /// Hands a mail over. The remark says which receivers were not taken.
    pub async fn send(&self, envelope: &Envelope, mail: &str, until: Instant) -> Result<String, Trouble> {
        let mut out = Readings::default();
        out.begin(until, None);
        let stream = dial(&self.address.host, self.address.port, self.ip, &mut out).await;
        let stream = stream.map_err(|failure| self.failed(&failure))?;
        match (self.encryption, &self.client) {
            (Encryption::Tls, Some(client)) => {
                let stream = client.handshake(stream, &self.address.host, &mut out).await;
                let mut talk = Talk::new(stream.map_err(|failure| self.failed(&failure))?);
                self.expect(talk.answer().await, 220, "the greeting")?;
                self.deliver(&mut talk, envelope, mail).await
            }
            (Encryption::Starttls, Some(client)) => {
                let plain = self.until_tls(stream).await?;
                let stream = client.handshake(plain, &self.address.host, &mut out).await;
                let mut talk = Talk::new(stream.map_err(|failure| self.failed(&failure))?);
                self.deliver(&mut talk, envelope, mail).await
            }
            _ => {
                let mut talk = Talk::new(stream);
                self.expect(talk.answer().await, 220, "the greeting")?;
                self.deliver(&mut talk, envelope, mail).await
            }
        }
    }

    /// Asks for TLS. What was said before it counts for nothing afterwards.
    async fn until_tls(&self, stream: TcpStream) -> Result<TcpStream, Trouble> {
        let mut talk = Talk::new(stream);
        self.expect(talk.answer().await, 220, "the greeting")?;
        let hello = self.hello(&mut talk).await?;
        if !hello.offers("STARTTLS") {
            let message = "the server does not offer STARTTLS: switch it on there, or write tls: tls for port 465";
            return Err(Trouble::lasting(message));
        }
        self.expect(talk.ask("STARTTLS").await, 220, "STARTTLS")?;
        if !talk.buffer.is_empty() {
            // It would pass for a part of what is said over TLS.
            return Err(Trouble::lasting("the server, or somebody in between, went on in clear after STARTTLS"));
        }
        Ok(talk.stream)
    }

    async fn deliver(
        &self,
        talk: &mut Talk<impl Transport>,
        envelope: &Envelope,
        mail: &str,
    ) -> Result<String, Trouble> {
        let hello = self.hello(talk).await?;
        if let Some(login) = &self.login {
            self.log_in(talk, &hello, login).await?;
        }
        self.expect(talk.ask(&format!("MAIL FROM:<{}>", envelope.from)).await, 250, "the sender")?;
        let mut refused = Vec::new();
        for to in &envelope.to {
            let answer = self.understood(talk.ask(&format!("RCPT TO:<{to}>")).await)?;
            if answer.code / 100 != 2 {
                refused.push(self.refusal(&answer, &format!("the receiver {to}")));
            }
        }
        if refused.len() == envelope.to.len() {
            // One that will pass is worth another attempt for all.
            let passing = refused.iter().position(|trouble| trouble.passes).unwrap_or(0);
            return Err(refused.swap_remove(passing));
        }
        self.expect(talk.ask("DATA").await, 354, "DATA")?;
        self.expect(talk.ask(&format!("{mail}.")).await, 250, "the mail")?;
        // The mail has been taken; whether the farewell arrives is nobody's concern.
        let _ = talk.stream.write_all(b"QUIT\r\n").await;
        let remarks: Vec<_> = refused.into_iter().map(|trouble| trouble.words).collect();
        Ok(if remarks.is_empty() { String::new() } else { format!("; but {}", remarks.join("; ")) })
    }

    async fn hello(&self, talk: &mut Talk<impl Transport>) -> Result<Answer, Trouble> {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let legal = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
        let name = if legal { host } else { "localhost".into() };
        let answer = self.understood(talk.ask(&format!("EHLO {name}")).await)?;
        // Only a server that is as old as the hills does not know EHLO.
        let answer =
            if answer.code / 100 == 5 { self.understood(talk.ask(&format!("HELO {name}")).await)? } else { answer };
        if answer.code == 250 { Ok(answer) } else { Err(self.refusal(&answer, "EHLO")) }
    }

    async fn log_in(&self, talk: &mut Talk<impl Transport>, hello: &Answer, login: &Login) -> Result<(), Trouble> {
        let password = login.password.expose();
        if hello.offers_login("PLAIN") {
            let token = STANDARD.encode(format!("\0{}\0{password}", login.username));
            self.expect(talk.ask(&format!("AUTH PLAIN {token}")).await, 235, "the login")?;
        } else if hello.offers_login("LOGIN") {
            self.expect(talk.ask("AUTH LOGIN").await, 334, "the login")?;
            self.expect(talk.ask(&STANDARD.encode(&login.username)).await, 334, "the login")?;
            self.expect(talk.ask(&STANDARD.encode(password)).await, 235, "the login")?;
        } else {
            let message = "the server offers neither AUTH PLAIN nor AUTH LOGIN: remove username and password, or use its \
                           port for sending (587 or 465)";
            return Err(Trouble::lasting(message));
        }
        Ok(())
    }

    fn expect(&self, answer: Result<Answer, Failure>, code: u16, what: &str) -> Result<(), Trouble> {
        let answer = self.understood(answer)?;
        if answer.code == code { Ok(()) } else { Err(self.refusal(&answer, what)) }
    }

    fn understood(&self, answer: Result<Answer, Failure>) -> Result<Answer, Trouble> {
        answer.map_err(|failure| self.failed(&failure))
    }

    fn refusal(&self, answer: &Answer, what: &str) -> Trouble {
        let said = self.redactor.redact(&answer.lines.join(" ")).into_owned();
        let words = format!("the server refused {what} with {}: {}", answer.code, plain(&said, MAX_SAID));
        if answer.code / 100 == 4 { Trouble::passing(words) } else { Trouble::lasting(words) }
    }

    fn failed(&self, failure: &Failure) -> Trouble {
        let words = self.redactor.redact(&failure.to_string()).into_owned();
        if failure.reason == Reason::Tls { Trouble::lasting(words) } else { Trouble::passing(words) }
    }
}

impl<S: Transport> Talk<S> {
    fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// Says something and reads the answer. Whatever is said was checked or encoded: it holds no line end of a stranger's.
    async fn ask(&mut self, command: &str) -> Result<Answer, Failure> {
        let broke = |error| Failure::io(Reason::Protocol, "the connection broke", &error);
        self.stream.write_all(format!("{command}\r\n").as_bytes()).await.map_err(broke)?;
        self.stream.flush().await.map_err(broke)?;
        self.answer().await
    }

    /// Reads an answer, of however many lines.
    async fn answer(&mut self) -> Result<Answer, Failure> {
        let strange = |what: &str| Failure::new(Reason::Protocol, format!("the server does not speak SMTP: {what}"));
        let mut lines = Vec::new();
        let mut length = 0;
        loop {
            let line = self.line().await?;
            length += line.len();
            if length > MAX_ANSWER {
                return Err(Failure::new(Reason::Limit, "the server's answer does not end"));
            }
            let text = String::from_utf8_lossy(&line);
            let code = text.get(..3).and_then(|code| code.parse::<u16>().ok()).filter(|code| (200..600).contains(code));
            let code = code.ok_or_else(|| strange(&format!("it said {:?}", plain(&text, 60))))?;
            lines.push(text.get(4..).unwrap_or_default().trim_end().to_owned());
            if text.as_bytes().get(3) != Some(&b'-') {
                return Ok(Answer { code, lines });
            }
        }
    }

    async fn line(&mut self) -> Result<Vec<u8>, Failure> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                return Ok(self.buffer.drain(..=end).collect());
            }
            if self.buffer.len() > MAX_ANSWER {
                return Err(Failure::new(Reason::Limit, "the server's answer does not end"));
            }
            let mut chunk = [0; 1024];
            match self.stream.read(&mut chunk).await {
                Ok(0) => return Err(Failure::new(Reason::Protocol, "the server ended the connection")),
                Ok(read) => self.buffer.extend_from_slice(&chunk[..read]),
                Err(error) => return Err(Failure::io(Reason::Protocol, "the connection broke", &error)),
            }
        }
    }
}

impl Answer {
    /// Whether an extension is offered.
    fn offers(&self, extension: &str) -> bool {
        let first =
            |line: &String| line.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case(extension));
        self.lines.iter().any(first)
    }

    /// Whether a way to log in is offered.
    fn offers_login(&self, way: &str) -> bool {
        self.lines.iter().any(|line| {
            let mut words = line.split([' ', '=']);
            words.next().is_some_and(|word| word.eq_ignore_ascii_case("AUTH"))
                && words.any(|word| word.eq_ignore_ascii_case(way))
        })
    }
}
