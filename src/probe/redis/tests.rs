//! Servers that answer as a test tells them to, down to the byte.

use super::*;
use crate::observation::{Family, Phase};
use crate::probe::Probe as _;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Long enough on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

const INFO: &str = "# Server\r\nredis_version:7.0.15\r\nrun_id:one\r\nuptime_in_seconds:1000\r\nserver_time_usec:2000000000000000\r\n\
    # Clients\r\nconnected_clients:20\r\nmaxclients:100\r\nblocked_clients:1\r\n# Memory\r\nused_memory:800\r\n\
    used_memory_rss:900\r\nmaxmemory:1000\r\n# Persistence\r\nloading:0\r\nrdb_changes_since_last_save:7\r\n\
    rdb_last_save_time:1999999000\r\nrdb_last_bgsave_status:ok\r\naof_enabled:0\r\naof_last_write_status:ok\r\n# Stats\r\n\
    total_connections_received:10\r\nrejected_connections:3\r\nkeyspace_hits:50\r\n# Replication\r\nrole:master\r\n\
    connected_slaves:2\r\nslave0:ip=127.0.0.1,port=1,state=online,offset=1,lag=4\r\n\
    slave1:ip=127.0.0.1,port=2,state=wait_bgsave,offset=0,lag=99\r\n\
    # Keyspace\r\ndb0:keys=5,expires=2,avg_ttl=0\r\ndb10:keys=7,expires=1,avg_ttl=0\r\n";

const REPLICA: &str =
    "run_id:two\r\nrole:slave\r\nmaster_link_status:up\r\nmaster_last_io_seconds_ago:3\r\nconnected_slaves:0\r\n";

/// What a fake server does with a command.
enum Do {
    Say(Vec<u8>),
    Hang,
    Close,
}

fn say(text: &str) -> Do {
    Do::Say(format!("{text}\r\n").into_bytes())
}

fn text(body: &str) -> Do {
    Do::Say(format!("${}\r\n{body}\r\n", body.len()).into_bytes())
}

/// PING and INFO as they should be answered.
fn well(command: &str) -> Do {
    match command {
        "PING" => say("+PONG"),
        "INFO" => text(INFO),
        _ => say("+OK"),
    }
}

/// A server that answers each command, by the number of its connection from 1.
struct Fake {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Fake {
    async fn start(answer: impl Fn(usize, &str) -> Do + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, heard) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let (answer, log) = (Arc::new(answer), Arc::clone(&heard));
        let serving = tokio::spawn(async move {
            for connection in 1.. {
                let (stream, _) = listener.accept().await.unwrap();
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    while let Some(command) = command_of(&mut stream).await {
                        log.lock().unwrap().push(format!("{connection} {command}"));
                        match answer(connection, &command) {
                            Do::Say(bytes) => stream.get_mut().write_all(&bytes).await.unwrap(),
                            Do::Hang => pending().await,
                            Do::Close => break,
                        }
                    }
                });
            }
        });
        Self { address, heard, serving }
    }

    /// Says this as soon as somebody connects.
    async fn greeting(words: &'static [u8]) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(words).await.unwrap();
            }
        });
        (address, serving)
    }

    /// What was heard since the last time, with the number of the connection.
    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut *self.heard.lock().unwrap())
    }

    fn probe(&self, more: &str) -> Probe {
        probe(&format!("{{ address: '{}', {more} }}", self.address))
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn command_of(stream: &mut BufReader<TcpStream>) -> Option<String> {
    async fn number(stream: &mut BufReader<TcpStream>) -> Option<usize> {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        line.trim_end().get(1..)?.parse().ok()
    }
    let mut words = Vec::new();
    for _ in 0..number(stream).await? {
        let mut word = vec![0; number(stream).await? + 2];
        stream.read_exact(&mut word).await.ok()?;
        words.push(String::from_utf8(word).unwrap().trim_end().to_owned());
    }
    Some(words.join(" "))
}

fn probe(yaml: &str) -> Probe {
    let config: Config = serde_yaml::from_str(yaml).unwrap();
    config.build(&Context::default()).unwrap_or_else(|mistakes| panic!("{yaml}: {mistakes:?}"))
}

async fn run_within(probe: &mut Probe, time: Duration) -> (Option<Result<(), Failure>>, Readings) {
    let mut out = Readings::default();
    out.begin(Instant::now() + time, None);
    (timeout(time, probe.run(&mut out)).await.ok(), out)
}

async fn run(probe: &mut Probe) -> (Result<(), Failure>, Readings) {
    let (outcome, out) = run_within(probe, PATIENCE).await;
    (outcome.expect("it ends"), out)
}

async fn failure(probe: &mut Probe) -> Failure {
    run(probe).await.0.unwrap_err()
}

fn note<'a>(out: &'a Readings, what: &str) -> Option<&'a str> {
    out.notes().iter().find(|(known, _)| *known == what).map(|(_, fact)| fact.as_str())
}

