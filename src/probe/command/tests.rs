use super::*;
use crate::probe::Probe as _;
use std::time::Duration;
use tokio::time::timeout;

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn config(yaml: &str) -> Config {
    serde_yaml::from_str(yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"))
}

/// A probe of a script, with more keys.
fn script(script: &str, keys: &str) -> Probe {
    let argv = serde_json::to_string(&["/bin/sh", "-c", script]).unwrap();
    config(&format!("argv: {argv}\n{keys}")).build(&Context::default()).unwrap()
}

async fn run(mut probe: Probe) -> (Result<(), Failure>, Readings) {
    let mut out = Readings::default();
    let outcome = timeout(PATIENCE, probe.run(&mut out)).await.expect("it hangs");
    (outcome, out)
}

/// How a script fails.
async fn failure(text: &str, keys: &str) -> Failure {
    let (outcome, _) = run(script(text, keys)).await;
    outcome.expect_err(text)
}

/// The readings with labels, as `name{labels} value` without the prefix.
fn series(out: &Readings) -> Vec<String> {
    let labelled = out.gauges().iter().filter_map(|reading| Some((reading, reading.labels.as_ref()?)));
    labelled
        .map(|(reading, labels)| {
            format!(
                "{}{{{}}} {}",
                reading.family.name.trim_start_matches("banken_command_"),
                labels.text(),
                reading.value
            )
        })
        .collect()
}

#[test]
fn what_cannot_be_meant_is_told_with_its_place() {
    let cases = [
        ("argv: []", "argv", "nothing to run"),
        ("argv: ['']", "argv", "nothing to run"),
        ("argv: [bin/check]", "argv[0]", "begin it with '/'"),
        ("argv: ['/bin/check -w 10']", "argv[0]", "no shell"),
        ("argv: [/bin/x, \"a\\0b\"]", "argv[1]", "NUL"),
        ("argv: [x]\nenv: { 'A=B': x }", "env.A=B", "without '='"),
        ("argv: [x]\nenv: { A: \"x\\0\" }", "env.A", "NUL"),
        ("argv: [x]\ndir: home", "dir", "absolute"),
        ("argv: [x]\nexpect: { exit: [] }", "expect.exit", "write [0]"),
        ("argv: [x]\nmax_output: 0", "max_output", "16MiB"),
        ("argv: [x]\nmax_output: 17MiB", "max_output", "16MiB"),
    ];
    for (yaml, path, words) in cases {
        let invalid = config(yaml).build(&Context::default()).err().unwrap_or_else(|| panic!("{yaml} was built"));
        assert_eq!(invalid.len(), 1, "{yaml}: {invalid:?}");
        assert_eq!(invalid[0].path, path, "{yaml}");
        assert!(invalid[0].message.contains(words), "{yaml}: {}", invalid[0].message);
    }
    assert!(serde_yaml::from_str::<Config>("argv: [x]\nexpect: { exit: [256] }").is_err());
    assert!(serde_yaml::from_str::<Config>("argv: [x]\nshell: true").is_err());
    assert!(config("argv: ['/opt/my program/check', '-w 10']").build(&Context::default()).is_ok());
}

#[tokio::test]
async fn the_exit_status_decides_and_is_published() {
    let (outcome, out) = run(script("echo fine", "")).await;
    assert_eq!((outcome, out.value(&EXIT_STATUS), out.value(&OUTPUT_BYTES)), (Ok(()), Some(0.0), Some(5.0)));
    let (outcome, out) =
        run(script("echo out; echo 'it broke' >&2; echo more >&2; exit 4", "expect: { exit: [0, 3] }")).await;
    let failure = outcome.unwrap_err();
    assert_eq!(failure.reason, Reason::Exit);
    assert_eq!(failure.detail, "exit status 4, expected 0 or 3: it broke");
    assert_eq!(out.value(&EXIT_STATUS), Some(4.0));
    assert!(run(script("exit 3", "expect: { exit: [3] }")).await.0.is_ok());
    // A signal leaves no status.
    let (outcome, out) = run(script("kill -ABRT $$", "")).await;
    assert_eq!(outcome.unwrap_err().detail, "killed by SIGABRT, expected 0: it said nothing");
    assert_eq!((out.value(&EXIT_STATUS), out.value(&OUTPUT_BYTES)), (None, Some(0.0)));
}

#[tokio::test]
async fn a_program_that_is_not_there_is_missing() {
    let (outcome, out) = run(config("argv: [/nowhere/check]").build(&Context::default()).unwrap()).await;
    assert_eq!(outcome.unwrap_err().reason, Reason::Missing);
    assert!(out.gauges().is_empty());
}

#[tokio::test]
async fn what_the_output_must_say_is_held_against_it() {
    let keys = "expect: { output_matches: '^queue: [0-9]+$', output_lacks: ERROR }";
    assert!(run(script("echo 'queue: 5'", keys)).await.0.is_ok());
    let cases = [
        ("echo 'queue: full'", Reason::Body, "begins with queue: full"),
        ("true", Reason::Body, "it is empty"),
        ("printf 'queue: 5 ERROR'", Reason::Body, "nothing in the output"),
        ("echo 'ERROR'; exit 1", Reason::Exit, "exit status 1"),
    ];
    for (text, reason, words) in cases {
        let failure = failure(text, keys).await;
        assert_eq!(failure.reason, reason, "{text}: {failure}");
        assert!(failure.detail.contains(words), "{text}: {failure}");
    }
    let lacks = failure("echo fine; echo ERROR", "expect: { output_lacks: ERROR }").await;
    assert!(lacks.reason == Reason::Body && lacks.detail.contains("which it must not"), "{lacks}");
}

#[tokio::test]
async fn too_much_output_is_a_failure_only_where_it_matters() {
    let much = "head -c 2000 /dev/zero";
    assert!(run(script(much, "max_output: 1KiB")).await.0.is_ok());
    for keys in ["expect: { output_lacks: x }", "expect: { output_matches: '' }", "format: nagios", "format: textfile"]
    {
        let failure = failure(much, &format!("max_output: 1KiB\n{keys}")).await;
        assert_eq!(failure.reason, Reason::Limit, "{keys}: {failure}");
        assert!(failure.detail.contains("2000 bytes") && failure.detail.contains("max_output"), "{failure}");
    }
}

#[tokio::test]
async fn the_performance_data_of_a_plugin_are_published_whatever_it_says() {
    let text = "echo \"DISK CRITICAL - / full | '/ used'=97%;80;90;0;100 time=25ms\"; exit 2";
    let (outcome, out) = run(script(text, "format: nagios")).await;
    let failure = outcome.unwrap_err();
    assert_eq!(failure.reason, Reason::Exit);
    assert_eq!(failure.detail, "exit status 2 (critical), expected 0 or 1: DISK CRITICAL - / full");
    let expected = [
        "value{value=\"/ used\"} 0.97",
        "value_bound{value=\"/ used\",bound=\"warning_upper\"} 0.8",
        "value_bound{value=\"/ used\",bound=\"critical_upper\"} 0.9",
        "value_bound{value=\"/ used\",bound=\"min\"} 0",
        "value_bound{value=\"/ used\",bound=\"max\"} 1",
        "value{value=\"time\"} 0.025",
    ];
    assert_eq!(series(&out), expected);
}

#[tokio::test]
async fn a_warning_of_a_plugin_is_a_success_that_is_seen_in_its_exit_status() {
    let (outcome, out) = run(script("echo 'LOAD WARNING'; exit 1", "format: nagios")).await;
    assert_eq!((outcome, out.value(&EXIT_STATUS)), (Ok(()), Some(1.0)));
    let notes = out.notes();
    assert!(notes.contains(&("ended", "exit status 1 (warning)".into())), "{notes:?}");
    assert!(notes.contains(&("said", "LOAD WARNING".into())), "{notes:?}");
    let strict = failure("exit 1", "format: nagios\nexpect: { exit: [0] }").await;
    assert_eq!(strict.reason, Reason::Exit);
}

#[tokio::test]
async fn samples_of_a_textfile_are_published_under_labels_of_our_own() {
    let text = r#"printf '# TYPE a gauge\na{ disk = "sda" , x="q\\"" } 4\nb_total 5 1700000000000\nc NaN\n'"#;
    let (outcome, out) = run(script(text, "format: textfile")).await;
    assert_eq!(outcome, Ok(()));
    let expected = [r#"metric{name="a",labels="disk=\"sda\",x=\"q\\\"\""} 4"#, r#"metric{name="b_total",labels=""} 5"#];
    assert_eq!(series(&out), expected);
    assert!(run(script("printf 'a 1\\n# EOF\\n'", "format: textfile")).await.0.is_ok());
}

#[tokio::test]
async fn output_that_cannot_be_read_is_a_failure_with_its_place() {
    let cases = [
        ("echo 'OK | time taken=3s'", "nagios", Reason::Protocol, "performance data cannot be read: \"time\""),
        ("printf \"|'a\\tb'=3\"", "nagios", Reason::Protocol, "control character"),
        ("printf 'a 1\\nb one\\n'", "textfile", Reason::Protocol, "line 2 of the output cannot be read: \"one\""),
        ("printf 'a 1\\na 2\\n'", "textfile", Reason::Protocol, "a{} is there twice"),
        ("echo \"|$(head -c 129 /dev/zero | tr '\\0' x)=1\"", "nagios", Reason::Limit, "at most 128 characters"),
        ("for i in $(seq 1001); do echo a$i 1; done", "textfile", Reason::Limit, "more than 1000 samples"),
        (
            "echo ok; echo '|'; for i in $(seq 501); do echo \"a$i=1;2\"; done",
            "nagios",
            Reason::Limit,
            "more than 1000",
        ),
        ("echo \"x{a=\\\"$(head -c 510 /dev/zero | tr '\\0' x)\\\"} 1\"", "textfile", Reason::Limit, "at most 512"),
    ];
    for (text, format, reason, words) in cases {
        let failure = failure(text, &format!("format: {format}")).await;
        assert_eq!(failure.reason, reason, "{text}: {failure}");
        assert!(failure.detail.contains(words), "{text}: {failure}");
    }
}

#[tokio::test]
async fn a_secret_of_the_environment_is_never_shown() {
    let secret = "s3cret-token-of-forty-characters-and-more";
    let env = format!("env: {{ TOKEN: {secret}, KEY: \"first-line-1\\nsecond-line-2\" }}");
    let cases = [
        ("echo $TOKEN", "expect: { output_matches: nothing }"),
        ("echo \"bad $TOKEN\" >&2; exit 1", ""),
        ("echo \"$KEY\" | tail -n 1; exit 1", ""),
        ("echo \"bad $TOKEN|$TOKEN=x\"; exit 1", "format: nagios"),
        // The excerpt of a mistake cuts the secret, so that it would not be known any more.
        ("echo \"ok|aaaaaaaaaa$TOKEN\"", "format: nagios"),
        ("echo \"aaaaaaaaaa-$TOKEN 1\"", "format: textfile"),
        ("echo \"ok|$TOKEN=1\"", "format: nagios"),
        ("echo \"x{a=\\\"$TOKEN\\\"} 1\"", "format: textfile"),
    ];
    for (text, keys) in cases {
        let (outcome, out) = run(script(text, &format!("{env}\n{keys}"))).await;
        let all = format!("{outcome:?} {:?} {:?}", out.notes(), series(&out));
        for part in ["s3cret", "second-line"] {
            assert!(!all.contains(part), "{text}: {all}");
        }
    }
    // It is a number like any other where it is short.
    let (outcome, out) = run(script("echo \"ok|load=$MAX\"", "env: { MAX: '100' }\nformat: nagios")).await;
    assert_eq!((outcome, series(&out)), (Ok(()), vec!["value{value=\"load\"} 100".to_owned()]));
}
