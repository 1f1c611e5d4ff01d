//! `${NAME}` and `${NAME:-default}` in parsed scalars, never in raw text: a value cannot become structure.

use super::repair::Substituted;
use super::{Positions, Problem};
use serde_yaml::Value;
use std::path::Path;

/// Puts the environment in place; what is not set and has no default is a problem.
pub fn environment(
    value: &mut Value,
    positions: &Positions,
    problems: &mut Vec<Problem>,
    lookup: impl Fn(&str) -> Option<String>,
) -> Substituted {
    let mut substituted = Substituted::new();
    walk(value, "", &mut |path, text| {
        if !text.contains("${") {
            return;
        }
        match expand(text, &lookup) {
            Ok(expanded) => {
                *text = expanded;
                substituted.insert(path.to_owned());
            }
            Err(message) => problems.push(positions.problem(path, message)),
        }
    });
    substituted
}

fn walk(value: &mut Value, path: &str, visit: &mut impl FnMut(&str, &mut String)) {
    match value {
        Value::String(text) => visit(path, text),
        Value::Sequence(sequence) => {
            for (index, element) in sequence.iter_mut().enumerate() {
                walk(element, &format!("{path}[{index}]"), visit);
            }
        }
        Value::Mapping(mapping) => {
            for (key, element) in mapping.iter_mut() {
                let key = key.as_str().unwrap_or("?");
                let below = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
                walk(element, &below, visit);
            }
        }
        _ => {}
    }
}

/// `$${` stands for a literal `${`.
fn expand(text: &str, lookup: &impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if rest[..start].ends_with('$') {
            expanded.push_str(&rest[..start - 1]);
            expanded.push_str("${");
            rest = &rest[start + 2..];
            continue;
        }
        expanded.push_str(&rest[..start]);
        let Some(length) = rest[start..].find('}') else {
            return Err("a \"${\" has no \"}\": write ${NAME}, ${NAME:-default}, or $${ for a literal ${".into());
        };
        let inside = &rest[start + 2..start + length];
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(legal) {
            return Err(format!(
                "\"${{{inside}}}\" names no environment variable: write ${{NAME}} or ${{NAME:-default}}"
            ));
        }
        match lookup(name).filter(|value| !value.is_empty()).or_else(|| default.map(str::to_owned)) {
            Some(value) => expanded.push_str(&value),
            None => {
                return Err(format!(
                    "the environment variable {name} is not set: set it, or give a default as in ${{{name}:-default}}"
                ));
            }
        }
        rest = &rest[start + length + 1..];
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// Lets relative paths in blocks of the form `{ file: PATH }` begin at the folder of the configuration, so that it means
/// the same wherever Banken is started.
pub fn resolve_files(value: &mut Value, folder: &Path) {
    resolve(value, folder, false);
}

/// A path stands below `file`, alone or beside the other keys of a block that is made of a file.
fn resolve(value: &mut Value, folder: &Path, names_file: bool) {
    match value {
        Value::Sequence(sequence) => sequence.iter_mut().for_each(|element| resolve(element, folder, false)),
        Value::Mapping(mapping) => {
            let names_file = names_file || mapping.len() == 1;
            for (key, element) in mapping.iter_mut() {
                match element {
                    Value::String(path) if names_file && key.as_str() == Some("file") => {
                        *path = folder.join(&*path).display().to_string();
                    }
                    other => resolve(other, folder, key.as_str() == Some("from_patterns")),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, String> {
        expand(text, &|name| match name {
            "HOST" => Some("db.local".into()),
            "EVIL" => Some("x: [${HOST}]".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        })
    }

    #[test]
    fn names_defaults_and_literals_are_told_apart() {
        assert_eq!(expanded("tcp://${HOST}:${PORT:-5432}/"), Ok("tcp://db.local:5432/".into()));
        assert_eq!(expanded("${EMPTY:-full}"), Ok("full".into()));
        assert_eq!(expanded("$${HOST} costs $5"), Ok("${HOST} costs $5".into()));
        assert!(expanded("${PORT}").unwrap_err().contains("PORT is not set"));
        assert!(expanded("${HOST").unwrap_err().contains("no \"}\""));
        assert!(expanded("${rm -rf}").unwrap_err().contains("names no environment variable"));
    }

    #[test]
    fn what_the_environment_says_is_never_read_again_and_never_becomes_structure() {
        assert_eq!(expanded("${EVIL}"), Ok("x: [${HOST}]".into()));
    }

    #[test]
    fn files_are_looked_for_beside_the_configuration() {
        let mut value: Value =
            serde_yaml::from_str("a: { file: pw }\nb: { file: /run/pw }\nc: { file: x, other: y }").unwrap();
        resolve_files(&mut value, Path::new("/etc/banken"));
        assert_eq!(value["a"]["file"], Value::from("/etc/banken/pw"));
        assert_eq!(value["b"]["file"], Value::from("/run/pw"));
        assert_eq!(value["c"]["file"], Value::from("x"));
    }
}
