//! Mistakes in the block are found when it is loaded, and say where they are.

use super::*;

/// Every mistake in a block as `path: message`, found by types or by `build`.
fn mistakes(yaml: &str) -> Vec<String> {
    let deserializer = serde_yaml::Deserializer::from_str(yaml);
    match serde_path_to_error::deserialize::<_, Config>(deserializer) {
        Err(error) => vec![format!("{}: {}", error.path(), error.inner())],
        Ok(config) => match config.build(&Context::default()) {
            Ok(_) => Vec::new(),
            Err(mistakes) => mistakes.into_iter().map(|m| format!("{}: {}", m.path, m.message)).collect(),
        },
    }
}

#[test]
fn a_mistake_is_found_where_it_stands() {
    let table = [
        ("method: get", "method: ", "GET"),
        ("method: 'G T'", "method: ", "not a method"),
        ("method: CONNECT", "method: ", "tunnel"),
        ("method: HEAD, expect: { body_lacks: x }", "method: ", "no body"),
        ("metod: GET", "metod: ", "unknown field"),
        ("headers: { 'bad name': x }", "headers.bad name: ", "not a name"),
        ("headers: { content-length: '5' }", "headers.content-length: ", "itself"),
        ("headers: { x-a: \"a\\nb\" }", "headers.x-a: ", "no header can hold"),
        ("headers: { X-A: a, x-a: b }", "headers.x-a: ", "twice"),
        ("headers: { host: 'a b' }", "headers.host: ", "not a host"),
        ("auth: {}", "auth: ", "no credentials"),
        ("auth: { basic: { username: u, password: p }, bearer: t }", "auth: ", "both"),
        ("auth: { basic: { username: 'a:b', password: p } }", "auth.basic.username: ", "colon"),
        ("auth: { bearer: \"a\\nb\" }", "auth.bearer: ", "no header can hold"),
        ("auth: { bearer: t }, headers: { Authorization: x }", "auth: ", "both"),
        ("auth: { basic: { username: u } }", "auth.basic: ", "password"),
        ("expect: { status: [] }", "expect.status: ", "at least one"),
        ("expect: { status: [7xx] }", "expect.status[0]: ", "1xx to 5xx"),
        ("expect: { status: [200, 299-200] }", "expect.status[1]: ", "200-299"),
        ("expect: { status: [true] }", "expect.status[0]: ", "a status"),
        ("expect: { body_matches: '(' }", "expect.body_matches: ", "regular expression"),
        ("expect: { headers: { 'a b': x } }", "expect.headers.a b: ", "not a name"),
        ("expect: { max_body: lots }", "expect.max_body: ", "size"),
        ("expect: { max_body: 1GiB, body_lacks: x }", "expect.max_body: ", "16MiB"),
        ("redirects: { max: -1 }", "redirects.max: ", "-1"),
        ("protocol: http3", "protocol: ", "http3"),
        ("ip: v5", "ip: ", "v5"),
        ("tls: { server_name: 'a b' }", "tls.server_name: ", "host name"),
        ("tls: { cert: { file: /nonexistent } }", "tls.cert: ", "/nonexistent"),
    ];
    for (settings, path, words) in table {
        let found = mistakes(&format!("{{ url: 'http://127.0.0.1/', {settings} }}"));
        assert_eq!(found.len(), 1, "{settings}: {found:?}");
        let message = found[0].strip_prefix(path).unwrap_or_else(|| {
            found[0].strip_prefix(&format!(".{path}")).unwrap_or_else(|| panic!("{settings}: {found:?}"))
        });
        assert!(message.contains(words), "{settings}: {found:?}");
    }
    assert_eq!(mistakes("{}").len(), 1, "a block without url");
}

