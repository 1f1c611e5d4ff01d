use super::judge::MAX_WORDS;
use super::*;
use crate::observation::{Family, Reading};
use std::time::Duration;

const ENDED: &str = "2026-11-22T10:45:27.441840082Z";

/// A container whose state has these fields.
fn container(state: &str) -> Inspected {
    let text = format!(r#"{{"Id":"abcdefghijklmnop","RestartCount":0,"Config":{{"Image":"bot:1"}},"State":{state}}}"#);
    serde_json::from_str(&text).unwrap()
}

fn running(more: &str) -> Inspected {
    container(&format!(
        r#"{{"Status":"running","Running":true,"StartedAt":"2026-11-22T10:45:00.5Z","FinishedAt":"0001-01-01T00:00:00Z"{more}}}"#
    ))
}

fn ended(code: i64, oom: bool, more: &str) -> Inspected {
    container(&format!(
        r#"{{"Status":"exited","Running":false,"ExitCode":{code},"OOMKilled":{oom},"FinishedAt":"{ENDED}"{more}}}"#
    ))
}

fn health(status: &str, more: &str) -> Inspected {
    running(&format!(r#","Health":{{"Status":"{status}"{more}}}"#))
}

/// The reason of a failure and what its detail must hold; none for success.
type Verdict = Option<(Reason, &'static str)>;

fn check(expect: &str, inspected: &Inspected, verdict: Verdict) {
    let expect: Expect = serde_yaml::from_str(expect).unwrap();
    match (judge(expect, "bot", inspected).err(), verdict) {
        (None, None) => {}
        (Some(failure), Some((reason, words))) => {
            assert_eq!(failure.reason, reason, "{failure}");
            assert!(failure.detail.contains(words), "{failure} does not say {words:?}");
            assert!(!failure.detail.contains('\n'), "{failure}");
        }
        (failure, verdict) => panic!("{inspected:?}: {failure:?} instead of {verdict:?}"),
    }
}

#[test]
fn what_runs_is_right_and_what_ended_says_how() {
    check("{}", &running(""), None);
    let code = "bot is exited: it ended with exit code 7, at 2026-11-22T10:45:27.441840082Z";
    check("{}", &ended(7, false, ""), Some((Reason::Exit, code)));
    check("{}", &ended(137, true, ""), Some((Reason::Exit, "exit code 137 (signal 9), out of memory")));
    check("{}", &ended(127, false, r#","Error":"no such\nfile""#), Some((Reason::Exit, ": no such file")));
    check("{}", &ended(255, false, ""), Some((Reason::Exit, "exit code 255, at")));
    let made = container(r#"{"Status":"created","Running":false,"FinishedAt":"0001-01-01T00:00:00Z"}"#);
    check("{}", &made, Some((Reason::Exit, "does not run: it is created")));
    let paused = container(r#"{"Status":"paused","Running":true,"Paused":true}"#);
    check("{}", &paused, Some((Reason::Status, "paused, expected running")));
    // Between two starts Docker says that it runs.
    let restarting =
        container(&format!(r#"{{"Status":"restarting","Running":true,"ExitCode":1,"FinishedAt":"{ENDED}"}}"#));
    check("{}", &restarting, Some((Reason::Exit, "bot is restarting: it ended with exit code 1")));
    check("{ state: any }", &paused, None);
    check("{ state: any }", &ended(7, false, ""), None);
}

#[test]
fn one_that_is_expected_to_end_must_have_ended_well() {
    let expect = "{ state: exited }";
    check(expect, &ended(0, false, ""), None);
    check(expect, &ended(3, false, ""), Some((Reason::Exit, "exit code 3")));
    check(expect, &running(""), Some((Reason::Status, "running, expected exited")));
    let made = container(r#"{"Status":"created","Running":false}"#);
    check(expect, &made, Some((Reason::Status, "created, expected exited")));
}

#[test]
fn health_counts_only_as_far_as_it_is_asked_for_and_says_its_last_words() {
    let output = "x".repeat(2 * MAX_WORDS);
    let log = format!(
        r#","FailingStreak":3,"Log":[{{"ExitCode":1,"Output":"old"}},{{"ExitCode":2,"Output":"{output}\nrefused\n"}},{{"ExitCode":0,"Output":"fine"}}]"#
    );
    let sick = health("unhealthy", &log);
    let words = "bot is unhealthy, 3 checks in a row have failed; the last one ended with exit code 2 and said: …x";
    check("{}", &sick, Some((Reason::Status, words)));
    check("{}", &sick, Some((Reason::Status, "x refused")));
    let failure = judge(Expect::default(), "bot", &sick).unwrap_err();
    assert!(failure.detail.chars().count() < 2 * MAX_WORDS, "{failure}");
    check("{ health: any }", &sick, None);
    check("{}", &health("unhealthy", r#","Log":null"#), Some((Reason::Status, "bot is unhealthy")));
    for (status, verdict) in [
        ("healthy", None),
        ("starting", Some((Reason::Status, "not succeeded yet"))),
        ("", Some((Reason::Status, "no health check"))),
    ] {
        check("{}", &health(status, ""), None);
        check("{ health: healthy }", &health(status, ""), verdict);
    }
    check("{ health: healthy, state: exited }", &ended(0, false, ""), None);
}

#[test]
fn every_mistake_is_named_with_its_remedy() {
    let config: Config = serde_yaml::from_str("{ name: ../info, socket: docker.sock }").unwrap();
    let mistakes = config.build(&Context::default()).err().unwrap();
    let found: Vec<_> = mistakes.iter().map(|mistake| format!("{}: {}", mistake.path, mistake.message)).collect();
    assert!(found[0].starts_with("name: ") && found[0].contains("docker ps"), "{found:?}");
    assert!(found[1].starts_with("socket: ") && found[1].contains("begin with /"), "{found:?}");
}

fn probe() -> Probe {
    serde_yaml::from_str::<Config>("{ name: bot }").unwrap().build(&Context::default()).unwrap()
}

fn increment(out: &Readings, family: &'static Family) -> f64 {
    let of_family = |reading: &&Reading| std::ptr::eq(reading.family, family);
    out.increments().iter().find(of_family).unwrap().value
}

#[tokio::test]
async fn counters_go_on_over_restarts_and_over_a_container_that_is_made_anew() {
    let looks = [
        ("a", "1", 4, Some(50.0), (0.0, 0.0)),
        ("a", "2", 6, Some(60.0), (2.0, 60.0)),
        ("a", "2", 6, Some(61.0), (0.0, 1.0)),
        ("a", "3", 0, None, (0.0, 0.0)),
        ("b", "3", 1, Some(2.0), (1.0, 2.0)),
    ];
    let (mut probe, begun) = (probe(), Instant::now());
    for (index, (id, started, restarts, cpu, expected)) in looks.into_iter().enumerate() {
        let mut inspected = running("");
        inspected.id = id.into();
        inspected.restart_count = restarts;
        inspected.state.started_at = started.into();
        let stats = cpu.map(|seconds| Stats { cpu_seconds: Some(seconds), ..Stats::default() });
        let mut out = Readings::default();
        probe.write(&inspected, &mut out);
        probe.write_stats(&inspected, stats, begun + Duration::from_secs(10 * index as u64), &mut out);
        assert_eq!((increment(&out, &RESTARTS), increment(&out, &CPU_SECONDS)), expected, "look {index}");
        let ratio = if index == 0 || cpu.is_none() { None } else { out.value(&CPU_RATIO) };
        assert_eq!(out.value(&CPU_RATIO), ratio, "look {index}");
        assert_eq!(out.value(&CPU_RATIO).is_some(), index != 0 && cpu.is_some(), "look {index}");
    }
}

#[tokio::test]
async fn what_is_not_known_is_not_there() {
    let mut probe = probe();
    let mut out = Readings::default();
    let run = running("");
    probe.write(&run, &mut out);
    probe.write_stats(&run, None, Instant::now(), &mut out);
    assert_eq!((out.value(&RUNNING), out.value(&STARTED)), (Some(1.0), Some(1_795_344_300.5)));
    for family in [&EXIT_CODE, &MEMORY_BYTES, &MEMORY_LIMIT, &PIDS] {
        assert_eq!(out.value(family), None, "{}", family.name);
    }
    let mut out = Readings::default();
    probe.write(&ended(7, true, ""), &mut out);
    let values = [&RUNNING, &EXIT_CODE, &OOM_KILLED].map(|family| out.value(family));
    assert_eq!(values, [Some(0.0), Some(7.0), Some(1.0)]);
    assert_eq!(out.value(&STARTED), None);
    let healths = out.gauges().iter().filter(|reading| std::ptr::eq(reading.family, &HEALTH));
    let on: Vec<_> = healths.filter(|reading| reading.value > 0.0).map(|reading| reading.labels.clone()).collect();
    assert_eq!(on.iter().flatten().map(|labels| labels.text()).collect::<Vec<_>>(), ["status=\"none\""]);
}
