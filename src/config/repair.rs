//! Finds every mistake in one go: a deserializer stops at the first, so that one is noted and taken out, and the rest is
//! tried again.

use super::{Positions, Problem};
use crate::values::one_line;
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};
use serde_yaml::Value;
use std::collections::{HashMap, HashSet};

/// More are hardly read.
const MAX_PROBLEMS: usize = 100;

/// Paths whose text came out of the environment.
pub type Substituted = HashSet<String>;

/// Deserializes a document; mistakes go to `problems`, and what is right around them is still given back.
pub fn deserialize<T: DeserializeOwned>(
    mut value: Value,
    substituted: &Substituted,
    positions: &Positions,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let mut taken_out: HashMap<String, HashSet<String>> = HashMap::new();
    let mut retyped = HashSet::new();
    while problems.len() < MAX_PROBLEMS {
        let error = match serde_path_to_error::deserialize(value.clone()) {
            Ok(document) => return Some(document),
            Err(error) => error,
        };
        let steps = steps(error.path(), positions);
        let path = shown(&steps);
        let message = one_line(&error.inner().to_string());
        // `port: ${PORT}` is text to YAML; where a number is wanted, it is read as one.
        if substituted.contains(&path) && retyped.insert(path.clone()) && retype(&mut value, &steps) {
            continue;
        }
        let missing = quoted(&message, "missing field ");
        let consequence = missing.is_some_and(|key| taken_out.get(&path).is_some_and(|keys| keys.contains(key)))
            || problems.iter().any(|known| known.path == path);
        if !consequence {
            problems.push(problem(&message, &path, positions));
        }
        if let Step::Key(key) = steps.last()? {
            let taken_out = taken_out.entry(shown(&steps[..steps.len() - 1])).or_default();
            taken_out.insert(key.clone());
            // A key that was misspelt is not missing too.
            taken_out.extend(closest(key, &known_keys(&message)).map(str::to_owned));
        }
        if !take_out(&mut value, &steps, positions) {
            return None;
        }
    }
    None
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Key(String),
    /// Where it stands in the value now, and where it stood in the text.
    Index {
        now: usize,
        original: usize,
    },
}

fn steps(path: &Path, positions: &Positions) -> Vec<Step> {
    let mut steps = Vec::new();
    for segment in path {
        steps.push(match segment {
            Segment::Seq { index } => {
                let original = positions.original_index(&shown(&steps), *index);
                Step::Index { now: *index, original }
            }
            Segment::Map { key } | Segment::Enum { variant: key } => Step::Key(key.clone()),
            Segment::Unknown => break,
        });
    }
    steps
}

fn shown(steps: &[Step]) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Key(key) if path.is_empty() => path.push_str(key),
            Step::Key(key) => path.extend([".", key]),
            Step::Index { original, .. } => path.extend(["[", &original.to_string(), "]"]),
        }
    }
    path
}

fn node<'a>(value: &'a mut Value, steps: &[Step]) -> Option<&'a mut Value> {
    steps.iter().try_fold(value, |value, step| match (value, step) {
        (Value::Mapping(mapping), Step::Key(key)) => mapping.get_mut(key.as_str()),
        (Value::Sequence(sequence), Step::Index { now, .. }) => sequence.get_mut(*now),
        _ => None,
    })
}

fn take_out(value: &mut Value, steps: &[Step], positions: &Positions) -> bool {
    let Some((last, above)) = steps.split_last() else { return false };
    match (node(value, above), last) {
        (Some(Value::Mapping(mapping)), Step::Key(key)) => mapping.remove(key.as_str()).is_some(),
        (Some(Value::Sequence(sequence)), Step::Index { now, original }) if *now < sequence.len() => {
            sequence.remove(*now);
            positions.remove_index(&shown(above), *original);
            true
        }
        // The path goes on below what is there: the part above is taken out.
        _ => take_out(value, above, positions),
    }
}

fn retype(value: &mut Value, steps: &[Step]) -> bool {
    let Some(node) = node(value, steps) else { return false };
    let Value::String(text) = node else { return false };
    match serde_yaml::from_str::<Value>(text) {
        Ok(scalar @ (Value::Number(_) | Value::Bool(_))) => {
            *node = scalar;
            true
        }
        _ => false,
    }
}

/// Rewrites serde's words for a person who wrote YAML.
fn problem(message: &str, path: &str, positions: &Positions) -> Problem {
    if let Some(unknown) = quoted(message, "unknown field ") {
        let known = known_keys(message);
        let remedy = match closest(unknown, &known) {
            Some(near) => format!("did you mean {near:?}?"),
            None if known.is_empty() => "remove it".into(),
            None => format!("known here: {}", known.join(", ")),
        };
        return positions.problem_in_key(path, format!("unknown key {unknown:?}; {remedy}"));
    }
    if let Some(missing) = quoted(message, "missing field ") {
        return positions.problem(path, format!("the key {missing:?} is missing: add it"));
    }
    let rewritten = WORDS.iter().fold(message.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours));
    positions.problem(path, rewritten)
}

/// What serde says, and what a person who wrote YAML understands.
const WORDS: [(&str, &str); 6] = [
    ("invalid type: ", "this is the wrong type: "),
    ("invalid value: ", "this is not possible: "),
    ("expected struct Document", "expected keys such as listen: and probes:"),
    ("expected struct Config", "expected a block of keys"),
    ("expected struct ", "expected a block: "),
    ("a nonzero u32", "a whole number of at least 1"),
];

/// The keys that serde lists after an unknown one.
fn known_keys(message: &str) -> Vec<&str> {
    message.split('`').skip(3).step_by(2).collect()
}

/// The word between backticks after `prefix`.
fn quoted<'a>(message: &'a str, prefix: &str) -> Option<&'a str> {
    message.strip_prefix(prefix)?.strip_prefix('`')?.split('`').next()
}

/// The known word that is meant, if one is close.
pub(super) fn closest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let scored = known.iter().map(|candidate| (strsim::damerau_levenshtein(word, candidate), *candidate));
    scored.filter(|(distance, candidate)| *distance <= candidate.len().max(3) / 3).min().map(|(_, candidate)| candidate)
}
