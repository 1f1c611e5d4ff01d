//! Which series are meant: a name and conditions on labels, as in an instant selector of PromQL.

use crate::exposition::LabelText;
use crate::values::{PATTERN_SIZE_LIMIT, one_line};
use regex::{Regex, RegexBuilder};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use std::borrow::Cow;

/// `name`, `name{label="value"}` or `{"a name", label!~"re.*"}`.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Selector {
    text: String,
    name: String,
    matchers: Vec<Matcher>,
}

#[derive(Debug, Clone)]
struct Matcher {
    label: String,
    wanted: Wanted,
}

#[derive(Debug, Clone)]
enum Wanted {
    Equal(String),
    Unequal(String),
    Like(Regex),
    Unlike(Regex),
}

impl Selector {
    /// The name of the metric.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// As it was written.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the labels of a series are meant; a label that it does not have is as an empty one.
    pub(super) fn accepts(&self, labels: LabelText<'_>) -> bool {
        self.matchers.iter().all(|matcher| {
            let found = labels.get(&matcher.label).unwrap_or(Cow::Borrowed(""));
            match &matcher.wanted {
                Wanted::Equal(value) => found == value.as_str(),
                Wanted::Unequal(value) => found != value.as_str(),
                Wanted::Like(pattern) => pattern.is_match(&found),
                Wanted::Unlike(pattern) => !pattern.is_match(&found),
            }
        })
    }
}

impl PartialEq for Selector {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl JsonSchema for Selector {
    fn schema_name() -> Cow<'static, str> {
        "Selector".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "Name of a metric with conditions on labels, for example kafka_lag{group=\"a\"}" })
    }
}

impl TryFrom<String> for Selector {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = |what: String| format!("{text:?} selects no series: {what}");
        let (name, matchers) = parse(&text).map_err(wrong)?;
        // It is shown in failures, which stand on one line.
        Ok(Self { name, matchers, text: one_line(&text) })
    }
}

fn parse(text: &str) -> Result<(String, Vec<Matcher>), String> {
    let text = text.trim();
    let (bare, rest) = split_word(text, true);
    let mut name = (!bare.is_empty()).then(|| bare.to_owned());
    let mut matchers = Vec::new();
    let mut rest = rest.trim_start();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside.trim_start();
        while !rest.starts_with('}') {
            let after = match matcher(rest)? {
                (Part::Name(quoted), after) if name.is_none() => {
                    name = Some(quoted);
                    after
                }
                (Part::Name(quoted), _) => return Err(format!("{quoted:?} is a second name")),
                (Part::Matcher(matcher), after) => {
                    matchers.push(matcher);
                    after
                }
            };
            let after = after.trim_start();
            rest = match after.strip_prefix(',') {
                Some(after) => after.trim_start(),
                None if after.starts_with('}') => after,
                None => return Err("there is no ',' or '}' behind a condition".into()),
            };
        }
        rest = rest[1..].trim_start();
    }
    if !rest.is_empty() {
        return Err(format!("{rest:?} stands behind it; write a name and labels, as in up{{job=\"api\"}}"));
    }
    match name {
        Some(name) => Ok((name, matchers)),
        None => Err("it begins with the name of a metric, as in up{job=\"api\"}".into()),
    }
}

enum Part {
    Name(String),
    Matcher(Matcher),
}

/// One part between the braces, and what follows it.
fn matcher(text: &str) -> Result<(Part, &str), String> {
    let (label, rest) = match quoted(text)? {
        Some((label, rest)) if rest.trim_start().starts_with([',', '}']) => return Ok((Part::Name(label), rest)),
        Some(found) => found,
        None => {
            let (label, rest) = split_word(text, false);
            (label.to_owned(), rest)
        }
    };
    if label.is_empty() {
        return Err("there is no name of a label where one should be".into());
    }
    if label == "__name__" {
        return Err("the name stands before the braces, not in __name__".into());
    }
    let rest = rest.trim_start();
    let operators = ["=~", "!~", "!=", "="];
    let Some(operator) = operators.into_iter().find(|operator| rest.starts_with(operator)) else {
        return Err(format!("behind the label {label} there is none of =, !=, =~ and !~"));
    };
    let Some((value, rest)) = quoted(rest[operator.len()..].trim_start())? else {
        return Err(format!("the value of the label {label} is not in quotes"));
    };
    let wanted = match operator {
        "=" => Wanted::Equal(value),
        "!=" => Wanted::Unequal(value),
        "=~" => Wanted::Like(whole(&value)?),
        _ => Wanted::Unlike(whole(&value)?),
    };
    Ok((Part::Matcher(Matcher { label, wanted }), rest))
}

