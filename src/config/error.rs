//! Mistakes in a configuration, each with its place and its remedy, all at once.

use super::positions::Positions;
use crate::values::one_line;
use std::fmt;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line from 1; none when the mistake has no place in the text.
    pub line: Option<usize>,
    /// Column from 1.
    pub column: Option<usize>,
    /// As in `probes[3].http.url`; empty for the document.
    pub path: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl Problem {
    /// Whether it stands at a path or below it.
    pub(super) fn is_within(&self, path: &str) -> bool {
        self.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The file.
    pub origin: String,
    /// In the order of the file; never empty.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    pub(super) fn new(origin: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| (problem.line, problem.column));
        problems.dedup();
        Self { origin: origin.to_owned(), problems }
    }

    /// A mistake of the file as a whole.
    pub(super) fn whole(origin: String, message: String) -> Self {
        Self { origin, problems: vec![Problem { line: None, column: None, path: String::new(), message }] }
    }

    /// Banken itself failed while it read a configuration.
    pub fn defect(origin: String, what: &str) -> Self {
        Self::whole(origin, format!("a defect in Banken while it was read: {what}; please report it"))
    }

    /// The text is not YAML.
    pub(super) fn syntax(origin: &str, error: &serde_yaml::Error, positions: &Positions) -> Self {
        if let Some(problem) = positions.first_duplicate() {
            return Self { origin: origin.to_owned(), problems: vec![problem] };
        }
        let place = error.location();
        let message = one_line(&error.to_string());
        // The place stands in front already.
        let message = message.split(" at line ").next().unwrap_or(&message).to_owned();
        let problem = Problem {
            line: place.as_ref().map(serde_yaml::Location::line),
            column: place.as_ref().map(serde_yaml::Location::column),
            path: String::new(),
            message: format!("not valid YAML: {message}"),
        };
        Self { origin: origin.to_owned(), problems: vec![problem] }
    }

    /// The lines that say a list of problems or warnings.
    pub fn lines<'a>(origin: &'a str, problems: &'a [Problem]) -> impl Iterator<Item = String> + 'a {
        problems.iter().map(move |problem| {
            let mut line = origin.to_owned();
            if let (Some(row), Some(column)) = (problem.line, problem.column) {
                line = format!("{line}:{row}:{column}");
            }
            if problem.path.is_empty() {
                format!("{line}: {}", problem.message)
            } else {
                format!("{line}: {}: {}", problem.path, problem.message)
            }
        })
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, line) in Self::lines(&self.origin, &self.problems).enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&line)?;
        }
        Ok(())
    }
}
