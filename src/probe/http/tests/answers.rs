//! Status, headers and body against what is expected.

use super::*;

#[tokio::test]
async fn a_right_answer_is_a_success_with_its_readings_and_phases() {
    let fake = Fake::saying(ok("hello")).await;
    let (result, out) = probe(&format!("url: {}/x?y=1", fake.url())).await;
    assert_eq!(result, Ok(()));
    assert_eq!(value(&out, "_http_status_code"), Some(200.0));
    assert_eq!(value(&out, "_http_body_bytes"), Some(5.0));
    assert_eq!(value(&out, "_http_redirects"), Some(0.0));
    for wanted in [Phase::Resolve, Phase::Connect, Phase::Wait, Phase::Transfer] {
        assert!(phase(&out, wanted).is_some(), "{wanted:?}");
    }
    assert_eq!(phase(&out, Phase::Tls), None);
    assert_eq!(out.running_phase(), None);
    let request = fake.heard()[0].to_lowercase();
    assert!(request.starts_with("get /x?y=1 http/1.1\r\n"), "{request}");
    let version = env!("CARGO_PKG_VERSION");
    for line in ["connection: close", "accept: */*", "accept-encoding: gzip", &format!("user-agent: banken/{version}")]
    {
        assert!(request.contains(&format!("\r\n{line}\r\n")), "{line}: {request}");
    }
    assert!(request.contains(&format!("\r\nhost: {}\r\n", fake.address)), "{request}");
}

#[tokio::test]
async fn every_run_opens_a_connection_of_its_own() {
    let fake = Fake::saying(ok("")).await;
    let mut built = build(&format!("url: {}", fake.url()));
    for _ in 0..3 {
        assert_eq!(run(&mut built, DEADLINE).await.0, Ok(()));
    }
    assert_eq!(fake.heard().len(), 3);
}

#[tokio::test]
async fn an_unexpected_status_keeps_its_code_and_shows_how_the_body_begins() {
    let fake = Fake::saying(answer("503 Service Unavailable", "", "down for\nrepairs")).await;
    let (result, out) = probe(&format!("url: {}", fake.url())).await;
    let wanted = "HTTP 503 where 2xx was expected; the body begins: down for\\nrepairs";
    assert_eq!(result, Err(Failure::new(Reason::Status, wanted)));
    assert_eq!(value(&out, "_http_status_code"), Some(503.0));
    assert_eq!(value(&out, "_http_body_bytes"), Some(16.0));
}

#[tokio::test]
async fn statuses_can_be_expected_by_class_number_and_range() {
    let table = [
        ("404 Not Found", "[404]", true),
        ("404 Not Found", "[2xx, 4xx]", true),
        ("404 Not Found", "[400-404]", true),
        ("404 Not Found", "[400-403, '405']", false),
        ("200 OK", "[204]", false),
        ("401 Unauthorized", "[401]", true),
    ];
    for (status, expected, fits) in table {
        let fake = Fake::saying(answer(status, "", "")).await;
        let (result, _) = probe(&format!("{{ url: '{}', expect: {{ status: {expected} }} }}", fake.url())).await;
        assert_eq!(result.is_ok(), fits, "{status} {expected}: {result:?}");
    }
}

#[tokio::test]
async fn refused_credentials_have_a_reason_of_their_own() {
    for status in ["401 Unauthorized", "403 Forbidden", "407 Proxy Authentication Required"] {
        let fake = Fake::saying(answer(status, "", "")).await;
        let failure = failure(&format!("url: {}", fake.url())).await;
        assert_eq!(failure.reason, Reason::Auth, "{failure}");
        assert!(failure.detail.contains("where 2xx was expected"), "{failure}");
    }
}

#[tokio::test]
async fn an_unexpected_status_is_the_reason_even_if_its_body_never_ends() {
    let fake = Fake::talking(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 500 Oops\r\ncontent-length: 9\r\n\r\nhalf").await;
        std::future::pending::<()>().await;
    })
    .await;
    let mut built = build(&format!("url: {}", fake.url()));
    let (result, out) = run(&mut built, Duration::from_millis(400)).await;
    assert_eq!(result.map_err(|failure| failure.reason), Err(Reason::Status));
    assert_eq!(value(&out, "_http_body_bytes"), None);
}