#[test]
fn a_mistake_in_a_field_is_found_where_it_stands() {
    let table = [
        ("field: Bad Name", "json[1].field: ", "not a name"),
        ("field: first", "json[1].field: ", "json[0]"),
        ("path: current_price", "json[1].path: ", "begins with $"),
        ("type: float", "json[1].type: ", "float"),
        ("above: 1, type: string", "json[1].above: ", "type: number"),
        ("max: 1, type: array", "json[1].max: ", "type: number"),
        ("min: .nan", "json[1].min: ", "no bound"),
        ("min: 2, max: 1", "json[1].min: ", "leave no number"),
        ("above: 1, below: 1", "json[1].above: ", "leave no number"),
        ("above: 1, max: 1", "json[1].above: ", "leave no number"),
        ("max_age: 2m, type: array", "json[1].max_age: ", "string or a number"),
        ("max_age: 2", "json[1].max_age: ", "duration"),
        ("equals: [1]", "json[1].equals: ", "single value"),
        ("equals: 1, type: string", "json[1].equals: ", "a string"),
        ("export: true, type: object", "json[1].export: ", "export"),
        ("optionl: true", "json[1]", "optionl"),
    ];
    for (settings, path, words) in table {
        let mut entry = settings.to_owned();
        for (key, default) in [("field:", "field: second"), ("path:", "path: $.a")] {
            if !settings.starts_with(key) {
                entry = format!("{default}, {entry}");
            }
        }
        let yaml = format!("{{ url: 'http://127.0.0.1/', json: [ {{ field: first, path: $.b }}, {{ {entry} }} ] }}");
        let found = mistakes(&yaml);
        assert_eq!(found.len(), 1, "{settings}: {found:?}");
        assert!(found[0].starts_with(path) && found[0].contains(words), "{settings}: {found:?}");
    }
}

#[test]
fn a_mistake_in_a_step_is_found_where_it_stands() {
    let table = [
        ("name: Bad Name", "steps[1].name: ", "not a name"),
        ("name: first", "steps[1].name: ", "steps[0]"),
        ("url: 'http://{{token}}/'", "steps[1].url: ", "URL"),
        ("url: 'http://a{{token}}/'", "steps[1].url: ", "URL"),
        ("url: 'http://a:{{token}}/'", "steps[1].url: ", "URL"),
        ("url: 'http://b/{{other}}'", "steps[1].url: ", "no earlier step takes other"),
        ("url: 'http://b/?x={{'", "steps[1].url: ", "begins no {{name}}"),
        (
            "headers: { X-A: 'a {{own}}' }, take: { own: { json: $.a } }",
            "steps[1].headers.X-A: ",
            "no earlier step takes own",
        ),
        ("headers: { x-a: '{{token' }", "steps[1].headers.x-a: ", "begins no {{name}}"),
        ("headers: { host: '{{token}}' }", "steps[1].headers.host: ", "not a host"),
        ("auth: { bearer: '{{later}}' }", "steps[1].auth.bearer: ", "no earlier step takes later"),
        ("method: POST, body: '{\"a\":\"{{ later }}\"}'", "steps[1].body: ", "no earlier step takes later"),
        ("take: { token: { json: $.a } }", "steps[1].take.token: ", "already taken by steps[0]"),
        ("take: { a: {} }", "steps[1].take.a: ", "exactly one"),
        ("take: { a: { json: $.a, header: b } }", "steps[1].take.a: ", "exactly one"),
        ("take: { a: { header: 'a b' } }", "steps[1].take.a.header: ", "not a name of a header"),
        ("take: { a: { body: 'x=(.*)' } }", "steps[1].take.a.body: ", "(?<a>…)"),
        ("take: { a: { body: '(' } }", "steps[1].take.a.body: ", "regular expression"),
        ("take: { 'A B': { json: $.a } }", "steps[1].take.A B: ", "not a name"),
        ("method: HEAD, take: { a: { json: $.a } }", "steps[1].method: ", "no body"),
        ("method: HEAD, take: { a: { header: etag } }", "", ""),
        ("json: [ { field: price, path: $.a } ]", "steps[1].json[0].field: ", "steps[0].json[0]"),
        ("expect: { status: [] }", "steps[1].expect.status: ", "at least one"),
        ("keep_alive: true", "steps[1]", "keep_alive"),
    ];
    for (settings, path, words) in table {
        let mut entry = settings.to_owned();
        for (key, default) in [("name:", "name: second"), ("url:", "url: 'http://b/'")] {
            if !settings.starts_with(key) {
                entry = format!("{default}, {entry}");
            }
        }
        let first =
            "{ name: first, url: 'http://a/', take: { token: { json: $.t } }, json: [ { field: price, path: $.p } ] }";
        let found = mistakes(&format!("steps: [ {first}, {{ {entry} }} ]"));
        assert_eq!(found.len(), usize::from(!path.is_empty()), "{settings}: {found:?}");
        assert!(found.iter().all(|one| one.starts_with(path) && one.contains(words)), "{settings}: {found:?}");
    }
}

