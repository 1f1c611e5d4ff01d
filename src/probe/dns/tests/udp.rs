//! Datagrams that are lost, late, of strangers or nonsense, and servers that are asked in turn.

use super::*;

#[tokio::test]
async fn ids_and_ports_are_never_the_same_for_long() {
    let question = Question::new("example.org", RecordKind::A, true).unwrap();
    let mut ids: Vec<_> = (0..64).map(|_| question.packet(Form::Extended).1).collect();
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

#[tokio::test]
async fn a_server_whose_name_leads_nowhere_is_a_failure_to_resolve() {
    // No resolver needs to be asked to know that there is no such name.
    let yaml = format!("{{ name: example.org, server: '{}:53' }}", "x".repeat(64));
    assert_eq!(run(&mut probe(&yaml)).await.0.unwrap_err().reason, Reason::Resolve);
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
    let passed = note(&out, "passed").unwrap();
    assert!(passed.contains("does not answer over UDP") && passed.contains("answered SERVFAIL"), "{passed}");
    let asked = serving.asked();
    assert_eq!(ask(&[&gone, &serving]).await.0.unwrap().metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(serving.asked(), asked, "that a name does not exist is an answer");
    assert_eq!(ask(&[&silent, &failing]).await.0.unwrap().metadata.response_code, ResponseCode::ServFail);
    let failure = ask(&[&failing, &silent]).await.0.unwrap_err();
    assert_eq!(failure.reason, Reason::Timeout);
    assert!(failure.detail.contains("SERVFAIL"), "{failure}");
}

#[test]
fn an_id_is_where_it_must_be() {
    let question = Question::new("example.org", RecordKind::A, true).unwrap();
    let (packet, id) = question.packet(Form::Extended);
    let sent = Message::from_vec(&packet).unwrap();
    let Metadata { id: found, recursion_desired, .. } = sent.metadata;
    assert_eq!((found, recursion_desired, sent.max_payload()), (id, true, 1232));
}

#[tokio::test]
async fn a_server_that_knows_no_extensions_is_asked_without_them() {
    for code in [ResponseCode::FormErr, ResponseCode::NotImp] {
        let fake = Fake::start(move |_, question| {
            vec![answer_to(question, |answer| match &question.edns {
                Some(_) => answer.metadata.response_code = code,
                None => good(answer),
            })]
        })
        .await;
        let (outcome, out) = run(&mut fake.probe("")).await;
        assert_eq!((outcome, fake.asked()), (Ok(()), 2));
        assert!(note(&out, "plain").is_some());
        let fake = Fake::answering(move |answer| {
            answer.metadata.response_code = code;
        })
        .await;
        assert_eq!(run(&mut fake.probe("")).await.0.unwrap_err().reason, Reason::Status);
        assert_eq!(fake.asked(), 2, "once more and not again and again");
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_is_divided_among_the_questions_and_something_is_left_for_the_runner() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut probe = probe(&format!("{{ name: example.org, server: '{}' }}", silent.local_addr().unwrap()));
    for (time, used) in [(3000, 2980), (100, 95)] {
        let began = Instant::now();
        let (outcome, out) = run_within(&mut probe, Duration::from_millis(time)).await;
        let elapsed = began.elapsed();
        assert_eq!((outcome.unwrap_err().reason, added(&out, &RESENT)), (Reason::Timeout, 2.0));
        assert!((used..used + 3).contains(&(elapsed.as_millis() as u64)), "{elapsed:?} of {time} ms");
    }
}
