//! Fields of a JSON answer: each is there or not, right or not, and may have a value. These are three facts.
//!
//! - A path that selects nothing is *missing*, unless the field is optional: then it is absent and right.
//! - A path that selects several values is right when each of them is; of several none can be exported.
//! - `null` is there but not right and has no value, unless `type: null` or `equals: null` asks for it.
//! - Bounds, `equals` with a number, and `export` take a number in a string (`"0.53"`) as that number; `type: number`
//!   does not.

mod check;

use crate::observation::{Failure, Family, Labels, Readings, Reason, Scope};
use crate::values::{Invalid, JsonPath, Period, Redactor, check_name};
use check::{Problem, export_value, problem_of};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::sync::Arc;

pub(super) static FIELD_PRESENT: Family = Family::gauge(
    "banken_probe_json_field_present",
    Scope::Probe,
    &["field"],
    "Whether the last answer had the field, 1 or 0",
);
pub(super) static FIELD_VALID: Family = Family::gauge(
    "banken_probe_json_field_valid",
    Scope::Probe,
    &["field"],
    "Whether the field of the last answer was as expected, 1 or 0; an optional field that is absent is valid",
);
pub(super) static VALUE: Family = Family::gauge(
    "banken_probe_json_value",
    Scope::Probe,
    &["field"],
    "Value of an exported field of the last answer; true is 1 and false is 0",
);

/// The type of a JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JsonType {
    /// A text in quotes.
    String,
    /// A number; a number in a string is a string.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A list.
    Array,
    /// Keys and values.
    Object,
    /// `null`.
    Null,
}

/// A single value to compare with.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "not a single value: write a text, a number, true, false or null")]
pub enum Scalar {
    /// `true` or `false`.
    Boolean(bool),
    /// A number; it also equals the same number in a string.
    Number(serde_json::Number),
    /// A text.
    String(String),
    /// `null`.
    Null(()),
}

/// Tells `equals: null` from no `equals` at all.
fn some_scalar<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Scalar>, D::Error> {
    Scalar::deserialize(deserializer).map(Some)
}

/// One entry under `json:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Its name, the label `field`: lower-case letters, digits, `_`, `.`, `-`.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_.-]*$|\$\{"))]
    pub field: String,
    /// Where it stands in the answer.
    pub path: JsonPath,
    /// Which type it must have.
    #[serde(default, rename = "type")]
    pub kind: Option<JsonType>,
    /// It must be more than this.
    #[serde(default)]
    pub above: Option<f64>,
    /// It must be less than this.
    #[serde(default)]
    pub below: Option<f64>,
    /// It must be this or more.
    #[serde(default)]
    pub min: Option<f64>,
    /// It must be this or less.
    #[serde(default)]
    pub max: Option<f64>,
    /// It must be exactly this.
    #[serde(default, deserialize_with = "some_scalar")]
    pub equals: Option<Scalar>,
    /// It is a time and must not be older than this, nor as far in the future: RFC 3339 with an offset, or seconds,
    /// milliseconds, microseconds or nanoseconds since the Unix epoch, which their magnitude tells apart.
    #[serde(default)]
    pub max_age: Option<Period>,
    /// Whether its value becomes a metric.
    #[serde(default)]
    pub export: bool,
    /// Whether it may be absent.
    #[serde(default)]
    pub optional: bool,
}