#[tokio::test]
async fn the_body_must_match_and_must_lack() {
    let fake = Fake::saying(ok("status: green")).await;
    let yaml = |expect: &str| format!("{{ url: '{}', expect: {{ {expect} }} }}", fake.url());
    assert_eq!(probe(&yaml("body_matches: 'green$', body_lacks: red")).await.0, Ok(()));
    let lacking = failure(&yaml("body_matches: '^green'")).await;
    assert_eq!(lacking.reason, Reason::Body);
    assert_eq!(lacking.detail, "the body does not match \"^green\"; it begins: status: green");
    let found = failure(&yaml("body_lacks: 'gr[ae]y|green'")).await;
    assert_eq!(found, Failure::new(Reason::Body, "the body matches \"gr[ae]y|green\", which it must not"));
}

#[tokio::test]
async fn headers_must_be_there_and_match_and_are_never_shown() {
    let fake =
        Fake::saying(answer("200 OK", "x-mode: live\r\nx-mode: paper\r\nset-cookie: id=topsecret\r\n", "")).await;
    let yaml = |headers: &str| format!("{{ url: '{}', expect: {{ headers: {{ {headers} }} }} }}", fake.url());
    assert_eq!(probe(&yaml("X-Mode: ^paper$")).await.0, Ok(()));
    assert_eq!(failure(&yaml("x-other: .")).await, Failure::new(Reason::Body, "the header x-other is missing"));
    let both = failure(&yaml("set-cookie: ^none$, x-mode: demo")).await;
    assert_eq!(both.reason, Reason::Body);
    assert!(both.detail.contains("set-cookie does not match") && both.detail.contains("x-mode"), "{both}");
    assert!(!both.detail.contains("topsecret"), "{both}");
}

#[tokio::test]
async fn method_headers_and_body_are_sent_as_configured() {
    let fake = Fake::saying(ok("")).await;
    let settings = "method: POST, body: '{\"a\":1}', headers: { Content-Type: application/json, User-Agent: other/1, Accept-Encoding: identity }";
    assert_eq!(probe(&format!("{{ url: '{}', {settings} }}", fake.url())).await.0, Ok(()));
    let request = fake.heard()[0].clone();
    assert!(request.starts_with("POST / HTTP/1.1\r\n") && request.ends_with("\r\n\r\n{\"a\":1}"), "{request}");
    for line in
        ["content-type: application/json", "user-agent: other/1", "accept-encoding: identity", "content-length: 7"]
    {
        assert!(request.contains(&format!("\r\n{line}\r\n")), "{line}: {request}");
    }
}

#[tokio::test]
async fn a_host_can_be_asked_for_by_another_name() {
    let fake = Fake::saying(ok("")).await;
    assert_eq!(probe(&format!("{{ url: '{}', headers: {{ host: shop.example }} }}", fake.url())).await.0, Ok(()));
    let request = fake.heard()[0].to_lowercase();
    assert_eq!(request.matches("host: ").count(), 1, "{request}");
    assert!(request.contains("\r\nhost: shop.example\r\n"), "{request}");
}

#[tokio::test]
async fn credentials_are_sent() {
    let fake = Fake::saying(ok("")).await;
    for (auth, header) in [
        ("basic: { username: banken, password: wan }", "authorization: Basic YmFua2VuOndhbg=="),
        ("bearer: t0ken", "authorization: Bearer t0ken"),
    ] {
        assert_eq!(probe(&format!("{{ url: '{}', auth: {{ {auth} }} }}", fake.url())).await.0, Ok(()));
        assert!(fake.heard().last().unwrap().contains(header), "{:?}", fake.heard());
    }
}

#[tokio::test]
async fn the_answer_to_head_has_a_length_but_no_body() {
    let fake = Fake::saying("HTTP/1.1 200 OK\r\ncontent-length: 5000000\r\ncontent-encoding: gzip\r\n\r\n").await;
    let (result, out) = probe(&format!("{{ url: '{}', method: HEAD }}", fake.url())).await;
    assert_eq!(result, Ok(()));
    assert_eq!(value(&out, "_http_body_bytes"), Some(0.0));
}
