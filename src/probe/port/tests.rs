//! Against sockets of the test's own, and against made-up ones where a test cannot make them.

use super::*;
use crate::machine::holders::{MAX_NAMED, Owner};
use crate::machine::sockets::Listener;
use crate::probe::Probe as _;
use std::net::{TcpListener, UdpSocket};

fn config(yaml: &str) -> Config {
    serde_yaml::from_str(yaml).unwrap()
}

fn build(yaml: &str) -> Probe {
    config(yaml).build(&Context::default()).unwrap_or_else(|error| panic!("{yaml}: {error:?}"))
}

async fn run(probe: &mut Probe) -> (Result<(), Failure>, Readings) {
    let mut out = Readings::default();
    let outcome = probe.run(&mut out).await;
    (outcome, out)
}

fn note<'a>(out: &'a Readings, key: &str) -> Option<&'a str> {
    out.notes().iter().find(|(what, _)| *what == key).map(|(_, fact)| fact.as_str())
}

fn values(out: &Readings) -> [Option<f64>; 4] {
    [&LISTENING, &LISTENERS, &EXPECTED, &OWNER_KNOWN].map(|family| out.value(family))
}

#[tokio::test]
async fn a_listener_of_the_expected_process_is_right_and_its_end_is_missed() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let exe = std::env::current_exe().unwrap();
    let uid = rustix::process::geteuid().as_raw();
    let mut probe = build(&format!("{{ port: {port}, exe: {}, user: {uid} }}", exe.display()));
    for _ in 0..2 {
        let (outcome, out) = run(&mut probe).await;
        assert_eq!(outcome, Ok(()));
        assert_eq!(values(&out), [Some(1.0); 4]);
        assert_eq!(note(&out, "listens"), Some(format!("127.0.0.1:{port}").as_str()));
        let pid = format!("(pid {}, user ", std::process::id());
        assert!(note(&out, "owner").unwrap().contains(&pid), "{:?}", out.notes());
        assert_eq!(probe.holders, [std::process::id().cast_signed()]);
    }
    drop(socket);
    let (outcome, out) = run(&mut probe).await;
    assert_eq!(outcome, Err(Failure::new(Reason::Missing, format!("nobody listens on tcp port {port}"))));
    assert_eq!(values(&out), [Some(0.0), Some(0.0), Some(0.0), None]);
}

#[tokio::test]
async fn another_process_on_the_port_is_a_conflict_that_names_both() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let mut probe = build(&format!("{{ port: {port}, process: nginx, user: 4242 }}"));
    let (outcome, out) = run(&mut probe).await;
    let failure = outcome.unwrap_err();
    assert_eq!(failure.reason, Reason::Status);
    assert!(failure.detail.starts_with(&format!("tcp port {port} is held by ")), "{failure}");
    assert!(failure.detail.contains(&format!("(pid {}, user ", std::process::id())), "{failure}");
    assert!(failure.detail.ends_with(", expected nginx as user 4242"), "{failure}");
    assert_eq!(values(&out), [Some(1.0), Some(1.0), Some(0.0), Some(1.0)]);
    assert!(probe.holders.is_empty(), "who is wrong is no place to look first");
}

#[tokio::test]
async fn a_free_port_can_be_what_is_expected() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let mut probe = build(&format!("{{ port: {port}, protocol: udp, expect: free }}"));
    let (outcome, out) = run(&mut probe).await;
    let failure = outcome.unwrap_err();
    assert_eq!(failure.reason, Reason::Status);
    assert!(failure.detail.ends_with(", it should be free"), "{failure}");
    assert_eq!(out.value(&EXPECTED), Some(0.0));
    drop(socket);
    let (outcome, out) = run(&mut probe).await;
    assert_eq!((outcome, out.value(&EXPECTED)), (Ok(()), Some(1.0)));
}

#[tokio::test]
async fn only_who_accepts_the_address_counts_and_the_others_are_named() {
    let socket = TcpListener::bind("127.0.0.2:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    for (address, reaches) in [("127.0.0.2", true), ("127.0.0.1", false), ("0.0.0.0", false)] {
        let (outcome, _) = run(&mut build(&format!("{{ port: {port}, address: {address} }}"))).await;
        let missed = format!("nobody listens on tcp {address}:{port}, only on 127.0.0.2:{port}");
        assert_eq!(outcome, if reaches { Ok(()) } else { Err(Failure::new(Reason::Missing, missed)) }, "{address}");
    }
}

