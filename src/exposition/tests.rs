use super::*;
use proptest::prelude::*;

/// Everything that a text says, or its first mistake.
fn items(text: &str, dialect: Dialect) -> Result<Vec<Item<'_>>, Mistake> {
    read(text.as_bytes(), dialect, Limits::default()).collect()
}

/// Name, labels, value, timestamp.
type Parts = (String, Vec<(String, String)>, f64, Option<f64>);

/// The one sample of a text.
fn one(text: &str, dialect: Dialect) -> Result<Parts, Mistake> {
    let mut samples: Vec<_> = items(text, dialect)?
        .into_iter()
        .filter_map(|item| match item {
            Item::Sample(sample) => Some(sample),
            _ => None,
        })
        .collect();
    assert_eq!(samples.len(), 1, "{text}");
    let Sample { name, labels, value, timestamp } = samples.remove(0);
    let labels = labels.iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    Ok((name.into_owned(), labels, value, timestamp))
}

/// What a line of 0.0.4 says: name, labels as `a=x|b=y`, value, timestamp.
fn check(line: &str, name: &str, labels: &str, value: f64, timestamp: Option<f64>) {
    let read = one(line, Dialect::Prometheus).unwrap_or_else(|mistake| panic!("{line}: {mistake}"));
    let found: Vec<_> = read.1.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!((read.0.as_str(), found.join("|").as_str(), read.3), (name, labels, timestamp), "{line}");
    assert!(read.2.total_cmp(&value).is_eq(), "{line}: {}", read.2);
}

