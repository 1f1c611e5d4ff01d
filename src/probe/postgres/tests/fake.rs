//! A server that speaks just enough of PostgreSQL's protocol, byte by byte.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub(super) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[tag], length.as_slice(), body].concat()
}

pub(super) fn error(severity: &str, code: &str, words: &str) -> Vec<u8> {
    let fields = [('S', severity), ('V', severity), ('C', code), ('M', words)];
    let body = fields.map(|(field, text)| format!("{field}{text}\0")).concat() + "\0";
    message(b'E', body.as_bytes())
}

/// The answer to a statement that gives one row of one column.
pub(super) fn row(text: &str) -> Vec<u8> {
    let description = [&[0, 1], b"n\0".as_slice(), &[0; 18]].concat();
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    let data = [&[0, 1], length.as_slice(), text.as_bytes()].concat();
    [message(b'T', &description), message(b'D', &data), message(b'C', b"SELECT 1\0"), ready()].concat()
}

pub(super) fn ready() -> Vec<u8> {
    message(b'Z', b"I")
}

/// A server that offers no TLS, lets everybody in, and answers each statement with what this makes of it.
pub(super) struct Fake {
    pub(super) port: u16,
    connections: Arc<AtomicUsize>,
}

impl Fake {
    pub(super) async fn start(login: Vec<u8>, answer: impl Fn(usize, &str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(answer));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = count.fetch_add(1, Ordering::SeqCst);
                let (login, answer) = (login.clone(), Arc::clone(&answer));
                // Whoever asks may go at any moment.
                tokio::spawn(async move { converse(stream, &login, |sql| answer(number, sql)).await.ok() });
            }
        });
        Self { port, connections }
    }

    /// A server that knows nothing but `select 1`.
    pub(super) async fn bare() -> Self {
        Self::start(welcome(), |_, sql| bare_answer(sql)).await
    }

    /// The block of a probe that watches it.
    pub(super) fn block(&self, more: &str) -> String {
        format!("url: postgres://banken:hunter2@127.0.0.1:{}/app\n{more}", self.port)
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

pub(super) fn welcome() -> Vec<u8> {
    [message(b'R', &[0; 4]), ready()].concat()
}

pub(super) fn bare_answer(sql: &str) -> Vec<u8> {
    match sql {
        "select 1" => row("1"),
        "rollback" => [message(b'C', b"ROLLBACK\0"), ready()].concat(),
        sql if sql.starts_with("begin") => [message(b'C', b"BEGIN\0"), ready()].concat(),
        _ => [error("ERROR", "42P01", "there is no such thing"), ready()].concat(),
    }
}

async fn converse(mut stream: TcpStream, login: &[u8], answer: impl Fn(&str) -> Vec<u8>) -> std::io::Result<()> {
    let mut length = stream.read_u32().await? as usize;
    if length == 8 {
        stream.read_u32().await?;
        stream.write_all(b"N").await?;
        length = stream.read_u32().await? as usize;
    }
    stream.read_exact(&mut vec![0; length - 4]).await?;
    stream.write_all(login).await?;
    loop {
        let _tag = stream.read_u8().await?;
        let length = stream.read_u32().await? as usize;
        let mut body = vec![0; length - 4];
        stream.read_exact(&mut body).await?;
        let sql = String::from_utf8_lossy(&body).trim_end_matches('\0').to_owned();
        let said = answer(&sql);
        if said.is_empty() {
            // It hangs.
            std::future::pending::<()>().await;
        }
        stream.write_all(&said).await?;
        if said.windows(5).any(|window| window == b"FATAL") {
            // What we have not read would make the end of it a reset, which may overtake the words.
            stream.shutdown().await?;
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
            return Ok(());
        }
    }
}
