//! The JSON Schema of the configuration, for editors.

use super::Document;
use crate::probe::{KINDS, host};
use crate::remedy::action;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

/// The schema, in draft 7, which is what YAML editors understand.
pub fn schema() -> Value {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<Document>().to_value();
    let kinds = KINDS.iter().map(|kind| kind.name).filter(|name| *name != host::KIND.name);
    exactly_one(&mut schema, "Spec", kinds);
    exactly_one(&mut schema, "RemedyStep", action::KINDS.iter().map(|kind| kind.name));
    exactly_one(&mut schema, "RemedyWhen", ["probe", "all_down", "threshold", "log", "job", "alert"].into_iter());
    exactly_one(&mut schema, "RemedyThreshold", ["probe", "log"].into_iter());
    exactly_one(&mut schema, "Window", ["cron", "from"].into_iter());
    or_from_the_environment(&mut schema);
    schema
}

/// Where a number or a flag is wanted, `${NAME}` may hold one.
fn or_from_the_environment(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            let is_scalar = |kind: &Value| matches!(kind.as_str(), Some("boolean" | "integer" | "number"));
            let mut kinds = match object.get("type") {
                Some(Value::Array(kinds)) => kinds.clone(),
                Some(kind) => vec![kind.clone()],
                None => Vec::new(),
            };
            if kinds.iter().any(is_scalar) && !kinds.contains(&"string".into()) {
                kinds.push("string".into());
                object.insert("type".into(), kinds.into());
                // It says nothing about what is no text.
                object.insert("pattern".into(), r"\$\{".into());
            }
            object.values_mut().for_each(or_from_the_environment);
        }
        Value::Array(array) => array.iter_mut().for_each(or_from_the_environment),
        _ => {}
    }
}

/// Of these keys of a block exactly one must be there, which its type does not say.
fn exactly_one(schema: &mut Value, definition: &str, keys: impl Iterator<Item = &'static str>) {
    if let Some(block) = schema.pointer_mut(&format!("/definitions/{definition}")).and_then(Value::as_object_mut) {
        let each: Vec<Value> = keys.map(|key| json!({ "required": [key] })).collect();
        block.insert("oneOf".into(), Value::Array(each));
    }
}
