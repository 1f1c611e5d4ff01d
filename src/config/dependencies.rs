//! On which other probes a probe depends: they must be there, and a cause must come first.

use super::repair::closest;
use super::{Checked, Document};
use crate::health::MAX_DEPENDENCIES;
use crate::probe::host;
use crate::values::Invalid;
use std::collections::HashMap;

impl Checked<'_> {
    /// Finds dependencies that lead nowhere, or back to where they begin.
    pub(super) fn dependencies(&mut self, document: &Document) {
        let mut known: Vec<&str> = document.probes.iter().map(|spec| spec.name.as_str()).collect();
        known.extend(document.host.0.is_some().then_some(host::KIND.name));
        let graph: HashMap<&str, &[String]> =
            document.probes.iter().map(|spec| (spec.name.as_str(), spec.depends_on.as_slice())).collect();
        for (index, spec) in document.probes.iter().enumerate() {
            let mut invalid = Vec::new();
            if spec.depends_on.len() > MAX_DEPENDENCIES {
                let message =
                    format!("more than {MAX_DEPENDENCIES}: name only those that it needs itself, not what those need");
                invalid.push(Invalid::new("depends_on", message));
            }
            for (position, name) in spec.depends_on.iter().enumerate() {
                let path = format!("depends_on[{position}]");
                if !known.contains(&name.as_str()) {
                    let hint =
                        closest(name, &known).map(|close| format!("; did you mean {close:?}?")).unwrap_or_default();
                    invalid.push(Invalid::new(path, format!("there is no probe {name:?}{hint}")));
                } else if spec.depends_on[..position].contains(name) {
                    invalid.push(Invalid::new(path, format!("{name:?} is named twice: remove one")));
                } else if let Some(circle) = way(&graph, name, &spec.name) {
                    let message = format!("it would be the cause of itself: {} → {}", spec.name, circle.join(" → "));
                    invalid.push(Invalid::new(path, message));
                }
            }
            let index = self.positions.original_index("probes", index);
            self.wrong(&format!("probes[{index}]"), invalid);
        }
    }
}

/// The names on the way from one probe along its dependencies to another.
fn way<'a>(graph: &HashMap<&'a str, &'a [String]>, from: &'a str, to: &str) -> Option<Vec<&'a str>> {
    let mut reached_from: HashMap<&str, &str> = HashMap::new();
    let mut frontier = vec![from];
    while let Some(name) = frontier.pop() {
        if name == to {
            let mut names = vec![name];
            while let Some(former) = names.last().filter(|name| **name != from).and_then(|name| reached_from.get(name))
            {
                names.push(former);
            }
            names.reverse();
            return Some(names);
        }
        for next in graph.get(name).into_iter().copied().flatten() {
            if next != from && !reached_from.contains_key(next.as_str()) {
                reached_from.insert(next, name);
                frontier.push(next);
            }
        }
    }
    None
}
