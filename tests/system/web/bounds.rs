//! What clients that misbehave can take from the page: a slot for a while, and nothing else.

use crate::support::{Banken, PATIENCE, client};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// How long a head may take, as `src/web/server.rs` says it.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(15);

/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(10);

fn address(banken: &Banken) -> SocketAddr {
    banken.base.strip_prefix("http://").unwrap().parse().unwrap()
}

async fn idle(banken: &Banken, count: usize) -> Vec<TcpStream> {
    let mut connections = Vec::new();
    for _ in 0..count {
        let connecting = tokio::time::timeout(PATIENCE, TcpStream::connect(address(banken)));
        connections.push(connecting.await.unwrap().unwrap());
    }
    connections
}

#[tokio::test]
async fn a_client_that_sends_half_a_head_is_cut_off() {
    let banken = Banken::start("host: false\n").await;
    let mut stream = TcpStream::connect(address(&banken)).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    let begun = Instant::now();
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(HEADER_READ_TIMEOUT + SLACK, stream.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "the connection is still open");
    assert!(begun.elapsed() > HEADER_READ_TIMEOUT / 2, "cut off after only {:?}", begun.elapsed());
    assert!(!String::from_utf8_lossy(&answer).contains("200 OK"));
}

#[tokio::test]
async fn idle_connections_hold_up_a_scrape_no_longer_than_the_header_timeout() {
    let banken = Banken::start("host: false\n").await;
    let idle = idle(&banken, 300).await;
    let begun = Instant::now();
    let answer = client().get(format!("{}/metrics", banken.base)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(begun.elapsed() < HEADER_READ_TIMEOUT + SLACK, "{:?}", begun.elapsed());
    drop(idle);
}

#[tokio::test]
async fn idle_connections_that_hold_every_slot_do_not_hold_up_the_end() {
    let mut banken = Banken::start("host: false\n").await;
    let _idle = idle(&banken, 300).await;
    banken.process.signal(rustix::process::Signal::TERM);
    let begun = Instant::now();
    assert!(banken.process.ended().await.success());
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_body_of_more_than_64_kib_is_refused_and_changes_nothing() {
    let banken = Banken::start("host: false\n").await;
    let before = banken.sample("banken_config_last_reload_success_timestamp_seconds").await;
    let post = async |bytes: usize| {
        let request = client().post(format!("{}/-/reload", banken.base)).body(vec![b'x'; bytes]);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(post(64 * 1024 + 1).await, 413);
    assert_eq!(banken.sample("banken_config_last_reload_success_timestamp_seconds").await, before);
    assert_eq!(post(64 * 1024).await, 200);
}

#[tokio::test]
async fn a_slow_reader_of_a_large_scrape_holds_up_nobody_else() {
    let probe = |n: usize| format!("  - {{ name: p{n}, interval: 1h, tcp: {{ address: '127.0.0.1:1' }} }}\n");
    let yaml: String = std::iter::once("host: false\nprobes:\n".to_owned()).chain((0..3000).map(probe)).collect();
    let banken = Banken::start(&yaml).await;
    let mut slow = Vec::new();
    for _ in 0..4 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(address(&banken)).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'H', "the answer has begun");
        slow.push(stream);
    }
    let text = banken.metrics().await;
    // More than the kernel buffers for a connection, so that the slow ones are in the middle of theirs.
    assert!(text.len() > 6 << 20, "{} bytes", text.len());
    assert_eq!(banken.status_code("/healthz").await, 200);
    for stream in &mut slow {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert!(rest.len() > 6 << 20, "a slow reader gets everything in the end, not {} bytes", rest.len());
    }
}
