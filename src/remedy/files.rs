//! What the actions on files share: where they may be at work at all, blocking work that ends when nobody waits for it,
//! and the choice of files to remove.

mod bench;
mod root;
pub mod sweep;

pub use bench::Bench;
pub use root::{Allows, check_root, check_timeout, owner};

use super::action::Setback;
use crate::machine::confined::Trouble;

impl From<Trouble> for Setback {
    fn from(trouble: Trouble) -> Self {
        if trouble.is_forbidden() {
            Setback::Refused(trouble.to_string())
        } else {
            Setback::Failed(trouble.to_string())
        }
    }
}

/// A number of bytes for people: `340.1 MiB`.
pub fn show_size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

/// `1 file`, `2 files`.
pub fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// So many lines a rehearsal has at most.
pub const MAX_LINES: usize = 50;

/// Lines for people, of which only the first are told.
pub fn first_lines(lines: impl ExactSizeIterator<Item = String>) -> Vec<String> {
    let more = lines.len().saturating_sub(MAX_LINES);
    let mut kept: Vec<_> = lines.take(MAX_LINES).collect();
    if more > 0 {
        kept.push(format!("… and {more} more"));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_numbers_are_said_as_people_say_them() {
        for (bytes, shown) in
            [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (356_620_697, "340.1 MiB"), (1 << 50, "1024.0 TiB")]
        {
            assert_eq!(show_size(bytes), shown);
        }
        assert_eq!((count(1, "file"), count(0, "file")), ("1 file".into(), "0 files".into()));
        assert_eq!(first_lines((0..60).map(|n| n.to_string())).last().unwrap(), "… and 10 more");
    }
}
