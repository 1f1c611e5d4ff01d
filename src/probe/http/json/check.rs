//! Whether one value is what its field must be. Pure: the time comes from outside.

use super::{Field, JsonType, Redactor, Scalar};
use crate::observation::Reason;
use crate::values::{Dated, as_number, read_time, show_age};
use serde_json::{Number, Value};

/// What is wrong with a field.
pub(super) struct Problem {
    /// Missing, stale or otherwise wrong.
    pub(super) reason: Reason,
    /// The rest of a sentence that begins with the field.
    pub(super) what: String,
}

impl Problem {
    fn json(what: impl Into<String>) -> Self {
        Self { reason: Reason::Json, what: what.into() }
    }
}

/// The first thing that is wrong with a value.
pub(super) fn problem_of(field: &Field, value: &Value, now: f64, redactor: &Redactor) -> Option<Problem> {
    wrong_type(field, value, redactor)
        .or_else(|| out_of_bounds(field, value, redactor))
        .or_else(|| unequal(field, value, redactor))
        .or_else(|| too_old(field, value, now, redactor))
        .or_else(|| not_exportable(field, value, redactor))
}

fn wrong_type(field: &Field, value: &Value, redactor: &Redactor) -> Option<Problem> {
    let found = type_of(value);
    let null_is_asked_for = field.kind == Some(JsonType::Null) || field.equals == Some(Scalar::Null(()));
    if found == JsonType::Null && !null_is_asked_for {
        return Some(Problem::json("is null"));
    }
    let wanted = field.kind.filter(|wanted| *wanted != found)?;
    let hint = match (wanted, value) {
        (JsonType::Number, Value::String(text)) if number_in(text).is_some() => {
            format!(" ({}, a number in a string, is accepted without type)", redactor.quote(text))
        }
        _ => String::new(),
    };
    Some(Problem::json(format!("is {} where {} was expected{hint}", type_name(found), type_name(wanted))))
}

fn out_of_bounds(field: &Field, value: &Value, redactor: &Redactor) -> Option<Problem> {
    let bounds = field.bounds();
    if bounds.iter().all(|(_, bound)| bound.is_none()) {
        return None;
    }
    let Some(number) = as_number(value) else {
        return Some(Problem::json(format!("is {} where a number was expected", show(value, redactor))));
    };
    bounds.into_iter().find_map(|(key, bound)| {
        let bound = bound?;
        let (holds, words) = match key {
            "above" => (number > bound, "above"),
            "below" => (number < bound, "below"),
            "min" => (number >= bound, "at least"),
            _ => (number <= bound, "at most"),
        };
        (!holds).then(|| Problem::json(format!("is {} where {words} {bound} was expected", show(value, redactor))))
    })
}

fn unequal(field: &Field, value: &Value, redactor: &Redactor) -> Option<Problem> {
    let wanted = field.equals.as_ref()?;
    let equal = match (wanted, value) {
        (Scalar::Null(()), Value::Null) => true,
        (Scalar::Boolean(wanted), Value::Bool(found)) => wanted == found,
        (Scalar::String(wanted), Value::String(found)) => wanted == found,
        (Scalar::Number(wanted), Value::Number(found)) => same_number(wanted, found),
        (Scalar::Number(wanted), Value::String(found)) => {
            number_in(found).is_some_and(|found| Some(found) == wanted.as_f64())
        }
        _ => false,
    };
    let wanted = || match wanted {
        Scalar::Null(()) => "null".to_owned(),
        Scalar::Boolean(wanted) => wanted.to_string(),
        Scalar::Number(wanted) => wanted.to_string(),
        Scalar::String(wanted) => redactor.quote(wanted),
    };
    (!equal).then(|| Problem::json(format!("is {} where {} was expected", show(value, redactor), wanted())))
}

/// Whole numbers beyond 2^53 differ although their floats are equal.
#[allow(clippy::float_cmp, reason = "a number equals what it was configured to equal")]
fn same_number(wanted: &Number, found: &Number) -> bool {
    match (wanted.as_i64(), found.as_i64(), wanted.as_u64(), found.as_u64()) {
        (Some(wanted), Some(found), ..) => wanted == found,
        (.., Some(wanted), Some(found)) => wanted == found,
        _ => wanted.as_f64() == found.as_f64(),
    }
}

fn too_old(field: &Field, value: &Value, now: f64, redactor: &Redactor) -> Option<Problem> {
    let limit = field.max_age?.0;
    let at = match read_time(value) {
        Dated::At(at) => at,
        Dated::WithoutOffset => {
            let shown = show(value, redactor);
            return Some(Problem::json(format!("is {shown}, a time without an offset: it must end in Z or +09:00")));
        }
        Dated::Not => {
            let shown = show(value, redactor);
            return Some(Problem::json(format!("is {shown} where a time was expected (RFC 3339 or Unix time)")));
        }
    };
    let age = now - at;
    if age > limit.as_secs_f64() {
        let what = format!("is {} old where at most {} was expected", show_age(age), show_age(limit.as_secs_f64()));
        return Some(Problem { reason: Reason::Stale, what });
    }
    // A little in the future is two clocks that differ; more is a wrong time zone, and hides how old the thing is.
    (-age > limit.as_secs_f64()).then(|| Problem::json(format!("lies {} in the future", show_age(-age))))
}

fn not_exportable(field: &Field, value: &Value, redactor: &Redactor) -> Option<Problem> {
    let without_value = field.export && *value != Value::Null && export_value(value).is_none();
    without_value.then(|| Problem::json(format!("is {}, which has no value to export", show(value, redactor))))
}

/// The value as a metric: numbers, numbers in strings, and booleans as 1 and 0.
pub(super) fn export_value(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(truth) => Some(f64::from(u8::from(*truth))),
        other => as_number(other),
    }
}

fn number_in(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|number| number.is_finite())
}

fn type_of(value: &Value) -> JsonType {
    match value {
        Value::Null => JsonType::Null,
        Value::Bool(_) => JsonType::Boolean,
        Value::Number(_) => JsonType::Number,
        Value::String(_) => JsonType::String,
        Value::Array(_) => JsonType::Array,
        Value::Object(_) => JsonType::Object,
    }
}

pub(super) fn type_of_scalar(scalar: &Scalar) -> JsonType {
    match scalar {
        Scalar::Null(()) => JsonType::Null,
        Scalar::Boolean(_) => JsonType::Boolean,
        Scalar::Number(_) => JsonType::Number,
        Scalar::String(_) => JsonType::String,
    }
}

pub(super) fn type_name(kind: JsonType) -> &'static str {
    match kind {
        JsonType::String => "a string",
        JsonType::Number => "a number",
        JsonType::Boolean => "a boolean",
        JsonType::Array => "an array",
        JsonType::Object => "an object",
        JsonType::Null => "null",
    }
}

fn show(value: &Value, redactor: &Redactor) -> String {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => redactor.quote(text),
        Value::Array(_) | Value::Object(_) => type_name(type_of(value)).to_owned(),
    }
}
