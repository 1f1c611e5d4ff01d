//! What can go wrong on the way: refusals, resets, nonsense, slowness; and HTTP/2.

use super::*;
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};

#[tokio::test]
async fn a_refused_connection_and_an_unknown_name_are_told_apart() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (result, out) = probe(&format!("url: http://{closed}/")).await;
    assert_eq!(result.map_err(|failure| failure.reason), Err(Reason::Connect));
    assert_eq!(value(&out, "_http_status_code"), None);
    assert_eq!(failure("url: http://no-such-host.invalid/").await.reason, Reason::Resolve);
}

#[tokio::test]
async fn what_is_not_http_is_a_protocol_failure_that_keeps_nothing() {
    let bomb = format!("HTTP/1.1 200 OK\r\nx-bomb: {}\r\n\r\n", "x".repeat(100 << 10));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(5000));
    let table = [
        ("220 mail.example ESMTP\r\n", "HTTP"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "HTTP"),
        ("HTTP/1.1 200 OK\r\nbad header\r\n\r\n", "header"),
        ("HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n", "content-length"),
        ("<html>old</html>", "HTTP"),
        ("", "closed"),
        ("HTTP/1.1 20", "closed"),
        (&bomb, "too large"),
        (&many, "too large"),
    ];
    for (answer, words) in table {
        let fake = Fake::saying(answer).await;
        let (result, out) = probe(&format!("url: {}", fake.url())).await;
        let failure = result.unwrap_err();
        assert_eq!(failure.reason, Reason::Protocol, "{answer:.40}: {failure}");
        assert!(failure.detail.contains(words), "{answer:.40}: {failure}");
        assert_eq!(value(&out, "_http_status_code"), None);
    }
}

#[tokio::test]
async fn informational_answers_are_passed_over_but_not_without_end() {
    let few = format!("{}HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n".repeat(10));
    let fake = Fake::saying(few).await;
    assert_eq!(probe(&format!("url: {}", fake.url())).await.0, Ok(()));
    let fake = Fake::talking(|mut stream| async move {
        while stream.write_all(&b"HTTP/1.1 100 Continue\r\n\r\n".repeat(100)).await.is_ok() {}
    })
    .await;
    let failure = failure(&format!("url: {}", fake.url())).await;
    assert_eq!(failure.reason, Reason::Protocol);
    assert!(failure.detail.contains("too much was sent before the answer"), "{failure}");
}

