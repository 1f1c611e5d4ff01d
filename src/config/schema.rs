//! The JSON Schema of the configuration, for editors.

use super::Document;
use crate::probe::{KINDS, host};
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

/// The schema, in draft 7, which is what YAML editors understand.
pub fn schema() -> Value {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<Document>().to_value();
    if let Some(spec) = schema.pointer_mut("/definitions/Spec").and_then(Value::as_object_mut) {
        let own = KINDS.iter().map(|kind| kind.name).filter(|name| *name != host::KIND.name);
        let exactly_one: Vec<Value> = own.map(|name| json!({ "required": [name] })).collect();
        spec.insert("oneOf".into(), Value::Array(exactly_one));
    }
    schema
}
