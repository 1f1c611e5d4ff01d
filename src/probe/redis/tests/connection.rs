//! The connection that is kept between runs.

use super::*;

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
        assert_eq!((outcome, note(&out, "renewed")), (Ok(()), None));
        assert_eq!(note(&out, "address"), Some(fake.address.to_string().as_str()));
    }
    let expected = ["1 AUTH secret", "1 PING", "1 INFO", "1 PING", "1 INFO", "1 PING", "1 INFO"];
    assert_eq!(fake.heard(), expected);
    // Ours is gone: the next run makes a new one and says so.
    probe.kept = Some(Connection::new(tokio::io::empty()));
    let (outcome, out) = run(&mut probe).await;
    assert_eq!(outcome, Ok(()));
    assert!(note(&out, "renewed").unwrap().contains("had closed it"), "{:?}", out.notes());
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
    assert!(note(&out, "renewed").unwrap().contains("did not answer"));
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
