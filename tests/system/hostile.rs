//! One Banken among targets that do all they can to it, and one good target that must not feel it.

use crate::support::{Banken, eventually};
use crate::targets::{Target, head_of, response};
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A hostile target: what it is called, how it is probed, what it must be found guilty of.
struct Hostile {
    name: &'static str,
    block: String,
    reason: &'static str,
    _target: Target,
}

const GOOD: &str = "good";
const INTERVAL: Duration = Duration::from_millis(200);

/// Far above what Banken takes in a debug build, far below what one of the endless answers would take.
const MOST_MEMORY_KIB: u64 = 80 << 10;

/// Writes the same again and again until nobody listens any more.
async fn pour(stream: &mut TcpStream, bytes: &[u8]) {
    while stream.write_all(bytes).await.is_ok() {}
}

/// Writes and then neither speaks nor hangs up.
async fn say_and_hang(stream: &mut TcpStream, text: &str) {
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = tokio::io::copy(stream, &mut tokio::io::sink()).await;
}

fn http(name: &'static str, reason: &'static str, target: Target) -> Hostile {
    let block = format!("http: {{ url: '{}', expect: {{ body_lacks: never }} }}", target.url());
    Hostile { name, block, reason, _target: target }
}

/// Those that take their time, or take it for ever.
async fn slow() -> Vec<Hostile> {
    let stall = Target::start(|stream| async move {
        let mut stream = stream;
        head_of(&mut stream).await;
        say_and_hang(&mut stream, "").await;
    });
    let drip = Target::start(|mut stream| async move {
        head_of(&mut stream).await;
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n".iter().cycle() {
            if stream.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let half = Target::start(|mut stream| async move {
        head_of(&mut stream).await;
        say_and_hang(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await;
    });
    let informational = Target::start(|mut stream| async move {
        head_of(&mut stream).await;
        pour(&mut stream, "HTTP/1.1 100 Continue\r\n\r\n".repeat(500).as_bytes()).await;
    });
    let mute_tls = Target::hanging().await;
    let tls = Hostile {
        name: "tls-mute",
        block: format!("tls: {{ address: '{}' }}", mute_tls.address),
        reason: "timeout",
        _target: mute_tls,
    };
    vec![
        http("stall", "timeout", stall.await),
        http("drip", "timeout", drip.await),
        http("half-and-hang", "timeout", half.await),
        http("continue", "protocol", informational.await),
        tls,
    ]
}

/// Those that answer without end.
async fn endless() -> Vec<Hostile> {
    let body = Target::start(|mut stream| async move {
        head_of(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n").await;
        pour(&mut stream, &[b'x'; 8 << 10]).await;
    });
    let headers = Target::start(|mut stream| async move {
        head_of(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        pour(&mut stream, "X-More: and more\r\n".repeat(1000).as_bytes()).await;
    });
    let mut member = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    member.write_all(&vec![0; 16 << 20]).unwrap();
    let member = std::sync::Arc::new(member.finish().unwrap());
    let bomb = Target::start(move |mut stream| {
        let member = std::sync::Arc::clone(&member);
        async move {
            head_of(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n").await;
            pour(&mut stream, &member).await;
        }
    });
    let turn = Target::http(|head| {
        let there = if head.starts_with("GET /a ") { "/b" } else { "/a" };
        format!("HTTP/1.1 302 Found\r\nLocation: {there}\r\nContent-Length: 0\r\n\r\n")
    });
    let banner = Target::start(|mut stream| async move { pour(&mut stream, &[b'x'; 8 << 10]).await }).await;
    let tcp = Hostile {
        name: "endless-banner",
        block: format!("tcp: {{ address: '{}', expect: never }}", banner.address),
        reason: "body",
        _target: banner,
    };
    vec![
        http("endless-body", "limit", body.await),
        http("endless-headers", "protocol", headers.await),
        http("bomb", "limit", bomb.await),
        http("redirect-loop", "limit", turn.await),
        tcp,
    ]
}

/// Those that do not keep to the protocol.
async fn rude() -> Vec<Hostile> {
    let reset = Target::start(|mut stream| async move {
        head_of(&mut stream).await;
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    });
    let gone = Target::start(|stream| async move { drop(stream) });
    let garbage = Target::start(|mut stream| async move {
        head_of(&mut stream).await;
        let _ = stream.write_all(b"\x00\xff\x13\x37 what is HTTP?\r\n\r\n").await;
    });
    let half = Target::start(|mut stream| async move {
        head_of(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await;
    });
    let no_tls = Target::start(|mut stream| async move {
        let _ = stream.read_u8().await;
        let _ = stream.write_all(b"HTTP/1.1 400 this is no TLS\r\n\r\n").await;
    })
    .await;
    let tls = Hostile {
        name: "tls-garbage",
        block: format!("tls: {{ address: '{}' }}", no_tls.address),
        reason: "tls",
        _target: no_tls,
    };
    vec![
        http("reset", "protocol", reset.await),
        http("gone", "protocol", gone.await),
        http("garbage", "protocol", garbage.await),
        http("half-and-gone", "protocol", half.await),
        tls,
    ]
}

fn proc_value(pid: u32, key: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_targets_are_found_guilty_and_cost_neither_the_others_nor_memory_nor_descriptors() {
    let good = Target::http(|_| response("200 OK", "fine")).await;
    let calm = format!(
        "host: false\ndefaults: {{ interval: 300ms, retry_interval: 300ms, timeout: 1s }}\nprobes:\n  \
         - {{ name: {GOOD}, interval: 200ms, timeout: 5s, http: {{ url: '{}' }} }}\n",
        good.url()
    );
    let mut hostile = slow().await;
    hostile.extend(endless().await);
    hostile.extend(rude().await);
    let mut storm = calm.clone();
    for Hostile { name, block, .. } in &hostile {
        writeln!(storm, "  - {{ name: {name}, {block} }}").unwrap();
    }

    let banken = Banken::start(&calm).await;
    banken.until_status(GOOD, "healthy").await;
    let pid = banken.process.pid();
    let (threads, open) = (proc_value(pid, "Threads:"), descriptors(pid));
    let runs_before = banken.probe(GOOD).await["runs"].as_u64().unwrap();
    let begun = Instant::now();
    banken.write_config(&storm);
    banken.process.signal(rustix::process::Signal::HUP);
    eventually("the storm", async || (banken.status_code("/api/v1/probes/reset").await == 200).then_some(())).await;

    let mut latest = 0;
    let mut longest_pause = Duration::ZERO;
    let mut since = Instant::now();
    eventually("each has run five times", async || {
        let report = banken.probe(GOOD).await;
        let runs = report["runs"].as_u64().unwrap();
        if runs > latest {
            (latest, since) = (runs, Instant::now());
        }
        longest_pause = longest_pause.max(since.elapsed());
        let mut all = true;
        for Hostile { name, .. } in &hostile {
            all &= banken.probe(name).await["runs"].as_u64().unwrap() >= 5;
        }
        all.then_some(())
    })
    .await;
    for Hostile { name, reason, .. } in &hostile {
        let detail = banken.probe(name).await;
        let reasons: Vec<_> = detail["failures"].as_object().unwrap().keys().collect();
        assert_eq!(reasons, [reason], "{name}: {detail:#}");
        assert_eq!(detail["status"], "unhealthy", "{name}");
        assert!(detail["duration_seconds"].as_f64().unwrap() < 3.0, "{name} went on after its timeout: {detail:#}");
    }
    let detail = banken.probe(GOOD).await;
    let due = begun.elapsed().as_millis() / INTERVAL.as_millis();
    let runs = u128::from(detail["runs"].as_u64().unwrap() - runs_before);
    assert!(runs * 2 >= due, "{runs} of {due} runs");
    assert!(longest_pause < Duration::from_secs(2), "the good target was not probed for {longest_pause:?}");
    assert_eq!((&detail["failures"], &detail["unknown"]), (&serde_json::json!({}), &0.into()), "{detail:#}");
    let peak = proc_value(pid, "VmHWM:");
    assert!(peak < MOST_MEMORY_KIB, "{peak} KiB");

    banken.write_config(&calm);
    banken.process.signal(rustix::process::Signal::HUP);
    eventually("descriptors and threads are given back", async || {
        // The page's own connections come and go.
        (descriptors(pid) <= open + 3 && proc_value(pid, "Threads:") <= threads + 1).then_some(())
    })
    .await;
    assert!(!banken.process.output().contains("panicked"), "{}", banken.process.output());
    assert_eq!(banken.probe(GOOD).await["failures"], serde_json::json!({}));
}
