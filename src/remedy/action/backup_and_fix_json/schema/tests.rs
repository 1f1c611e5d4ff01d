use super::*;
use proptest::prelude::*;
use serde_json::json;

#[test]
fn a_keyword_that_is_not_understood_is_refused_and_not_passed_over() {
    for (schema, words) in [
        (json!({"oneOf": [true]}), "/oneOf is not understood"),
        (json!({"properties": {"a": {"$ref": "#/x"}}}), "/properties/$ref"),
        (json!({"type": "text"}), "/type must be"),
        (json!(7), "is no schema"),
        (json!({"minimum": "1"}), "must be a number"),
    ] {
        let why = Schema::parse(&schema, "", 0).unwrap_err();
        assert!(why.contains(words), "{why}");
    }
}

#[test]
fn a_mismatch_says_where() {
    let schema = json!({"type": "object", "required": ["balance"], "properties": {"positions": {"items": {"required": ["symbol"]}}}});
    let schema = Schema::parse(&schema, "", 0).unwrap();
    let mismatch = |value| schema.mismatch(&value).unwrap_or_default();
    assert_eq!(mismatch(json!({})), "$.balance is missing");
    assert_eq!(mismatch(json!({"balance": 1, "positions": [{"symbol": 1}, {}]})), "$.positions[1].symbol is missing");
    assert_eq!(mismatch(json!({"balance": 1, "positions": []})), "");
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|b| json!(b)),
        (-3..6_i64).prop_map(|n| json!(n)),
        Just(json!(1.0)),
        Just(json!(2.5)),
        "[ab\u{3042}]{0,4}".prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[abc]", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

fn any_schema() -> impl Strategy<Value = Value> {
    let types = prop::sample::select(vec!["null", "boolean", "object", "array", "number", "integer", "string"]);
    let limit = prop::sample::select(LIMITS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    let leaf = prop_oneof![
        any::<bool>().prop_map(|b| json!(b)),
        types.clone().prop_map(|one| json!({"type": one})),
        prop::collection::vec(types, 1..3).prop_map(|mut types| {
            types.dedup();
            types.sort_unstable();
            types.dedup();
            json!({"type": types})
        }),
        (limit, 0..4_u8).prop_map(|(name, bound)| json!({name: bound})),
        prop::collection::vec("[abc]", 0..3).prop_map(|mut names| {
            names.sort();
            names.dedup();
            json!({"required": names})
        }),
        any_value().prop_map(|value| json!({"const": value})),
        Just(json!({"pattern": "^a+$"})),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::hash_map("[abc]", inner.clone(), 0..3).prop_map(|map| json!({"properties": map})),
            (prop::collection::hash_map("[ab]", inner.clone(), 0..2), inner.clone())
                .prop_map(|(map, other)| json!({"properties": map, "additionalProperties": other})),
            inner.clone().prop_map(|schema| json!({"items": schema})),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|list| json!({"anyOf": list})),
            prop::collection::vec(inner, 1..3).prop_map(|list| json!({"allOf": list})),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_understood_is_judged_as_a_whole_validator_judges_it(schema in any_schema(), value in any_value()) {
        let ours = Schema::parse(&schema, "", 0).unwrap().mismatch(&value).is_none();
        let theirs = jsonschema::draft202012::new(&schema).unwrap().is_valid(&value);
        prop_assert_eq!(ours, theirs, "{} against {}", value, schema);
    }
}
