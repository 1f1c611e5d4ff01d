//! One connection to a Redis server, and what is said on it: the Redis serialization protocol in its version 2 (RESP2).
//!
//! It is spoken here, without a client library: of the forms of reply that are needed each is a few lines, and so a peer
//! that speaks something else is known at its first byte, an answer has a bound before it is read, and no task goes on
//! when whoever asked has gone.

mod answer;
mod server;
mod veil;

pub use answer::Answer;
pub use server::{Login, Server, reason_of, there};
pub use veil::Veil;

use crate::observation::{Failure, Phase, Readings, Reason};
use futures_util::FutureExt as _;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::Instant;

/// The longest line: a status, an error or the length of a text.
const MAX_LINE: usize = 4096;

/// The longest text. INFO has some 6 KiB, and a line for each replica and database.
const MAX_TEXT: usize = 1 << 20;

/// A buffer larger than this is given back after the reply.
const KEPT_CAPACITY: usize = 64 * 1024;

/// What a connection travels over.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// What a server answers, in the forms that are needed here.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+PONG`
    Word(String),
    /// `-NOAUTH Authentication required.`
    Refusal(String),
    /// `$4`, and then so many bytes.
    Text(String),
}

/// Why there is no reply.
#[derive(Debug)]
pub enum Trouble {
    /// The connection broke.
    Broken(io::Error),
    /// The peer ended it; so many bytes of a reply had come.
    Ended(usize),
    /// What came is no reply: why not, and how it begins.
    Strange(&'static str, Vec<u8>),
}

impl Trouble {
    /// In words for a person.
    pub fn words(&self, veil: &Veil) -> String {
        match self {
            Trouble::Broken(error) => format!("it broke: {error}"),
            Trouble::Ended(0) => "the server closed it without a word".to_owned(),
            Trouble::Ended(bytes) => format!("the server closed it after {bytes} bytes of a reply"),
            Trouble::Strange(why, begin) => {
                format!("what answers is no Redis server: {why}; it says: {}", veil.show(begin))
            }
        }
    }

    /// As the end of a run.
    pub fn failure(&self, when: &str, veil: &Veil) -> Failure {
        match self {
            // A server that wants a certificate of ours says so only after the handshake (TLS 1.3).
            Trouble::Broken(error) if is_of_tls(error) => {
                Failure::new(Reason::Tls, format!("TLS broke {when}: {error}"))
            }
            Trouble::Broken(error) => Failure::io(Reason::Protocol, format_args!("the connection broke {when}"), error),
            Trouble::Ended(_) => Failure::new(Reason::Protocol, format!("{when}: {}", self.words(veil))),
            Trouble::Strange(..) => Failure::new(Reason::Protocol, self.words(veil)),
        }
    }
}

fn is_of_tls(error: &io::Error) -> bool {
    matches!(error.get_ref(), Some(inner) if inner.is::<rustls::Error>())
}

/// An open connection.
pub struct Connection {
    stream: Box<dyn Wire>,
    /// What was read and is not yet part of a reply.
    heard: Vec<u8>,
    opened: Instant,
}

impl Connection {
    /// Over this stream, on which nothing was said yet.
    pub fn new(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self { stream: Box::new(stream), heard: Vec::new(), opened: Instant::now() }
    }

    /// How long ago it was opened.
    pub fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// Whether nothing has come that nobody asked for, its end included.
    pub fn is_quiet(&mut self) -> bool {
        self.heard.is_empty() && self.stream.read_buf(&mut self.heard).now_or_never().is_none()
    }

    /// Sends a command and waits for its reply, which is a word, a refusal or a text.
    ///
    /// # Errors
    /// Why there is none; a reply of another form is [`Trouble::Strange`].
    pub async fn ask(&mut self, command: &[&str], out: &mut Readings) -> Result<Reply, Trouble> {
        self.exchange(command, parse, out).await
    }

    /// Sends a command and waits for its reply, of whatever form. Both may hold any bytes.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn ask_for_any(&mut self, command: &[impl AsRef<[u8]>], out: &mut Readings) -> Result<Answer, Trouble> {
        self.exchange(command, answer::parse, out).await
    }

    async fn exchange<T>(
        &mut self,
        command: &[impl AsRef<[u8]>],
        parse: Parser<T>,
        out: &mut Readings,
    ) -> Result<T, Trouble> {
        out.enter(Phase::Wait);
        // A server that turns us away says why and closes, so that sending fails while its reason waits to be read.
        let sent = self.send(encoded(command)).await;
        let heard = self.hear(parse, out).await;
        out.leave();
        match (sent, heard) {
            (Err(error), Err(Trouble::Ended(0) | Trouble::Broken(_))) => Err(Trouble::Broken(error)),
            (_, heard) => heard,
        }
    }

    async fn send(&mut self, command: Vec<u8>) -> io::Result<()> {
        self.stream.write_all(&command).await?;
        self.stream.flush().await
    }