#[test]
fn samples_are_read_in_every_form_that_the_format_allows() {
    check("up 1", "up", "", 1.0, None);
    check("  \tup\t 1.5e3  ", "up", "", 1500.0, None);
    check("a:b_c9{} -0.25\r\n", "a:b_c9", "", -0.25, None);
    check("x{a=\"1\",b=\"2\"} 3", "x", "a=1|b=2", 3.0, None);
    check("x { a = \"1\" , b = \"2\" , } 3 1395066363000", "x", "a=1|b=2", 3.0, Some(1_395_066_363.0));
    check("x{a=\"1\"}3", "x", "a=1", 3.0, None);
    check("x{a=\"}, \",b=\"#{\"} 3", "x", "a=}, |b=#{", 3.0, None);
    check(r#"x{a="say \"hi\" \\ C:\\n \é"} 3"#, "x", r#"a=say "hi" \ C:\n \é"#, 3.0, None);
    check("x{a=\"two\\nlines\"} 3", "x", "a=two\nlines", 3.0, None);
    check("x{a=\"é ü 番\"} +Inf", "x", "a=é ü 番", f64::INFINITY, None);
    check("x -Inf -5", "x", "", f64::NEG_INFINITY, Some(-0.005));
    check("x NaN", "x", "", f64::NAN, None);
    check("x{le=\"+Inf\",__a=\"\"} 0", "x", "le=+Inf|__a=", 0.0, None);
    check(r#"{"http.server/番",a="1","b.c"="2"} 3"#, "http.server/番", "a=1|b.c=2", 3.0, None);
    check(r#"{ "only" } 3"#, "only", "", 3.0, None);
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let wrong = [
        ("up", "has no value"),
        ("up one", "\"one\" of \"up\" is not a number"),
        ("up 1 2 3", "\"3\" stands behind"),
        ("up 1 2.5", "not a timestamp"),
        ("9up 1", "not the name of a metric"),
        ("höhe 1", "has no value|not a number"),
        ("{} 1", "no name"),
        ("{a=\"1\"} 1", "no name"),
        ("x{a} 1", "has no '='"),
        ("x{a=1} 1", "not in quotes"),
        ("x{a=\"1} 1", "no closing quote"),
        ("x{a=\"1\" b=\"2\"} 1", "',' or '}'"),
        ("x{a=\"1\"", "',' or '}'"),
        ("x{,} 1", "not the name of a label"),
        ("x{a:b=\"1\"} 1", "has no '='"),
        ("x{a=\"1\\\"} 1", "no closing quote"),
        ("<html>", "not the name of a metric"),
        ("# TYPE up bar", "\"bar\" is no type"),
        ("# TYPE ü gauge", "not the name of a metric"),
        ("x{a=\"1\"} 1 # {trace=\"1\"} 2", "stands behind"),
    ];
    for (line, words) in wrong {
        let text = format!("# a comment\n\n{line}\nafter 1\n");
        let read: Vec<_> = read(text.as_bytes(), Dialect::Prometheus, Limits::default()).collect();
        let Some(Err(mistake)) = read.first() else { panic!("{line}: {read:?}") };
        assert_eq!(mistake.line, 3, "{line}");
        assert!(words.split('|').any(|word| mistake.what.contains(word)), "{line}: {mistake}");
        assert!(!mistake.is_limit && mistake.what.len() < 200, "{mistake}");
        assert!(matches!(&read[1..], [Ok(Item::Sample(sample))] if sample.name == "after"), "{line}: {read:?}");
    }
    let bytes: Vec<_> = read(b"a{x=\"\xff\"} 1\nb 1\n", Dialect::Prometheus, Limits::default()).collect();
    assert!(matches!(&bytes[..], [Err(mistake), Ok(_)] if mistake.to_string() == "line 1: not UTF-8"), "{bytes:?}");
}

#[test]
fn families_are_described_and_comments_are_passed_over() {
    let text =
        "#HELP  depth  How deep\\nit \\\\ is\n# TYPE depth gauge\n# just words\n#\n# TYPE \"a.b\" untyped\ndepth 1";
    let expected = vec![
        Item::Help { name: "depth".into(), text: "How deep\nit \\ is".into() },
        Item::Type { name: "depth".into(), metric_type: MetricType::Gauge },
        Item::Type { name: "a.b".into(), metric_type: MetricType::Unknown },
        Item::Sample(Sample { name: "depth".into(), labels: LabelText::default(), value: 1.0, timestamp: None }),
    ];
    assert_eq!(items(text, Dialect::Prometheus), Ok(expected));
    assert_eq!(items("# HELP x\n# TYPE x\n", Dialect::Prometheus).unwrap_err().line, 2);
}

#[test]
fn open_metrics_has_seconds_exemplars_units_and_an_end() {
    let text = "# TYPE a_seconds histogram\n# UNIT a_seconds seconds\n\
        a_seconds_bucket{le=\"1.0\"} 3 1520879607.789 # {trace_id=\"KOO5S4vxi0o\"} 0.67 1520879607.1\n# EOF\n";
    assert_eq!(Dialect::of(text.as_bytes()), Dialect::OpenMetrics);
    let read = items(text, Dialect::OpenMetrics).unwrap();
    assert!(matches!(&read[1], Item::Unit { name, unit: "seconds" } if name == "a_seconds"), "{read:?}");
    assert_eq!(one(text, Dialect::OpenMetrics).unwrap().3, Some(1_520_879_607.789));

    assert!(items("a 1\n", Dialect::OpenMetrics).unwrap_err().what.contains("without # EOF"));
    assert!(items("", Dialect::OpenMetrics).unwrap_err().what.contains("without # EOF"));
    assert!(items("a 1\n# EOF\na 2\n", Dialect::OpenMetrics).unwrap_err().what.contains("after # EOF"));
    assert!(items("a 1\n# EOF\n\n", Dialect::OpenMetrics).is_ok());
    assert!(items("a 1 NaN\n# EOF", Dialect::OpenMetrics).is_err(), "no time");
    // In 0.0.4 it is a comment like any other.
    assert_eq!(items("a 1\n# EOF\na 2\n", Dialect::Prometheus).map(|items| items.len()), Ok(2));
    assert_eq!(Dialect::of(b"a 1\n# EOF\na 2\n"), Dialect::Prometheus);
    assert_eq!(Dialect::of(b""), Dialect::Prometheus);
    assert_eq!(Dialect::of(b"a 1\n# EOF"), Dialect::OpenMetrics);
}

#[test]
fn a_bound_that_is_exceeded_is_told_once_and_ends_the_reading() {
    let limits = Limits { samples: 2, line: 20 };
    let cases = [("a 1\nb 2\n# TYPE c gauge\nc 3\nd 4\n", 4, 3), ("a 1\nb{x=\"0123456789012345\"} 2\nc 3\n", 2, 1)];
    for (text, line, before) in cases {
        let read: Vec<_> = read(text.as_bytes(), Dialect::Prometheus, limits).collect();
        assert_eq!(read.len(), before + 1, "{read:?}");
        let mistake = read[before].as_ref().unwrap_err();
        assert!(mistake.is_limit && mistake.line == line, "{mistake}");
    }
}

#[test]
fn a_label_is_found_by_its_name() {
    let text = "x{device=\"sda\",mount=\"/\"} 1";
    let [Item::Sample(sample)] = &items(text, Dialect::Prometheus).unwrap()[..] else { panic!("{text}") };
    assert_eq!(sample.labels.text(), "device=\"sda\",mount=\"/\"");
    assert_eq!(sample.labels.get("mount").as_deref(), Some("/"));
    assert_eq!(sample.labels.get("fstype"), None);
    assert!(!sample.labels.is_empty());
}

/// Writes a sample as the specification says.
fn written(name: &str, labels: &[(String, String)], value: f64) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    format!("{name}{{{}}} {value}\n", labels.join(","))
}

proptest! {
    #[test]
    fn nothing_makes_it_panic_and_it_always_ends(text in proptest::collection::vec(any::<u8>(), 0..300)) {
        for dialect in [Dialect::of(&text), Dialect::OpenMetrics] {
            let lines = text.split(|byte| *byte == b'\n').count();
            prop_assert!(read(&text, dialect, Limits::default()).count() <= lines + 1);
        }
    }

    #[test]
    fn nothing_that_resembles_the_format_makes_it_panic(
        text in "(# (HELP|TYPE|UNIT|EOF)? ?|[a-z{}\"=,\\\\#é \t.+0-9-]{0,12}|x\\{|a=\"|\"\\}|\n| [0-9]){0,40}",
    ) {
        for dialect in [Dialect::Prometheus, Dialect::OpenMetrics] {
            for item in read(text.as_bytes(), dialect, Limits::default()).flatten() {
                if let Item::Sample(sample) = item {
                    prop_assert!(sample.labels.iter().count() <= text.len());
                }
            }
        }
    }

    #[test]
    fn what_is_written_is_read_again(
        name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,20}",
        labels in proptest::collection::vec(("[a-zA-Z_][a-zA-Z0-9_]{0,8}", "[ -~\n\\\\\"é番]{0,12}"), 0..5),
        value in any::<f64>().prop_filter("NaN is not equal to itself", |value| !value.is_nan()),
    ) {
        let text = written(&name, &labels, value);
        prop_assert_eq!(one(&text, Dialect::Prometheus), Ok((name, labels, value, None)));
    }
}