fn family(name: &str) -> &'static Family {
    families::ALL
        .iter()
        .find(|family| family.name == format!("banken_redis_{name}"))
        .unwrap_or_else(|| panic!("{name}"))
}

fn value(out: &Readings, name: &str) -> Option<f64> {
    out.value(family(name))
}

fn added(out: &Readings, name: &str) -> Vec<f64> {
    let family = family(name);
    out.increments().iter().filter(|r| std::ptr::eq(r.family, family)).map(|r| r.value).collect()
}

#[tokio::test]
async fn what_info_says_is_published_and_what_it_does_not_say_is_not() {
    let fake = Fake::start(|_, command| well(command)).await;
    let (outcome, out) = run(&mut fake.probe("")).await;
    assert_eq!(outcome, Ok(()));
    let said = [
        ("memory_used_bytes", 800.0),
        ("memory_max_bytes", 1000.0),
        ("memory_resident_bytes", 900.0),
        ("clients_connected", 20.0),
        ("clients_max", 100.0),
        ("clients_blocked", 1.0),
        ("keys", 12.0),
        ("keys_expiring", 3.0),
        ("last_save_success", 1.0),
        ("last_save_timestamp_seconds", 1_999_999_000.0),
        ("changes_since_save", 7.0),
        ("replicas_online", 1.0),
        ("replication_lag_seconds", 4.0),
        ("loading", 0.0),
        ("uptime_seconds", 1000.0),
    ];
    for (name, expected) in said {
        assert_eq!(value(&out, name), Some(expected), "{name}");
    }
    for name in ["append_success", "replication_link_up"] {
        assert_eq!(value(&out, name), None, "{name}");
    }
    assert!(value(&out, "ping_seconds").unwrap() < PATIENCE.as_secs_f64());
    let signals: Vec<_> = out.signals().iter().map(|(signal, value)| (signal.key, *value)).collect();
    assert_eq!(signals, [("memory", 800.0), ("memory_ratio", 0.8), ("clients", 0.2), ("replication_lag", 4.0)]);
    let roles: Vec<_> = out.gauges().iter().filter(|r| std::ptr::eq(r.family, &families::ROLE)).collect();
    let roles: Vec<_> = roles.iter().map(|r| (r.labels.as_ref().unwrap().text().to_owned(), r.value)).collect();
    assert_eq!(roles, [("role=\"master\"".to_owned(), 1.0), ("role=\"replica\"".to_owned(), 0.0)]);
    assert_eq!(note(&out, "server"), Some("Redis 7.0.15, role master"));
    let phases: Vec<_> = out.phases().map(|(phase, _)| phase).collect();
    assert!(phases.contains(&Phase::Connect) && phases.contains(&Phase::Wait), "{phases:?}");
    assert_eq!(value(&run(&mut fake.probe("database: 10")).await.1, "keys"), Some(7.0));
    assert_eq!(value(&run(&mut fake.probe("database: 1")).await.1, "keys"), Some(0.0), "db10 is not db1");
}

#[test]
fn a_replica_says_how_long_it_has_not_heard_from_its_master() {
    let lag = |text: &str| {
        let mut out = Readings::default();
        Info::of(text).write(None, &families::role_labels(), &mut out);
        (value(&out, "replication_link_up"), value(&out, "replication_lag_seconds"))
    };
    assert_eq!(lag(REPLICA), (Some(1.0), Some(3.0)));
    let down = REPLICA.replace("status:up", "status:down").replace("ago:3", "ago:-1");
    assert_eq!(lag(&format!("{down}master_link_down_since_seconds:17\r\n")), (Some(0.0), Some(17.0)));
    assert_eq!(lag(&format!("{down}master_link_down_since_seconds:-1\r\n")), (Some(0.0), None));
}

#[test]
fn without_a_limit_there_is_no_share_of_it_and_while_it_loads_there_are_no_keys() {
    let mut out = Readings::default();
    let text = INFO.replace("maxmemory:1000", "maxmemory:0").replace("loading:0", "loading:1");
    let text = text.replace("aof_enabled:0", "aof_enabled:1").replace("write_status:ok", "write_status:err");
    Info::of(&text).write(None, &families::role_labels(), &mut out);
    assert_eq!((value(&out, "memory_max_bytes"), value(&out, "keys"), value(&out, "loading")), (None, None, Some(1.0)));
    assert_eq!(value(&out, "append_success"), Some(0.0));
    assert!(out.signals().iter().all(|(signal, _)| signal.key != "memory_ratio"));
}