    async fn hear<T>(&mut self, parse: Parser<T>, out: &mut Readings) -> Result<T, Trouble> {
        loop {
            if let Some((reply, length)) = parse(&self.heard).map_err(|why| self.strange(why))? {
                self.heard.drain(..length);
                if self.heard.capacity() > KEPT_CAPACITY {
                    self.heard.shrink_to(KEPT_CAPACITY);
                }
                return Ok(reply);
            }
            if !self.heard.is_empty() {
                out.enter(Phase::Transfer);
            }
            match self.stream.read_buf(&mut self.heard).await {
                Ok(0) => return Err(Trouble::Ended(self.heard.len())),
                Ok(_) => {}
                Err(error) => return Err(Trouble::Broken(error)),
            }
        }
    }

    fn strange(&mut self, why: &'static str) -> Trouble {
        Trouble::Strange(why, std::mem::take(&mut self.heard))
    }
}

/// Takes a reply from the begin of what was heard, and says how long it was; nothing while it is not whole.
type Parser<T> = fn(&[u8]) -> Result<Option<(T, usize)>, &'static str>;

/// A command as an array of texts.
fn encoded(command: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
    for part in command.iter().map(AsRef::as_ref) {
        bytes.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// The reply at the begin of these bytes and its length, once it is whole; or why it is none.
fn parse(heard: &[u8]) -> Result<Option<(Reply, usize)>, &'static str> {
    let Some((form, rest)) = heard.split_first() else { return Ok(None) };
    if !b"+-$".contains(form) {
        return Err(match form {
            b':' | b'*' | b'_' | b'%' | b'~' | b'>' | b'=' | b'#' | b',' | b'(' => "a reply of another form",
            _ => "it does not begin as a reply does",
        });
    }
    let Some(line) = first_line(rest)? else { return Ok(None) };
    let length = 1 + line.len() + 2;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    match form {
        b'+' => return Ok(Some((Reply::Word(text(line)), length))),
        b'-' => return Ok(Some((Reply::Refusal(text(line)), length))),
        _ => {}
    }
    let size: usize = match std::str::from_utf8(line).ok().and_then(|line| line.parse().ok()) {
        Some(size) if size <= MAX_TEXT => size,
        Some(_) => return Err("it announces a text of more than 1 MiB"),
        None => return Err("it announces a text without a length"),
    };
    let Some(body) = heard.get(length..length + size + 2) else { return Ok(None) };
    match body.strip_suffix(b"\r\n") {
        Some(body) => Ok(Some((Reply::Text(text(body)), length + size + 2))),
        None => Err("a text is longer than announced"),
    }
}

/// The line at the begin of these bytes, once it is whole.
fn first_line(bytes: &[u8]) -> Result<Option<&[u8]>, &'static str> {
    let Some(end) = bytes.iter().take(MAX_LINE).position(|byte| *byte == b'\n') else {
        return if bytes.len() >= MAX_LINE { Err("a line without an end") } else { Ok(None) };
    };
    bytes[..end].strip_suffix(b"\r").map(Some).ok_or("a line that does not end as it should")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_taken_once_it_is_whole_and_not_a_byte_more() {
        let whole: [(&[u8], Reply, usize); 4] = [
            (b"+PONG\r\nrest", Reply::Word("PONG".into()), 7),
            (b"-ERR no\r\n", Reply::Refusal("ERR no".into()), 9),
            (b"$0\r\n\r\n", Reply::Text(String::new()), 6),
            (b"$5\r\na\r\nb:\r\n+", Reply::Text("a\r\nb:".into()), 11),
        ];
        for (bytes, reply, length) in whole {
            assert_eq!(parse(bytes), Ok(Some((reply, length))));
            for cut in 0..length {
                assert_eq!(parse(&bytes[..cut]), Ok(None), "{cut} bytes of {bytes:?}");
            }
        }
    }

    #[test]
    fn what_is_no_reply_is_known_at_once() {
        let strange: [&[u8]; 10] = [
            b"H",
            b"SSH-2.0",
            b":1\r\n",
            b"*2\r\n",
            b"+PONG\n",
            b"$\r\n",
            b"$-1\r\n",
            b"$1048577\r\n",
            b"$99999999999999999999999\r\n",
            b"$1\r\nabc",
        ];
        for bytes in strange {
            assert!(parse(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
        assert!(parse(&[b'+'; MAX_LINE]).is_ok());
        assert!(parse(&[b'+'; MAX_LINE + 1]).is_err(), "a line has a bound");
    }

    #[test]
    fn a_command_is_sent_as_it_is_whatever_is_in_it() {
        assert_eq!(encoded(&["AUTH", "p\r\nä"]), b"*2\r\n$4\r\nAUTH\r\n$5\r\np\r\n\xc3\xa4\r\n");
    }
}
