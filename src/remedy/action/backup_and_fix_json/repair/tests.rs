use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn repaired(text: &str) -> String {
    match judge(text.as_bytes()) {
        Verdict::Repaired(repaired) => String::from_utf8(repaired.text).unwrap(),
        other => panic!("{text:?}: {other:?}"),
    }
}

#[test]
fn what_has_one_meaning_is_repaired_and_the_rest_stays_to_the_byte() {
    for (broken, whole) in [
        ("\u{feff}{\"a\": 1}\n", "{\"a\": 1}\n"),
        ("{\"a\": [1, 2, ], }\n", "{\"a\": [1, 2 ] }\n"),
        (r#"{"a":1,"b":{"c":[1,2"#, r#"{"a":1,"b":{"c":[1]}}"#),
        (r#"{"a":1,"b":"half a wo"#, r#"{"a":1}"#),
        (r#"{"a":1,"b":"#, r#"{"a":1}"#),
        (r#"{"a":1,"b"#, r#"{"a":1}"#),
        (r#"{"a":1,"#, r#"{"a":1}"#),
        (r#"{"a":true"#, r#"{"a":true}"#),
        (r#"[{"a":1},{"b":tru"#, r#"[{"a":1},{}]"#),
        (r#"[1,"\u00"#, "[1]"),
        (r#"[1,"\"#, "[1]"),
        ("[1,-", "[1]"),
        ("{\"a\":1,\n", "{\"a\":1}\n"),
        ("{\"a\":1}\0\0\0\0", "{\"a\":1}"),
        ("{\"a\":1,\"b\":\"\0", "{\"a\":1}"),
        (r#"{"a":1}}"#, r#"{"a":1}"#),
        ("{\"a\":1}\n}\n", "{\"a\":1}"),
        (r#"{"a":{"b":12}}:12}}"#, r#"{"a":{"b":12}}"#),
        ("\u{feff}[1,]", "[1]"),
    ] {
        assert_eq!(repaired(broken), whole, "{broken:?}");
    }
    let mut cut = "{\"a\":1,\"b\":\"\u{3042}".as_bytes().to_vec();
    cut.pop();
    let Verdict::Repaired(repaired) = judge(&cut) else { panic!() };
    assert_eq!((repaired.text.as_slice(), repaired.repairs.as_slice()), (&b"{\"a\":1}"[..], &[Repair::CutEnd][..]));
}

#[test]
fn what_has_several_meanings_or_none_is_left_to_people() {
    for text in [
        "",
        " \n",
        "\0\0\0",
        "{",
        "[[[",
        "{\"a\":",
        "{\"a\":\"x",
        "nul",
        "tr",
        "\"half",
        "// x\n{}",
        "{/* x */}",
        "{'a':1}",
        "{a:1}",
        "[1,,2]",
        "[,1]",
        "{,}",
        "[1 2]",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "[NaN]",
        "[Infinity]",
        "[01]",
        "[1,0x",
        "[1}",
        "{\"a\":1]",
        "[\"\x01\"]",
        "[\"\\x\"]",
        "[\"\\u12x4\"]",
        "{\"a\":1}{\"b\":2}",
        "{\"a\":1}\n{\"a\":1}\n",
        "[1]2",
        "1 1",
        "{\"a\":1} # x",
        "[1,]x",
        "[1],",
        "\u{feff}",
        "]",
        "}",
    ] {
        assert!(matches!(judge(text.as_bytes()), Verdict::Hopeless(_)), "{text:?}: {:?}", judge(text.as_bytes()));
    }
    assert!(matches!(judge(b"{\"a\":\"\xff\"}"), Verdict::Hopeless(_)));
    let deep = "[".repeat(200);
    assert!(matches!(judge(format!("{deep}1").as_bytes()), Verdict::Hopeless(_)));
}

#[test]
fn json_as_it_should_be_is_known_as_such() {
    for text in ["{}", " [1, 2.5e3, -0, \"\\ud83d\\ude00\", null]\n", "1", "\"x\"", "{\"a\":1,\"a\":2}"] {
        assert_eq!(judge(text.as_bytes()), Verdict::Valid, "{text}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(".{0,6}", inner, 0..6).prop_map(|map| json!(map)),
        ]
    })
}

/// Whether everything in `part` stands in `whole` as well, at the same place.
fn is_part(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(key, value)| whole.get(key).is_some_and(|whole| is_part(value, whole)))
        }
        (Value::Array(part), Value::Array(whole)) => {
            part.len() <= whole.len() && part.iter().zip(whole).all(|(part, whole)| is_part(part, whole))
        }
        _ => part == whole,
    }
}

proptest! {
    #[test]
    fn any_begin_of_a_valid_text_is_repaired_without_inventing_anything_or_refused(
        value in any_json(), pretty in any::<bool>(), share in 0.0..1.0_f64
    ) {
        let text = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) }.unwrap();
        prop_assert_eq!(judge(&text), Verdict::Valid);
        let cut = (text.len() as f64 * share) as usize;
        match judge(&text[..cut]) {
            Verdict::Repaired(repaired) => {
                let again: Value = serde_json::from_slice(&repaired.text).unwrap();
                prop_assert!(is_part(&again, &value), "{again} of {value}");
                prop_assert_eq!(judge(&repaired.text), Verdict::Valid);
            }
            // A number that stands alone is one at any length.
            Verdict::Valid => prop_assert!(value.is_number()),
            Verdict::Hopeless(_) => {}
        }
    }

    #[test]
    fn nothing_that_is_garbled_makes_it_panic_or_give_what_is_no_json(
        value in any_json(), at in any::<prop::sample::Index>(), byte in any::<u8>(), tail in any::<Vec<u8>>()
    ) {
        let mut text = serde_json::to_vec(&value).unwrap();
        let at = at.index(text.len());
        text[at] = byte;
        text.extend(tail.into_iter().take(3));
        if let Verdict::Repaired(repaired) = judge(&text) {
            prop_assert!(serde_json::from_slice::<IgnoredAny>(&repaired.text).is_ok());
        }
    }

    #[test]
    fn structure_alone_never_makes_it_panic(text in "[\\[\\]{}:,\"\\\\tfn1 -]{0,24}") {
        if let Verdict::Repaired(repaired) = judge(text.as_bytes()) {
            prop_assert_eq!(judge(&repaired.text), Verdict::Valid);
        }
    }
}
