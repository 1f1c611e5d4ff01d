use super::*;
use serde_json::{Value, json};

fn message(status: &str, name: &str, starts_at: &str) -> Vec<u8> {
    json!({
        "version": "4", "groupKey": "{}", "truncatedAlerts": 0, "status": status, "receiver": "banken",
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am",
        "alerts": [{
            "status": status, "labels": { "alertname": name, "probe": "api" }, "annotations": { "summary": "x" },
            "startsAt": starts_at, "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": format!("f-{name}"),
        }],
    })
    .to_string()
    .into_bytes()
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

const NOW: f64 = 1_800_000_000.0;
const FIRST: &str = "2026-11-28T12:00:00.123Z";
const SECOND: &str = "2026-11-28T13:00:00Z";

#[test]
fn an_alert_fires_until_it_is_over_and_is_known_when_it_is_told_again() {
    let mut firing = Firing::default();
    let wanted = labels(&[("alertname", "Down"), ("probe", "api")]);
    let take = |firing: &mut Firing, status, starts_at, now| {
        firing.take(parse(&message(status, "Down", starts_at)).unwrap(), now)
    };
    assert_eq!(take(&mut firing, "firing", FIRST, NOW), Taken { new: 1, ..Taken::default() });
    assert_eq!(take(&mut firing, "firing", FIRST, NOW + 1.0), Taken { known: 1, ..Taken::default() });
    assert_eq!(firing.matches(&wanted, NOW), Some(1_795_867_200.123));
    for other in [&[("alertname", "Up")][..], &[("alertname", "Down"), ("probe", "web")], &[("nothing", "")], &[]] {
        assert_eq!(firing.matches(&labels(other), NOW), None, "{other:?}");
    }
    assert_eq!(take(&mut firing, "resolved", FIRST, NOW + 2.0), Taken { resolved: 1, ..Taken::default() });
    assert_eq!(firing.matches(&wanted, NOW + 2.0), None);
    // A repetition that came late does not make it fire again; a new incident does.
    assert_eq!(take(&mut firing, "firing", FIRST, NOW + 3.0), Taken { ignored: 1, ..Taken::default() });
    assert_eq!(take(&mut firing, "firing", SECOND, NOW + 4.0), Taken { new: 1, ..Taken::default() });
    assert_eq!(take(&mut firing, "resolved", FIRST, NOW + 5.0), Taken { ignored: 1, ..Taken::default() });
    assert!(firing.matches(&wanted, NOW + 5.0).is_some());
}

#[test]
fn what_is_not_heard_of_again_does_not_fire_for_ever() {
    let mut firing = Firing::default();
    firing.take(parse(&message("firing", "Down", FIRST)).unwrap(), NOW);
    let wanted = labels(&[("alertname", "Down")]);
    assert!(firing.matches(&wanted, NOW + EXPIRES_AFTER - 1.0).is_some());
    assert_eq!(firing.matches(&wanted, NOW + EXPIRES_AFTER), None);
    assert_eq!(firing.count(NOW + EXPIRES_AFTER), 0);
    // A clock ahead of ours does not put the begin into the future.
    firing.take(parse(&message("firing", "Ahead", "2099-01-01T00:00:00Z")).unwrap(), NOW);
    assert_eq!(firing.matches(&labels(&[("alertname", "Ahead")]), NOW), Some(NOW));
}

#[test]
fn a_flood_is_bounded_and_what_is_over_makes_room() {
    let mut firing = Firing::default();
    let alert = |number: usize, firing| Alert {
        firing,
        labels: labels(&[("alertname", "x")]),
        fingerprint: number.to_string(),
        starts_at: 1.0,
    };
    let taken = firing.take((0..MAX_ALERTS + 50).map(|number| alert(number, true)).collect(), NOW);
    assert_eq!((taken.new, taken.ignored, firing.count(NOW)), (MAX_ALERTS, 50, MAX_ALERTS));
    firing.take(vec![alert(0, false)], NOW);
    assert_eq!(firing.take(vec![alert(5000, true)], NOW).new, 1);
}

#[test]
fn what_is_not_alertmanagers_is_refused_whole_and_not_repeated() {
    let good: Value = serde_json::from_slice(&message("firing", "Down", FIRST)).unwrap();
    let change = |pointer: &str, value: Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        changed.to_string()
    };
    let cases = [
        "s3cret".to_owned(),
        "{}".to_owned(),
        change("/version", json!("3")),
        change("/alerts/0/status", json!("s3cret")),
        change("/alerts/0/startsAt", json!("s3cret")),
        change("/alerts/0/labels", json!({})),
        change("/alerts/0/labels", json!({ "a": 5 })),
        change("/alerts/0/labels/probe", json!("s3cret".repeat(1000))),
        change("/alerts", json!(vec![good["alerts"][0].clone(); MAX_PER_MESSAGE + 1])),
        "[".repeat(100_000),
    ];
    for case in cases {
        let message = parse(case.as_bytes()).unwrap_err();
        assert!(!message.contains("s3cret"), "{message}");
    }
    let without = change("/alerts/0/fingerprint", json!(""));
    assert_eq!(parse(without.as_bytes()).unwrap()[0].fingerprint.len(), 16);
}
