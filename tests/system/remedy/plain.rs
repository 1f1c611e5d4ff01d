//! A server that nobody manages: looked at, ended and started again by the actions alone.

use super::{done, step};
use crate::support::free_port;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_server_that_nobody_manages_is_looked_at_ended_and_started_again() {
    let port = free_port();
    // It puts itself into the background, out of the group of whoever started it.
    let start =
        format!("service_restart: {{ argv: [ /bin/busybox, httpd, -p, '127.0.0.1:{port}', -h, /usr/share/doc ] }}");
    let (start, look) = (step(&start), step(&format!("check_port: {{ port: {port}, address: 127.0.0.1 }}")));
    let end = step(&format!("kill_process_on_port: {{ port: {port}, exe: /bin/busybox, name: busybox }}"));
    let (words, _) = done(&look).await;
    assert!(words.starts_with(&format!("nobody listens on port {port}")), "{words}");
    done(&start).await;
    let mut times = Vec::new();
    for _ in 0..5 {
        let (words, _) = done(&look).await;
        let (_, rest) = words.split_once("(pid ").unwrap_or_else(|| panic!("{words}"));
        assert!(words.contains("is held by busybox") && words.contains("takes a connection"), "{words}");
        let pid: i32 = rest.split(',').next().unwrap().parse().unwrap();
        let killed = Instant::now();
        crate::pm2::kill(pid);
        while TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            assert!(killed.elapsed() < Duration::from_secs(10));
        }
        done(&start).await;
        TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        times.push(killed.elapsed());
    }
    times.sort();
    println!("plain: from SIGKILL to serving again: {times:?}");
    let (words, took) = done(&end).await;
    assert!(words.contains("ended with SIGTERM"), "{words}");
    println!("plain: ended on its port in {took:?}");
    let (words, _) = done(&end).await;
    assert!(words.starts_with(&format!("nobody listens on port {port}")), "{words}");
}
