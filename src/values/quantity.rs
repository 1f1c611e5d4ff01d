//! Sizes, and quantities whose unit is known only to the signal that they are a threshold of.

use super::parse_duration;
use crate::observation::Unit;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error as _, Unexpected, Visitor};
use std::borrow::Cow;
use std::fmt;

/// A size in bytes: `512MiB` (powers of 1024), `2GB` (powers of 1000), or a plain number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// Reads a size; see [`Size`].
///
/// # Errors
/// How a size is written.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a size: write a number and a unit, as in 512MiB, 2GB or 4096");
    let text_trimmed = text.trim();
    let digits_end = text_trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text_trimmed.len());
    let (number, unit) = text_trimmed.split_at(digits_end);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let factor: f64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kib" => 1024.0,
        "mib" => 1_048_576.0,
        "gib" => 1_073_741_824.0,
        "tib" => 1_099_511_627_776.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        _ => return Err(wrong()),
    };
    let bytes = number * factor;
    if bytes.is_finite() && bytes < 1e18 { Ok(bytes.round() as u64) } else { Err(wrong()) }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Quantity::deserialize(deserializer)? {
            Quantity::Number(number) if number >= 0.0 && number.fract() == 0.0 => Ok(Size(number as u64)),
            Quantity::Number(number) => {
                Err(D::Error::invalid_value(Unexpected::Float(number), &"a size such as 512MiB, or a number of bytes"))
            }
            Quantity::Text(text) => parse_size(&text).map(Size).map_err(D::Error::custom),
        }
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "description": "Size, for example 512MiB, 2GB or a number of bytes" })
    }
}

/// A value of a threshold as it was written, before the signal says in which unit it is meant.
#[derive(Debug, Clone, PartialEq)]
pub enum Quantity {
    /// `0.9`
    Number(f64),
    /// `5s`, `512MiB`, `90%`
    Text(String),
}

impl Quantity {
    /// The value in the unit's base.
    ///
    /// # Errors
    /// When the text is not a quantity of this unit: what was expected, with an example.
    pub fn in_unit(&self, unit: Unit) -> Result<f64, String> {
        match (unit, self) {
            (Unit::Seconds, Quantity::Text(text)) => parse_duration(text).map(|d| d.as_secs_f64()),
            (Unit::Seconds, Quantity::Number(number)) => {
                Err(format!("{number} is not a duration: write it with its unit, as in {number}s"))
            }
            (Unit::Bytes, Quantity::Text(text)) => parse_size(text).map(|bytes| bytes as f64),
            (Unit::Bytes | Unit::Ratio, Quantity::Number(number)) if *number >= 0.0 => Ok(*number),
            (Unit::Bytes, Quantity::Number(number)) => Err(format!("{number} is not a size")),
            (Unit::Ratio, Quantity::Text(text)) => parse_ratio(text),
            (Unit::Ratio, Quantity::Number(number)) => Err(format!("{number} is not a ratio: write 0.9 or 90%")),
        }
    }
}

fn parse_ratio(text: &str) -> Result<f64, String> {
    let wrong = || format!("{text:?} is not a ratio: write 0.9 or 90%");
    let (number, divisor) = match text.trim().strip_suffix('%') {
        Some(percent) => (percent.trim(), 100.0),
        None => (text.trim(), 1.0),
    };
    let value: f64 = number.parse().map_err(|_| wrong())?;
    if value.is_finite() && value >= 0.0 { Ok(value / divisor) } else { Err(wrong()) }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Quantity;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity such as 5s, 512MiB or 90%")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Quantity, E> {
                Ok(Quantity::Text(text.to_owned()))
            }
            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Quantity, E> {
                Ok(Quantity::Number(number))
            }
            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Quantity, E> {
                Ok(Quantity::Number(number as f64))
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Quantity, E> {
                Ok(Quantity::Number(number as f64))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number"], "description": "A quantity in the signal's unit: 5s, 512MiB, 90% or 0.9" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_both_systems_of_units() {
        let cases =
            [("512MiB", 536_870_912), ("2GB", 2_000_000_000), ("1.5 KiB", 1536), ("4096", 4096), ("10k", 10_000)];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "5 parsecs", "-1MiB", "1e99GB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_quantity_is_read_in_the_unit_of_its_signal() {
        let text = |text: &str| Quantity::Text(text.into());
        assert_eq!(text("1m30s").in_unit(Unit::Seconds), Ok(90.0));
        assert_eq!(text("90%").in_unit(Unit::Ratio), Ok(0.9));
        assert_eq!(Quantity::Number(0.9).in_unit(Unit::Ratio), Ok(0.9));
        assert_eq!(text("1KiB").in_unit(Unit::Bytes), Ok(1024.0));
        assert!(Quantity::Number(5.0).in_unit(Unit::Seconds).unwrap_err().contains("5s"));
        assert!(text("lots").in_unit(Unit::Ratio).is_err());
    }
}
