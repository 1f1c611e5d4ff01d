//! The part of JSON Schema (draft 2020-12) that says what a value is. A schema that uses more is refused when it is read:
//! a keyword that is not understood must not count as fulfilled.

#[cfg(test)]
mod tests;

use crate::values::Pattern;
use crate::values::file::read_small_file;
use serde::Deserialize as _;
use serde_json::{Map, Value};
use std::path::Path;

/// A schema that was understood as a whole.
#[derive(Debug, Clone)]
pub(super) enum Schema {
    /// `true` or `false`.
    Always(bool),
    /// An object of keywords.
    Rules(Box<Rules>),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    types: Option<Vec<Type>>,
    allowed: Option<Vec<Value>>,
    required: Vec<String>,
    properties: Vec<(String, Schema)>,
    other_properties: Option<Schema>,
    items: Option<Schema>,
    all_of: Vec<Schema>,
    any_of: Vec<Schema>,
    limits: Vec<(Limit, f64)>,
    pattern: Option<Pattern>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Null,
    Boolean,
    Object,
    Array,
    Number,
    Integer,
    Text,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    Minimum,
    Maximum,
    Above,
    Below,
    MinLength,
    MaxLength,
    MinItems,
    MaxItems,
    MinProperties,
    MaxProperties,
}

const LIMITS: &[(&str, Limit)] = &[
    ("minimum", Limit::Minimum),
    ("maximum", Limit::Maximum),
    ("exclusiveMinimum", Limit::Above),
    ("exclusiveMaximum", Limit::Below),
    ("minLength", Limit::MinLength),
    ("maxLength", Limit::MaxLength),
    ("minItems", Limit::MinItems),
    ("maxItems", Limit::MaxItems),
    ("minProperties", Limit::MinProperties),
    ("maxProperties", Limit::MaxProperties),
];

/// They explain, and demand nothing.
const NOTES: &[&str] = &[
    "$schema",
    "$id",
    "$comment",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "format",
];

const MAX_DEPTH: usize = 64;

impl Schema {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, is no JSON, or demands what is not understood.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let bytes = read_small_file(path)?;
        let value: Value =
            serde_json::from_slice(&bytes).map_err(|error| format!("{} is no JSON: {error}", path.display()))?;
        Self::parse(&value, "", 0).map_err(|why| format!("{}: {why}", path.display()))
    }

    fn parse(value: &Value, at: &str, depth: usize) -> Result<Self, String> {
        match value {
            _ if depth > MAX_DEPTH => Err(format!("it is nested deeper than {MAX_DEPTH}")),
            Value::Bool(always) => Ok(Schema::Always(*always)),
            Value::Object(object) => Rules::parse(object, at, depth).map(Box::new).map(Schema::Rules),
            _ => Err(format!("{at}/ is no schema: write an object, true or false")),
        }
    }

    /// Where a value does not match, and why.
    pub(super) fn mismatch(&self, value: &Value) -> Option<String> {
        self.mismatch_at(value, "$")
    }

    fn mismatch_at(&self, value: &Value, at: &str) -> Option<String> {
        match self {
            Schema::Always(true) => None,
            Schema::Always(false) => Some(format!("{at} must not be there")),
            Schema::Rules(rules) => rules.mismatch(value, at),
        }
    }
}

impl Rules {
    fn parse(object: &Map<String, Value>, at: &str, depth: usize) -> Result<Self, String> {
        let mut rules = Self::default();
        for (key, value) in object {
            let here = format!("{at}/{key}");
            let wrong = |expected: &str| format!("{here} must be {expected}");
            let below = |value: &Value| Schema::parse(value, &here, depth + 1);
            let list = |value: &Value| value.as_array().cloned().ok_or_else(|| wrong("a list"));
            match key.as_str() {
                "type" => rules.types = Some(types(value).ok_or_else(|| wrong("a type, or a list of types"))?),
                "enum" => rules.allowed = Some(list(value)?),
                "const" => rules
                    .all_of
                    .push(Schema::Rules(Box::new(Self { allowed: Some(vec![value.clone()]), ..Self::default() }))),
                "required" => rules.required = Vec::deserialize(value).map_err(|_| wrong("a list of names"))?,
                "properties" => {
                    let object = value.as_object().ok_or_else(|| wrong("an object"))?;
                    for (name, schema) in object {
                        rules.properties.push((name.clone(), below(schema)?));
                    }
                }
                "additionalProperties" => rules.other_properties = Some(below(value)?),
                "items" => rules.items = Some(below(value)?),
                "allOf" => rules.all_of.extend(list(value)?.iter().map(below).collect::<Result<Vec<_>, _>>()?),
                "anyOf" => rules.any_of = list(value)?.iter().map(below).collect::<Result<_, _>>()?,
                "pattern" => {
                    rules.pattern = Some(Pattern::deserialize(value).map_err(|error| format!("{here}: {error}"))?);
                }
                key if NOTES.contains(&key) => {}
                key => {
                    let limit = LIMITS.iter().find(|(name, _)| *name == key).map(|(_, limit)| *limit);
                    let limit = limit
                        .ok_or_else(|| format!("{here} is not understood: leave it out, or demand it with requires"))?;
                    rules.limits.push((limit, value.as_f64().ok_or_else(|| wrong("a number"))?));
                }
            }
        }
        Ok(rules)
    }

