use super::*;

/// The file and a mapping before it.
fn translated(json: &str, mapping: &str) -> (Vec<Translated>, Vec<Difference>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("error_patterns.json");
    std::fs::write(&path, json).unwrap();
    let mapping: Mapping = serde_yaml::from_str(&format!("file: {}\nlog: app\n{mapping}", path.display()))
        .unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(mapping.mistakes(), []);
    translate(&mapping.file.auto_fix().unwrap(), &mapping)
}

fn names(steps: &[Spec]) -> Vec<&'static str> {
    steps.iter().map(|step| step.block().unwrap().kind().name).collect()
}

fn words(differences: &[Difference]) -> String {
    let lines: Vec<_> = differences.iter().map(|it| format!("{} {}: {}", it.pattern, it.path, it.words)).collect();
    lines.join("\n")
}

const USERS_FILE: &str = include_str!("../../../tests/fixtures/logs/error_patterns.json");

const RESTART: &str = "services: { flask_app: { command: { argv: [ /bin/restart, flask ] } } }";

#[test]
fn the_users_file_becomes_remedies_with_its_own_pace() {
    let mapping = format!(
        "and_probe: api\n{RESTART}\nsteps: {{ log_rotate: {{ command: {{ argv: [ /bin/rotate ] }} }}, old_file_cleanup: {{ \
         command: {{ argv: [ /bin/clean ] }} }} }}\nchannels: {{ email: {{ alert: {{ webhook: {{ url: 'http://a/b' }} }} }} }}"
    );
    let (remedies, differences) = translated(USERS_FILE, &mapping);
    let ids: Vec<_> = remedies.iter().map(|remedy| remedy.pattern.as_str()).collect();
    assert_eq!(ids, ["http_5xx", "disk_full"], "backup_failed has auto_fix: false");
    assert_eq!(names(&remedies[0].steps), ["alert", "command", "command"]);
    assert_eq!(names(&remedies[1].steps), ["alert", "command"]);
    let http = &remedies[0];
    assert_eq!((http.name.as_str(), http.max_attempts), ("http_5xx", 3));
    assert_eq!((http.retry_delay.as_secs(), http.cooldown.as_secs()), (60, 300));
    let said = words(&differences);
    for expected in [
        "http_5xx error_patterns[0]: the file does all of its actions",
        "disk_full error_patterns[1].actions[0]: days: 30 of the file is not used",
        " auto_fix_config.backup_before_fix: a copy of what is changed is made only by",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert!(!said.contains("email") && !said.contains("backup_failed"), "{said}");
}

#[test]
fn what_the_configuration_does_not_say_is_not_done_and_is_told() {
    let (remedies, differences) = translated(USERS_FILE, "");
    assert_eq!(remedies, []);
    let said = words(&differences);
    for expected in [
        "the service \"flask_app\" is not mapped, so nothing is done: add services: { flask_app: { service_restart",
        "error_patterns[0].actions[1]: it is not said with what, so nothing is done: add steps: { log_rotate: { log_rotate",
        "error_patterns[1]: nothing of what it wants can be done",
        "auto_fix_config.notification_channels: nobody is told by \"email\"",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert!(!said.contains("\"log\""), "Banken's own log is always told: {said}");
}

#[test]
fn nothing_is_interrupted_because_of_a_line_alone() {
    let (remedies, differences) = translated(USERS_FILE, RESTART);
    assert_eq!(remedies, []);
    assert!(words(&differences).contains("command interrupts something"), "{}", words(&differences));
}

fn pattern(actions: &str, config: &str) -> String {
    format!(
        "{{ \"error_patterns\": [ {{ \"id\": \"A b\", \"pattern\": \"x\", \"auto_fix\": true, \"actions\": [{actions}] }} ], \
         \"auto_fix_config\": {{ {config} }} }}"
    )
}

#[test]
fn a_service_that_is_not_named_is_never_another_one() {
    let file = pattern(r#"{ "type": "service_restart", "service": "db" }"#, "");
    let mapping =
        format!("and_probe: api\n{RESTART}\nsteps: {{ service_restart: {{ command: {{ argv: [ /bin/x ] }} }} }}");
    let (remedies, _) = translated(&file, &mapping);
    assert_eq!(remedies, []);
    let file = pattern(r#"{ "type": "service_restart" }"#, "");
    assert_eq!(translated(&file, &mapping).0.len(), 1);
}

#[test]
fn a_pattern_may_have_steps_of_its_own_and_types_of_its_own() {
    let file = pattern(r#"{ "type": "rebuild_index" }, { "type": "alert" }, { "type": "log_analysis" }"#, "");
    let (remedies, differences) = translated(&file, "and_probe: api");
    assert_eq!(remedies, []);
    assert!(words(&differences).contains("Banken has no action \"rebuild_index\""), "{}", words(&differences));
    assert!(words(&differences).contains("in Banken's own log only"), "{}", words(&differences));
    let mapping = "and_probe: api\npatterns: { 'A b': { rebuild_index: { command: { argv: [ /bin/x ] } } } }\nsteps: { \
                   log_analysis: { log_analysis: { paths: [ /a.log ] } }, alert: { alert: { webhook: { url: 'http://a/' } } } }";
    let (remedies, _) = translated(&file, mapping);
    assert_eq!(names(&remedies[0].steps), ["log_analysis", "alert", "command"]);
    assert_eq!(remedies[0].name, "a-b");
    let (remedies, _) = translated(&file, &format!("{mapping}\nleave_out: [ 'A b' ]"));
    assert_eq!(remedies, []);
}

#[test]
fn the_pace_is_kept_within_bounds_and_that_is_told() {
    let config = r#""max_retries": 1000, "retry_delay": 0, "cooldown_period": 0.5, "notification_channels": ["log"]"#;
    let mapping = "and_probe: api\nsteps: { x: { command: { argv: [ /bin/x ] } } }";
    let (remedies, differences) = translated(&pattern(r#"{ "type": "x" }"#, config), mapping);
    let remedy = &remedies[0];
    assert_eq!((remedy.max_attempts, remedy.retry_delay, remedy.cooldown), (10, SHORTEST, SHORTEST));
    let said = words(&differences);
    assert!(said.contains("1000 is taken as 10") && said.contains("retry_delay: 0s is taken as 1s"), "{said}");
    let off = r#""enable_notifications": false, "notification_channels": ["pager"]"#;
    let (_, differences) = translated(&pattern(r#"{ "type": "x" }"#, off), mapping);
    assert!(!words(&differences).contains("pager"));
}

#[test]
fn what_cannot_be_understood_in_the_file_has_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("error_patterns.json");
    let cases = [
        (pattern("7", ""), "error_patterns[0] (\"A b\").actions[0]: an action is an object"),
        (pattern("{}", ""), "actions[0]: it has no type"),
        (pattern(r#"{ "type": 5 }"#, ""), "actions[0]: type is a text"),
        (pattern("", r#""max_retries": -1"#), "auto_fix_config.max_retries: write a whole number"),
        (pattern("", r#""retry_delay": "60s""#), "auto_fix_config.retry_delay: write seconds"),
        (pattern("", r#""notification_channels": "log""#), "auto_fix_config.notification_channels: write a list"),
    ];
    for (json, expected) in cases {
        std::fs::write(&path, &json).unwrap();
        let file = PatternFile::read(&path).unwrap_or_else(|message| panic!("it can be counted by: {message}"));
        let message = file.auto_fix().unwrap_err();
        assert!(message.contains(expected) && message.contains("error_patterns.json"), "{expected}: {message}");
    }
}

#[test]
fn mistakes_of_the_mapping_have_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("error_patterns.json");
    std::fs::write(&path, USERS_FILE).unwrap();
    let cases = [
        ("services: { a: {} }", "services.a"),
        ("channels: { email: { command: { argv: [ /bin/x ] } } }", "channels.email"),
        ("patterns: { nothing: {} }", "patterns.nothing"),
        ("leave_out: [ nothing ]", "leave_out[0] (nothing)"),
    ];
    for (yaml, expected) in cases {
        let mapping: Mapping = serde_yaml::from_str(&format!("file: {}\nlog: app\n{yaml}", path.display())).unwrap();
        let mistakes = mapping.mistakes();
        assert_eq!(mistakes[0].path, expected, "{mistakes:?}");
    }
}
