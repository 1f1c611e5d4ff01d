//! What INFO says: values, the server's own counters, and what is expected.

use super::*;

type Wrong = (Reason, &'static str);

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
    let cases: Vec<(&str, &str, Option<Wrong>)> = vec![
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