    fn mismatch(&self, value: &Value, at: &str) -> Option<String> {
        if let Some(types) = &self.types
            && !types.iter().any(|one| one.fits(value))
        {
            return Some(format!("{at} has another type"));
        }
        if let Some(allowed) = &self.allowed
            && !allowed.iter().any(|one| is_equal(one, value))
        {
            return Some(format!("{at} is none of the values that are allowed"));
        }
        if let Some((limit, _)) = self.limits.iter().find(|(limit, bound)| !limit.holds(*bound, value)) {
            return Some(format!("{at} breaks {limit:?}"));
        }
        if let (Some(pattern), Value::String(text)) = (&self.pattern, value)
            && !pattern.is_match(text.as_bytes())
        {
            return Some(format!("{at} does not match the pattern"));
        }
        let all = self.all_of.iter().find_map(|schema| schema.mismatch_at(value, at));
        let within = || match value {
            Value::Object(object) => self.mismatch_in_object(object, at),
            Value::Array(items) => self.items.as_ref().and_then(|schema| {
                items.iter().enumerate().find_map(|(index, item)| schema.mismatch_at(item, &format!("{at}[{index}]")))
            }),
            _ => None,
        };
        let any = || {
            let is_any =
                self.any_of.is_empty() || self.any_of.iter().any(|schema| schema.mismatch_at(value, at).is_none());
            (!is_any).then(|| format!("{at} matches none of anyOf"))
        };
        all.or_else(within).or_else(any)
    }

    fn mismatch_in_object(&self, object: &Map<String, Value>, at: &str) -> Option<String> {
        if let Some(missing) = self.required.iter().find(|name| !object.contains_key(*name)) {
            return Some(format!("{at}.{missing} is missing"));
        }
        object.iter().find_map(|(name, value)| {
            let known = self.properties.iter().find(|(known, _)| known == name).map(|(_, schema)| schema);
            known.or(self.other_properties.as_ref())?.mismatch_at(value, &format!("{at}.{name}"))
        })
    }
}

fn types(value: &Value) -> Option<Vec<Type>> {
    let one = |value: &Value| {
        Some(match value.as_str()? {
            "null" => Type::Null,
            "boolean" => Type::Boolean,
            "object" => Type::Object,
            "array" => Type::Array,
            "number" => Type::Number,
            "integer" => Type::Integer,
            "string" => Type::Text,
            _ => return None,
        })
    };
    match value {
        Value::Array(values) => values.iter().map(one).collect(),
        value => one(value).map(|one| vec![one]),
    }
}

impl Type {
    fn fits(self, value: &Value) -> bool {
        match self {
            Type::Null => value.is_null(),
            Type::Boolean => value.is_boolean(),
            Type::Object => value.is_object(),
            Type::Array => value.is_array(),
            Type::Number => value.is_number(),
            // 1.0 is one.
            Type::Integer => {
                value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
            }
            Type::Text => value.is_string(),
        }
    }
}

impl Limit {
    /// Whether a value keeps it; what it is not about does.
    fn holds(self, bound: f64, value: &Value) -> bool {
        let number = |holds: fn(f64, f64) -> bool| value.as_f64().is_none_or(|number| holds(number, bound));
        let least = |count: Option<usize>| count.is_none_or(|count| count as f64 >= bound);
        let most = |count: Option<usize>| count.is_none_or(|count| count as f64 <= bound);
        let length = || value.as_str().map(|text| text.chars().count());
        let items = || value.as_array().map(Vec::len);
        let properties = || value.as_object().map(Map::len);
        match self {
            Limit::Minimum => number(|number, bound| number >= bound),
            Limit::Maximum => number(|number, bound| number <= bound),
            Limit::Above => number(|number, bound| number > bound),
            Limit::Below => number(|number, bound| number < bound),
            Limit::MinLength => least(length()),
            Limit::MaxLength => most(length()),
            Limit::MinItems => least(items()),
            Limit::MaxItems => most(items()),
            Limit::MinProperties => least(properties()),
            Limit::MaxProperties => most(properties()),
        }
    }
}

/// As JSON Schema compares: 1 and 1.0 are the same number.
fn is_equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, one)| other.get(key).is_some_and(|other| is_equal(one, other)))
        }
        _ => one == other,
    }
}
