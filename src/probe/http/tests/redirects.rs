//! Where an answer leads, and what goes along.

use super::*;

fn redirect(status: &str, location: &str) -> Vec<u8> {
    answer(status, &format!("location: {location}\r\n"), "")
}

/// `/N` leads to `/N-1`, and `/0` is the end.
async fn countdown() -> Fake {
    Fake::answering(|request| {
        let path = request.split(' ').nth(1).unwrap();
        match path.trim_start_matches('/').parse::<u32>().unwrap() {
            0 => ok("landed"),
            left => redirect("302 Found", &format!("/{}", left - 1)),
        }
    })
    .await
}

#[tokio::test]
async fn redirects_are_followed_and_counted_and_their_phases_add_up() {
    let fake = countdown().await;
    let (result, out) = probe(&format!("{{ url: '{}/5', expect: {{ body_matches: landed }} }}", fake.url())).await;
    assert_eq!(result, Ok(()));
    assert_eq!(value(&out, "_http_redirects"), Some(5.0));
    assert_eq!(value(&out, "_http_status_code"), Some(200.0));
    assert_eq!(fake.heard().len(), 6);
    assert_eq!(out.notes().iter().filter(|(what, _)| *what == "address").count(), 6);
}

#[tokio::test]
async fn one_redirect_more_than_allowed_is_over_the_limit() {
    let fake = countdown().await;
    let failure = failure(&format!("url: {}/6", fake.url())).await;
    let wanted = format!("more than 5 redirects; the last one leads to {}", fake.url());
    assert_eq!(failure, Failure::new(Reason::Limit, wanted));
    let (result, out) = probe(&format!("{{ url: '{}/2', redirects: {{ max: 1 }} }}", fake.url())).await;
    assert_eq!(result.map_err(|failure| failure.reason), Err(Reason::Limit));
    assert_eq!(value(&out, "_http_redirects"), Some(1.0));
}

#[tokio::test]
async fn a_loop_is_found_at_its_first_turn() {
    let fake =
        Fake::answering(|request| redirect("301 Moved", if request.starts_with("GET /a ") { "/b" } else { "/a" }))
            .await;
    let failure = failure(&format!("{{ url: '{}/a', redirects: {{ max: 20 }} }}", fake.url())).await;
    assert_eq!(failure.reason, Reason::Limit);
    assert!(failure.detail.contains("loop"), "{failure}");
    assert_eq!(fake.heard().len(), 2);
}

#[tokio::test]
async fn without_following_the_redirect_is_the_answer() {
    let fake = countdown().await;
    let yaml = |expect: &str| format!("{{ url: '{}/1', redirects: {{ max: 0 }}, expect: {{ {expect} }} }}", fake.url());
    let (result, out) = probe(&yaml("status: [302], headers: { location: ^/0$ }")).await;
    assert_eq!((result, value(&out, "_http_status_code")), (Ok(()), Some(302.0)));
    let failure = failure(&yaml("")).await;
    assert_eq!(failure.reason, Reason::Status);
    assert!(failure.detail.contains("redirects.max is 0"), "{failure}");
}

#[tokio::test]
async fn a_redirect_that_is_expected_is_the_answer() {
    let fake = countdown().await;
    let (result, out) = probe(&format!("{{ url: '{}/3', expect: {{ status: [3xx] }} }}", fake.url())).await;
    assert_eq!((result, value(&out, "_http_redirects")), (Ok(()), Some(0.0)));
}

#[tokio::test]
async fn a_redirect_without_a_location_is_a_status() {
    let fake = Fake::saying(answer("302 Found", "", "")).await;
    assert_eq!(failure(&format!("url: {}", fake.url())).await.reason, Reason::Status);
}

#[tokio::test]
async fn a_redirect_to_nowhere_is_a_protocol_failure_that_does_not_show_the_location() {
    for location in ["ftp://files.example/?token=abc", "http://[bad/?token=abc", "javascript:token=abc"] {
        let fake = Fake::saying(redirect("302 Found", location)).await;
        let failure = failure(&format!("url: {}", fake.url())).await;
        assert_eq!(failure.reason, Reason::Protocol, "{failure}");
        assert!(!failure.detail.contains("token"), "{failure}");
    }
}

const SECRETS: &str = "auth: { bearer: t0ken }, headers: { x-key: k3y }";

