//! A DNS server of Debian's package, servers that answer as a test tells them to, and what Banken says of them.

mod server;

use crate::support::{Banken, eventually};
use serde_json::Value;
use server::Dnsmasq;
use std::net::{SocketAddr, UdpSocket};

const CONFIG: &str = "host: false\ndefaults: { interval: 200ms, retry_interval: 100ms, timeout: 3s }\nprobes:\n";

const RECORDS: &[&str] = &[
    "--host-record=www.example.test,192.0.2.10,2001:db8::10,300",
    "--cname=alias.example.test,www.example.test,60",
    "--address=/wild.example.test/192.0.2.77",
    "--mx-host=example.test,mail.example.test,10",
    "--mx-host=example.test,backup.example.test,20",
    "--txt-record=example.test,v=spf1 -all",
    "--srv-host=_sip._tcp.example.test,sip.example.test,5060,1,2",
    "--caa-record=example.test,0,issue,ca.example.net",
    "--local=/example.test/",
    "--auth-ttl=600",
];

async fn sample(banken: &Banken, probe: &str, family: &str) -> Option<f64> {
    banken.sample(&format!("banken_probe_dns_{family}{{probe=\"{probe}\",kind=\"dns\"}}")).await
}

fn message(detail: &Value) -> &str {
    detail["message"].as_str().unwrap()
}

#[tokio::test]
async fn records_of_a_real_server_are_counted_and_compared() {
    let dnsmasq = Dnsmasq::start(RECORDS).await;
    let good = [
        ("a", "name: www.example.test, expect: { answers: { equals: [192.0.2.10] } }", 1.0),
        ("aaaa", "name: www.example.test, type: AAAA, expect: { answers: { equals: ['2001:DB8::10'] } }", 1.0),
        ("alias", "name: alias.example.test, expect: { answers: { contains: [192.0.2.10] } }", 1.0),
        ("wild", "name: any.wild.example.test, expect: { answers: { any: [192.0.2.1, 192.0.2.77] } }", 1.0),
        (
            "mx",
            "name: example.test, type: MX, expect: { min_answers: 2, answers: { contains: [20 Backup.Example.test.] } }",
            2.0,
        ),
        ("txt", "name: example.test, type: TXT, expect: { answers: { matches: '^v=spf1 .*-all$' } }", 1.0),
        (
            "srv",
            "name: _sip._tcp.example.test, type: SRV, expect: { answers: { equals: [1 2 5060 sip.example.test] } }",
            1.0,
        ),
        ("caa", "name: example.test, type: CAA, expect: { answers: { equals: ['0 issue \"ca.example.net\"'] } }", 1.0),
        ("ptr", "name: 192.0.2.10, type: PTR, expect: { answers: { equals: [www.example.test] } }", 1.0),
        ("tcp", "name: www.example.test, protocol: tcp, expect: { answers: { equals: [192.0.2.10] } }", 1.0),
        ("gone", "name: none.example.test, expect: { rcode: nxdomain }", 0.0),
        ("empty", "name: www.example.test, type: MX, expect: { min_answers: 0 }", 0.0),
    ];
    let bad = [
        ("missing", "name: none.example.test", "missing", "none.example.test. does not exist"),
        ("no-type", "name: www.example.test, type: TXT", "missing", "0 records of type TXT"),
        ("few", "name: www.example.test, expect: { min_answers: 2 }", "missing", "at least 2"),
        (
            "other",
            "name: www.example.test, expect: { answers: { equals: [192.0.2.11] } }",
            "body",
            "the answer is 192.0.2.10",
        ),
        ("refused", "name: elsewhere.invalid", "status", "answered REFUSED where NOERROR"),
    ];
    let mut entries: Vec<_> = good.iter().map(|(name, more, _)| dnsmasq.entry(name, more)).collect();
    entries.extend(bad.iter().map(|(name, more, ..)| dnsmasq.entry(name, more)));
    let banken = Banken::start(&format!("{CONFIG}{}", entries.concat())).await;
    for (probe, _, answers) in good {
        let detail = banken.until_status(probe, "healthy").await;
        assert_eq!(detail["notes"]["server"], format!("127.0.0.1:{}", dnsmasq.port), "{detail:#}");
        assert_eq!(sample(&banken, probe, "answers").await, Some(answers), "{detail:#}");
        let truncated = sample(&banken, probe, "truncated").await;
        assert_eq!(truncated, (probe != "tcp").then_some(0.0), "{detail:#}");
    }
    assert_eq!(sample(&banken, "a", "ttl_seconds").await, Some(300.0));
    assert_eq!(sample(&banken, "alias", "ttl_seconds").await, Some(60.0), "the smaller one of alias and address");
    assert_eq!(sample(&banken, "gone", "rcode").await, Some(3.0));
    assert_eq!(sample(&banken, "gone", "ttl_seconds").await, None);
    assert!(sample(&banken, "a", "resent_total").await.is_some());
    for (probe, _, reason, words) in bad {
        let detail = banken.until_status(probe, "unhealthy").await;
        assert_eq!(detail["reason"], reason, "{detail:#}");
        assert!(message(&detail).contains(words), "{detail:#}");
    }
}

