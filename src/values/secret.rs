//! A secret: written in place or read from a file, never printed.

use super::file::{file_block, read_small_file};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::fmt;
use subtle::ConstantTimeEq as _;

/// A secret text. `Debug` and `Display` hide it; only [`Secret::expose`] gives it away.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether this is it. The time that takes says nothing about the secret, not even how long it is.
    pub fn is(&self, given: &str) -> bool {
        Sha256::digest(self.0.as_bytes()).ct_eq(&Sha256::digest(given.as_bytes())).into()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

const NOT_TEXT: &str = "a number is not a secret: put it in quotes, so that its digits are kept as they are";

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrFile;
        impl<'de> Visitor<'de> for TextOrFile {
            type Value = Secret;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a secret: text, ${NAME} or { file: PATH }")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Secret, E> {
                Ok(Secret(text.to_owned()))
            }
            // serde's own message would print the number.
            fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Secret, E> {
                Err(E::custom(NOT_TEXT))
            }
            fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Secret, E> {
                Err(E::custom(NOT_TEXT))
            }
            fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Secret, E> {
                Err(E::custom(NOT_TEXT))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Secret, A::Error> {
                let path = file_block(map)?;
                let bytes = read_small_file(&path).map_err(A::Error::custom)?;
                let text = String::from_utf8(bytes)
                    .map_err(|_| A::Error::custom(format!("{} is not UTF-8 text", path.display())))?;
                // Editors end files with a newline, which is never part of the secret.
                Ok(Secret(text.trim_end_matches(['\n', '\r']).to_owned()))
            }
        }
        deserializer.deserialize_any(TextOrFile)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A secret: text, ${NAME}, or { file: PATH }",
            "oneOf": [
                { "type": "string" },
                { "type": "object", "properties": { "file": { "type": "string" } }, "required": ["file"], "additionalProperties": false }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> Result<Secret, String> {
        serde_yaml::from_str(yaml).map_err(|error| error.to_string())
    }

    #[test]
    fn a_secret_is_read_from_its_file_without_the_last_newline_and_never_shown() {
        let file = std::env::temp_dir().join(format!("banken-secret-{}", std::process::id()));
        std::fs::write(&file, "hunter2\n").unwrap();
        let secret = read(&format!("file: {}", file.display())).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(secret.expose(), "hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
    }

    #[test]
    fn an_unreadable_secret_names_the_file() {
        let message = read("file: /nonexistent/secret").unwrap_err();
        assert!(message.contains("/nonexistent/secret"), "{message}");
        assert!(read("file: /dev/zero").unwrap_err().contains("regular file"));
        assert!(read("fil: x").unwrap_err().contains("fil"));
    }
}