#[tokio::test]
async fn credentials_and_headers_stay_with_their_host() {
    let other = Fake::saying(ok("")).await;
    let elsewhere = format!("{}/there", other.url());
    let fake = Fake::answering(move |request| {
        if request.starts_with("GET /1 ") { redirect("307 Temporary", "/2") } else { redirect("302 Found", &elsewhere) }
    })
    .await;
    assert_eq!(probe(&format!("{{ url: '{}/1', {SECRETS} }}", fake.url())).await.0, Ok(()));
    for request in fake.heard() {
        assert!(request.contains("t0ken") && request.contains("k3y"), "the same host keeps them: {request}");
    }
    let request = &other.heard()[0];
    assert!(request.starts_with("GET /there "), "{request}");
    assert!(!request.contains("t0ken") && !request.contains("k3y"), "{request}");
    assert!(request.contains(&format!("host: {}", other.address)), "{request}");
}

#[tokio::test]
async fn credentials_do_not_come_back_after_a_detour() {
    let home = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let back = format!("http://{}/back", home.local_addr().unwrap());
    let other = Fake::answering(move |_| redirect("302 Found", &back)).await;
    let away = other.url();
    let fake = Fake::on(home, move |mut stream, log| {
        let away = away.clone();
        async move {
            let request = read_request(&mut stream).await;
            let bytes = if request.starts_with("GET /back ") { ok("") } else { redirect("302 Found", &away) };
            log.lock().unwrap().push(request);
            let _ = stream.write_all(&bytes).await;
        }
    });
    assert_eq!(probe(&format!("{{ url: '{}', {SECRETS} }}", fake.url())).await.0, Ok(()));
    assert!(fake.heard()[0].contains("t0ken"));
    assert!(!fake.heard()[1].contains("t0ken"), "another host must not make us send them: {:?}", fake.heard());
}

#[tokio::test]
async fn a_redirect_to_another_port_can_be_refused() {
    let other = Fake::saying(ok("")).await;
    let elsewhere = other.url();
    let fake = Fake::answering(move |_| redirect("302 Found", &elsewhere)).await;
    let failure = failure(&format!("{{ url: '{}', redirects: {{ across_hosts: false }} }}", fake.url())).await;
    assert_eq!(failure.reason, Reason::Status);
    assert!(failure.detail.contains("across_hosts"), "{failure}");
    assert!(other.heard().is_empty());
}

#[tokio::test]
async fn see_other_and_moved_turn_a_post_into_a_get_without_its_body() {
    let table = [
        ("303 See Other", "GET"),
        ("301 Moved", "GET"),
        ("302 Found", "GET"),
        ("307 Temporary", "POST"),
        ("308 Permanent", "POST"),
    ];
    for (status, method) in table {
        let fake = Fake::answering(
            move |request| {
                if request.contains(" /next ") { ok("") } else { redirect(status, "/next") }
            },
        )
        .await;
        let settings = "method: POST, body: text, headers: { content-type: text/plain, x-key: k3y }";
        assert_eq!(probe(&format!("{{ url: '{}', {settings} }}", fake.url())).await.0, Ok(()), "{status}");
        let second = fake.heard()[1].clone();
        assert!(second.starts_with(&format!("{method} /next ")), "{status}: {second}");
        assert_eq!(second.ends_with("text"), method == "POST", "{status}: {second}");
        assert_eq!(second.contains("content-type"), method == "POST", "{status}: {second}");
        assert!(second.contains("x-key: k3y"), "{status}: {second}");
    }
}

#[tokio::test]
async fn a_put_keeps_its_method_when_moved_and_becomes_a_get_at_see_other() {
    for (status, method) in [("302 Found", "PUT"), ("303 See Other", "GET")] {
        let fake = Fake::answering(
            move |request| {
                if request.contains(" /next ") { ok("") } else { redirect(status, "/next") }
            },
        )
        .await;
        assert_eq!(probe(&format!("{{ url: '{}', method: PUT, body: text }}", fake.url())).await.0, Ok(()));
        assert!(fake.heard()[1].starts_with(method), "{:?}", fake.heard());
    }
}

#[tokio::test]
async fn a_body_is_never_sent_to_another_host() {
    let other = Fake::saying(ok("")).await;
    let elsewhere = other.url();
    let fake = Fake::answering(move |_| redirect("307 Temporary", &elsewhere)).await;
    let failure = failure(&format!("{{ url: '{}', method: POST, body: passw0rd }}", fake.url())).await;
    assert_eq!(failure.reason, Reason::Status);
    assert!(failure.detail.contains("where the body is not sent"), "{failure}");
    assert!(other.heard().is_empty());
}