#[tokio::test]
async fn the_serial_number_of_a_zone_is_told() {
    let zone = [
        "--auth-server=ns.example.test,127.0.0.1",
        "--auth-zone=example.test",
        "--auth-soa=2026112201,root.example.test",
        "--host-record=ns.example.test,127.0.0.1",
    ];
    let dnsmasq = Dnsmasq::start(&zone).await;
    let entry = dnsmasq.entry("zone", "name: example.test, type: SOA, recursion: false");
    let banken = Banken::start(&format!("{CONFIG}{entry}")).await;
    banken.until_status("zone", "healthy").await;
    assert_eq!(sample(&banken, "zone", "serial").await, Some(2_026_112_201.0));
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_fetched_over_tcp() {
    let records: Vec<_> = (1..=120).map(|last| format!("--host-record=many.example.test,192.0.2.{last}")).collect();
    let records: Vec<_> = records.iter().map(String::as_str).collect();
    let dnsmasq = Dnsmasq::start(&records).await;
    let entry = dnsmasq.entry("many", "name: many.example.test, expect: { min_answers: 120 }");
    let banken = Banken::start(&format!("{CONFIG}{entry}")).await;
    let detail = banken.until_status("many", "healthy").await;
    assert!(detail["phases"]["connect"].is_number() && detail["notes"]["truncated"].is_string(), "{detail:#}");
    assert_eq!(sample(&banken, "many", "truncated").await, Some(1.0));
    assert_eq!(sample(&banken, "many", "answers").await, Some(120.0));
}

#[tokio::test]
async fn a_server_that_stops_goes_and_comes_back_is_seen() {
    let mut dnsmasq = Dnsmasq::start(RECORDS).await;
    let yaml = CONFIG.replace("timeout: 3s", "timeout: 600ms") + &dnsmasq.entry("up", "name: www.example.test");
    let banken = Banken::start(&yaml).await;
    banken.until_status("up", "healthy").await;
    dnsmasq.process.signal(rustix::process::Signal::STOP);
    let detail = banken.until_reason("up", "timeout").await;
    assert!(message(&detail).contains("does not answer over UDP, asked 3 times for www.example.test. A"), "{detail:#}");
    dnsmasq.process.signal(rustix::process::Signal::CONT);
    banken.until_status("up", "healthy").await;
    dnsmasq.process.signal(rustix::process::Signal::KILL);
    dnsmasq.process.ended().await;
    let detail = banken.until_reason("up", "connect").await;
    assert!(message(&detail).contains("takes no questions over UDP"), "{detail:#}");
    let _again = Dnsmasq::start_at(dnsmasq.port, RECORDS).await;
    banken.until_status("up", "healthy").await;
}

/// A server over UDP that makes of each question (its number from 1, and its bytes) what it sends back.
fn fake(mut answer: impl FnMut(usize, &[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    // It ends with the test's process, in its sleep.
    std::thread::spawn(move || {
        let mut bytes = [0; 1500];
        for number in 1.. {
            let Ok((length, from)) = socket.recv_from(&mut bytes) else { break };
            for datagram in answer(number, &bytes[..length]) {
                let _ = socket.send_to(&datagram, from);
            }
        }
    });
    address
}

/// The question sent back as an answer: this response code, one record 192.0.2.1 for 30 s where it is 0.
fn answer(question: &[u8], rcode: u8) -> Vec<u8> {
    let end = 12 + question[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
    let mut bytes = question[..end].to_vec();
    bytes[2] |= 0x80;
    bytes[3] = 0x80 | rcode;
    bytes[4..12].copy_from_slice(&[0, 1, 0, u8::from(rcode == 0), 0, 0, 0, 0]);
    if rcode == 0 {
        bytes.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 192, 0, 2, 1]);
    }
    bytes
}

fn with_other_id(mut message: Vec<u8>) -> Vec<u8> {
    message[0] ^= 0x55;
    message
}

#[tokio::test]
async fn odd_servers_are_told_apart() {
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let servers = [
        ("garbage", fake(|_, _| vec![b"\xff\xfe garbage".to_vec()]), "protocol", "no answer, the last one"),
        ("cut", fake(|_, question| vec![answer(question, 0)[..40].to_vec()]), "protocol", "cannot be read"),
        ("wrong-id", fake(|_, question| vec![with_other_id(answer(question, 0))]), "protocol", "with another id"),
        ("servfail", fake(|_, question| vec![answer(question, 2)]), "status", "answered SERVFAIL where NOERROR"),
        ("silent", fake(|_, _| vec![]), "timeout", "does not answer over UDP, asked 3 times"),
    ];
    let entry = |name: &str, server: SocketAddr, more: &str| {
        format!("  - {{ name: {name}, {more} dns: {{ name: example.org, server: '{server}' }} }}\n")
    };
    let mut yaml = CONFIG.to_owned();
    for (name, server, ..) in &servers {
        yaml += &entry(name, *server, "timeout: 500ms,");
    }
    let lossy = fake(|number, question| if number % 2 == 1 { vec![] } else { vec![answer(question, 0)] });
    yaml += &entry("lossy", lossy, "timeout: 6s,");
    let crowded = fake(move |_, question| {
        vec![with_other_id(answer(question, 3)), b"junk".to_vec(), answer(question, 0), answer(question, 2)]
    });
    yaml += &entry("crowded", crowded, "");
    yaml += &entry("stranger", foreign_server(stranger), "timeout: 500ms,");
    let banken = Banken::start(&yaml).await;
    for (name, _, reason, words) in servers {
        let detail = banken.until_status(name, "unhealthy").await;
        assert_eq!(detail["reason"], reason, "{detail:#}");
        assert!(message(&detail).contains(words), "{detail:#}");
    }
    let detail = banken.until_status("stranger", "unhealthy").await;
    assert_eq!(detail["reason"], "timeout", "what comes from elsewhere is no answer: {detail:#}");
    for name in ["lossy", "crowded"] {
        let detail = banken.until_status(name, "healthy").await;
        assert_eq!(detail["failures"], serde_json::json!({}), "{detail:#}");
    }
    assert!(sample(&banken, "lossy", "resent_total").await >= Some(1.0));
    assert_eq!(sample(&banken, "crowded", "resent_total").await, Some(0.0));
}

/// A server whose answers come from another port than the one that was asked.
fn foreign_server(other: UdpSocket) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut bytes = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            let _ = other.send_to(&answer(&bytes[..length], 0), from);
        }
    });
    address
}

