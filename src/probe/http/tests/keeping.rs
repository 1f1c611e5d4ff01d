//! Connections that are kept: used again, never trusted further than they deserve.

use super::tls::{Identity, authority, https};
use super::wire::serve_http2;
use super::*;
use tokio_rustls::TlsAcceptor;

fn keeping(fake: &Fake, more: &str) -> Probe {
    build(&format!("{{ url: '{}', keep_alive: true{more} }}", fake.url()))
}

fn note<'a>(out: &'a Readings, wanted: &str) -> Vec<&'a str> {
    out.notes().iter().filter(|(what, _)| *what == wanted).map(|(_, fact)| fact.as_str()).collect()
}

/// Lets the runtime hear what has arrived on its sockets.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(30)).await;
}

#[tokio::test]
async fn a_kept_connection_is_used_again_and_its_phases_are_absent() {
    let fake = Fake::serving(|_, _, _| ok("hello")).await;
    let mut built = keeping(&fake, ", expect: { body_matches: hello }");
    for turn in 0..3 {
        let (result, out) = run(&mut built, DEADLINE).await;
        assert_eq!(result, Ok(()));
        assert_eq!(value(&out, "_connection_reused"), Some(f64::from(u8::from(turn > 0))), "{turn}");
        for phase_of_opening in [Phase::Resolve, Phase::Connect] {
            assert_eq!(phase(&out, phase_of_opening).is_some(), turn == 0, "{turn}");
        }
        assert!(phase(&out, Phase::Wait).is_some() && phase(&out, Phase::Transfer).is_some());
        assert_eq!(note(&out, "address"), [fake.address.to_string()], "{turn}");
    }
    assert_eq!(fake.numbers(), ["0.0", "0.1", "0.2"]);
    assert!(fake.heard().iter().all(|request| !request.to_lowercase().contains("connection:")));
}

#[tokio::test]
async fn without_being_asked_to_no_connection_is_kept() {
    let fake = Fake::serving(|_, _, _| ok("")).await;
    let mut built = build(&format!("url: {}", fake.url()));
    for _ in 0..2 {
        let (result, out) = run(&mut built, DEADLINE).await;
        assert_eq!((result, value(&out, "_connection_reused")), (Ok(()), None));
        assert!(phase(&out, Phase::Connect).is_some());
    }
    assert_eq!(fake.numbers(), ["0.0", "1.0"]);
    assert!(fake.heard().iter().all(|request| request.contains("connection: close")));
}

#[tokio::test]
async fn bodies_of_every_kind_leave_the_connection_for_the_next_request() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let table = [
        ("", ok("x".repeat(300_000))),
        ("", chunked.into()),
        ("", "HTTP/1.1 204 No Content\r\n\r\n".into()),
        (", method: HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n".into()),
        (", expect: { status: [404] }", answer("404 Not Found", "", "no")),
    ];
    for (settings, bytes) in table {
        let fake = Fake::serving(move |_, _, _| bytes.clone()).await;
        let mut built = keeping(&fake, settings);
        for _ in 0..2 {
            assert_eq!(run(&mut built, DEADLINE).await.0, Ok(()), "{settings}");
        }
        assert_eq!(fake.numbers(), ["0.0", "0.1"], "{settings}");
    }
}

