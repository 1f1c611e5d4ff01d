//! Permissions of files.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Permissions as `chmod` takes them, in octal: `'0640'`. They give others no right to write, and hold no setuid, setgid
/// or sticky bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMode(pub u32);

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

fn parse(text: &str) -> Result<FileMode, String> {
    let wrong = |why: &str| Err(format!("{text:?} {why}"));
    let is_octal = (3..=4).contains(&text.len()) && text.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    match u32::from_str_radix(text, 8) {
        Ok(mode) if is_octal && mode > 0o777 => wrong("has a setuid, setgid or sticky bit: write '0' and three digits"),
        Ok(mode) if is_octal && mode & 0o002 != 0 => wrong("lets everybody write: the last digit must be 0, 1, 4 or 5"),
        Ok(mode) if is_octal => Ok(FileMode(mode)),
        _ => wrong("is no mode: write it in octal and in quotes, as in '0640'"),
    }
}

impl<'de> Deserialize<'de> for FileMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = FileMode;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mode in octal and in quotes, such as '0640'")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<FileMode, E> {
                parse(text).map_err(E::custom)
            }
        }
        // Without quotes YAML makes another number of it.
        deserializer.deserialize_any(Text).map_err(|error| D::Error::custom(error.to_string()))
    }
}

impl JsonSchema for FileMode {
    fn schema_name() -> Cow<'static, str> {
        "FileMode".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^0?[0-7]{2}[0145]$|\\$\\{", "description": "Permissions in octal and in quotes, for example '0640'" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_octal_and_gives_nothing_dangerous_away() {
        assert_eq!(parse("0640"), Ok(FileMode(0o640)));
        assert_eq!(parse("755").map(|mode| mode.to_string()), Ok("0755".into()));
        for text in ["", "64", "0680", "4755", "2750", "1777", "0777", "0666", "0602", "+640", "rw", "00640"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(serde_yaml::from_str::<FileMode>("640").unwrap_err().to_string().contains("quotes"));
        assert_eq!(serde_yaml::from_str::<FileMode>("'640'").unwrap(), FileMode(0o640));
    }
}
