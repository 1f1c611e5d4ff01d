//! Questions to servers that answer as a test tells them to, down to the byte.

use super::question::Question;
use super::*;
use crate::probe::Probe as _;
use hickory_proto::op::{MessageType, Metadata, OpCode};
use hickory_proto::rr::rdata::{A, AAAA, CAA, CNAME, MX, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;

/// Long enough on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn config(yaml: &str) -> Config {
    serde_yaml::from_str(yaml).unwrap()
}

fn probe(yaml: &str) -> Probe {
    config(yaml).build(&Context::default()).unwrap_or_else(|mistakes| panic!("{yaml}: {mistakes:?}"))
}

async fn run_within(probe: &mut Probe, time: Duration) -> (Result<(), Failure>, Readings) {
    let mut out = Readings::default();
    out.begin(Instant::now() + time, None);
    let outcome = tokio::time::timeout(time + PATIENCE, probe.run(&mut out)).await.unwrap();
    (outcome, out)
}

async fn run(probe: &mut Probe) -> (Result<(), Failure>, Readings) {
    run_within(probe, PATIENCE).await
}

fn note<'a>(out: &'a Readings, what: &str) -> Option<&'a str> {
    out.notes().iter().find(|(known, _)| *known == what).map(|(_, fact)| fact.as_str())
}

fn added(out: &Readings, family: &'static Family) -> f64 {
    out.increments().iter().filter(|reading| std::ptr::eq(reading.family, family)).map(|reading| reading.value).sum()
}

/// A server over UDP: for each question (its number from 1, and its message) the datagrams that it sends back.
struct Fake {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Fake {
    async fn start(answer: impl Fn(usize, &Message) -> Vec<Vec<u8>> + Send + 'static) -> Self {
        Self::on(UdpSocket::bind("127.0.0.1:0").await.unwrap(), answer)
    }

    fn on(socket: UdpSocket, answer: impl Fn(usize, &Message) -> Vec<Vec<u8>> + Send + 'static) -> Self {
        let (address, asked) = (socket.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&asked);
        let serving = tokio::spawn(async move {
            let mut bytes = [0; 4096];
            loop {
                let (length, from) = socket.recv_from(&mut bytes).await.unwrap();
                let question = Message::from_vec(&bytes[..length]).unwrap();
                let number = count.fetch_add(1, Ordering::SeqCst) + 1;
                for datagram in answer(number, &question) {
                    socket.send_to(&datagram, from).await.unwrap();
                }
            }
        });
        Self { address, asked, serving }
    }