impl Field {
    fn bounds(&self) -> [(&'static str, Option<f64>); 4] {
        [("above", self.above), ("below", self.below), ("min", self.min), ("max", self.max)]
    }

    fn check(&self, invalid: &mut Vec<Invalid>) {
        if let Err(message) = check_name(&self.field) {
            invalid.push(Invalid::new("field", message));
        }
        for (key, bound) in self.bounds().into_iter().filter_map(|(key, bound)| Some((key, bound?))) {
            if !bound.is_finite() {
                invalid.push(Invalid::new(key, format!("{bound} is no bound: write a number")));
            }
            if self.kind.is_some_and(|kind| kind != JsonType::Number) {
                let message = format!("{key} compares numbers: set type: number, or remove type");
                invalid.push(Invalid::new(key, message));
            }
        }
        self.check_range(invalid);
        if self.max_age.is_some() && self.kind.is_some_and(|kind| !matches!(kind, JsonType::String | JsonType::Number))
        {
            invalid.push(Invalid::new("max_age", "a time is a string or a number: set type to one of them"));
        }
        if self.export && matches!(self.kind, Some(JsonType::Array | JsonType::Object | JsonType::Null)) {
            invalid
                .push(Invalid::new("export", "only numbers, numbers in strings and booleans have a value to export"));
        }
        if let (Some(equals), Some(kind)) = (&self.equals, self.kind)
            && check::type_of_scalar(equals) != kind
        {
            let message = format!("it can never be equal: the type is {}", check::type_name(kind));
            invalid.push(Invalid::new("equals", message));
        }
    }

    fn check_range(&self, invalid: &mut Vec<Invalid>) {
        let lows = [("min", self.min, true), ("above", self.above, false)];
        let highs = [("max", self.max, true), ("below", self.below, false)];
        for (low_key, low, low_inclusive) in lows {
            for (high_key, high, high_inclusive) in highs {
                let (Some(low), Some(high)) = (low, high) else { continue };
                if low > high || (low >= high && !(low_inclusive && high_inclusive)) {
                    let message = format!("{low_key} {low} and {high_key} {high} leave no number between them");
                    invalid.push(Invalid::new(low_key, message));
                }
            }
        }
    }
}

/// The fields of one probe.
pub(super) struct Fields(Vec<(Field, Arc<Labels>)>);

impl Fields {
    pub(super) fn new(fields: &[Field], invalid: &mut Vec<Invalid>) -> Self {
        for (index, field) in fields.iter().enumerate() {
            let mut mistakes = Vec::new();
            field.check(&mut mistakes);
            if let Some(first) = fields[..index].iter().position(|earlier| earlier.field == field.field) {
                let message = format!("{:?} is already the name of json[{first}]", field.field);
                mistakes.push(Invalid::new("field", message));
            }
            invalid.extend(mistakes.into_iter().map(|mistake| mistake.within(&format!("json[{index}]"))));
        }
        let labelled = |field: &Field| (field.clone(), Arc::new(Labels::render(&[("field", &field.field)])));
        Self(fields.iter().map(labelled).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every field has its series from the start, whatever becomes of the run.
    pub(super) fn begin(&self, out: &mut Readings) {
        for (_, labels) in &self.0 {
            out.flag_with(&FIELD_PRESENT, labels, false);
            out.flag_with(&FIELD_VALID, labels, false);
        }
    }

    /// Looks at every field of an answer; what is wrong is added, missing before stale before the rest.
    pub(super) fn judge(
        &self,
        body: &[u8],
        now: f64,
        redactor: &Redactor,
        out: &mut Readings,
        wrong: &mut Vec<Failure>,
    ) {
        let root: Value = match serde_json::from_slice(body) {
            Ok(root) => root,
            Err(error) => {
                let begins = if body.is_empty() { "is empty".to_owned() } else { redactor.excerpt(body) };
                let detail = format!("the body is not JSON ({error}); it begins: {begins}");
                wrong.push(Failure::new(Reason::Json, detail));
                return;
            }
        };
        let mut problems: Vec<Failure> =
            self.0.iter().filter_map(|(field, labels)| judge_field(field, labels, &root, now, redactor, out)).collect();
        problems.sort_by_key(|problem| match problem.reason {
            Reason::Missing => 0,
            Reason::Stale => 1,
            _ => 2,
        });
        wrong.append(&mut problems);
    }
}

fn judge_field(
    field: &Field,
    labels: &Arc<Labels>,
    root: &Value,
    now: f64,
    redactor: &Redactor,
    out: &mut Readings,
) -> Option<Failure> {
    let found = field.path.select(root);
    out.flag_with(&FIELD_PRESENT, labels, !found.is_empty());
    let problem = judge_values(field, &found, now, redactor);
    if field.export
        && let [only] = found.as_slice()
        && let Some(value) = export_value(only)
    {
        out.set_with(&VALUE, labels, value);
    }
    let Some(Problem { reason, what }) = problem else {
        out.flag_with(&FIELD_VALID, labels, true);
        return None;
    };
    Some(Failure::new(reason, format!("field {} ({}) {what}", field.field, field.path.as_str())))
}

fn judge_values(field: &Field, found: &[&Value], now: f64, redactor: &Redactor) -> Option<Problem> {
    let total = found.len();
    if total == 0 {
        return (!field.optional).then(|| Problem { reason: Reason::Missing, what: "is missing".into() });
    }
    if field.export && total > 1 {
        let what = format!("selects {total} values, of which only one could be exported");
        return Some(Problem { reason: Reason::Json, what });
    }
    let mut problems = found.iter().enumerate().filter_map(|(index, value)| {
        let problem = problem_of(field, value, now, redactor)?;
        if total == 1 {
            return Some(problem);
        }
        Some(Problem { what: format!("at {} of {total} {}", index + 1, problem.what), ..problem })
    });
    let first = problems.next()?;
    let others = problems.count();
    if others == 0 {
        return Some(first);
    }
    Some(Problem { what: format!("{}, and {others} more are wrong", first.what), ..first })
}