fn held(owners: &[(i32, &str, bool)]) -> Held {
    let listener = Listener { address: "[::]:8082".parse().unwrap(), inode: 7, uid: 0, v6_only: false };
    let owner = |(pid, name, expected): &(i32, &str, bool)| Owner::made_up(*pid, name, *expected);
    Held { listener, owners: owners.iter().map(owner).collect() }
}

fn judged(yaml: &str, held: Vec<Held>) -> (Result<(), Failure>, Readings) {
    let probe = build(yaml);
    let sight = Sight { held, elsewhere: Vec::new(), hidden: 3 };
    let mut out = Readings::default();
    probe.write(&sight, &mut out);
    (probe.judge(&sight), out)
}

#[test]
fn an_owner_that_may_not_be_seen_is_neither_right_nor_wrong() {
    let (outcome, out) = judged("{ port: 8082, process: python3 }", vec![held(&[])]);
    assert_eq!(outcome, Ok(()));
    assert_eq!(values(&out), [Some(1.0), Some(1.0), None, Some(0.0)]);
    let unseen =
        "a process that may not be seen; user root made the socket; 3 processes of other users are closed to Banken";
    assert_eq!((note(&out, "unseen"), note(&out, "owner")), (Some(unseen), None));
    // Where anybody will do, the socket alone says enough.
    let (outcome, out) = judged("{ port: 8082 }", vec![held(&[])]);
    assert_eq!((outcome, out.value(&EXPECTED)), (Ok(()), Some(1.0)));
    let (outcome, _) = judged("{ port: 8082, expect: free }", vec![held(&[])]);
    let expected =
        "tcp port 8082 is held by a process that may not be seen; user root made the socket, it should be free";
    assert_eq!(outcome, Err(Failure::new(Reason::Status, expected)));
}

#[test]
fn of_several_owners_of_one_socket_one_is_enough_but_each_socket_needs_one() {
    let yaml = "{ port: 8082, process: nginx }";
    let shared = held(&[(1, "systemd", false), (77, "nginx", true), (78, "nginx", true)]);
    let (outcome, out) = judged(yaml, vec![shared.clone()]);
    assert_eq!((outcome, out.value(&EXPECTED)), (Ok(()), Some(1.0)));
    let (outcome, out) = judged(yaml, vec![shared.clone(), held(&[(90, "python3", false)])]);
    let detail = "tcp port 8082 is held by python3 (pid 90, user u), expected nginx";
    assert_eq!(outcome, Err(Failure::new(Reason::Status, detail)));
    assert_eq!(out.value(&EXPECTED), Some(0.0));
    // What is seen decides only if all of it is seen.
    let (outcome, out) = judged(yaml, vec![shared, held(&[])]);
    assert_eq!((outcome, out.value(&EXPECTED), out.value(&OWNER_KNOWN)), (Ok(()), None, Some(0.0)));
}

#[test]
fn many_owners_are_not_all_named() {
    let many: Vec<(i32, &str, bool)> = (1..=9).map(|pid| (pid, "w", false)).collect();
    let (outcome, _) = judged("{ port: 8082, process: nginx }", vec![held(&many), held(&many)]);
    let detail = outcome.unwrap_err().detail;
    assert_eq!(detail.matches("pid ").count(), MAX_NAMED, "{detail}");
    assert!(detail.contains(" and 5 more, expected nginx"), "{detail}");
}

#[test]
fn mistakes_are_named_with_their_key_and_a_remedy() {
    let cases = [
        ("{ port: 1, address: localhost }", "address", "127.0.0.1"),
        ("{ port: 1, process: /usr/bin/x }", "process", "use exe"),
        ("{ port: 1, exe: x }", "exe", "begin it with '/'"),
        ("{ port: 1, cmdline: 'x*' }", "cmdline", "every process"),
        ("{ port: 1, process: x, exe: /x }", "", "keep one"),
        ("{ port: 1, expect: free, process: x }", "expect", "remove process"),
        ("{ port: 1, expect: free, user: 0 }", "expect", "remove process"),
        ("{ port: 1, user: no-such-user-here }", "user", "write the uid"),
    ];
    for (yaml, path, words) in cases {
        let invalid = config(yaml).build(&Context::default()).err().unwrap_or_else(|| panic!("{yaml} was built"));
        assert_eq!(invalid.len(), 1, "{yaml}: {invalid:?}");
        assert_eq!(invalid[0].path, path, "{yaml}");
        assert!(invalid[0].message.contains(words), "{yaml}: {}", invalid[0].message);
    }
    assert!(serde_yaml::from_str::<Config>("port: 0").is_err());
}
