//! No secret leaves Banken but towards its target.

use super::*;

const SETTINGS: &str = "method: POST, body: b0dy-secret, headers: { x-key: k3y-secret }, auth: { basic: { username: u, password: p4ss-secret } }";

#[test]
fn debug_hides_every_secret() {
    for settings in [SETTINGS, "auth: { bearer: t0ken-secret }"] {
        let config: Config = serde_yaml::from_str(&format!("{{ url: 'http://a/', {settings} }}")).unwrap();
        let shown = format!("{config:?}");
        assert!(!shown.contains("-secret"), "{shown}");
    }
}

#[test]
fn a_mistake_in_a_secret_does_not_show_it() {
    for settings in ["headers: { x-key: \"k3y\\nsecret\" }", "auth: { bearer: \"t0ken\\nsecret\" }"] {
        let config: Config = serde_yaml::from_str(&format!("{{ url: 'http://a/', {settings} }}")).unwrap();
        let mistakes = config.build(&Context::default()).err().unwrap();
        assert!(!format!("{mistakes:?}").contains("secret"), "{mistakes:?}");
    }
}

#[tokio::test]
async fn a_target_that_echoes_our_secrets_does_not_bring_them_into_a_failure() {
    for status in ["500 Oops", "200 OK"] {
        let fake = Fake::answering(move |request| {
            let lines: Vec<&str> =
                request.lines().filter(|line| line.contains("secret") || line.starts_with("authorization")).collect();
            answer(status, "", lines.join("|"))
        })
        .await;
        let expect = "expect: { body_matches: '^never$' }";
        let failure = failure(&format!("{{ url: '{}', {SETTINGS}, {expect} }}", fake.url())).await;
        assert!(failure.detail.contains("x-key: [hidden]"), "{failure}");
        // The base64 of "u:p4ss-secret".
        for secret in ["b0dy", "k3y", "p4ss", "dTpwNHNzLXNlY3JldA"] {
            assert!(!failure.detail.contains(secret), "{failure}");
        }
    }
}

#[tokio::test]
async fn a_json_value_that_echoes_a_secret_is_hidden() {
    let fake = Fake::saying(ok(r#"{"echo":"it was t0ken-secret"}"#)).await;
    let json = "json: [ { field: echo, path: $.echo, equals: other } ]";
    let failure = failure(&format!("{{ url: '{}', auth: {{ bearer: t0ken-secret }}, {json} }}", fake.url())).await;
    assert!(failure.detail.contains("it was [hidden]") && !failure.detail.contains("t0ken"), "{failure}");
}

#[tokio::test]
async fn secrets_are_read_from_files() {
    let folder = Folder::new("secrets");
    let token = folder.write("token", "fr0m-file\n");
    let fake = Fake::saying(ok("")).await;
    assert_eq!(probe(&format!("{{ url: '{}', auth: {{ bearer: {{ file: {token} }} }} }}", fake.url())).await.0, Ok(()));
    assert!(fake.heard()[0].contains("authorization: Bearer fr0m-file\r\n"));
}
