//! Queries of the user's own: each row becomes a gauge, under a label with the text of the columns that were declared.
//!
//! No label name is up to the user, so that what is exported is known beforehand: the texts of the declared columns stand
//! together in the label `row`.

use super::families::QUERY_VALUE;
use super::left;
use crate::observation::{Failure, Labels, Readings, Reason};
use crate::postgres::Dialer;
use crate::postgres::During;
use crate::postgres::{MAX_COLUMNS, Row, Table, beginning, number};
use crate::postgres::{Question, Session, Trouble};
use crate::values::{Invalid, check_name};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A query of the user's own.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// The label `query`; unique within the probe.
    pub name: String,
    /// One statement that gives rows. Every column but those under `labels` is a value, and there must be exactly one.
    pub sql: String,
    /// Columns whose texts tell the rows apart, at most 4; they stand in the label `row`, with a `/` in between.
    /// Without any, one row is expected.
    #[serde(default)]
    pub labels: Vec<String>,
    /// The most rows; more are a failure. At most 1000.
    #[serde(default = "default_max_rows")]
    pub max_rows: usize,
    /// Every value must be at least this.
    #[serde(default)]
    pub min: Option<f64>,
    /// Every value may be at most this.
    #[serde(default)]
    pub max: Option<f64>,
}

fn default_max_rows() -> usize {
    100
}

const MAX_QUERIES: usize = 50;
const MAX_LABELS: usize = 4;
const MOST_ROWS: usize = 1000;

/// The most bytes of the label `row`.
const MAX_LABEL: usize = 128;

/// Every mistake in a list of queries.
pub(super) fn mistakes(queries: &[Query]) -> Vec<Invalid> {
    let mut invalid = Vec::new();
    if queries.len() > MAX_QUERIES {
        invalid.push(Invalid::new("queries", format!("more than {MAX_QUERIES}: divide them among several probes")));
    }
    for (index, query) in queries.iter().enumerate() {
        let mut wrong =
            |key: &str, message: String| invalid.push(Invalid::new(format!("queries[{index}].{key}"), message));
        if let Err(message) = check_name(&query.name) {
            wrong("name", message);
        }
        if queries[..index].iter().any(|former| former.name == query.name) {
            wrong("name", format!("there is a query {:?} before this one: give each a name of its own", query.name));
        }
        if query.sql.trim().is_empty() {
            wrong("sql", "there is no statement in it".into());
        }
        if query.labels.len() > MAX_LABELS {
            wrong("labels", format!("at most {MAX_LABELS} columns: join some of them in the statement"));
        }
        for (place, label) in query.labels.iter().enumerate() {
            if label.is_empty() || query.labels[..place].contains(label) {
                wrong(&format!("labels[{place}]"), "an empty name or one that stands there twice: remove it".into());
            }
        }
        if !(1..=MOST_ROWS).contains(&query.max_rows) {
            wrong("max_rows", format!("it must be between 1 and {MOST_ROWS}"));
        }
        for (key, bound) in [("min", query.min), ("max", query.max)] {
            if bound.is_some_and(|bound| !bound.is_finite()) {
                wrong(key, "this is not a number that a value could be compared with".into());
            }
        }
        if query.min.zip(query.max).is_some_and(|(min, max)| max < min) {
            wrong("max", "max is below min: no value could be right".into());
        }
    }
    invalid
}

/// A query and what is kept for it.
pub(super) struct Own {
    query: Query,
    /// The labels of the rows of the last run, rendered once.
    known: BTreeMap<String, Arc<Labels>>,
}

impl Own {
    pub(super) fn new(query: Query) -> Self {
        Self { query, known: BTreeMap::new() }
    }

    /// Asks and writes what came.
    pub(super) async fn ask(
        &mut self,
        session: &mut Session,
        dialer: &Dialer,
        out: &mut Readings,
    ) -> Result<(), Failure> {
        let what = format!("the query {}", self.query.name);
        let question = Question {
            what: &what,
            sql: &self.query.sql,
            settings: "",
            max_rows: self.query.max_rows,
            left: left(out),
        };
        match session.ask(&question, dialer).await {
            Ok(table) => self.write(&table, out).map_err(|(reason, words)| {
                let detail = format!("{what}: {}", dialer.secrets.excerpt(&words));
                Failure::new(reason, detail)
            }),
            Err(Trouble::Refused(error)) => Err(dialer.secrets.refused(&what, &error, During::Question)),
            Err(Trouble::Broken(failure) | Trouble::Unfit(failure)) => Err(failure),
        }
    }

