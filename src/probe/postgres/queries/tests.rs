//! What becomes of answers, without a server.

use super::*;

/// The series that an answer gave, and how it was judged.
type Written = (Vec<(String, f64)>, Result<(), (Reason, String)>);

fn query(yaml: &str) -> Query {
    serde_yaml::from_str(&format!("{{ name: q, sql: x, {yaml} }}")).unwrap()
}

/// What a query makes of an answer.
fn write(own: &mut Own, table: &Table) -> Written {
    let mut out = Readings::default();
    let judged = own.write(table, &mut out);
    let text = |labels: &Option<Arc<Labels>>| labels.as_ref().unwrap().text().to_owned();
    (out.gauges().iter().map(|reading| (text(&reading.labels), reading.value)).collect(), judged)
}

fn check(yaml: &str, table: &Table) -> Written {
    write(&mut Own::new(query(yaml)), table)
}

#[test]
fn rows_become_gauges_under_the_texts_of_their_labels() {
    let table = Table::of(&["count"], &[&[Some("12")]]);
    assert_eq!(check("", &table), (vec![("query=\"q\"".into(), 12.0)], Ok(())));
    let rows: &[&[Option<&str>]] =
        &[&[Some("paid"), Some("3.5"), Some("eu")], &[Some("open"), None, Some("eu")], &[None, Some("t"), Some("")]];
    let table = Table::of(&["status", "n", "region"], rows);
    let (series, judged) = check("labels: [region, status]", &table);
    let expected = [("query=\"q\",row=\"/null\"", 1.0), ("query=\"q\",row=\"eu/paid\"", 3.5)];
    assert_eq!(series, expected.map(|(labels, value)| (labels.to_owned(), value)), "a NULL has no series");
    assert_eq!(judged, Ok(()));
}

#[test]
fn labels_are_rendered_once_and_forgotten_with_their_row() {
    let mut own = Own::new(query("labels: [a]"));
    let table = |name| Table::of(&["a", "n"], &[&[Some(name), Some("1")]]);
    write(&mut own, &table("x")).1.unwrap();
    let first = Arc::clone(&own.known["x"]);
    write(&mut own, &table("x")).1.unwrap();
    assert!(Arc::ptr_eq(&first, &own.known["x"]));
    write(&mut own, &table("y")).1.unwrap();
    assert_eq!(own.known.keys().collect::<Vec<_>>(), ["y"]);
    write(&mut own, &Table::of(&[], &[])).1.unwrap();
    assert!(own.known.is_empty());
}

#[test]
fn an_answer_that_cannot_be_told_publishes_nothing() {
    let long = "x".repeat(MAX_LABEL);
    let (a, b) = (format!("{long}a"), format!("{long}b"));
    let cases: Vec<(&str, Table, &str)> = vec![
        ("", Table::of(&["n"], &[&[Some("1")], &[Some("2")]]), "it gives 2 rows"),
        ("", Table::of(&["a", "n"], &[&[Some("x"), Some("1")]]), "it gives 2 columns"),
        ("labels: [n]", Table::of(&["n"], &[&[Some("1")]]), "every column is a label"),
        ("labels: [b]", Table::of(&["n"], &[&[Some("1")]]), "no column \"b\""),
        ("", Table::of(&["n"], &[&[Some("1 day")]]), "column n is not a number"),
        ("labels: [a]", Table::of(&["a", "n"], &[&[Some("x"), Some("1")], &[Some("x"), Some("2")]]), "same labels (x)"),
        ("labels: [a]", Table::of(&["a", "n"], &[&[Some(&a), Some("1")], &[Some(&b), Some("2")]]), "same labels"),
        (
            "labels: [a, b]",
            Table::of(&["a", "b", "n"], &[&[Some("x/y"), Some("z"), Some("1")], &[Some("x"), Some("y/z"), Some("1")]]),
            "same labels (x/y/z)",
        ),
    ];
    for (yaml, table, expected) in cases {
        let (series, judged) = check(yaml, &table);
        let (reason, words) = judged.unwrap_err();
        assert!(words.contains(expected), "{yaml}: {words}");
        assert_eq!((series, reason), (vec![], Reason::Query), "{yaml}");
    }
}

#[test]
fn bounds_on_the_values_are_judged_after_they_are_published() {
    let one = |text| Table::of(&["n"], &[&[text]]);
    for (text, expected) in
        [(Some("4"), None), (Some("2"), None), (Some("1"), Some("at least 2")), (Some("5"), Some("at most 4"))]
    {
        let (series, judged) = check("min: 2, max: 4", &one(text));
        assert_eq!(series.len(), 1);
        match (judged, expected) {
            (Ok(()), None) => {}
            (Err((Reason::Query, words)), Some(expected)) => assert!(words.contains(expected), "{words}"),
            (judged, _) => panic!("{text:?}: {judged:?}"),
        }
    }
    assert_eq!(check("max: 4", &one(None)).1, Err((Reason::Query, "it gives NULL".into())));
    assert_eq!(check("max: 4", &one(Some("NaN"))).1, Err((Reason::Query, "it gives NaN".into())));
    assert_eq!(check("max: 4", &Table::of(&["n"], &[])).1, Err((Reason::Missing, "it gives no row".into())));
    assert_eq!(check("", &one(None)).1, Ok(()));
    assert_eq!(check("", &Table::of(&["n"], &[])).1, Ok(()));
}

#[test]
fn mistakes_are_found_where_they_stand() {
    let wrong: Vec<Query> = serde_yaml::from_str(
        "[{ name: A, sql: ' ' }, { name: a, sql: x, labels: [a, a], max_rows: 0 },
          { name: a, sql: x, min: 2, max: 1, max_rows: 1001, labels: [a, b, c, d, e] }, { name: b, sql: x, min: .nan }]",
    )
    .unwrap();
    let paths: Vec<_> = mistakes(&wrong).into_iter().map(|mistake| mistake.path).collect();
    let expected = [
        "queries[0].name",
        "queries[0].sql",
        "queries[1].labels[1]",
        "queries[1].max_rows",
        "queries[2].name",
        "queries[2].labels",
        "queries[2].max_rows",
        "queries[2].max",
        "queries[3].min",
    ];
    assert_eq!(paths, expected);
    let many: Vec<_> = (0..=MAX_QUERIES).map(|n| Query { name: format!("q{n}"), ..query("") }).collect();
    assert_eq!(mistakes(&many)[0].path, "queries");
    assert_eq!(mistakes(&many[1..]), []);
}
