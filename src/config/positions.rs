//! Where each path of a YAML text stands. The deserializer knows paths, this knows their lines.

use super::Problem;
use saphyr_parser::{Event, Parser};
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

/// Line and column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    line: usize,
    column: usize,
}

#[derive(Debug, Clone, Copy)]
struct Places {
    key: Place,
    value: Place,
}

/// The places of every path of a text.
#[derive(Debug, Default)]
pub struct Positions {
    places: HashMap<String, Places>,
    /// Keys that stand twice in one mapping: the path, and where the second one stands.
    duplicates: Vec<(String, Place)>,
    /// Elements that were taken out of sequences while mistakes were gathered, by their index in the text.
    removed: RefCell<HashMap<String, BTreeSet<usize>>>,
}

impl Positions {
    /// Reads the text once. Of a text that is no YAML, what comes before the mistake is known.
    pub fn of(text: &str) -> Self {
        let mut reader = Reader { positions: Positions::default(), open: Vec::new() };
        let mut parser = Parser::new_from_str(text);
        while let Some(Ok((event, span))) = parser.next_event() {
            let place = Place { line: span.start.line(), column: span.start.col() + 1 };
            match event {
                Event::StreamEnd => break,
                Event::MappingStart(..) => reader.open(place, Open::Mapping { key: None }),
                Event::SequenceStart(..) => reader.open(place, Open::Sequence { index: 0 }),
                Event::MappingEnd | Event::SequenceEnd => reader.close(),
                Event::Scalar(text, ..) => reader.scalar(&text, place),
                Event::Alias(_) => reader.scalar("*", place),
                _ => {}
            }
        }
        reader.positions
    }

    /// A mistake at a path, or at the nearest path above it that stands in the text.
    pub fn problem(&self, path: &str, message: String) -> Problem {
        problem_at(self.nearest(path).map(|places| places.value), path, message)
    }

    /// A mistake in a key.
    pub fn problem_in_key(&self, path: &str, message: String) -> Problem {
        problem_at(self.nearest(path).map(|places| places.key), path, message)
    }

    /// The first key that stands twice in one mapping, which YAML forbids.
    pub fn first_duplicate(&self) -> Option<Problem> {
        let (path, place) = self.duplicates.first()?;
        let message = format!("this key stands here twice, first in line {}: remove one", self.line_of(path));
        Some(problem_at(Some(*place), path, message))
    }

    fn insert(&mut self, path: &str, places: Places) {
        if self.places.contains_key(path) {
            self.duplicates.push((path.to_owned(), places.key));
        } else {
            self.places.insert(path.to_owned(), places);
        }
    }

    /// The line of a path, for messages that point to it.
    pub fn line_of(&self, path: &str) -> usize {
        self.nearest(path).map_or(1, |places| places.value.line)
    }

    /// Notes that an element of a sequence was taken out.
    pub fn remove_index(&self, sequence: &str, index: usize) {
        self.removed.borrow_mut().entry(sequence.to_owned()).or_default().insert(index);
    }

    /// The index in the text of an element of a sequence from which others may have been taken out.
    pub fn original_index(&self, sequence: &str, index: usize) -> usize {
        let removed = self.removed.borrow();
        let Some(removed) = removed.get(sequence) else { return index };
        (0..).filter(|original| !removed.contains(original)).nth(index).unwrap_or(index)
    }

    /// A path below `parent`, whose own indices are those of the text already, with all indices as in the text.
    pub fn original_path(&self, parent: &str, path: &str) -> String {
        let mut original = parent.to_owned();
        let mut rest = path.strip_prefix(parent).unwrap_or(path);
        while let Some(open) = rest.find('[') {
            original.push_str(&rest[..open]);
            let (inside, after) = rest[open + 1..].split_once(']').unwrap_or((&rest[open + 1..], ""));
            let index = inside
                .parse()
                .map_or_else(|_| inside.to_owned(), |index| self.original_index(&original, index).to_string());
            original.extend(["[", &index, "]"]);
            rest = after;
        }
        original + rest
    }

    fn nearest(&self, path: &str) -> Option<Places> {
        let mut path = path;
        loop {
            if let Some(places) = self.places.get(path) {
                return Some(*places);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }
}

fn problem_at(place: Option<Place>, path: &str, message: String) -> Problem {
    Problem { line: place.map(|p| p.line), column: place.map(|p| p.column), path: path.to_owned(), message }
}

enum Open {
    Mapping { key: Option<(String, Place)> },
    Sequence { index: usize },
}

struct Reader {
    positions: Positions,
    open: Vec<(String, Open)>,
}

impl Reader {
    /// The path of the value that begins here, and where its key stands. None while a key is read.
    fn next_path(&mut self, place: Place) -> Option<(String, Place)> {
        match self.open.last_mut() {
            None => Some((String::new(), place)),
            Some((path, Open::Sequence { index })) => {
                let own = format!("{path}[{index}]");
                *index += 1;
                Some((own, place))
            }
            Some((path, Open::Mapping { key })) => {
                let (key, key_place) = key.take()?;
                let own = if path.is_empty() { key } else { format!("{path}.{key}") };
                Some((own, key_place))
            }
        }
    }

    fn open(&mut self, place: Place, open: Open) {
        // A collection as a key has no path; what is in it is not looked for.
        let path = self.next_path(place).map_or_else(
            || "?".to_owned(),
            |(path, key)| {
                self.positions.insert(&path, Places { key, value: place });
                path
            },
        );
        self.open.push((path, open));
    }

    fn close(&mut self) {
        self.open.pop();
    }

    fn scalar(&mut self, text: &str, place: Place) {
        if let Some((_, Open::Mapping { key: key @ None })) = self.open.last_mut() {
            *key = Some((text.to_owned(), place));
            return;
        }
        if let Some((path, key)) = self.next_path(place) {
            self.positions.insert(&path, Places { key, value: place });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_found_in_block_and_flow_style() {
        let text =
            "listen: x\nprobes:\n  - name: a\n    http: { url: u,\n      json: [ { field: f } ] }\n  - name: b\n";
        let positions = Positions::of(text);
        let place = |path: &str| {
            let problem = positions.problem(path, String::new());
            (problem.line.unwrap(), problem.column.unwrap())
        };
        assert_eq!(place("listen"), (1, 9));
        assert_eq!(place("probes[0].name"), (3, 11));
        assert_eq!(place("probes[0].http.json[0].field"), (5, 24));
        assert_eq!(place("probes[1].name"), (6, 11));
        assert_eq!(place("probes[1].http.url"), (6, 5), "what is not there is looked for above");
        let key = positions.problem_in_key("probes[0].http.json", String::new());
        assert_eq!((key.line, key.column), (Some(5), Some(7)));
    }

    #[test]
    fn indices_of_the_text_survive_elements_that_were_taken_out() {
        let positions = Positions::default();
        positions.remove_index("probes", 1);
        positions.remove_index("probes", 2);
        assert_eq!(positions.original_index("probes", 0), 0);
        assert_eq!(positions.original_index("probes", 1), 3);
        positions.remove_index("probes[3].http.json", 0);
        assert_eq!(positions.original_path("probes[3]", "probes[3].http.json[1].path"), "probes[3].http.json[2].path");
        assert_eq!(positions.original_path("", "host.mounts[0]"), "host.mounts[0]");
    }
}