#[test]
fn one_request_and_steps_exclude_each_other() {
    for (settings, path) in [
        ("url: 'http://a/'", "url"),
        ("method: POST", "method"),
        ("headers: { x-a: b }", "headers"),
        ("body: x", "body"),
        ("auth: { bearer: t }", "auth"),
        ("expect: { status: [204] }", "expect"),
        ("json: [ { field: a, path: $ } ]", "json"),
        ("redirects: { max: 1 }", "redirects"),
    ] {
        let found = mistakes(&format!("{{ {settings}, steps: [ {{ name: a, url: 'http://a/' }} ] }}"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("{path}: {path} stands beside steps: move it")), "{found:?}");
    }
    for nothing in ["{}", "steps: []", "keep_alive: true"] {
        assert_eq!(mistakes(nothing), [": the key \"url\" is missing: add it, or steps"]);
    }
}

#[test]
fn what_steps_share_is_said_once_and_there_are_never_too_many() {
    let steps = |count: usize| {
        let steps: Vec<_> = (0..count).map(|n| format!("{{ name: s{n}, url: 'https://h{n}.example/' }}")).collect();
        steps.join(", ")
    };
    assert_eq!(mistakes(&format!("steps: [ {} ]", steps(16))), Vec::<String>::new());
    let found = mistakes(&format!("steps: [ {} ]", steps(17)));
    assert!(found.len() == 1 && found[0].starts_with("steps: there are 17 steps, and at most 16"), "{found:?}");
    let found = mistakes(&format!("tls: {{ server_name: 'a b' }}\nsteps: [ {} ]", steps(1)));
    assert!(found.len() == 1 && found[0].starts_with("tls.server_name: "), "{found:?}");
    let found = mistakes(&format!("tls: {{ server_name: x.example }}\nsteps: [ {} ]", steps(2)));
    assert!(found.len() == 1 && found[0].starts_with("tls.server_name: one name for several hosts"), "{found:?}");
}

#[test]
fn mistakes_of_several_places_are_told_together() {
    let yaml = "{ url: 'http://127.0.0.1/', auth: {}, expect: { status: [] }, json: [ { field: a, path: $, min: 2, max: 1 } ] }";
    assert_eq!(mistakes(yaml).len(), 3, "{:?}", mistakes(yaml));
}

#[test]
fn sensible_settings_are_accepted() {
    for settings in [
        "method: PURGE",
        "expect: { status: [2xx, 304, '301', 400-403] }",
        "expect: { max_body: 10GiB }",
        "json: [ { field: a, path: $.a, min: 1, max: 1 } ]",
        "json: [ { field: a, path: $.a, equals: null, type: 'null' } ]",
        "tls: { verify: false }, protocol: http1, ip: prefer_v6",
    ] {
        assert_eq!(
            mistakes(&format!("{{ url: 'http://127.0.0.1/', {settings} }}")),
            Vec::<String>::new(),
            "{settings}"
        );
    }
}

#[test]
fn defaults_are_those_that_the_documents_name() {
    let config: Config = serde_yaml::from_str("url: http://127.0.0.1/").unwrap();
    assert_eq!((config.redirects.max, config.redirects.across_hosts), (5, true));
    assert_eq!(config.expect.statuses(), "2xx");
    assert_eq!(config.expect.max_body.0, 1 << 20);
    assert!(config.tls.verify);
}
