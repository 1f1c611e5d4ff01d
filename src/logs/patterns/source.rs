//! Where patterns come from: the built-in set, and files such as `error_patterns.json`.

use super::auto_fix::{AutoFix, FixConfig, Raw};
use super::scanner::Expression;
use super::{Entry, Severity};
use crate::board::PatternDescriptor;
use crate::values::file::read_small_file;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

/// A label value that is longer is hardly an id.
const LONGEST_ID: usize = 100;

/// An entry under `patterns:`.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// The built-in error classes.
    Builtin,
    /// A file.
    File(PatternFile),
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;
        impl<'de> Visitor<'de> for Written {
            type Value = Source;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("builtin, or { file: error_patterns.json }")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Source, E> {
                match text {
                    "builtin" => Ok(Source::Builtin),
                    _ => Err(E::custom(format!(
                        "{text:?} is no set of patterns: write builtin, or {{ file: PATH }} for a file of patterns"
                    ))),
                }
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Source, A::Error> {
                let block = FileBlock::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Source::File(block.file))
            }
        }
        deserializer.deserialize_any(Written)
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct FileBlock {
    file: PatternFile,
}

impl JsonSchema for Source {
    fn schema_name() -> Cow<'static, str> {
        "LogPatterns".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "builtin (the error classes), or a file of patterns in the form of error_patterns.json",
            "anyOf": [
                { "const": "builtin" },
                { "type": "string", "pattern": "\\$\\{" },
                {
                    "type": "object",
                    "properties": { "file": { "type": "string" } },
                    "required": ["file"],
                    "additionalProperties": false
                }
            ]
        })
    }
}

/// A file of patterns in the form of `error_patterns.json`, read and compiled. Keys that are not known are left alone:
/// it is the user's file, and others read it too.
#[derive(Debug, Clone)]
pub struct PatternFile {
    path: PathBuf,
    entries: Vec<Entry>,
    /// What it says about repairs, for each entry and for all of them.
    repairs: Vec<Raw>,
    repair_config: serde_json::Value,
}

impl PartialEq for PatternFile {
    fn eq(&self, other: &Self) -> bool {
        let text = |entry: &Entry| (entry.descriptor.clone(), entry.text.clone());
        let repairs = (&self.repairs, &self.repair_config) == (&other.repairs, &other.repair_config);
        self.path == other.path && repairs && self.entries.iter().map(text).eq(other.entries.iter().map(text))
    }
}

impl PatternFile {
    /// Reads a file of at most 1 MiB.
    ///
    /// # Errors
    /// What is wrong with it: file, line, pattern, key, and what to do.
    pub fn read(path: &Path) -> Result<Self, String> {
        let bytes = read_small_file(path)?;
        let shown = path.display().to_string();
        parse(&bytes, path).map_err(|message| format!("{shown}:{message}"))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says about repairs.
    ///
    /// # Errors
    /// What of that cannot be understood: file, pattern, key, and what to write.
    pub fn auto_fix(&self) -> Result<AutoFix, String> {
        let located = |message: String| format!("{}: {message}", self.path.display());
        let mut patterns = Vec::new();
        for (index, (entry, raw)) in self.entries.iter().zip(&self.repairs).enumerate() {
            let known = &entry.descriptor;
            patterns.push(raw.fix(index, &known.id, &known.name, known.gravity).map_err(located)?);
        }
        Ok(AutoFix { patterns, config: FixConfig::read(&self.repair_config).map_err(located)? })
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> {
        self.entries.iter().cloned()
    }
}

impl JsonSchema for PatternFile {
    fn schema_name() -> Cow<'static, str> {
        "LogPatternFile".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "A file in the form of error_patterns.json" })
    }
}

impl<'de> Deserialize<'de> for PatternFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = PathBuf::deserialize(deserializer)?;
        Self::read(&path).map_err(D::Error::custom)
    }
}

#[derive(serde::Deserialize)]
struct Document {
    error_patterns: Vec<Written>,
    #[serde(default)]
    auto_fix_config: serde_json::Value,
}

