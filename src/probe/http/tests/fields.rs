//! JSON fields: there or not, right or not, and their values.

use super::*;

/// A verdict on the field `f`: present, valid, exported value, reason.
type Verdict = (f64, f64, Option<f64>, Option<Reason>);

const GOOD: Verdict = (1.0, 1.0, None, None);
const WRONG: Verdict = (1.0, 0.0, None, Some(Reason::Json));

async fn judge(settings: &str, body: &str) -> (Verdict, String) {
    let fake = Fake::saying(ok(body)).await;
    let (result, out) = probe(&format!("{{ url: '{}', json: [ {{ field: f, {settings} }} ] }}", fake.url())).await;
    let reading = |name: &str| field_value(&out, name, "f");
    let (reason, detail) =
        result.map_or_else(|failure| (Some(failure.reason), failure.detail), |()| (None, String::new()));
    let present = reading("_json_field_present").expect("present is always there");
    let valid = reading("_json_field_valid").expect("valid is always there");
    ((present, valid, reading("_json_value"), reason), detail)
}

#[tokio::test]
async fn types_bounds_and_equality_are_judged_value_by_value() {
    let table = [
        ("path: $.a", r#"{"a":1}"#, GOOD),
        ("path: $.a", r#"{"a":null}"#, WRONG),
        ("path: $.a, optional: true", r#"{"a":null}"#, WRONG),
        ("path: $.a, type: 'null'", r#"{"a":null}"#, GOOD),
        ("path: $.a, equals: null", r#"{"a":null}"#, GOOD),
        ("path: $.a, equals: null", r#"{"a":0}"#, WRONG),
        ("path: $.a, type: number", r#"{"a":"1"}"#, WRONG),
        ("path: $.a, type: string", r#"{"a":"1"}"#, GOOD),
        ("path: $.a, type: boolean", r#"{"a":false}"#, GOOD),
        ("path: $.a, type: array", r#"{"a":[]}"#, GOOD),
        ("path: $.a, type: object", r#"{"a":[]}"#, WRONG),
        ("path: $.a, type: number, above: 0", r#"{"a":0.1}"#, GOOD),
        ("path: $.a, type: number, above: 0", r#"{"a":0}"#, WRONG),
        ("path: $.a, min: 0", r#"{"a":0}"#, GOOD),
        ("path: $.a, min: 0", r#"{"a":-0.1}"#, WRONG),
        ("path: $.a, below: 10", r#"{"a":10}"#, WRONG),
        ("path: $.a, max: 10", r#"{"a":10}"#, GOOD),
        ("path: $.a, max: 10", r#"{"a":10.5}"#, WRONG),
        ("path: $.a, above: 0", r#"{"a":"0.53"}"#, GOOD),
        ("path: $.a, above: 0", r#"{"a":"-0.53"}"#, WRONG),
        ("path: $.a, above: 0", r#"{"a":"inf"}"#, WRONG),
        ("path: $.a, above: 0", r#"{"a":"much"}"#, WRONG),
        ("path: $.a, above: 0", r#"{"a":true}"#, WRONG),
        ("path: $.a, equals: live", r#"{"a":"live"}"#, GOOD),
        ("path: $.a, equals: live", r#"{"a":"demo"}"#, WRONG),
        ("path: $.a, equals: 5", r#"{"a":5.0}"#, GOOD),
        ("path: $.a, equals: 0.53", r#"{"a":"0.530"}"#, GOOD),
        ("path: $.a, equals: '5'", r#"{"a":5}"#, WRONG),
        ("path: $.a, equals: true", r#"{"a":true}"#, GOOD),
        ("path: $.a, equals: true", r#"{"a":"true"}"#, WRONG),
        ("path: $.a, equals: 9007199254740993", r#"{"a":9007199254740992}"#, WRONG),
        ("path: $.a, equals: -9007199254740993", r#"{"a":-9007199254740992}"#, WRONG),
        ("path: $.a, equals: 18446744073709551615", r#"{"a":18446744073709551615}"#, GOOD),
        ("path: '$[\"a b\"].c[1]', equals: 7", r#"{"a b":{"c":[1,7]}}"#, GOOD),
        ("path: '$[?@.id==2].v', above: 0", r#"[{"id":1,"v":-1},{"id":2,"v":4}]"#, GOOD),
        ("path: '$..v', above: 0", r#"[{"v":1},{"w":{"v":2}}]"#, GOOD),
        ("path: '$..v', above: 0", r#"[{"v":1},{"w":{"v":0}}]"#, WRONG),
    ];
    for (settings, body, wanted) in table {
        let (found, detail) = judge(settings, body).await;
        assert_eq!(found, wanted, "{settings} of {body}: {detail}");
    }
}

#[tokio::test]
async fn an_absent_field_is_missing_unless_it_is_optional() {
    let (found, detail) = judge("path: $.current_price", "{}").await;
    assert_eq!(found, (0.0, 0.0, None, Some(Reason::Missing)));
    assert_eq!(detail, "field f ($.current_price) is missing");
    assert_eq!(judge("path: '$[*].v'", "[]").await.0, (0.0, 0.0, None, Some(Reason::Missing)));
    assert_eq!(judge("path: $.a, optional: true, above: 0, export: true", "{}").await.0, (0.0, 1.0, None, None));
    assert_eq!(judge("path: $.a, optional: true, above: 0", r#"{"a":-1}"#).await.0, WRONG);
}

#[tokio::test]
async fn values_are_exported_as_numbers_also_when_they_are_wrong() {
    let table = [
        ("", r#"{"a":1.5}"#, (1.0, 1.0, Some(1.5), None)),
        ("", r#"{"a":"0.53"}"#, (1.0, 1.0, Some(0.53), None)),
        ("", r#"{"a":true}"#, (1.0, 1.0, Some(1.0), None)),
        ("", r#"{"a":false}"#, (1.0, 1.0, Some(0.0), None)),
        ("", r#"{"a":null}"#, WRONG),
        ("", r#"{"a":"NaN"}"#, WRONG),
        ("", r#"{"a":"text"}"#, WRONG),
        ("", r#"{"a":{}}"#, WRONG),
        (", above: 2", r#"{"a":1.5}"#, (1.0, 0.0, Some(1.5), Some(Reason::Json))),
    ];
    for (more, body, wanted) in table {
        assert_eq!(judge(&format!("path: $.a, export: true{more}"), body).await.0, wanted, "{body}");
    }
    let (found, detail) = judge("path: '$[*]', export: true", "[1,2]").await;
    assert_eq!(found, WRONG);
    assert!(detail.contains("selects 2 values"), "{detail}");
    assert_eq!(judge("path: $.a", r#"{"a":1}"#).await.0.2, None, "nothing is exported unasked");
}

#[tokio::test]
async fn ages_are_judged_by_any_form_of_time() {
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;
    let now = OffsetDateTime::now_utc();
    let stamp = |seconds: i64| (now - time::Duration::seconds(seconds)).format(&Rfc3339).unwrap();
    let unix = |seconds: i64| now.unix_timestamp() - seconds;
    let stale = (1.0, 0.0, None, Some(Reason::Stale));
    let table = [
        (format!("\"{}\"", stamp(30)), GOOD),
        (format!("\"{}\"", stamp(300)), stale),
        (format!("{}", unix(30)), GOOD),
        (format!("{}", unix(300)), stale),
        (format!("{}000", unix(30)), GOOD),
        (format!("{}000", unix(300)), stale),
        (format!("{}000000000", unix(300)), stale),
        (format!("\"{}\"", unix(30)), GOOD),
        (format!("\"{}\"", stamp(-60)), GOOD),
        (format!("\"{}\"", stamp(-3600 * 9)), WRONG),
        (format!("\"{}\"", stamp(30).trim_end_matches('Z')), WRONG),
        ("0".to_owned(), stale),
        ("true".to_owned(), WRONG),
        ("\"soon\"".to_owned(), WRONG),
        ("null".to_owned(), WRONG),
    ];
    for (time, wanted) in table {
        let (found, detail) = judge("path: $.t, max_age: 2m", &format!("{{\"t\":{time}}}")).await;
        assert_eq!(found, wanted, "{time}: {detail}");
        if time.ends_with('"') && found == WRONG && !time.contains('Z') && time != "\"soon\"" {
            assert!(detail.contains("without an offset"), "{detail}");
        }
    }
    let (_, detail) = judge("path: $.t, max_age: 2m", &format!("{{\"t\":{}}}", unix(303))).await;
    assert!(detail.contains("is 5m ") && detail.ends_with("s old where at most 2m was expected"), "{detail}");
    let (found, _) = judge("path: $.t, max_age: 2m, export: true", &format!("{{\"t\":{}}}", unix(303))).await;
    assert_eq!(found.2, Some(unix(303) as f64), "a stale time is still a value");
}

#[tokio::test]
async fn details_say_what_was_found_and_what_was_expected() {
    let table = [
        ("path: $.a, type: number, above: 0", r#"{"a":-1}"#, "field f ($.a) is -1 where above 0 was expected"),
        ("path: $.a, min: 0.5", r#"{"a":"0.1"}"#, "field f ($.a) is \"0.1\" where at least 0.5 was expected"),
        ("path: $.a, equals: live", r#"{"a":"de\nmo"}"#, "field f ($.a) is \"de\\nmo\" where \"live\" was expected"),
        ("path: $.a, type: array", r#"{"a":{}}"#, "field f ($.a) is an object where an array was expected"),
        ("path: $.a", r#"{"a":null}"#, "field f ($.a) is null"),
        (
            "path: '$[*]', above: 0",
            "[1,-2,-3]",
            "field f ($[*]) at 2 of 3 is -2 where above 0 was expected, and 1 more are wrong",
        ),
    ];
    for (settings, body, wanted) in table {
        assert_eq!(judge(settings, body).await.1, wanted);
    }
    let (_, detail) = judge("path: $.a, type: number", r#"{"a":"0.53"}"#).await;
    assert!(detail.contains("accepted without type"), "{detail}");
    let (_, detail) = judge("path: $.a, equals: x", &format!("{{\"a\":\"{}\"}}", "long".repeat(1000))).await;
    assert!(detail.len() < 200, "{detail}");
}

#[tokio::test]
async fn what_is_not_json_fails_and_keeps_every_series_at_zero() {
    let deep = "[".repeat(100_000);
    for body in ["<html>", "", "{\"a\":1", "{\"a\":1} extra", "\u{feff}{}", deep.as_str()] {
        let (found, detail) = judge("path: $.a", body).await;
        assert_eq!(found, (0.0, 0.0, None, Some(Reason::Json)), "{detail}");
        assert!(detail.contains("not JSON"), "{detail}");
    }
}

#[tokio::test]
async fn a_failed_run_keeps_every_series_of_its_fields() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let json = "json: [ { field: a, path: $.a }, { field: b, path: $.b, optional: true } ]";
    let (result, out) = probe(&format!("{{ url: 'http://{closed}/', {json} }}")).await;
    assert!(result.is_err());
    for field in ["a", "b"] {
        assert_eq!(field_value(&out, "_json_field_present", field), Some(0.0));
        assert_eq!(field_value(&out, "_json_field_valid", field), Some(0.0));
    }
}

#[tokio::test]
async fn of_several_wrong_fields_all_are_told_and_the_missing_one_gives_the_reason() {
    let fake = Fake::saying(ok(r#"{"a":-1,"b":1}"#)).await;
    let a = "{ field: a, path: $.a, above: 0 }";
    let b = "{ field: b, path: $.b, max_age: 1m }";
    let c = "{ field: c, path: $.c }";
    let good = "{ field: good, path: $.b, equals: 1 }";
    let yaml =
        |fields: &str, expect: &str| format!("{{ url: '{}', json: [ {fields} ], expect: {{ {expect} }} }}", fake.url());
    let all = failure(&yaml(&format!("{a}, {b}, {c}, {good}"), "")).await;
    assert_eq!(all.reason, Reason::Missing);
    let order: Vec<_> = ["field c", "field b", "field a"].iter().map(|field| all.detail.find(field)).collect();
    assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{all}");
    assert!(!all.detail.contains("good"), "{all}");
    assert_eq!(failure(&yaml(&format!("{a}, {b}"), "")).await.reason, Reason::Stale);
    let (result, out) = probe(&yaml(&format!("{a}, {good}"), "body_matches: nowhere")).await;
    let failure = result.unwrap_err();
    assert_eq!(failure.reason, Reason::Body);
    assert!(failure.detail.contains("field a"), "{failure}");
    assert_eq!(field_value(&out, "_json_field_valid", "good"), Some(1.0));
}
