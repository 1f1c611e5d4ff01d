//! Steps: what goes from one answer to the next request, and what never does.

use super::*;

fn step(out: &Readings, family: &str, name: &str) -> Option<f64> {
    labelled(out, family, "step", name)
}

/// Two steps: `login` on one server takes, `use` on another one uses.
fn two_steps(first: &Fake, login: &str, second: &Fake, used: &str) -> String {
    let (first, second) = (first.url(), second.url());
    format!(
        "steps:\n- {{ name: login, url: '{first}/login', {login} }}\n- {{ name: use, url: '{second}/use', {used} }}\n"
    )
}

#[tokio::test]
async fn a_token_is_taken_and_used_and_each_step_is_timed() {
    let fake = Fake::serving(|_, _, request| {
        if request.starts_with("POST /login ") { ok(r#"{"access_token":"t0k-en","n":7}"#) } else { ok(r#"{"me":"x"}"#) }
    })
    .await;
    let login =
        "method: POST, body: '{\"password\":\"pw\"}', take: { token: { json: $.access_token }, n: { json: $.n } }";
    let me = "headers: { authorization: 'Bearer {{token}}', x-n: 'n={{ n }}' }, json: [ { field: me, path: $.me } ]";
    let mut built = build(&two_steps(&fake, login, &fake, me));
    for _ in 0..2 {
        let (result, out) = run(&mut built, DEADLINE).await;
        assert_eq!(result, Ok(()));
        for name in ["login", "use"] {
            assert_eq!(step(&out, "_step_success", name), Some(1.0), "{name}");
            assert!(step(&out, "_step_duration_seconds", name).is_some_and(|seconds| seconds > 0.0), "{name}");
        }
        assert_eq!(value(&out, "_http_status_code"), Some(200.0));
        assert_eq!(value(&out, "_http_body_bytes"), Some(10.0), "of the last step");
        assert_eq!(field_value(&out, "_json_field_valid", "me"), Some(1.0));
        assert!(out.notes().iter().all(|(_, fact)| !fact.contains("t0k-en")), "{:?}", out.notes());
    }
    assert_eq!(fake.numbers(), ["0.0", "1.0", "2.0", "3.0"], "each request opens a new connection");
    let request = &fake.heard()[1];
    assert!(request.contains("authorization: Bearer t0k-en\r\n") && request.contains("x-n: n=7\r\n"), "{request}");
}

#[tokio::test]
async fn values_come_from_headers_bodies_and_cookies_and_are_escaped_where_they_go() {
    let fake = Fake::serving(|_, _, request| match request.split(' ').nth(1).unwrap() {
        "/login" => {
            let headers = "x-csrf: a b&c\r\nset-cookie: sid=5ession; HttpOnly\r\n";
            answer("200 OK", headers, "<input name=csrf value='q\"/../\\'>")
        }
        _ => ok(""),
    })
    .await;
    let url = fake.url();
    let yaml = format!(
        "
steps:
- name: login
  url: {url}/login
  take:
    header: {{ header: X-CSRF }}
    page: {{ body: \"value='(?<page>[^']*)'\" }}
    session: {{ cookie: sid }}
- name: query
  url: '{url}/a/{{{{page}}}}?h={{{{header}}}}'
  auth: {{ bearer: '{{{{session}}}}' }}
- name: json
  url: {url}/json
  method: POST
  headers: {{ content-type: application/json }}
  body: '{{\"page\":\"{{{{page}}}}\"}}'
- name: form
  url: {url}/form
  method: POST
  headers: {{ Content-Type: application/x-www-form-urlencoded }}
  body: 'h={{{{header}}}}'
- name: plain
  url: {url}/plain
  method: POST
  body: '{{{{{{{{page}}}} {{{{header}}}}'
"
    );
    assert_eq!(probe(&yaml).await.0, Ok(()));
    let heard = fake.heard();
    assert!(heard[1].contains("GET /a/q%22%2F..%2F%5C?h=a%20b%26c HTTP/1.1\r\n"), "{}", heard[1]);
    assert!(heard[1].contains("authorization: Bearer 5ession\r\n"), "{}", heard[1]);
    assert!(heard[2].ends_with("\r\n\r\n{\"page\":\"q\\\"/../\\\\\"}"), "{}", heard[2]);
    assert!(heard[3].ends_with("\r\n\r\nh=a%20b%26c"), "{}", heard[3]);
    assert!(heard[4].ends_with("\r\n\r\n{{page}} a b&c"), "{}", heard[4]);
}

#[tokio::test]
async fn the_failure_names_its_step_and_what_was_not_reached_has_no_series() {
    let fake =
        Fake::serving(
            |_, _, request| {
                if request.starts_with("GET /use ") { answer("500 Oops", "", "broken") } else { ok("first") }
            },
        )
        .await;
    let url = fake.url();
    let yaml = format!(
        "{}- {{ name: last, url: '{url}/last', json: [ {{ field: end, path: $.end }} ] }}",
        two_steps(&fake, "redirects: { max: 0 }", &fake, "expect: { status: [204] }")
    );
    let (result, out) = probe(&yaml).await;
    let wanted = "use: HTTP 500 where 204 was expected; the body begins: broken";
    assert_eq!(result, Err(Failure::new(Reason::Status, wanted)));
    assert_eq!(["login", "use", "last"].map(|name| step(&out, "_step_success", name)), [Some(1.0), Some(0.0), None]);
    assert!(step(&out, "_step_duration_seconds", "use").is_some());
    assert_eq!(step(&out, "_step_duration_seconds", "last"), None);
    assert_eq!(field_value(&out, "_json_field_valid", "end"), Some(0.0), "known from the start");
    assert_eq!(fake.heard().len(), 2);
}

#[tokio::test]
async fn a_step_that_hangs_has_failed_and_is_known_by_name() {
    let fast = Fake::serving(|_, _, _| ok("")).await;
    let slow = Fake::talking(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let (result, out) = run(&mut build(&two_steps(&fast, "", &slow, "")), Duration::from_millis(300)).await;
    assert_eq!(result.map_err(|failure| failure.reason), Err(Reason::Timeout));
    assert_eq!(out.running_part(), Some("use"));
    assert_eq!(["login", "use"].map(|name| step(&out, "_step_success", name)), [Some(1.0), Some(0.0)]);
    assert_eq!(step(&out, "_step_duration_seconds", "use"), None);
    assert_eq!(value(&out, "_http_status_code"), Some(200.0), "of the last step that answered");
}

#[tokio::test]
async fn what_is_left_of_an_earlier_step_does_not_stand_beside_a_later_status() {
    let fake = Fake::serving(|_, _, request| {
        let broken = b"HTTP/1.1 201 Created\r\ncontent-length: 9\r\nconnection: close\r\n\r\nhalf".to_vec();
        if request.starts_with("GET /use ") { broken } else { ok("first") }
    })
    .await;
    let (result, out) = probe(&two_steps(&fake, "", &fake, "")).await;
    assert_eq!(result.map_err(|failure| failure.reason), Err(Reason::Protocol));
    assert_eq!((value(&out, "_http_status_code"), value(&out, "_http_body_bytes")), (Some(201.0), None));
}

#[tokio::test]
async fn a_value_that_is_not_there_or_cannot_be_used_ends_the_run_before_it_is_sent() {
    let long = "x".repeat(1 << 20);
    let table = [
        (ok(r#"{"t":"a\r\nx-evil: 1"}"#), "json: $.t", "x-a: '{{v}}'", Reason::Body, "cannot stand in the header x-a"),
        (ok(format!("{{\"t\":\"{long}\"}}")), "json: $.t", "x-a: '{{v}}'", Reason::Limit, "at most 16384"),
        (ok(r#"{"t":""}"#), "json: $.t", "x-a: '{{v}}'", Reason::Missing, "empty"),
        (ok(r#"{"t":null}"#), "json: $.t", "", Reason::Json, "not a text"),
        (ok(r#"{"t":["a","b"]}"#), "json: '$.t[*]'", "", Reason::Json, "selects 2 values"),
        (ok("{}"), "json: $.t", "", Reason::Missing, "$.t is missing"),
        (ok("<html>"), "json: $.t", "", Reason::Json, "not JSON"),
        (ok(""), "header: x-t", "", Reason::Missing, "header x-t is missing"),
        (answer("200 OK", "x-t: \u{e9}\r\n", ""), "header: x-t", "", Reason::Body, "not text"),
        (ok("nothing"), "body: 'a=(?<v>.)'", "", Reason::Missing, "does not match"),
        (ok(b"a=\xff"), "body: '(?-u)a=(?<v>.)'", "", Reason::Body, "not text"),
        (ok(""), "cookie: sid", "", Reason::Missing, "cookie sid was not set"),
    ];
    for (bytes, source, header, reason, words) in table {
        let first = Fake::serving(move |_, _, _| bytes.clone()).await;
        let second = Fake::serving(|_, _, _| ok("")).await;
        let login = format!("take: {{ v: {{ {source} }} }}, expect: {{ max_body: 2MiB }}");
        let yaml = two_steps(&first, &login, &second, &format!("headers: {{ {header} }}"));
        let failure = failure(&yaml).await;
        assert_eq!(failure.reason, reason, "{source}: {failure}");
        let name = if header.is_empty() || reason != Reason::Body { "login: " } else { "use: " };
        assert!(failure.detail.starts_with(name) && failure.detail.contains(words), "{source}: {failure}");
        assert!(!failure.detail.contains("x-evil") && !failure.detail.contains("xxxx"), "{failure}");
        assert!(second.heard().is_empty(), "{source}");
    }
}

#[tokio::test]
async fn what_was_taken_is_never_shown() {
    let login = |bytes: Vec<u8>| Fake::serving(move |_, _, _| bytes.clone());
    let first = login(answer("200 OK", "set-cookie: sid=5ession\r\n", r#"{"t":"t0k/en","n":123456}"#)).await;
    let echo = Fake::serving(|_, _, request| {
        let sent = request.lines().find(|line| line.starts_with("x-a")).unwrap().to_owned();
        answer("200 OK", "", format!(r#"{{"e":"{sent} t0k%2Fen 5ession","n":123456,"o":"5ession"}}"#))
    })
    .await;
    let takes = "take: { t: { json: $.t }, n: { json: $.n } }";
    let used = "headers: { x-a: 'is {{t}}' }, expect: { body_matches: '^never' }, json: [ { field: e, path: $.e, equals: x }, { field: n, path: $.n, equals: 1 }, { field: o, path: $.o, equals: '5ession' }, { field: p, path: $.o, equals: x } ]";
    let failure = failure(&two_steps(&first, takes, &echo, used)).await;
    assert!(failure.detail.contains("[hidden]"), "{failure}");
    for secret in ["t0k", "5ession", "123456"] {
        assert!(!failure.detail.contains(secret), "{secret}: {failure}");
    }
}

#[tokio::test]
async fn the_body_of_an_answer_from_which_values_are_taken_is_only_shown_where_it_is_an_error() {
    let body = r#"{"t":"t0ken","refresh":"r3fresh"}"#;
    let table = [
        ("200 OK", "expect: { status: [201] }", "not shown"),
        ("200 OK", "expect: { body_matches: '^never' }", "not shown"),
        ("302 Found", "", "not shown"),
        ("500 Oops", "", "r3fresh"),
    ];
    for (status, expect, words) in table {
        let first = Fake::serving(move |_, _, _| answer(status, "", body)).await;
        let expect = if expect.is_empty() { String::new() } else { format!(", {expect}") };
        let failure = failure(&two_steps(&first, &format!("take: {{ t: {{ json: $.t }} }}{expect}"), &first, "")).await;
        assert!(failure.detail.contains(words), "{status} {expect}: {failure}");
        assert!(words == "r3fresh" || !failure.detail.contains("r3fresh"), "{failure}");
    }
    let other = Fake::serving(|_, _, request| {
        if request.starts_with("GET /login") {
            ok(r#"{"t":"t0ken"}"#)
        } else {
            answer("404 Not Found", "", "gone t0ken")
        }
    })
    .await;
    let failure = failure(&two_steps(&other, "take: { t: { json: $.t } }", &other, "")).await;
    assert!(failure.detail.ends_with("the body begins: gone [hidden]"), "{failure}");
}

#[tokio::test]
async fn cookies_go_from_step_to_step_and_end_with_the_run() {
    let fake = Fake::serving(|_, _, request| match request.split(' ').nth(1).unwrap() {
        "/login" => answer(
            "302 Found",
            "location: /in\r\nset-cookie: sid=one; Path=/\r\nset-cookie: x=y; Domain=evil.example\r\n",
            "",
        ),
        "/in" => answer("200 OK", "set-cookie: more=two\r\n", ""),
        _ => ok(""),
    })
    .await;
    let mut built = build(&two_steps(&fake, "", &fake, "headers: { cookie: own=0 }"));
    for turn in 0..2 {
        let (result, out) = run(&mut built, DEADLINE).await;
        assert_eq!(result, Ok(()));
        assert!(out.notes().contains(&("cookie", "ignored: it is for another domain".to_owned())), "{:?}", out.notes());
        let heard = &fake.heard()[turn * 3..];
        assert!(!heard[0].contains("cookie:"), "{}", heard[0]);
        assert!(heard[1].contains("\r\ncookie: sid=one\r\n"), "{}", heard[1]);
        assert!(heard[2].contains("\r\ncookie: own=0; sid=one; more=two\r\n"), "{}", heard[2]);
    }
}

#[tokio::test]
async fn a_run_that_was_cut_off_leaves_no_cookie_and_no_value_behind() {
    let fake = Fake::serving(|connection, _, request| {
        let hangs = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".to_vec();
        match request.split(' ').nth(1).unwrap() {
            "/login" => answer("200 OK", "set-cookie: sid=one\r\n", "{}"),
            _ if connection == 1 => hangs,
            _ => ok(""),
        }
    })
    .await;
    let mut built = build(&two_steps(&fake, "", &fake, ""));
    assert_eq!(run(&mut built, Duration::from_millis(300)).await.0.unwrap_err().reason, Reason::Timeout);
    assert_eq!(run(&mut built, DEADLINE).await.0, Ok(()));
    assert!(!fake.heard()[2].contains("cookie"), "{}", fake.heard()[2]);
}

#[tokio::test]
async fn neither_cookies_nor_values_go_to_another_host() {
    let other = Fake::serving(|_, _, _| ok("")).await;
    let away = format!("location: http://localhost:{}/there\r\n", other.address.port());
    let fake = Fake::serving(move |_, _, request| match request.split(' ').nth(1).unwrap() {
        "/login" => answer("200 OK", "set-cookie: sid=5ession\r\n", r#"{"t":"t0ken"}"#),
        _ => answer("302 Found", &away, ""),
    })
    .await;
    let used = "auth: { bearer: '{{t}}' }, headers: { x-t: '{{t}}' }";
    let yaml = format!("ip: v4\n{}", two_steps(&fake, "take: { t: { json: $.t } }", &fake, used));
    assert_eq!(probe(&yaml).await.0, Ok(()));
    assert!(fake.heard()[1].contains("Bearer t0ken") && fake.heard()[1].contains("sid=5ession"));
    let request = &other.heard()[0];
    assert!(request.contains("GET /there ") && !request.contains("t0ken") && !request.contains("5ession"), "{request}");
    // A login that is led elsewhere takes its password nowhere.
    let away = format!("location: http://localhost:{}/there\r\n", other.address.port());
    let leading = Fake::serving(move |_, _, _| answer("307 Temporary", &away, "")).await;
    let login = "method: POST, body: passw0rd, take: { t: { json: $.t } }";
    let failure = failure(&format!("ip: v4\n{}", two_steps(&leading, login, &leading, ""))).await;
    assert!(failure.detail.starts_with("login: HTTP 307") && failure.detail.contains("body is not sent"), "{failure}");
    assert_eq!(other.heard().len(), 1);
}

#[tokio::test]
async fn steps_share_a_kept_connection_where_that_is_asked_for() {
    let fake = Fake::serving(|_, _, _| ok("{\"t\":\"1\"}")).await;
    let other = Fake::serving(|_, _, _| ok("")).await;
    let url = other.url();
    let steps = two_steps(&fake, "take: { t: { json: $.t } }", &fake, "headers: { x-t: '{{t}}' }");
    let mut built = build(&format!("keep_alive: true\n{steps}- {{ name: other, url: '{url}' }}"));
    for turn in 0..2 {
        let (result, out) = run(&mut built, DEADLINE).await;
        assert_eq!((result, value(&out, "_connection_reused")), (Ok(()), Some(f64::from(turn))));
    }
    assert_eq!(fake.numbers(), ["0.0", "0.1", "0.2", "0.3"]);
    assert_eq!(other.numbers(), ["0.0", "0.1"]);
}

#[tokio::test]
async fn a_probe_with_one_request_knows_no_values_no_cookies_and_no_steps() {
    let fake = Fake::serving(|_, _, request| {
        if request.contains(" /end") {
            ok("")
        } else {
            answer("302 Found", "location: /end\r\nset-cookie: a=b\r\n", "")
        }
    })
    .await;
    let (result, out) = probe(&format!("{{ url: '{}/{{{{x}}}}', headers: {{ x-a: '{{{{x}}}}' }} }}", fake.url())).await;
    assert_eq!(result, Ok(()));
    assert!(fake.heard()[0].contains("GET /{{x}} ") && fake.heard()[0].contains("x-a: {{x}}\r\n"));
    assert!(!fake.heard()[1].contains("cookie"));
    assert!(out.gauges().iter().all(|reading| !reading.family.name.contains("step")));
}