/// One pattern of the file.
#[derive(serde::Deserialize)]
struct Written {
    id: Id,
    #[serde(default)]
    name: Option<String>,
    pattern: Compiled,
    #[serde(default)]
    severity: Severity,
    /// Not flattened into one field: mistakes would lose their place.
    #[serde(default)]
    auto_fix: serde_json::Value,
    #[serde(default)]
    actions: serde_json::Value,
}

struct Id(String);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = String::deserialize(deserializer)?;
        if id.is_empty() || id.len() > LONGEST_ID || id.chars().any(char::is_control) {
            return Err(D::Error::custom(format!("{id:?} cannot be a label: 1 to {LONGEST_ID} printable bytes")));
        }
        Ok(Self(id))
    }
}

/// Compiled where it is read, so that a mistake has the place of its text.
struct Compiled(String, Expression);

impl<'de> Deserialize<'de> for Compiled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match Expression::compile(&text, true) {
            Ok(expression) => Ok(Self(text, expression)),
            Err(message) => Err(D::Error::custom(format!("{message}{}", remedy(&text)))),
        }
    }
}

/// What to write instead of what only backtracking engines understand.
fn remedy(pattern: &str) -> &'static str {
    const REMEDIES: [(&[&str], &str); 4] = [
        (
            &["(?=", "(?!", "(?<=", "(?<!"],
            "; look-around is not possible in linear time: match what stands there too, as in (^|[^x])y for (?<!x)y, or \
             make two patterns",
        ),
        (
            &["(?P=", r"\1", r"\2", r"\3", "(?("],
            "; back-references are not possible in linear time: write the repeated text out, or accept any text there",
        ),
        (&["(?>"], r"; write (?:…) instead of (?>…): nothing is tried twice here anyway"),
        (&[r"\Z"], r"; write $ or \z instead of \Z"),
    ];
    let found = REMEDIES.iter().find(|(signs, _)| signs.iter().any(|sign| pattern.contains(sign)));
    found.map_or("", |(_, remedy)| remedy)
}

fn parse(bytes: &[u8], path: &Path) -> Result<PatternFile, String> {
    let shown = path.display();
    // Editors of other systems put a byte-order mark in front.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let document: Document = serde_path_to_error::deserialize(&mut json).map_err(|error| located(bytes, &error))?;
    let raw = |written: &Written| Raw { auto_fix: written.auto_fix.clone(), actions: written.actions.clone() };
    let repairs = document.error_patterns.iter().map(raw).collect();
    let entry = |(index, written): (usize, Written)| Entry {
        descriptor: PatternDescriptor {
            name: written.name.unwrap_or_else(|| written.id.0.clone()),
            id: written.id.0,
            gravity: written.severity.gravity(),
            captures: Vec::new(),
        },
        text: written.pattern.0,
        expression: written.pattern.1,
        origin: Some(format!("error_patterns[{index}] of {shown}")),
    };
    let entries = document.error_patterns.into_iter().enumerate().map(entry).collect();
    Ok(PatternFile { path: path.to_owned(), entries, repairs, repair_config: document.auto_fix_config })
}

/// `3:16: error_patterns[0].pattern ("db_down"): …`
fn located(bytes: &[u8], error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let inner = error.inner();
    let message = inner.to_string();
    let place = format!(" at line {} column {}", inner.line(), inner.column());
    let message = message.strip_suffix(&place).unwrap_or(&message);
    let path = error.path().to_string();
    let id = id_at(bytes, &path).map(|id| format!(" ({id:?})")).unwrap_or_default();
    let at = if path == "." { String::new() } else { format!("{path}{id}: ") };
    format!("{}:{}: {at}{message}", inner.line(), inner.column())
}

/// The id of the pattern that `error_patterns[2].…` speaks of.
fn id_at(bytes: &[u8], path: &str) -> Option<String> {
    let index: usize = path.strip_prefix("error_patterns[")?.split(']').next()?.parse().ok()?;
    let document: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    Some(document.get("error_patterns")?.get(index)?.get("id")?.as_str()?.to_owned())
}
