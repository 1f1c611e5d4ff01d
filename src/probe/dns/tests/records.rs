//! What is read from an answer, and how it is held against what is expected.

use super::*;

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
        ("{ name: x, expect: { answers: { any: [192.0.2.1, '::1'] } } }", "expect.answers.any[1]", "as in 192.0.2.1"),
        ("{ name: x, type: MX, expect: { answers: { equals: [mail] } } }", "expect.answers.equals[0]", "10 mail"),
        ("{ name: x, type: SOA, expect: { answers: { equals: [a b] } } }", "expect.answers.equals[0]", "use matches"),
        (
            "{ name: x, expect: { rcode: nxdomain, answers: { any: ['::1'] } } }",
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