#[tokio::test]
async fn the_connection_is_kept_and_replaced_in_the_same_run_when_it_is_of_no_use() {
    let fake = Fake::start(|connection, command| match (connection, command) {
        (3, "PING") => say("+PONG\r\n+unasked"),
        (4, "INFO") => Do::Say([b"$4\r\na:b\n\r\n".to_vec(), b"+late\r\n".to_vec()].concat()),
        (_, command) => well(command),
    })
    .await;
    let mut probe = fake.probe("password: secret");
    for _ in 0..3 {
        let (outcome, out) = run(&mut probe).await;
        assert_eq!((outcome, note(&out, "connection")), (Ok(()), None));
        assert_eq!(note(&out, "address"), Some(fake.address.to_string().as_str()));
    }
    let expected = ["1 AUTH secret", "1 PING", "1 INFO", "1 PING", "1 INFO", "1 PING", "1 INFO"];
    assert_eq!(fake.heard(), expected);
    // Ours is gone: the next run makes a new one and says so.
    probe.kept = Some(Connection::new(tokio::io::empty()));
    let (outcome, out) = run(&mut probe).await;
    assert_eq!(outcome, Ok(()));
    assert!(note(&out, "connection").unwrap().contains("had closed it"), "{:?}", out.notes());
    assert_eq!(fake.heard(), ["2 AUTH secret", "2 PING", "2 INFO"]);
    // A reply that nobody asked for makes a connection useless; so does one that comes after the last reply.
    probe.kept = None;
    assert_eq!(failure(&mut probe).await.reason, Reason::Protocol);
    assert_eq!(run(&mut probe).await.0, Ok(()));
    assert!(probe.kept.is_none(), "something more had come");
}

#[tokio::test]
async fn an_old_connection_is_replaced() {
    let fake = Fake::start(|_, command| well(command)).await;
    let mut probe = fake.probe("");
    assert_eq!(run(&mut probe).await.0, Ok(()));
    fake.heard();
    tokio::time::pause();
    tokio::time::advance(MAX_AGE).await;
    tokio::time::resume();
    assert_eq!(run(&mut probe).await.0, Ok(()));
    assert_eq!(fake.heard(), ["2 PING", "2 INFO"]);
}

#[tokio::test]
async fn a_kept_connection_that_falls_silent_leaves_time_for_a_new_one() {
    let fake = Fake::start(|connection, command| if connection == 2 { Do::Hang } else { well(command) }).await;
    let mut probe = fake.probe("");
    assert_eq!(run(&mut probe).await.0, Ok(()));
    // Where what sits between has forgotten it, nothing comes back.
    let (silent, _other_end) = tokio::io::duplex(64);
    probe.kept = Some(Connection::new(silent));
    let (outcome, out) = run_within(&mut probe, Duration::from_millis(600)).await;
    assert_eq!(outcome, None, "the second connection is silent too: {:?}", out.notes());
    assert!(note(&out, "connection").unwrap().contains("did not answer"));
    assert!(probe.kept.is_none());
    assert_eq!(run(&mut probe).await.0, Ok(()));
    assert_eq!(fake.heard().last().unwrap(), "3 INFO");
}

