use super::*;
use crate::machine::systemd::MainExit;
use crate::observation::Reading;
use crate::probe::Context;
use std::time::Duration;

fn unit(state: ActiveState, sub: &str) -> Unit {
    Unit {
        id: "bot.service".into(),
        load_state: "loaded".into(),
        active_state: Some(state),
        active_word: state.as_str().into(),
        sub_state: sub.into(),
        unit_file_state: "enabled".into(),
        result: Some("success".into()),
        invocation: b"a".to_vec(),
        ..Unit::default()
    }
}

fn expect(yaml: &str) -> Expect {
    serde_yaml::from_str(yaml).unwrap()
}

/// The reason of a failure and what its detail must hold; none for success.
type Verdict = Option<(Reason, &'static str)>;

fn check(expected: &str, unit: &Unit, verdict: Verdict) {
    let failure = judge(&expect(expected), unit).err();
    match (failure, verdict) {
        (None, None) => {}
        (Some(failure), Some((reason, words))) => {
            assert_eq!(failure.reason, reason, "{failure}");
            assert!(failure.detail.contains(words), "{failure} does not say {words:?}");
        }
        (failure, verdict) => panic!("{unit:?}: {failure:?} instead of {verdict:?}"),
    }
}

#[test]
fn what_is_up_is_right_and_whatever_else_says_how_it_came_about() {
    use ActiveState::{Activating, Active, Deactivating, Failed, Inactive, Reloading};
    check("{}", &unit(Active, "running"), None);
    check("{}", &unit(Reloading, "reload"), None);
    let failed =
        Unit { result: Some("exit-code".into()), main_exit: Some(MainExit::Exited(3)), ..unit(Failed, "failed") };
    let words = "bot.service is failed (failed), result exit-code, its main process exited with status 3; \
                 expected active or reloading";
    check("{}", &failed, Some((Reason::Exit, words)));
    let killed = Unit { main_exit: Some(MainExit::Killed(9)), ..unit(Activating, "auto-restart") };
    check("{}", &killed, Some((Reason::Exit, "was ended by signal 9")));
    check("{}", &unit(Activating, "start-pre"), Some((Reason::Status, "activating (start-pre)")));
    check("{}", &unit(Deactivating, "stop-sigterm"), Some((Reason::Status, "deactivating")));
    check("{}", &unit(Inactive, "dead"), Some((Reason::Exit, "inactive (dead)")));
    let masked = Unit { load_state: "masked".into(), ..unit(Inactive, "dead") };
    check("{}", &masked, Some((Reason::Exit, "masked")));
    check("{ active: [inactive] }", &masked, None);
    let odd = Unit { active_state: None, active_word: "maintenance".into(), ..unit(Active, "running") };
    check("{}", &odd, Some((Reason::Status, "maintenance")));
}

#[test]
fn what_is_not_there_is_missing_unless_it_still_runs() {
    let gone = Unit { load_state: "not-found".into(), ..unit(ActiveState::Inactive, "dead") };
    check("{}", &gone, Some((Reason::Missing, "there is no unit bot.service")));
    check("{ active: [inactive] }", &gone, Some((Reason::Missing, "there is no unit bot.service")));
    let running = Unit { load_state: "not-found".into(), ..unit(ActiveState::Active, "running") };
    check("{}", &running, None);
    let bad = Unit {
        load_state: "bad-setting".into(),
        load_error: "no ExecStart=\nat all".into(),
        ..unit(ActiveState::Inactive, "dead")
    };
    check("{}", &bad, Some((Reason::Missing, "(bad-setting): no ExecStart= at all")));
}

#[test]
fn a_oneshot_may_be_inactive_if_that_is_expected_and_it_succeeded() {
    let rests = "{ active: [inactive, activating] }";
    check(rests, &unit(ActiveState::Inactive, "dead"), None);
    check(rests, &unit(ActiveState::Activating, "start"), None);
    check(rests, &unit(ActiveState::Active, "exited"), Some((Reason::Status, "expected inactive or activating")));
    let skipped = Unit { result: Some("exec-condition".into()), ..unit(ActiveState::Inactive, "dead") };
    check(rests, &skipped, None);
    let ended = Unit { result: Some("timeout".into()), ..unit(ActiveState::Inactive, "dead") };
    check(rests, &ended, Some((Reason::Exit, "result timeout")));
    check(rests, &unit(ActiveState::Failed, "failed"), Some((Reason::Exit, "failed")));
}

#[test]
fn sub_state_and_unit_file_are_held_against_what_is_expected() {
    let running = unit(ActiveState::Active, "running");
    check("{ sub: [running, exited], unit_file: [enabled, static] }", &running, None);
    check("{ sub: [listening] }", &running, Some((Reason::Status, "sub-state of bot.service is \"running\"")));
    let disabled = Unit { unit_file_state: "disabled".into(), ..running };
    check("{ unit_file: [enabled] }", &disabled, Some((Reason::Status, "\"disabled\", expected enabled")));
}

fn mistakes(yaml: &str) -> Vec<String> {
    let config: Config = serde_yaml::from_str(yaml).unwrap();
    let mistakes = config.build(&Context::default()).err().unwrap_or_default();
    mistakes.into_iter().map(|mistake| format!("{}: {}", mistake.path, mistake.message)).collect()
}

#[test]
fn every_mistake_is_named_with_its_remedy() {
    for (yaml, path, words) in [
        ("{ unit: nginx }", "unit", "as in nginx.service"),
        ("{ unit: nginx.conf }", "unit", "does not end like a unit"),
        ("{ unit: 'a b.service' }", "unit", "systemctl list-units"),
        ("{ unit: getty@.service }", "unit", "as in getty@1.service"),
        ("{ unit: .service }", "unit", "is not the name of a unit"),
        ("{ unit: a.service, expect: { active: [] } }", "expect.active", "at least one"),
        ("{ unit: a.service, bus: /run/dbus/system_bus_socket }", "bus", "unix:path="),
        ("{ unit: a.service, bus: 'tcp:host=db,port=1' }", "bus", "on this machine"),
        ("{ unit: a.service, user: true, bus: 'unix:path=/x' }", "user", "remove user, or bus"),
    ] {
        let found = mistakes(yaml);
        assert!(found.len() == 1 && found[0].starts_with(&format!("{path}: ")), "{yaml}: {found:?}");
        assert!(found[0].contains(words), "{yaml}: {found:?}");
    }
    for unit in ["getty@tty1.service", "system-a\\x2db.slice", "backup.timer", "dev-sda1.device", "docker.socket"] {
        assert!(mistakes(&format!("{{ unit: '{unit}' }}")).is_empty(), "{unit}");
    }
}

#[tokio::test]
async fn all_units_on_a_bus_share_it_and_others_do_not() {
    let context = Context::default();
    let build = |yaml: &str| serde_yaml::from_str::<Config>(yaml).unwrap().build(&context).unwrap();
    let [one, two] = ["{ unit: a.service }", "{ unit: b.service }"].map(build);
    assert!(Arc::ptr_eq(&one.bus, &two.bus));
    assert!(!Arc::ptr_eq(&one.bus, &build("{ unit: a.service, bus: 'unix:path=/x' }").bus));
    let bus = Arc::downgrade(&one.bus);
    drop((one, two));
    assert!(bus.upgrade().is_none(), "the bus ends with the last of its probes");
}

/// What the looks at a unit publish, one after the other, 10 s apart.
fn published(units: &[Unit]) -> Vec<Readings> {
    let config: Config = serde_yaml::from_str("{ unit: bot.service }").unwrap();
    let mut probe = config.build(&Context::default()).unwrap();
    let begun = Instant::now();
    let look = |(index, unit): (usize, &Unit)| {
        let mut out = Readings::default();
        probe.write(unit, begun + Duration::from_secs(10 * index as u64), &mut out);
        out
    };
    units.iter().enumerate().map(look).collect()
}

fn increments(looks: &[Readings], family: &'static crate::observation::Family) -> Vec<f64> {
    let of_family = |reading: &&Reading| std::ptr::eq(reading.family, family);
    looks.iter().map(|out| out.increments().iter().find(of_family).unwrap().value).collect()
}

#[tokio::test]
async fn counters_go_on_over_starts_by_hand_and_begin_at_zero() {
    let look = |restarts, invocation: &str, cpu| Unit {
        restarts: Some(restarts),
        invocation: invocation.as_bytes().to_vec(),
        cpu_seconds: cpu,
        ..unit(ActiveState::Active, "running")
    };
    let looks = [look(3, "a", Some(50.0)), look(5, "b", Some(60.0)), look(1, "c", Some(2.0)), look(1, "c", None)];
    let looks = published(&looks);
    assert_eq!(increments(&looks, &RESTARTS), [0.0, 2.0, 1.0, 0.0]);
    assert_eq!(increments(&looks, &CPU_SECONDS), [0.0, 60.0, 2.0, 0.0]);
    assert_eq!(looks[0].value(&CPU_RATIO), None, "one look has no ratio");
    assert_eq!(looks[1].value(&CPU_RATIO), Some(6.0));
    assert_eq!(looks[3].value(&CPU_RATIO), None, "what is not measured any more has no ratio");
    assert_eq!(looks[1].signals(), &[(&CPU, 6.0)]);
}

#[tokio::test]
async fn exactly_one_state_is_1_and_what_is_not_known_is_not_there() {
    let mut failed = unit(ActiveState::Failed, "failed");
    failed.active_entered = Some(1e9);
    failed.main_exit = Some(MainExit::Killed(9));
    let looks = published(&[unit(ActiveState::Reloading, "reload"), failed]);
    for (out, state, active) in [(&looks[0], "reloading", 1.0), (&looks[1], "failed", 0.0)] {
        let states = out.gauges().iter().filter(|reading| std::ptr::eq(reading.family, &STATE));
        let states: Vec<_> = states.map(|reading| (reading.labels.clone().unwrap(), reading.value)).collect();
        assert_eq!(states.len(), 6);
        let on: Vec<_> = states.iter().filter(|(_, value)| *value > 0.0).map(|(labels, _)| labels.text()).collect();
        assert_eq!(on, [format!("state=\"{state}\"")]);
        assert_eq!(out.value(&ACTIVE), Some(active));
        for family in [&MEMORY_BYTES, &TASKS, &ACTIVE_SINCE, &LAST_TRIGGER] {
            assert_eq!(out.value(family), None, "{}", family.name);
        }
    }
    assert_eq!(looks[1].value(&MAIN_EXIT_STATUS), Some(137.0));
}
