//! Drives the probe against fakes that listen on port 0: each says exactly the bytes that a test is about.

mod answers;
mod bodies;
mod config;
mod fields;
mod journeys;
mod keeping;
mod redirects;
mod secrets;
mod tls;
mod wire;

use super::{Config, Probe};
use crate::observation::{Failure, Labels, Phase, Readings, Reason};
use crate::probe::{Context, Probe as _, Settings as _};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// As the runner's, but short: a test that hangs fails soon.
const DEADLINE: Duration = Duration::from_secs(20);

fn build(yaml: &str) -> Probe {
    let config: Config = serde_yaml::from_str(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    config.build(&Context::default()).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{yaml}"))
}

/// Runs a probe once, with the runner's part of the contract: a deadline and its reason.
async fn run(probe: &mut Probe, deadline: Duration) -> (Result<(), Failure>, Readings) {
    let mut out = Readings::default();
    out.begin(Instant::now() + deadline, None);
    let result = tokio::time::timeout(deadline, probe.run(&mut out)).await;
    (result.unwrap_or_else(|_| Err(Failure::new(Reason::Timeout, "no answer in time"))), out)
}

/// Parses, builds and runs once.
async fn probe(yaml: &str) -> (Result<(), Failure>, Readings) {
    run(&mut build(yaml), DEADLINE).await
}

/// The failure of a run that should fail.
async fn failure(yaml: &str) -> Failure {
    probe(yaml).await.0.expect_err(yaml)
}

/// The value of a family without labels of its own, by the end of its name.
fn value(out: &Readings, name: &str) -> Option<f64> {
    out.gauges().iter().find(|reading| reading.family.name.ends_with(name)).map(|reading| reading.value)
}

/// The value of a JSON family for a field.
fn field_value(out: &Readings, name: &str, field: &str) -> Option<f64> {
    labelled(out, name, "field", field)
}

/// The value of a family with one label of its own.
fn labelled(out: &Readings, name: &str, label: &str, word: &str) -> Option<f64> {
    let wanted = format!("{label}=\"{word}\"");
    let is_of = |labels: &Option<Arc<Labels>>| labels.as_ref().is_some_and(|labels| labels.text() == wanted);
    let mut readings = out.gauges().iter().filter(|reading| reading.family.name.ends_with(name));
    readings.find(|reading| is_of(&reading.labels)).map(|reading| reading.value)
}

fn phase(out: &Readings, phase: Phase) -> Option<Duration> {
    out.phases().find(|(known, _)| *known == phase).map(|(_, time)| time)
}

/// A server of a few lines: it takes a connection and does what the test says.
struct Fake {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// Every connection is handled by `handle`.
    fn on<H, F>(listener: TcpListener, handle: H) -> Fake
    where
        H: Fn(TcpStream, Arc<Mutex<Vec<String>>>) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(handle(stream, Arc::clone(&log)));
            }
        });
        Fake { address, heard }
    }

    /// A conversation that the test writes itself, after the request was read.
    async fn talking<H, F>(talk: H) -> Fake
    where
        H: Fn(TcpStream) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let talk = Arc::new(talk);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Fake::on(listener, move |mut stream, log| {
            let talk = Arc::clone(&talk);
            async move {
                let request = read_request(&mut stream).await;
                log.lock().unwrap().push(request);
                talk(stream).await;
            }
        })
    }

    /// Answers each request with the bytes that `answer` gives for it, and closes.
    async fn answering(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Fake {
        let answer = Arc::new(answer);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Fake::on(listener, move |mut stream, log| {
            let answer = Arc::clone(&answer);
            async move {
                let request = read_request(&mut stream).await;
                let bytes = answer(&request);
                log.lock().unwrap().push(request);
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
            }
        })
    }

    /// Answers request after request on each connection. `answer` is told the number of the connection and of the
    /// request on it, both from 0; they also stand before what was heard. After an empty answer, or one that announces
    /// it, it closes.
    async fn serving(answer: impl Fn(usize, usize, &str) -> Vec<u8> + Send + Sync + 'static) -> Fake {
        let (answer, connections) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Fake::on(listener, move |stream, log| {
            let number = connections.fetch_add(1, Ordering::SeqCst);
            let answer = Arc::clone(&answer);
            serve(stream, log, number, move |request, text| answer(number, request, text))
        })
    }

    /// Always the same answer.
    async fn saying(answer: impl Into<Vec<u8>>) -> Fake {
        let answer = answer.into();
        Fake::answering(move |_| answer.clone()).await
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The numbers of connection and request, of what [`Fake::serving`] heard.
    fn numbers(&self) -> Vec<String> {
        self.heard().iter().map(|request| request.split(' ').next().unwrap().to_owned()).collect()
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

/// Answers the requests of one connection.
async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    log: Arc<Mutex<Vec<String>>>,
    connection: usize,
    answer: impl Fn(usize, &str) -> Vec<u8>,
) {
    for number in 0.. {
        let request = read_request(&mut stream).await;
        if request.is_empty() {
            return;
        }
        let bytes = answer(number, &request);
        log.lock().unwrap().push(format!("{connection}.{number} {request}"));
        let announced = String::from_utf8_lossy(&bytes).to_lowercase().contains("connection: close");
        if bytes.is_empty() || stream.write_all(&bytes).await.is_err() || announced {
            return;
        }
    }
}

/// Reads a request with its body, if it says how long that is.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return text;
        }
    }
}

/// A whole answer with a status line, headers and a body of known length.
fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn ok(body: impl AsRef<[u8]>) -> Vec<u8> {
    answer("200 OK", "", body)
}

/// Writes without end, until the other side has enough; how many bytes went out.
async fn pour(stream: &mut (impl AsyncWrite + Unpin), chunk: &[u8], times: u64) -> u64 {
    let mut written = 0;
    for _ in 0..times {
        if stream.write_all(chunk).await.is_err() {
            break;
        }
        written += chunk.len() as u64;
    }
    written
}

/// A folder of files for one test, removed at its end.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("banken-http-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