#[tokio::test]
async fn a_refused_answer_that_was_read_to_its_end_leaves_its_connection_too() {
    let fake = Fake::serving(|_, _, _| answer("503 Busy", "", "later")).await;
    let mut built = keeping(&fake, "");
    for _ in 0..2 {
        let failure = run(&mut built, DEADLINE).await.0.unwrap_err();
        assert!(failure.detail.ends_with("the body begins: later"), "{failure}");
    }
    assert_eq!(fake.numbers(), ["0.0", "0.1"]);
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_no_failure() {
    // One says that it closes, one is of a version that does, one just closes.
    for end in ["connection: close\r\n", "", "silent"] {
        let version = if end.is_empty() { "HTTP/1.0" } else { "HTTP/1.1" };
        let fake = Fake::talking(move |mut stream| async move {
            let headers = if end == "silent" { "" } else { end };
            let _ =
                stream.write_all(format!("{version} 200 OK\r\ncontent-length: 2\r\n{headers}\r\nok").as_bytes()).await;
        })
        .await;
        for method in ["GET", "POST"] {
            let mut built = keeping(&fake, &format!(", method: {method}"));
            for _ in 0..2 {
                let (result, out) = run(&mut built, DEADLINE).await;
                assert_eq!((result, value(&out, "_connection_reused")), (Ok(()), Some(0.0)), "{method} {end}");
                // Seen with the answer or before the next request, and never only when that was sent.
                assert!(note(&out, "connection").iter().all(|fact| fact.starts_with("opened anew")));
                settle().await;
            }
        }
        assert_eq!(fake.heard().len(), 4, "nothing was asked twice");
    }
}

#[tokio::test]
async fn a_request_that_meets_the_end_of_its_connection_is_asked_once_more_if_it_is_safe() {
    let close_at_the_second =
        |connection, number, _: &str| if (connection, number) == (0, 1) { vec![] } else { ok("") };
    let fake = Fake::serving(close_at_the_second).await;
    let mut built = keeping(&fake, "");
    assert_eq!(run(&mut built, DEADLINE).await.0, Ok(()));
    let (result, out) = run(&mut built, DEADLINE).await;
    assert_eq!((result, value(&out, "_connection_reused")), (Ok(()), Some(0.0)));
    assert_eq!(fake.numbers(), ["0.0", "0.1", "1.0"]);
    assert!(note(&out, "connection").iter().any(|fact| fact.starts_with("asked once more")), "{:?}", out.notes());

    let fake = Fake::serving(close_at_the_second).await;
    let mut built = keeping(&fake, ", method: POST, body: order");
    assert_eq!(run(&mut built, DEADLINE).await.0, Ok(()));
    let failure = run(&mut built, DEADLINE).await.0.unwrap_err();
    assert_eq!(failure.reason, Reason::Protocol);
    assert!(failure.detail.starts_with("no answer over the kept connection"), "{failure}");
    assert_eq!(fake.numbers(), ["0.0", "0.1"], "it may have been heard");
    assert_eq!(run(&mut built, DEADLINE).await.0, Ok(()), "the next run has a new connection");
}

#[tokio::test]
async fn a_target_that_only_ever_closes_is_asked_twice_and_then_fails() {
    let fake =
        Fake::serving(|connection, number, _| if (connection, number) == (0, 0) { ok("") } else { vec![] }).await;
    let mut built = keeping(&fake, "");
    assert_eq!(run(&mut built, DEADLINE).await.0, Ok(()));
    assert_eq!(run(&mut built, DEADLINE).await.0.unwrap_err().reason, Reason::Protocol);
    assert_eq!(fake.numbers(), ["0.0", "0.1", "1.0"]);
}

#[tokio::test]
async fn an_answer_that_begins_and_breaks_off_is_a_failure_also_over_a_kept_connection() {
    for begun in ["HTTP/1.1 200 OK\r\ncontent-length: 10\r\nconnection: close\r\n\r\nhalf", "HT connection: close"] {
        let fake = Fake::serving(move |_, number, _| if number == 1 { begun.into() } else { ok("") }).await;
        let mut built = keeping(&fake, "");
        assert_eq!(run(&mut built, DEADLINE).await.0, Ok(()));
        assert_eq!(run(&mut built, DEADLINE).await.0.unwrap_err().reason, Reason::Protocol, "{begun}");
        assert_eq!(fake.numbers(), ["0.0", "0.1"], "{begun}");
        assert_eq!(run(&mut built, DEADLINE).await.0, Ok(()), "{begun}");
    }
}

#[tokio::test]
async fn the_next_answer_is_never_taken_from_what_was_left_over() {
    let forged = String::from_utf8(ok("forged")).unwrap();
    // With the answer, so that it is read with it; and later, while nobody asks.
    for delay in [0, 10] {
        let forged = forged.clone();
        let fake = Fake::talking(move |mut stream| {
            let forged = forged.clone();
            async move {
                let mut first = ok("true");
                if delay == 0 {
                    first.extend_from_slice(forged.as_bytes());
                }
                let _ = stream.write_all(&first).await;
                tokio::time::sleep(Duration::from_millis(delay)).await;
                let _ = stream.write_all(forged.as_bytes()).await;
                read_request(&mut stream).await;
            }
        })
        .await;
        let mut built = keeping(&fake, ", expect: { body_matches: '^true$' }");
        for _ in 0..3 {
            let (result, out) = run(&mut built, DEADLINE).await;
            assert_eq!((result, value(&out, "_connection_reused")), (Ok(()), Some(0.0)), "{delay}");
            settle().await;
        }
        assert_eq!(fake.heard().len(), 3, "{delay}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_read_to_its_end_closes_its_connection() {
    let fake = Fake::serving(|_, _, _| ok("x".repeat(5000))).await;
    let mut built = keeping(&fake, ", expect: { max_body: 1000 }");
    for _ in 0..2 {
        assert_eq!(run(&mut built, DEADLINE).await.0.unwrap_err().reason, Reason::Limit);
    }
    assert_eq!(fake.numbers(), ["0.0", "1.0"]);
}

#[tokio::test]
async fn a_run_that_is_cut_off_leaves_no_connection() {
    let fake =
        Fake::serving(
            |_, number, _| {
                if number == 1 { b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".to_vec() } else { ok("") }
            },
        )
        .await;
    let mut built = keeping(&fake, "");
    assert_eq!(run(&mut built, DEADLINE).await.0, Ok(()));
    let cut = run(&mut built, Duration::from_millis(200)).await.0.unwrap_err();
    assert_eq!(cut.reason, Reason::Timeout);
    assert_eq!(run(&mut built, DEADLINE).await.0, Ok(()));
    assert_eq!(fake.numbers(), ["0.0", "0.1", "1.0"]);
}

#[tokio::test]
async fn an_old_connection_is_replaced_so_that_a_changed_address_is_noticed() {
    let fake = Fake::serving(|_, _, _| ok("")).await;
    let mut built = keeping(&fake, "");
    for pass in [0, 299, 2] {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(pass)).await;
        tokio::time::resume();
        assert_eq!(run(&mut built, DEADLINE).await.0, Ok(()));
    }
    assert_eq!(fake.numbers(), ["0.0", "0.1", "1.0"]);
}

#[tokio::test]
async fn redirects_use_the_kept_connection_at_home_and_one_of_their_own_elsewhere() {
    let home = Fake::serving(|_, _, request| {
        if request.starts_with("GET / ") { answer("302 Found", "location: /end\r\n", "moved") } else { ok("") }
    })
    .await;
    let mut built = keeping(&home, "");
    for turn in 0..2 {
        let (result, out) = run(&mut built, DEADLINE).await;
        assert_eq!((result, value(&out, "_connection_reused")), (Ok(()), Some(f64::from(turn))));
    }
    assert_eq!(home.numbers(), ["0.0", "0.1", "0.2", "0.3"]);

    // The same host in other letters is the same connection, and no second one to keep.
    let shouting = Fake::serving(|_, _, request| {
        let host = request.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_uppercase();
        if request.starts_with("GET / ") {
            answer("302 Found", &format!("location: http://{host}/end\r\n"), "")
        } else {
            ok("")
        }
    })
    .await;
    let port = shouting.address.port();
    let mut built = build(&format!("{{ url: 'http://localhost:{port}/', ip: v4, keep_alive: true }}"));
    for _ in 0..2 {
        assert_eq!(run(&mut built, DEADLINE).await.0, Ok(()));
    }
    assert_eq!(shouting.numbers(), ["0.0", "0.1", "0.2", "0.3"]);

    let other = Fake::serving(|_, _, _| ok("")).await;
    let elsewhere = format!("location: {}/\r\n", other.url());
    let home = Fake::serving(move |_, _, _| answer("302 Found", &elsewhere, "moved")).await;
    let mut built = keeping(&home, "");
    for _ in 0..2 {
        let (result, out) = run(&mut built, DEADLINE).await;
        assert_eq!((result, value(&out, "_connection_reused")), (Ok(()), Some(0.0)));
    }
    assert_eq!(home.numbers(), ["0.0", "0.1"]);
    assert_eq!(other.numbers(), ["0.0", "1.0"]);
    assert!(other.heard().iter().all(|request| request.contains("connection: close")));
}

/// Over TLS, keeping connections, HTTP/2 where it was negotiated.
async fn serve_tls(config: rustls::ServerConfig) -> Fake {
    let (acceptor, connections) = (TlsAcceptor::from(Arc::new(config)), Arc::new(AtomicUsize::new(0)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Fake::on(listener, move |stream, log| {
        let (acceptor, number) = (acceptor.clone(), connections.fetch_add(1, Ordering::SeqCst));
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            log.lock().unwrap().push(format!("{number} handshake"));
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                return serve_http2(stream, 200, "").await;
            }
            serve(stream, log, number, |_, _| ok("")).await;
        }
    })
}

#[tokio::test]
async fn a_certificate_is_published_as_long_as_its_connection_lives() {
    let (ca, folder) = (authority(), Folder::new("kept"));
    let ca_file = folder.write("ca.pem", &ca.pem());
    for (alpn, protocol) in [(&b"http/1.1"[..], "http1"), (b"h2", "http2")] {
        let fake = serve_tls(Identity::new(&ca, "127.0.0.1", 30).server(&ca, false, &[alpn])).await;
        let mut built = build(&format!(
            "{{ url: '{}', keep_alive: true, protocol: {protocol}, tls: {{ ca: {{ file: {ca_file} }} }} }}",
            https(&fake)
        ));
        let mut dates = Vec::new();
        for turn in 0..3 {
            let (result, out) = run(&mut built, DEADLINE).await;
            assert_eq!((result, value(&out, "_connection_reused")), (Ok(()), Some(f64::from(u8::from(turn > 0)))));
            assert_eq!(phase(&out, Phase::Tls).is_some(), turn == 0, "{protocol} {turn}");
            assert_eq!(value(&out, "_tls_verified"), Some(1.0), "{protocol} {turn}");
            assert_eq!(note(&out, "certificate").len(), 1, "{protocol} {turn}");
            dates.push(value(&out, "_tls_not_after_timestamp_seconds").unwrap());
        }
        dates.dedup();
        assert_eq!(dates.len(), 1, "{dates:?}");
        assert_eq!(fake.heard().iter().filter(|line| line.contains("handshake")).count(), 1, "{protocol}");
    }
}

#[tokio::test]
async fn an_http2_connection_that_ended_meanwhile_is_no_failure() {
    for method in ["GET", "POST"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Fake::on(listener, |stream, log| async move {
            log.lock().unwrap().push("connection".into());
            // Long enough for one answer, short enough to be over before the next request.
            let _ = tokio::time::timeout(Duration::from_millis(150), serve_http2(stream, 200, "")).await;
        });
        let mut built = keeping(&fake, &format!(", protocol: http2, method: {method}"));
        for turn in 0..2 {
            let (result, out) = run(&mut built, DEADLINE).await;
            assert_eq!((result, value(&out, "_connection_reused")), (Ok(()), Some(0.0)), "{method}");
            assert_eq!(note(&out, "connection").len(), turn, "{:?}", out.notes());
            assert!(note(&out, "connection").iter().all(|fact| fact.starts_with("opened anew")), "{:?}", out.notes());
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        assert_eq!(fake.heard().len(), 2);
    }
}

#[tokio::test]
async fn a_target_that_talks_without_end_between_two_runs_is_left() {
    let fake = Fake::talking(|mut stream| async move {
        let _ = stream.write_all(&ok("")).await;
        pour(&mut stream, &[b'x'; 16384], 1000).await;
    })
    .await;
    let mut built = keeping(&fake, "");
    for _ in 0..3 {
        assert_eq!(run(&mut built, DEADLINE).await.0, Ok(()));
        settle().await;
    }
    assert_eq!(fake.heard().len(), 3);
}