#[tokio::test]
async fn a_server_can_be_given_by_name() {
    let server = fake(|_, question| vec![answer(question, 0)]);
    let probes =
        format!("  - {{ name: named, dns: {{ name: example.org, server: 'localhost:{}' }} }}\n", server.port());
    let banken = Banken::start(&format!("{CONFIG}{probes}")).await;
    let detail = banken.until_status("named", "healthy").await;
    assert!(detail["phases"]["resolve"].is_number(), "{detail:#}");
    let answered = detail["notes"]["server"].as_str().unwrap();
    assert_eq!(answered, server.to_string(), "{detail:#}");
}

#[tokio::test]
async fn hundreds_of_probes_need_no_thread_and_leave_no_socket() {
    let dnsmasq = Dnsmasq::start(RECORDS).await;
    let entries: String = (0..300).map(|n| dnsmasq.entry(&format!("probe-{n}"), "name: www.example.test")).collect();
    let banken = Banken::start(&format!("{}{entries}", CONFIG.replace("interval: 200ms", "interval: 1s"))).await;
    let failed = async || {
        let report = banken.json("/api/v1/status").await;
        report["checks"].as_object().unwrap().values().filter(|check| check["status"] != "healthy").count()
    };
    eventually("all are healthy", async || (failed().await == 0).then_some(())).await;
    let count = |what: &str| std::fs::read_dir(format!("/proc/{}/{what}", banken.process.pid())).unwrap().count();
    let (threads, files) = (count("task"), count("fd"));
    assert!(threads < 30, "{threads} threads");
    assert!(files < 330, "{files} open files");
    eventually("sockets are given back", async || (count("fd") < 60).then_some(())).await;
}
