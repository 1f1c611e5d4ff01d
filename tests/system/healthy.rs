//! `banken healthy`, which health checks of containers run.

use crate::support::{Banken, free_port};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Output;
use std::time::{Duration, Instant};

fn healthy(url: &str) -> Output {
    Banken::command().args(["healthy", "--url", url]).output().unwrap()
}

/// What is said on both ways, and the exit code.
fn verdict(output: Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// Somebody who answers one question like this, and then holds the connection open.
fn somebody(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(answer.as_bytes());
        // Until the other one goes.
        let _ = stream.read(&mut [0; 1]);
    });
    url
}

#[tokio::test]
async fn a_running_banken_is_healthy_whatever_its_configuration_has_become() {
    let banken = Banken::start("host: true\n").await;
    assert_eq!(verdict(healthy(&banken.base)), (Some(0), "alive\n".to_owned()));
    let mut by_environment = Banken::command();
    by_environment.env("BANKEN_URL", &banken.base).env("BANKEN_CONFIG", "/nowhere/banken.yml").arg("healthy");
    assert_eq!(verdict(by_environment.output().unwrap()), (Some(0), "alive\n".to_owned()));
}

#[test]
fn who_is_not_there_or_is_not_well_or_is_somebody_else_is_not_healthy() {
    let nobody = format!("http://127.0.0.1:{}", free_port());
    for (url, why) in [
        (nobody, "Banken does not answer"),
        (somebody("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 6\r\n\r\nalive\n"), "it answers 503"),
        (somebody("HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"), "it answers 302"),
        (somebody("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"), "whoever answers there is not Banken"),
        (somebody("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), "whoever answers there is not Banken"),
        ("http://banken:hunter2@127.0.0.1".to_owned(), "an address alone"),
        ("https://127.0.0.1:9810".to_owned(), "begins with http://"),
    ] {
        let (code, said) = verdict(healthy(&url));
        assert_eq!(code, Some(1), "{url}: {said}");
        assert!(said.contains(why) && !said.contains("hunter2"), "{url}: {said}");
    }
}

#[test]
fn who_never_answers_or_never_stops_is_not_waited_for() {
    let asked = Instant::now();
    let (code, said) = verdict(healthy(&somebody("")));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("Banken does not answer"), "{said}");
    // 3 seconds, on a busy machine.
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
    let endless = somebody("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nalive and");
    assert_eq!(verdict(healthy(&endless)).0, Some(0));
}
