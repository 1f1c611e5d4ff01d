//! Servers that refuse, strangers, and mistakes in the configuration.

use super::*;

type Answer = fn() -> Do;

#[tokio::test]
async fn refusals_have_their_reasons() {
    let cases = [
        ("-NOAUTH Authentication required.", Reason::Auth, "set password"),
        ("-NOPERM this user has no permissions to run the 'ping' command", Reason::Auth, "no permissions"),
        ("-DENIED Redis is running in protected mode because", Reason::Auth, "protected mode"),
        ("-ERR operation not permitted", Reason::Auth, "not permitted"),
        ("-ERR max number of clients reached", Reason::Limit, "max number of clients"),
        ("-LOADING Redis is loading the dataset in memory", Reason::Status, "LOADING"),
        ("-MASTERDOWN Link with MASTER is down", Reason::Status, "MASTERDOWN"),
        ("-MISCONF Errors writing to the AOF file: No space left", Reason::Status, "No space left"),
        ("+pong", Reason::Protocol, "answered with pong"),
        ("$4\r\nPONG", Reason::Protocol, "a text"),
        (":1", Reason::Protocol, "another form"),
    ];
    for (answer, reason, words) in cases {
        let fake = Fake::start(move |_, command| if command == "PING" { say(answer) } else { well(command) }).await;
        let (outcome, out) = run(&mut fake.probe("")).await;
        let failure = outcome.unwrap_err();
        assert_eq!(failure.reason, reason, "{failure}");
        assert!(failure.detail.contains(words), "{failure}");
        assert!(!failure.detail.contains('\n'));
        assert_eq!(value(&out, "memory_used_bytes").is_some(), reason == Reason::Status, "{answer}");
    }
}

#[tokio::test]
async fn a_password_that_is_refused_is_not_shown() {
    let cases = [
        ("-WRONGPASS invalid username-password pair or user is disabled.", Reason::Auth, "\"ban\" or its password"),
        ("-ERR AUTH <password> called without any password configured for", Reason::Auth, "remove it"),
        (
            "-ERR unknown command 'AUTH', with args beginning with: 'ban' 'hunter2-horse'",
            Reason::Auth,
            "does not know it",
        ),
        ("-ERR max number of clients reached", Reason::Limit, "maximum number of clients"),
        ("-LOADING Redis is loading the dataset in memory", Reason::Status, "LOADING"),
        ("hunter2-horse", Reason::Protocol, "it says: [hidden]"),
        ("+hunter2-horse", Reason::Protocol, "something else than OK"),
    ];
    for (answer, reason, words) in cases {
        let fake = Fake::start(move |_, command| if command.starts_with("AUTH") { say(answer) } else { well(command) });
        let fake = fake.await;
        let failure = failure(&mut fake.probe("username: ban, password: hunter2-horse")).await;
        assert_eq!(fake.heard(), ["1 AUTH ban hunter2-horse"]);
        assert_eq!(failure.reason, reason, "{failure}");
        assert!(failure.detail.contains(words) && !failure.detail.contains("hunter2"), "{failure}");
    }
    for (command, answer) in
        [("PING", "-ERR hunter2-horse"), ("INFO", "-ERR hunter2-horse"), ("INFO", "+hunter2-horse")]
    {
        let fake = Fake::start(move |_, asked| if asked == command { say(answer) } else { well(asked) }).await;
        let (outcome, out) = run(&mut fake.probe("password: hunter2-horse")).await;
        let shown = format!("{outcome:?} {:?}", out.notes());
        assert!(shown.contains("[hidden]") && !shown.contains("hunter2"), "{shown}");
    }
}

#[tokio::test]
async fn who_may_only_ping_is_told_less_and_succeeds() {
    let refusing = |_: usize, command: &str| match command {
        "INFO" => say("-NOPERM this user has no permissions to run the 'info' command"),
        command => well(command),
    };
    let fake = Fake::start(refusing).await;
    let (outcome, out) = run(&mut fake.probe("")).await;
    assert_eq!(outcome, Ok(()));
    assert!(note(&out, "info").unwrap().contains("NOPERM"));
    assert_eq!(out.gauges().len(), 1, "PING alone");
    let failure = failure(&mut fake.probe("expect: { role: master }")).await;
    assert_eq!(failure.reason, Reason::Auth);
    assert!(failure.detail.starts_with("expect cannot be checked"), "{failure}");
}

#[tokio::test]
async fn what_speaks_something_else_is_no_redis_server() {
    let cases: [(&'static [u8], &str); 4] = [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it says: HTTP/1.1 400 Bad Request"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "it says: SSH-2.0"),
        (b"\x16\x03\x01\x02", "it says: \\u{16}"),
        (b"+hello\r\n", "PING was answered with hello"),
    ];
    for (words, shown) in cases {
        let (address, serving) = Fake::greeting(words).await;
        let failure = failure(&mut probe(&format!("{{ address: '{address}' }}"))).await;
        assert_eq!(failure.reason, Reason::Protocol);
        assert!(failure.detail.contains(shown), "{failure}");
        serving.abort();
    }
    let info: [(Answer, &str); 5] = [
        (|| text("nothing of the kind"), "answered with something else"),
        (|| say("+OK"), "INFO was answered with OK"),
        (|| say("$2000000"), "more than 1 MiB"),
        (|| Do::Close, "closed it without a word"),
        (|| Do::Say(b"*".to_vec()), "another form"),
    ];
    for (answer, words) in info {
        let fake = Fake::start(move |_, command| if command == "INFO" { answer() } else { well(command) }).await;
        let failure = failure(&mut fake.probe("")).await;
        assert_eq!(failure.reason, Reason::Protocol);
        assert!(failure.detail.contains(words), "{failure}");
    }
}

#[test]
fn mistakes_are_named_with_their_place_and_remedy() {
    let cases = [
        ("{ address: 'a:1', username: x }", "username", "add password"),
        ("{ address: 'a:1', password: '' }", "password", "remove the key"),
        ("{ address: 'a:1', username: '', password: x }", "username", "remove the key"),
        ("{ address: 'a:1', expect: { role: master, link_up: true } }", "expect.link_up", "role: replica"),
        ("{ address: 'a:1', expect: { max_save_age: 10ms } }", "expect.max_save_age", "at least 1s"),
        ("{ address: 'a:1', tls: { server_name: 'a b' } }", "tls.server_name", "not a host name"),
    ];
    for (yaml, path, words) in cases {
        let config: Config = serde_yaml::from_str(yaml).unwrap();
        let mistakes = config.build(&Context::default()).map(|_| ()).unwrap_err();
        assert_eq!(mistakes.len(), 1);
        assert_eq!(mistakes[0].path, path, "{yaml}");
        assert!(mistakes[0].message.contains(words), "{yaml}: {}", mistakes[0].message);
    }
    let with = |yaml: &str| serde_yaml::from_str::<Config>(yaml);
    assert_eq!(with("{ address: 'a:1', tls: {} }").unwrap().tls, Some(TlsConfig::default()));
    assert_eq!(with("{ address: 'a:1' }").unwrap().tls, None);
    let nothing = with("{ address: 'a:1', tls: }");
    assert!(nothing.as_ref().map_or(true, |config| config.tls.is_some()), "TLS that is asked for is not left out");
    assert!(with("{ address: 'a:1', tls: false }").is_err());
}