    /// Answers each question with what this makes of it.
    async fn answering(change: impl Fn(&mut Message) + Send + 'static) -> Self {
        Self::start(move |_, question| vec![answer_to(question, &change)]).await
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn probe(&self, more: &str) -> Probe {
        probe(&format!("{{ name: Example.org, server: '{}', {more} }}", self.address))
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn answer_to(question: &Message, change: impl Fn(&mut Message)) -> Vec<u8> {
    let mut answer = Message::response(question.metadata.id, OpCode::Query);
    answer.queries.clone_from(&question.queries);
    change(&mut answer);
    answer.to_vec().unwrap()
}

fn record(ttl: u32, data: RData) -> Record {
    Record::from_rdata(Name::from_ascii("example.org.").unwrap(), ttl, data)
}

fn address(last: u8) -> RData {
    RData::A(A(Ipv4Addr::new(192, 0, 2, last)))
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn good(answer: &mut Message) {
    answer.add_answer(record(300, address(1)));
}

#[tokio::test]
async fn an_answer_is_counted_and_its_smallest_time_to_live_told() {
    let fake = Fake::answering(|answer| {
        answer.add_answer(record(20, RData::CNAME(CNAME(name("www.example.org.")))));
        answer.add_answer(record(300, address(1)));
        answer.add_answer(record(60, address(2)));
    })
    .await;
    let (outcome, out) = run(&mut fake.probe("")).await;
    assert_eq!(outcome, Ok(()));
    let values = [&RCODE, &ANSWERS, &TTL, &TRUNCATED, &SERIAL].map(|family| out.value(family));
    assert_eq!(values, [Some(0.0), Some(2.0), Some(20.0), Some(0.0), None]);
    assert_eq!(note(&out, "answers"), Some("192.0.2.1, 192.0.2.2"));
    assert_eq!(note(&out, "server"), Some(fake.address.to_string().as_str()));
    assert_eq!((fake.asked(), added(&out, &RESENT)), (1, 0.0));
}

#[tokio::test]
async fn what_is_asked_is_what_the_configuration_says() {
    let fake = Fake::start(|_, question| {
        let recursion = question.metadata.recursion_desired;
        let asked =
            format!("{} {} {recursion}", question.queries[0].name().to_ascii(), question.queries[0].query_type());
        vec![answer_to(question, |answer| {
            answer.add_answer(record(1, RData::TXT(TXT::new(vec![asked.clone()]))));
        })]
    })
    .await;
    let cases = [
        ("{ name: example.org, type: TXT", "example.org. TXT true"),
        ("{ name: example.org., recursion: false, type: TXT", "example.org. TXT false"),
        ("{ name: bücher.example, type: TXT", "xn--bcher-kva.example. TXT true"),
        ("{ name: _sip._tcp.example.org, type: TXT", "_sip._tcp.example.org. TXT true"),
    ];
    for (begin, asked) in cases {
        let yaml = format!("{begin}, server: '{}', expect: {{ answers: {{ equals: ['{asked}'] }} }} }}", fake.address);
        assert_eq!(run(&mut probe(&yaml)).await.0, Ok(()), "{yaml}");
    }
    let reverse = Question::new("192.0.2.7", RecordKind::Ptr, true).unwrap();
    assert_eq!(reverse.to_string(), "7.2.0.192.in-addr.arpa. PTR");
}

#[tokio::test]
async fn ids_and_ports_are_never_the_same_for_long() {
    let question = Question::new("example.org", RecordKind::A, true).unwrap();
    let mut ids: Vec<_> = (0..64).map(|_| question.packet().1).collect();
    ids.sort_unstable();
    ids.dedup();
    assert!(ids.len() > 48, "{ids:?}");
}

#[tokio::test]
async fn a_lost_datagram_is_no_outage() {
    let fake = Fake::start(|number, question| if number < 3 { vec![] } else { vec![answer_to(question, good)] }).await;
    let (outcome, out) = run_within(&mut fake.probe(""), Duration::from_secs(3)).await;
    assert_eq!(outcome, Ok(()));
    assert_eq!((fake.asked(), added(&out, &RESENT)), (3, 2.0));
    assert!(note(&out, "resent").unwrap().contains("3 times"));
}

#[tokio::test]
async fn silence_is_told_before_the_runner_ends_the_run() {
    let fake = Fake::start(|_, _| vec![]).await;
    let began = Instant::now();
    let (outcome, out) = run_within(&mut fake.probe(""), Duration::from_millis(400)).await;
    let failure = outcome.unwrap_err();
    assert!(began.elapsed() >= Duration::from_millis(350), "{:?}", began.elapsed());
    assert_eq!(failure.reason, Reason::Timeout);
    let words = format!("{} does not answer over UDP, asked 3 times for Example.org. A", fake.address);
    assert_eq!(failure.detail, words);
    assert_eq!((fake.asked(), added(&out, &RESENT)), (3, 2.0));
}

#[tokio::test]
async fn what_is_not_the_answer_is_passed_over_until_the_answer_comes() {
    let strangers = |question: &Message| {
        let mut other_id = question.clone();
        other_id.metadata.id ^= 1;
        vec![
            answer_to(&other_id, good),
            answer_to(question, |answer| answer.queries[0].name = name("example.net.")),
            answer_to(question, |answer| answer.queries[0].query_type = RecordKind::Txt.into()),
            answer_to(question, |answer| answer.queries.clear()),
            answer_to(question, |answer| answer.metadata.message_type = MessageType::Query),
            answer_to(question, |answer| answer.metadata.op_code = OpCode::Notify),
            b"x".to_vec(),
        ]
    };
    let fake = Fake::start(move |_, question| {
        let mut all = strangers(question);
        all.push(answer_to(question, good));
        all
    })
    .await;
    let (outcome, out) = run(&mut fake.probe("")).await;
    assert_eq!((outcome, note(&out, "answers")), (Ok(()), Some("192.0.2.1")));
    for index in 0..7 {
        let fake = Fake::start(move |_, question| vec![strangers(question).swap_remove(index)]).await;
        let (outcome, _) = run_within(&mut fake.probe(""), Duration::from_millis(300)).await;
        let failure = outcome.unwrap_err();
        assert_eq!(failure.reason, Reason::Protocol, "{index}: {failure}");
        assert!(failure.detail.contains("3 datagrams"), "{index}: {failure}");
    }
}

#[tokio::test]
async fn what_others_send_is_not_even_counted() {
    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = socket.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let mut bytes = [0; 512];
        loop {
            let (length, from) = socket.recv_from(&mut bytes).await.unwrap();
            let question = Message::from_vec(&bytes[..length]).unwrap();
            stranger.send_to(&answer_to(&question, good), from).unwrap();
        }
    });
    let mut probe = probe(&format!("{{ name: example.org, server: '{server}' }}"));
    let (outcome, _) = run_within(&mut probe, Duration::from_millis(300)).await;
    assert_eq!(outcome.unwrap_err().reason, Reason::Timeout);
    serving.abort();
}

#[tokio::test]
async fn a_flood_of_what_is_no_answer_ends_the_run_early() {
    let fake = Fake::start(|_, _| vec![b"flood".to_vec(); 150]).await;
    let began = Instant::now();
    let (outcome, _) = run_within(&mut fake.probe(""), PATIENCE).await;
    assert_eq!(outcome.unwrap_err().reason, Reason::Protocol);
    assert!(began.elapsed() < PATIENCE / 4, "the first question was enough");
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_told_at_once() {
    let fake = Fake::start(|_, question| {
        let mut bytes = answer_to(question, good);
        bytes.truncate(bytes.len() - 3);
        vec![bytes]
    })
    .await;
    let failure = run(&mut fake.probe("")).await.0.unwrap_err();
    assert_eq!(failure.reason, Reason::Protocol);
    assert!(failure.detail.contains("cannot be read"), "{failure}");
    assert_eq!(fake.asked(), 1);
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_told_at_once() {
    let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for (protocol, words) in [("udp", "takes no questions over UDP"), ("tcp", "cannot connect to")] {
        let yaml = format!("{{ name: example.org, server: '{closed}', protocol: {protocol} }}");
        let began = Instant::now();
        let failure = run(&mut probe(&yaml)).await.0.unwrap_err();
        assert_eq!(failure.reason, Reason::Connect, "{failure}");
        assert!(failure.detail.contains(words), "{failure}");
        assert!(began.elapsed() < PATIENCE / 4);
    }
}

/// A server that says over UDP that its answer is cut, and this over TCP.
async fn cut_server(cut: impl Fn(&Message) -> Vec<u8> + Send + 'static, over_tcp: fn(&Message) -> Vec<u8>) -> Fake {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = UdpSocket::bind(listener.local_addr().unwrap()).await.unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut question = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut question).await.unwrap();
            stream.write_all(&over_tcp(&Message::from_vec(&question).unwrap())).await.unwrap();
        }
    });
    Fake::on(socket, move |_, question| vec![cut(question)])
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn many(answer: &mut Message) {
    answer.add_answers((1..=100).map(|last| record(300, address(last))));
}

#[tokio::test]
async fn an_answer_that_was_cut_is_asked_for_over_tcp() {
    let cut_clean = |question: &Message| answer_to(question, |answer| answer.metadata.truncation = true);
    let cut_within_a_record = |question: &Message| {
        let mut bytes = answer_to(question, |answer| {
            answer.metadata.truncation = true;
            good(answer);
        });
        bytes.truncate(bytes.len() - 3);
        bytes
    };
    let over_tcp = |question: &Message| framed(&answer_to(question, many));
    for fake in [cut_server(cut_clean, over_tcp).await, cut_server(cut_within_a_record, over_tcp).await] {
        let (outcome, out) = run(&mut fake.probe("expect: { min_answers: 100 }")).await;
        assert_eq!(outcome, Ok(()));
        assert_eq!((out.value(&TRUNCATED), out.value(&ANSWERS)), (Some(1.0), Some(100.0)));
        assert!(note(&out, "truncated").is_some());
        let (outcome, out) = run(&mut fake.probe("protocol: tcp")).await;
        assert_eq!((outcome, out.value(&TRUNCATED)), (Ok(()), None));
        assert_eq!(fake.asked(), 1, "TCP from the start needs no question over UDP");
    }
}

#[tokio::test]
async fn over_tcp_a_wrong_answer_is_the_servers_own() {
    let cases: [(fn(&Message) -> Vec<u8>, &str); 4] = [
        (|question| framed(&answer_to(question, |answer| answer.metadata.id ^= 1)), "with another id"),
        (|_| framed(b"nonsense"), "shorter than a header"),
        (|question| framed(&answer_to(question, many))[..700].to_vec(), "ended after 698 of"),
        (|_| Vec::new(), "broke"),
    ];
    for (over_tcp, words) in cases {
        let fake = cut_server(|question| answer_to(question, |_| {}), over_tcp).await;
        let failure = run(&mut fake.probe("protocol: tcp")).await.0.unwrap_err();
        assert_eq!(failure.reason, Reason::Protocol);
        assert!(failure.detail.contains(words), "{failure}");
    }
}

#[tokio::test]
async fn over_tcp_silence_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let yaml = format!("{{ name: example.org, server: '{}', protocol: tcp }}", listener.local_addr().unwrap());
    let failure = run_within(&mut probe(&yaml), Duration::from_millis(200)).await.0.unwrap_err();
    assert_eq!(failure.reason, Reason::Timeout);
    assert!(failure.detail.contains("does not answer over TCP"), "{failure}");
}

#[tokio::test]
async fn response_codes_have_their_reasons() {
    let cases = [
        (ResponseCode::NXDomain, Reason::Missing, "Example.org. does not exist (NXDOMAIN)"),
        (ResponseCode::ServFail, Reason::Status, "answered SERVFAIL where NOERROR was expected"),
        (ResponseCode::Refused, Reason::Status, "answered REFUSED where"),
        (ResponseCode::Unknown(11), Reason::Status, "answered RCODE11 where"),
        (ResponseCode::NoError, Reason::Missing, "has 0 records of type A, at least 1"),
    ];
    for (code, reason, words) in cases {
        for repeats in [true, false] {
            if !repeats && code == ResponseCode::NoError {
                continue;
            }
            let fake = Fake::answering(move |answer| {
                answer.metadata.response_code = code;
                if !repeats {
                    answer.queries.clear();
                }
            })
            .await;
            let (outcome, out) = run(&mut fake.probe("")).await;
            let failure = outcome.unwrap_err();
            assert_eq!(failure.reason, reason, "{failure}");
            assert!(!repeats || failure.detail.contains(words), "{failure}");
            assert_eq!(out.value(&RCODE), Some(f64::from(u16::from(code))));
            assert_eq!(out.value(&ANSWERS), Some(0.0));
        }
    }
    let gone = Fake::answering(|answer| answer.metadata.response_code = ResponseCode::NXDomain).await;
    assert_eq!(run(&mut gone.probe("expect: { rcode: nxdomain }")).await.0, Ok(()));
    let empty = Fake::answering(|_| {}).await;
    assert_eq!(run(&mut empty.probe("expect: { min_answers: 0 }")).await.0, Ok(()));
    let there = Fake::answering(good).await;
    let failure = run(&mut there.probe("expect: { rcode: nxdomain }")).await.0.unwrap_err();
    assert_eq!(failure.detail, "the server answered NOERROR where NXDOMAIN was expected");
}

#[tokio::test]
async fn the_next_server_is_asked_when_one_cannot_help() {
    let silent = Fake::start(|_, _| vec![]).await;
    let failing = Fake::answering(|answer| answer.metadata.response_code = ResponseCode::ServFail).await;
    let serving = Fake::answering(good).await;
    let gone = Fake::answering(|answer| answer.metadata.response_code = ResponseCode::NXDomain).await;
    let exchange = serving.probe("").exchange;
    let ask = async |servers: &[&Fake]| {
        let servers: Vec<_> = servers.iter().map(|fake| fake.address).collect();
        let mut out = Readings::default();
        let deadline = Instant::now() + Duration::from_secs(3);
        (ask_in_turn(&exchange, &servers, deadline, &mut out).await, out)
    };
    let (message, out) = ask(&[&silent, &failing, &serving]).await;
    assert_eq!(message.unwrap().answers.len(), 1);
    assert_eq!(note(&out, "server"), Some(serving.address.to_string().as_str()));
    let passed = note(&out, "passed over").unwrap();
    assert!(passed.contains("does not answer over UDP") && passed.contains("answered SERVFAIL"), "{passed}");
    let asked = serving.asked();
    assert_eq!(ask(&[&gone, &serving]).await.0.unwrap().metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(serving.asked(), asked, "that a name does not exist is an answer");
    assert_eq!(ask(&[&silent, &failing]).await.0.unwrap().metadata.response_code, ResponseCode::ServFail);
    let failure = ask(&[&failing, &silent]).await.0.unwrap_err();
    assert_eq!(failure.reason, Reason::Timeout);
    assert!(failure.detail.contains("SERVFAIL"), "{failure}");
}

#[tokio::test]
async fn records_are_compared_as_zones_write_them() {
    let caa = CAA::new_issue(true, Some(name("ca.example.net")), vec![]);
    let soa = SOA::new(name("NS.Example.org."), name("root.example.org."), 2_026_112_201, 7200, 3600, 1_209_600, 300);
    let cases: Vec<(&str, RData, &str, &str)> = vec![
        ("A", address(9), "192.0.2.9", "192.0.2.8"),
        ("AAAA", RData::AAAA(AAAA("2001:db8::1".parse().unwrap())), "2001:0DB8:0:0::1", "2001:db8::2"),
        ("CNAME", RData::CNAME(CNAME(name("WWW.Example.org."))), "www.example.org", "example.org"),
        ("MX", RData::MX(MX::new(10, name("Mail.Example.org."))), "10  mail.EXAMPLE.org.", "20 mail.example.org"),
        (
            "SRV",
            RData::SRV(SRV::new(0, 5, 5060, name("sip.example.org."))),
            "0 5 5060 sip.example.org",
            "0 5 5061 sip.example.org",
        ),
        ("TXT", RData::TXT(TXT::new(vec!["v=spf1 ".into(), "-all".into()])), "v=spf1 -all", "v=spf1  -all"),
        ("CAA", RData::CAA(caa), "128 issue \"ca.example.net\"", "0 issue ca.example.net"),
        (
            "SOA",
            RData::SOA(soa),
            "ns.example.org root.example.org 2026112201 7200 3600 1209600 300",
            "ns root 1 2 3 4 5",
        ),
    ];
    for (kind, data, right, wrong) in cases {
        let fake = Fake::answering(move |answer| {
            answer.add_answer(record(60, data.clone()));
        })
        .await;
        for key in ["contains", "equals", "any"] {
            let expecting = |text: &str| format!("type: {kind}, expect: {{ answers: {{ {key}: ['{text}'] }} }}");
            let (outcome, out) = run(&mut fake.probe(&expecting(right))).await;
            assert_eq!(outcome, Ok(()), "{kind} {key}");
            assert_eq!(out.value(&SERIAL).is_some(), kind == "SOA");
            let failure = run(&mut fake.probe(&expecting(wrong))).await.0.unwrap_err();
            assert_eq!(failure.reason, Reason::Body, "{kind} {key}: {failure}");
        }
    }
}

#[tokio::test]
async fn answers_can_be_expected_whole_in_part_or_by_pattern() {
    let fake = Fake::answering(|answer| {
        answer.add_answers([record(60, address(2)), record(60, address(1))]);
    })
    .await;
    let cases = [
        ("equals: [192.0.2.1, 192.0.2.2]", None),
        ("equals: [192.0.2.1]", Some("exactly 192.0.2.1 was expected")),
        ("equals: [192.0.2.1, 192.0.2.2, 192.0.2.3]", Some("exactly")),
        ("contains: [192.0.2.2]", None),
        ("contains: [192.0.2.2, 192.0.2.3]", Some("192.0.2.3 is missing")),
        ("any: [192.0.2.3, 192.0.2.2]", None),
        ("any: [192.0.2.3]", Some("one of 192.0.2.3 was expected")),
        ("matches: '^192\\.0\\.2\\.1$'", None),
        ("matches: '^10\\.'", Some("none matches")),
        ("matches: '^10\\.', any: [192.0.2.3]", Some("one of 192.0.2.3 was expected; none matches")),
    ];
    for (expected, wrong) in cases {
        let (outcome, _) = run(&mut fake.probe(&format!("expect: {{ answers: {{ {expected} }} }}"))).await;
        match wrong {
            None => assert_eq!(outcome, Ok(()), "{expected}"),
            Some(words) => {
                let failure = outcome.unwrap_err();
                assert_eq!(failure.reason, Reason::Body);
                assert!(failure.detail.starts_with("the answer is 192.0.2.2, 192.0.2.1: "), "{failure}");
                assert!(failure.detail.contains(words), "{failure}");
            }
        }
    }
    let failure = run(&mut fake.probe("expect: { min_answers: 3 }")).await.0.unwrap_err();
    assert_eq!(failure, Failure::new(Reason::Missing, "the answer has 2 records of type A, at least 3 must be there"));
}

#[tokio::test]
async fn what_a_server_says_stays_short_and_on_one_line() {
    let fake = Fake::answering(|answer| {
        for number in 0..20 {
            answer.add_answer(record(1, RData::TXT(TXT::new(vec![format!("\n\x1b{number}{}", "x".repeat(150))]))));
        }
    })
    .await;
    let mut probe = fake.probe("protocol: udp, type: TXT, expect: { answers: { contains: [y] } }");
    let failure = run(&mut probe).await.0.unwrap_err();
    assert!(!failure.detail.contains(char::is_control), "{failure}");
    assert!(failure.detail.contains("and 12 more") && failure.detail.len() < 1500, "{}", failure.detail.len());
}

#[test]
fn mistakes_are_named_with_their_place_and_remedy() {
    let cases = [
        ("{ name: '' }", "name", "such as example.org"),
        ("{ name: 'a b' }", "name", "is not a name"),
        ("{ name: 192.0.2.1 }", "name", "type: PTR"),
        ("{ name: x, expect: { answers: { contains: [10] } } }", "expect.answers.contains[0]", "as in 192.0.2.1"),
        ("{ name: x, expect: { answers: { any: [192.0.2.1, ::1] } } }", "expect.answers.any[1]", "as in 192.0.2.1"),
        ("{ name: x, type: MX, expect: { answers: { equals: [mail] } } }", "expect.answers.equals[0]", "10 mail"),
        ("{ name: x, type: SOA, expect: { answers: { equals: [a b] } } }", "expect.answers.equals[0]", "use matches"),
        (
            "{ name: x, expect: { rcode: nxdomain, answers: { any: [::1] } } }",
            "expect.answers",
            "expect rcode: noerror",
        ),
    ];
    for (yaml, path, words) in cases {
        let mistakes = config(yaml).build(&Context::default()).map(|_| ()).unwrap_err();
        assert_eq!(mistakes[0].path, path, "{yaml}");
        assert!(mistakes[0].message.contains(words), "{yaml}: {}", mistakes[0].message);
    }
    assert!(serde_yaml::from_str::<Config>("{ name: x, type: a }").is_err());
}

#[test]
fn an_id_is_where_it_must_be() {
    let question = Question::new("example.org", RecordKind::A, true).unwrap();
    let (packet, id) = question.packet();
    let sent = Message::from_vec(&packet).unwrap();
    let Metadata { id: found, recursion_desired, .. } = sent.metadata;
    assert_eq!((found, recursion_desired, sent.max_payload()), (id, true, 1232));
}
