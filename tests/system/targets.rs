//! Servers that answer as a test tells them to, down to the byte.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A server on a free port; it ends with the test.
pub struct Target {
    pub address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Target {
    /// Does this with each connection.
    pub async fn start<F, Work>(answer: F) -> Self
    where
        F: Fn(TcpStream) -> Work + Send + Sync + 'static,
        Work: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(answer(stream));
            }
        });
        Self { address, serving }
    }

    /// Answers each request with what this makes of its head.
    pub async fn http(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let answer = Arc::new(answer);
        Self::start(move |mut stream| {
            let answer = Arc::clone(&answer);
            async move {
                let head = head_of(&mut stream).await;
                // Whoever asked may have gone.
                let _ = stream.write_all(answer(&head).as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        })
        .await
    }

    /// Answers each request with 200 and this body.
    pub async fn saying(body: &'static str) -> Self {
        Self::http(move |_| response("200 OK", body)).await
    }

    /// Accepts, reads and never answers.
    pub async fn hanging() -> Self {
        Self::start(|mut stream| async move {
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        })
        .await
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Reads the head of a request.
pub async fn head_of(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// A whole answer.
pub fn response(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}