#[tokio::test]
async fn a_run_that_is_cut_off_leaves_no_half_answer_to_the_next_one() {
    let fake = Fake::start(|connection, command| match (connection, command) {
        (1, "INFO") => Do::Say(b"$400\r\nhalf".to_vec()),
        (_, command) => well(command),
    })
    .await;
    let mut probe = fake.probe("");
    let (outcome, out) = run_within(&mut probe, Duration::from_millis(300)).await;
    assert_eq!((outcome, out.running_phase()), (None, Some(Phase::Transfer)));
    assert!(value(&out, "ping_seconds").is_some(), "what was known stays known");
    assert_eq!(run(&mut probe).await.0, Ok(()));
    assert_eq!(fake.heard(), ["1 PING", "1 INFO", "2 PING", "2 INFO"]);
}

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
    let info: [(fn() -> Do, &str); 5] = [
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

/// What is added by looks at these, one after another: text of INFO, and seconds since the look before.
fn increments(looks: &[(&str, u64)]) -> Vec<Vec<f64>> {
    let (mut counters, mut now) = (Counters::default(), Instant::now());
    let mut all = Vec::new();
    for (text, seconds) in looks {
        now += Duration::from_secs(*seconds);
        let mut out = Readings::default();
        counters.take(&Info::of(text), now, &mut out);
        all.push(added(&out, "connections_rejected_total"));
    }
    all
}

#[test]
fn counters_of_the_server_are_counted_on_and_never_go_back() {
    let info = |run_id: &str, uptime: u64, rejected: u64| {
        format!("run_id:{run_id}\r\nuptime_in_seconds:{uptime}\r\nrejected_connections:{rejected}\r\n")
    };
    let looks = [
        (info("a", 1000, 500), 0, vec![]),
        (info("a", 1010, 503), 10, vec![3.0]),
        (info("a", 1020, 503), 10, vec![0.0]),
        // CONFIG RESETSTAT
        (info("a", 1030, 2), 10, vec![2.0]),
        // It was started again 4 s ago.
        (info("b", 4, 7), 10, vec![7.0]),
        (info("b", 5, 9), 1, vec![2.0]),
        // Started again within the second in which we looked.
        (info("c", 0, 1), 0, vec![1.0]),
        // Another server, which has been running for long, answers at this address now.
        (info("d", 100_000, 12_345), 10, vec![0.0]),
        (info("d", 100_010, 12_346), 10, vec![1.0]),
        ("role:master\r\n".to_owned(), 10, vec![]),
    ];
    let texts: Vec<_> = looks.iter().map(|(text, seconds, _)| (text.as_str(), *seconds)).collect();
    let expected: Vec<_> = looks.iter().map(|(_, _, added)| added.clone()).collect();
    assert_eq!(increments(&texts), expected);
}

#[tokio::test]
async fn counters_are_counted_also_when_expectations_fail() {
    let fake = Fake::start(|_, command| well(command)).await;
    let mut probe = fake.probe("expect: { role: replica }");
    for expected in [vec![], vec![0.0]] {
        let (outcome, out) = run(&mut probe).await;
        assert_eq!(outcome.unwrap_err(), Failure::new(Reason::Status, "it is a master, and a replica was expected"));
        assert_eq!(added(&out, "connections_rejected_total"), expected);
    }
    assert_eq!(fake.heard().len(), 4, "the connection is kept: there is nothing wrong with it");
}

#[test]
fn expectations_have_their_reasons() {
    let judge = |yaml: &str, text: &str| {
        let expect: Expect = serde_yaml::from_str(yaml).unwrap();
        expect.judge(&Info::of(text)).map_err(|failure| (failure.reason, failure.detail))
    };
    let down = REPLICA.replace("status:up", "status:down") + "master_link_down_since_seconds:9\r\n";
    let never = REPLICA.replace("status:up", "status:down") + "master_link_down_since_seconds:-1\r\n";
    let failed = INFO.replace("bgsave_status:ok", "bgsave_status:err");
    let append = INFO.replace("aof_enabled:0", "aof_enabled:1").replace("write_status:ok", "write_status:err");
    let cases: Vec<(&str, &str, Option<(Reason, &str)>)> = vec![
        ("{ role: master }", INFO, None),
        ("{ role: replica }", REPLICA, None),
        ("{ role: master }", REPLICA, Some((Reason::Status, "it is a replica, and a master was expected"))),
        ("{ role: master }", "a:b", Some((Reason::Status, "of no known role"))),
        ("{ link_up: true }", REPLICA, None),
        ("{ link_up: true }", &down, Some((Reason::Status, "down for 9 s"))),
        ("{ link_up: true }", &never, Some((Reason::Status, "never up"))),
        ("{ link_up: true }", INFO, Some((Reason::Status, "no link to a master"))),
        ("{ min_replicas: 1 }", INFO, None),
        ("{ min_replicas: 2 }", INFO, Some((Reason::Missing, "1 replicas are connected and in step, at least 2"))),
        ("{ saved: true }", INFO, None),
        ("{ saved: true }", &failed, Some((Reason::Status, "its last save failed"))),
        ("{ saved: true }", &append, Some((Reason::Status, "append-only file failed"))),
        ("{ saved: true }", REPLICA, Some((Reason::Status, "does not say whether"))),
        ("{ max_save_age: 1000s }", INFO, None),
        ("{ max_save_age: 999s }", INFO, Some((Reason::Stale, "16m 40s old, at most 16m 39s"))),
        ("{ max_save_age: 1h }", REPLICA, Some((Reason::Status, "does not say when"))),
        ("{ min_replicas: 2, role: replica, max_save_age: 1s }", INFO, Some((Reason::Status, "old, at most 1s"))),
    ];
    for (expect, text, wrong) in cases {
        match (judge(expect, text), wrong) {
            (Ok(()), None) => {}
            (Err((reason, detail)), Some((expected, words))) => {
                assert_eq!(reason, expected, "{expect}: {detail}");
                assert!(detail.contains(words), "{expect}: {detail}");
            }
            (outcome, expected) => panic!("{expect}: {outcome:?} and not {expected:?}"),
        }
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