/// An expression that matches whole values only, as in PromQL.
fn whole(expression: &str) -> Result<Regex, String> {
    let anchored = format!("^(?s:{expression})$");
    let built = RegexBuilder::new(&anchored).size_limit(PATTERN_SIZE_LIMIT).build();
    built.map_err(|error| format!("{expression:?} is not a valid regular expression: {}", one_line(&error.to_string())))
}

/// A text in quotes, resolved, and what follows it; none where there are no quotes.
fn quoted(text: &str) -> Result<Option<(String, &str)>, String> {
    let Some(quote) = text.chars().next().filter(|first| matches!(first, '"' | '\'' | '`')) else { return Ok(None) };
    let mut plain = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((index, character)) = characters.next() {
        match character {
            _ if character == quote => return Ok(Some((plain, &text[index + 1..]))),
            // In backticks a backslash is a backslash.
            '\\' if quote != '`' => match characters.next() {
                Some((_, 'n')) => plain.push('\n'),
                Some((_, 't')) => plain.push('\t'),
                Some((_, escaped @ ('\\' | '"' | '\''))) => plain.push(escaped),
                Some((_, other)) => return Err(format!("\\{other} is no escape: write \\\\ for a backslash")),
                None => break,
            },
            other => plain.push(other),
        }
    }
    Err(format!("{text} has no closing quote"))
}

/// The name at the beginning, if there is one; colons only stand in names of metrics.
fn split_word(text: &str, colons: bool) -> (&str, &str) {
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        return ("", text);
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':');
    text.split_at(text.find(|c| !legal(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::{Dialect, Item, Limits, read};

    fn selector(text: &str) -> Selector {
        Selector::try_from(text.to_owned()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn accepts(text: &str, series: &str) -> bool {
        let selector = selector(text);
        let line = format!("{series} 1\n");
        let item = read(line.as_bytes(), Dialect::Prometheus, Limits::default()).next();
        let Some(Ok(Item::Sample(sample))) = item else { panic!("{series}: {item:?}") };
        sample.name == selector.name() && selector.accepts(sample.labels)
    }

    #[test]
    fn series_are_selected_as_prometheus_does() {
        let table = [
            ("lag", r#"lag{group="a"}"#, true),
            (r#"lag{group="a"}"#, r#"lag{topic="t",group="a"}"#, true),
            (r#"lag{group="a"}"#, r#"lag{group="b"}"#, false),
            (r#"lag{group="a"}"#, "lag", false),
            (r#"lag{group!="a"}"#, "lag", true),
            (r#"lag{group!="a"}"#, r#"lag{group="a"}"#, false),
            (r#"lag{group=""}"#, "lag", true),
            (r#"lag{group=""}"#, r#"lag{group="a"}"#, false),
            (r#"lag{group=~"a|b"}"#, r#"lag{group="b"}"#, true),
            (r#"lag{group=~"a|b"}"#, r#"lag{group="ab"}"#, false),
            (r#"lag{group=~"a.*"}"#, r#"lag{group="a\nb"}"#, true),
            (r#"lag{group!~"a.*"}"#, r#"lag{group="ab"}"#, false),
            (r#"lag{group!~"a.*"}"#, r#"lag{group="b"}"#, true),
            (r" lag { group = 'a' , topic =~ `t\d` , } ", r#"lag{group="a",topic="t1"}"#, true),
            (r#"lag{group="a\\b\"c"}"#, r#"lag{group="a\\b\"c"}"#, true),
            (r#"{"lag", group="a"}"#, r#"lag{group="a"}"#, true),
            (r#"{"my.lag","the.group"="a"}"#, r#"{"my.lag","the.group"="a"}"#, true),
            ("node:lag:sum{}", "node:lag:sum", true),
        ];
        for (text, series, wanted) in table {
            assert_eq!(accepts(text, series), wanted, "{text} on {series}");
        }
    }

    #[test]
    fn what_selects_nothing_says_why() {
        let table = [
            ("", "begins with the name"),
            (r#"{a="b"}"#, "begins with the name"),
            ("9up", "stands behind"),
            ("rate(x[5m])", "stands behind"),
            ("up > 0", "stands behind"),
            (r#"up{a="b""#, "no ',' or '}'"),
            ("up{a=b}", "not in quotes"),
            (r#"up{a="b}"#, "no closing quote"),
            (r#"up{="b"}"#, "no name of a label"),
            (r#"up{a<"b"}"#, "none of ="),
            (r#"up{a=~"("}"#, "regular expression"),
            (r#"up{a=~"(a{1000}){1000}"}"#, "regular expression"),
            (r#"up{a="\d"}"#, "no escape"),
            (r#"up{"down"}"#, "second name"),
            (r#"up{__name__="x"}"#, "before the braces"),
            ("up{", "no name of a label"),
        ];
        for (text, what) in table {
            let error = Selector::try_from(text.to_owned()).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        }
    }
}
