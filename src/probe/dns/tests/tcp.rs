//! Questions over TCP, from the start or because an answer was cut.

use super::*;

type Answer = fn(&Message) -> Vec<u8>;

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
    let cases: [(Answer, &str); 4] = [
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