    /// Writes every row, or none: half of an answer would look like a whole one.
    fn write(&mut self, table: &Table, out: &mut Readings) -> Result<(), (Reason, String)> {
        let query = &self.query;
        let wrong = |words: String| Err((Reason::Query, words));
        let expects = query.min.is_some() || query.max.is_some();
        if table.is_empty() {
            self.known.clear();
            return if expects { Err((Reason::Missing, "it gives no row".into())) } else { Ok(()) };
        }
        let value_column = match self.value_column(table.columns()) {
            Ok(index) => index,
            Err(words) => return wrong(words),
        };
        if query.labels.is_empty() && table.len() > 1 {
            return wrong(format!(
                "it gives {} rows: declare under labels the columns that tell them apart",
                table.len()
            ));
        }
        let mut rows: BTreeMap<String, Option<f64>> = BTreeMap::new();
        for row in table.rows() {
            let written = row.at(value_column);
            let value = written.and_then(number);
            if written.is_some() && value.is_none() {
                let column = &table.columns()[value_column];
                return wrong(format!("what is in the column {column} is not a number: cast it in the statement"));
            }
            let text = row_text(&query.labels, row);
            if rows.contains_key(&text) {
                return wrong(format!(
                    "several rows have the same labels ({text}): group them, or declare more labels"
                ));
            }
            rows.insert(text, value);
        }
        self.publish(&rows, out);
        self.judge(&rows)
    }

    fn value_column(&self, columns: &[String]) -> Result<usize, String> {
        let labels = &self.query.labels;
        if let Some(missing) = labels.iter().find(|label| !columns.contains(label)) {
            return Err(format!("it gives no column {missing:?}, which is declared under labels"));
        }
        let mut values = (0..columns.len()).filter(|index| !labels.contains(&columns[*index]));
        match (values.next(), values.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err("every column is a label: give a value too".into()),
            (Some(_), Some(_)) => Err(format!(
                "it gives {} columns: one must be left as the value when those under labels are taken away",
                columns.len().min(MAX_COLUMNS)
            )),
        }
    }

    fn publish(&mut self, rows: &BTreeMap<String, Option<f64>>, out: &mut Readings) {
        let mut known = BTreeMap::new();
        for (text, value) in rows {
            let labels = self.known.remove(text).unwrap_or_else(|| Arc::new(self.labels(text)));
            if let Some(value) = value {
                out.set_with(&QUERY_VALUE, &labels, *value);
            }
            known.insert(text.clone(), labels);
        }
        // Rows that are gone are forgotten with the map.
        self.known = known;
    }

    fn labels(&self, text: &str) -> Labels {
        let query = ("query", self.query.name.as_str());
        if self.query.labels.is_empty() { Labels::render(&[query]) } else { Labels::render(&[query, ("row", text)]) }
    }

    fn judge(&self, rows: &BTreeMap<String, Option<f64>>) -> Result<(), (Reason, String)> {
        let Query { min, max, .. } = &self.query;
        for (text, value) in rows {
            let row = if text.is_empty() { String::new() } else { format!(" for {text}") };
            let words = match (value, min, max) {
                (None, None, None) => continue,
                (None, ..) => format!("it gives NULL{row}"),
                (Some(value), Some(min), _) if value < min => {
                    format!("it gives {value}{row}, at least {min} is expected")
                }
                (Some(value), _, Some(max)) if value > max => {
                    format!("it gives {value}{row}, at most {max} is expected")
                }
                (Some(value), ..) if value.is_nan() && (min.is_some() || max.is_some()) => format!("it gives NaN{row}"),
                _ => continue,
            };
            return Err((Reason::Query, words));
        }
        Ok(())
    }
}

/// The label `row`: the texts of the declared columns, in the order in which they are declared.
fn row_text(labels: &[String], row: Row<'_>) -> String {
    let texts: Vec<_> = labels.iter().map(|label| row.text(label).unwrap_or("null")).collect();
    let whole = texts.join("/");
    let short = beginning(&whole, MAX_LABEL);
    if short.len() < whole.len() { format!("{short}…") } else { whole }
}

#[cfg(test)]
mod tests;
