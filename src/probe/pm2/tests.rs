use super::*;
use crate::probe::Probe as _;

fn config(yaml: &str) -> Config {
    serde_yaml::from_str(yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"))
}

fn probe(yaml: &str) -> Probe {
    config(&format!("{yaml}\nhome: /nowhere/.pm2")).build(&Context::default()).unwrap()
}

fn app(id: u64, status: &str, restarts: u64) -> App {
    App { id, name: "bot".into(), status: status.into(), restarts, ..App::default() }
}

fn judged(yaml: &str, apps: &[App]) -> Result<(), Failure> {
    probe(yaml).judge(apps, "only api")
}

#[test]
fn what_cannot_be_meant_is_told_with_its_place() {
    let cases = [
        ("home: /x", "", "add name"),
        ("name: a\nid: 1\nhome: /x", "", "keep one"),
        ("name: ''\nhome: /x", "name", "pm2 list"),
        ("name: a\nhome: x", "home", "begin it with '/'"),
        ("name: a\nhome: /x\nmin: 3\nmax: 2", "max", "below min"),
    ];
    for (yaml, path, words) in cases {
        let invalid = config(yaml).build(&Context::default()).err().unwrap_or_else(|| panic!("{yaml} was built"));
        assert_eq!(invalid.len(), 1, "{yaml}: {invalid:?}");
        assert!(invalid[0].path == path && invalid[0].message.contains(words), "{yaml}: {invalid:?}");
    }
}

#[test]
fn as_many_as_wanted_must_be_online() {
    let (online, stopped) = (app(0, "online", 0), app(1, "stopped", 0));
    assert_eq!(judged("name: bot", &[online.clone(), stopped.clone()]), Ok(()));
    assert_eq!(judged("name: bot\nmin: 0", &[]), Ok(()));
    let cases = [
        ("name: bot", vec![], Reason::Missing, "knows no app bot, only api: start it"),
        ("id: 7", vec![], Reason::Missing, "no app with the number 7"),
        (
            "name: bot",
            vec![stopped.clone()],
            Reason::Exit,
            "0 instances of the app bot are online, at least 1 must: 1 is stopped",
        ),
        ("name: bot\nmin: 2", vec![online.clone(), stopped], Reason::Exit, "1 instances"),
        ("name: bot\nmin: 2", vec![online.clone()], Reason::Missing, "start more"),
        ("name: bot\nmax: 1", vec![online.clone(), online], Reason::Limit, "at most 1 may"),
    ];
    for (yaml, apps, reason, words) in cases {
        let failure = judged(yaml, &apps).unwrap_err();
        assert_eq!(failure.reason, reason, "{yaml}: {failure}");
        assert!(failure.detail.contains(words), "{yaml}: {failure}");
    }
    let crashed = App { exit_code: Some(3), ..app(4, "errored", 16) };
    let failure = judged("name: bot", &[crashed]).unwrap_err();
    assert!(failure.detail.ends_with("4 is errored after 16 restarts, exit status 3"), "{failure}");
    let many: Vec<_> = (0..9).map(|id| app(id, "stopped", 0)).collect();
    assert!(judged("name: bot", &many).unwrap_err().detail.ends_with("4 is stopped and 4 more"));
}

#[test]
fn every_status_has_a_count_and_what_is_new_is_other() {
    let mut out = Readings::default();
    let apps = [app(0, "online", 0), app(1, "online", 0), app(2, "waiting restart", 0), app(3, "dreaming", 0)];
    probe("name: bot").write_counts(&apps, &mut out);
    let counts: Vec<_> =
        out.gauges().iter().filter(|reading| std::ptr::eq(reading.family, &raw const INSTANCES)).collect();
    let counts: Vec<_> = counts.iter().map(|reading| reading.value as u32).collect();
    assert_eq!(counts, [2, 0, 0, 0, 0, 0, 1, 1]);
    assert_eq!(out.value(&UP), Some(1.0));
    let mut out = Readings::default();
    probe("name: bot\nmin: 0").write_counts(&[], &mut out);
    assert_eq!(out.value(&UP), Some(0.0), "that none is needed does not make one run");
}

#[test]
fn restarts_count_from_the_first_look_on_and_never_go_back() {
    let mut probe = probe("name: bot");
    let looks = [
        (vec![app(0, "online", 40)], 0),
        (vec![app(0, "online", 42)], 2),
        (vec![app(0, "online", 42), app(1, "online", 1)], 1),
        // Reset by people, and then one more.
        (vec![app(0, "online", 1), app(1, "online", 1)], 1),
        (vec![], 0),
        (vec![app(0, "online", 0)], 0),
    ];
    for (apps, restarts) in looks {
        assert_eq!(probe.new_restarts(&apps), restarts, "{apps:?}");
    }
}

#[tokio::test]
async fn without_a_daemon_nothing_is_online_and_it_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!("name: bot\nhome: {}", folder.path().display());
    let mut probe = config(&yaml).build(&Context::default()).unwrap();
    let mut out = Readings::default();
    assert_eq!(probe.run(&mut out).await.unwrap_err().reason, Reason::Missing);
    assert_eq!(out.value(&UP), Some(0.0));
    let mut none_needed = config(&format!("{yaml}\nmin: 0")).build(&Context::default()).unwrap();
    assert_eq!(none_needed.run(&mut Readings::default()).await, Ok(()));
    // Something that is no daemon of PM2 says nothing about the app.
    let _listener = tokio::net::UnixListener::bind(folder.path().join("rpc.sock")).unwrap();
    let mut out = Readings::default();
    tokio::time::pause();
    assert_eq!(probe.run(&mut out).await.unwrap_err().reason, Reason::Timeout);
    assert_eq!(out.value(&UP), None);
}