#[tokio::test]
async fn a_truncated_body_is_a_protocol_failure_that_keeps_the_status() {
    for begin in [
        "content-length: 100\r\n\r\nhalf",
        "transfer-encoding: chunked\r\n\r\n5\r\nhel",
        "transfer-encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let fake = Fake::saying(format!("HTTP/1.1 200 OK\r\n{begin}")).await;
        let (result, out) = probe(&format!("url: {}", fake.url())).await;
        let failure = result.unwrap_err();
        assert_eq!(failure.reason, Reason::Protocol, "{begin}: {failure}");
        assert_eq!(value(&out, "_http_status_code"), Some(200.0));
        assert_eq!(value(&out, "_http_body_bytes"), None);
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_outweighs_a_wrong_header_and_both_are_told() {
    let fake = Fake::saying("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
    let failure = failure(&format!("{{ url: '{}', expect: {{ headers: {{ x-mode: live }} }} }}", fake.url())).await;
    assert_eq!(failure.reason, Reason::Protocol, "{failure}");
    assert!(failure.detail.contains("x-mode is missing"), "{failure}");
}

#[tokio::test]
async fn a_reset_is_a_protocol_failure() {
    for begin in ["", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"] {
        let fake = Fake::talking(move |mut stream| async move {
            let _ = stream.write_all(begin.as_bytes()).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            stream.set_zero_linger().unwrap();
        })
        .await;
        let failure = failure(&format!("url: {}", fake.url())).await;
        assert_eq!(failure.reason, Reason::Protocol, "{failure}");
        assert!(failure.detail.contains("reset"), "{failure}");
    }
}

#[tokio::test]
async fn a_target_that_sends_a_byte_a_second_is_ended_by_the_runner_and_the_connection_with_it() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let tell = Mutex::new(Some(tell));
    let fake = Fake::talking(move |mut stream| {
        let tell = tell.lock().unwrap().take();
        async move {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await;
            while stream.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let _ = tell.unwrap().send(());
        }
    })
    .await;
    let (result, out) = run(&mut build(&format!("url: {}", fake.url())), Duration::from_millis(200)).await;
    assert_eq!(result.map_err(|failure| failure.reason), Err(Reason::Timeout));
    assert_eq!(out.running_phase(), Some(Phase::Transfer), "where the time went");
    assert_eq!(value(&out, "_http_status_code"), Some(200.0));
    tokio::time::timeout(DEADLINE, told).await.expect("the connection outlived its run").unwrap();
}

#[tokio::test]
async fn a_silent_target_is_waited_for_in_the_phase_wait() {
    let fake = Fake::talking(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let (result, out) = run(&mut build(&format!("url: {}", fake.url())), Duration::from_millis(150)).await;
    assert_eq!(result.map_err(|failure| failure.reason), Err(Reason::Timeout));
    assert_eq!(out.running_phase(), Some(Phase::Wait));
}

#[tokio::test]
async fn the_time_until_the_answer_and_the_time_of_its_body_are_told_apart() {
    let fake = Fake::talking(|mut stream| async move {
        tokio::time::sleep(Duration::from_millis(120)).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na").await;
        tokio::time::sleep(Duration::from_millis(60)).await;
        let _ = stream.write_all(b"b").await;
    })
    .await;
    let (result, out) = probe(&format!("url: {}", fake.url())).await;
    assert_eq!(result, Ok(()));
    assert!(phase(&out, Phase::Wait).unwrap() >= Duration::from_millis(120));
    let transfer = phase(&out, Phase::Transfer).unwrap();
    assert!(transfer >= Duration::from_millis(55) && transfer < Duration::from_millis(120), "{transfer:?}");
}

#[tokio::test]
async fn informational_answers_before_the_answer_are_skipped() {
    let fake = Fake::saying("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n").await;
    let (result, out) = probe(&format!("url: {}", fake.url())).await;
    assert_eq!((result, value(&out, "_http_status_code")), (Ok(()), Some(204.0)));
}

#[tokio::test]
async fn a_name_with_both_families_falls_back_to_the_one_that_listens() {
    let Ok(listener) = TcpListener::bind("[::1]:0").await else { return };
    let port = listener.local_addr().unwrap().port();
    let fake = Fake::on(listener, |mut stream, _| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(&ok("six")).await;
    });
    let (result, out) = probe(&format!("url: http://[::1]:{port}/")).await;
    assert_eq!(result, Ok(()), "an address in brackets");
    assert!(out.notes().contains(&("address", fake.address.to_string())));
    let Ok(addresses) = tokio::net::lookup_host(("localhost", port)).await else { return };
    if addresses.into_iter().any(|address| address.is_ipv6()) {
        assert_eq!(probe(&format!("{{ url: 'http://localhost:{port}/', ip: prefer_v4 }}")).await.0, Ok(()));
    }
    assert_eq!(failure(&format!("{{ url: 'http://[::1]:{port}/', ip: v4 }}")).await.reason, Reason::Resolve);
}

/// Answers HTTP/2 and nothing else, as `answer` says.
pub(super) async fn serve_http2<S>(stream: S, status: u16, body: &'static str)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| async move {
        let seen = format!("{} {} {:?}", request.method(), request.uri(), request.version());
        let body = if body.is_empty() { Bytes::from(seen) } else { Bytes::from_static(body.as_bytes()) };
        Ok::<_, std::convert::Infallible>(hyper::Response::builder().status(status).body(Full::new(body)).unwrap())
    });
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

#[tokio::test]
async fn http2_is_spoken_in_clear_with_prior_knowledge() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let fake = Fake::on(listener, |stream, _| serve_http2(stream, 200, ""));
    let matches = format!("body_matches: '^PUT http://{}/a HTTP/2.0$'", fake.address);
    let yaml =
        format!("{{ url: '{}/a', protocol: http2, method: PUT, body: text, expect: {{ {matches} }} }}", fake.url());
    let (result, out) = probe(&yaml).await;
    assert_eq!(result, Ok(()));
    assert_eq!(value(&out, "_http_status_code"), Some(200.0));
    let named = format!(
        "{{ url: '{}/a', protocol: http2, headers: {{ host: shop.example }}, expect: {{ body_matches: 'http://shop.example/a' }} }}",
        fake.url()
    );
    assert_eq!(probe(&named).await.0, Ok(()));
}

#[tokio::test]
async fn a_large_http2_body_is_read_to_the_bound_and_no_further() {
    static LARGE: std::sync::LazyLock<&'static str> = std::sync::LazyLock::new(|| "x".repeat(3 << 20).leak());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let fake = Fake::on(listener, |stream, _| serve_http2(stream, 200, &LARGE));
    let yaml = |max: &str| format!("{{ url: '{}', protocol: http2, expect: {{ max_body: {max} }} }}", fake.url());
    let (result, out) = probe(&yaml("4MiB")).await;
    assert_eq!((result, value(&out, "_http_body_bytes")), (Ok(()), Some(f64::from(3 << 20))));
    assert_eq!(failure(&yaml("1MiB")).await.reason, Reason::Limit);
}

#[tokio::test]
async fn a_target_that_does_not_speak_http2_or_goes_away_is_a_protocol_failure() {
    let http1 = Fake::talking(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    // An empty SETTINGS frame, then GOAWAY: stream 0, error code 2.
    let leaving = Fake::talking(|mut stream| async move {
        let _ = stream.write_all(b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x02").await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    })
    .await;
    for fake in [http1, leaving] {
        let failure = failure(&format!("{{ url: '{}', protocol: http2 }}", fake.url())).await;
        assert_eq!(failure.reason, Reason::Protocol, "{failure}");
    }
}

#[tokio::test]
async fn an_http2_run_that_is_cut_short_closes_its_connection() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let tell = Mutex::new(Some(tell));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let fake = Fake::on(listener, move |mut stream, _| {
        let tell = tell.lock().unwrap().take();
        async move {
            let _ = stream.write_all(b"\0\0\0\x04\0\0\0\0\0").await;
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            let _ = tell.unwrap().send(());
        }
    });
    let mut built = build(&format!("{{ url: '{}', protocol: http2 }}", fake.url()));
    let (result, _) = run(&mut built, Duration::from_millis(150)).await;
    assert_eq!(result.map_err(|failure| failure.reason), Err(Reason::Timeout));
    tokio::time::timeout(DEADLINE, told).await.expect("the connection outlived its run").unwrap();
}
