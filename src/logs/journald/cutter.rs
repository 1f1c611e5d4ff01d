//! Cuts what `journalctl` writes into lines, none of which may be without end.

/// A longer line is not read; of its record only the cursor is looked for.
const MAX_JSON: usize = 4 << 20;

/// More than a cursor and its name are long: what is kept of a line that is not read.
const KEPT: usize = 1 << 10;

/// How a record says its cursor. Inside of a string the quotes would be escaped.
const CURSOR: &[u8] = br#""__CURSOR":""#;

/// What was cut off.
#[derive(Debug, PartialEq)]
pub enum Cut {
    /// A line, without its end.
    Line(Vec<u8>),
    /// A line that was too long, with the cursor of its record if it was found.
    Long(Option<String>),
}

/// Cuts bytes into lines.
#[derive(Debug, Default)]
pub struct Cutter {
    /// What came; complete lines are before `done`.
    buffer: Vec<u8>,
    done: usize,
    /// How far the line that has begun was searched for its end.
    searched: usize,
    /// Whether the line that has begun is too long.
    is_long: bool,
    /// The cursor of such a line, as soon as it is known.
    cursor: Option<String>,
}

impl Cutter {
    /// Where what comes is put.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        self.buffer.drain(..self.done);
        self.searched -= self.done;
        self.done = 0;
        &mut self.buffer
    }

    /// The next complete line.
    pub fn next(&mut self) -> Option<Cut> {
        let begin = self.done;
        let end = memchr::memchr(b'\n', &self.buffer[self.searched..]).map(|at| self.searched + at);
        let line = &self.buffer[begin..end.unwrap_or(self.buffer.len())];
        self.is_long |= line.len() > MAX_JSON;
        if self.is_long && self.cursor.is_none() {
            self.cursor = find_cursor(line);
        }
        let Some(end) = end else {
            if self.is_long && line.len() > KEPT {
                self.done = self.buffer.len() - KEPT;
            }
            self.searched = self.buffer.len();
            return None;
        };
        let cut = if self.is_long { Cut::Long(self.cursor.take()) } else { Cut::Line(line.to_vec()) };
        self.is_long = false;
        (self.done, self.searched) = (end + 1, end + 1);
        Some(cut)
    }
}

fn find_cursor(line: &[u8]) -> Option<String> {
    let begin = memchr::memmem::find(line, CURSOR)? + CURSOR.len();
    let length = memchr::memchr(b'"', &line[begin..])?;
    String::from_utf8(line[begin..begin + length].to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is cut off when the text comes in pieces of this length.
    fn cuts(text: &[u8], piece: usize) -> Vec<Cut> {
        let mut cutter = Cutter::default();
        let mut cuts = Vec::new();
        for piece in text.chunks(piece) {
            cutter.buffer().extend_from_slice(piece);
            cuts.extend(std::iter::from_fn(|| cutter.next()));
            assert!(cutter.buffer.len() <= MAX_JSON + 2 * piece.len());
        }
        cuts
    }

    #[test]
    fn lines_are_cut_wherever_they_come_apart() {
        let lines = [&b"one"[..], b"", b"three"].map(|line| Cut::Line(line.to_vec()));
        for piece in 1..12 {
            assert_eq!(cuts(b"one\n\nthree\nbegun", piece), lines, "{piece}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_not_kept_but_its_cursor_is_found() {
        let long = "x".repeat(MAX_JSON);
        let records = [
            format!(r#"{{"__CURSOR":"s=1;i=2","MESSAGE":"\"__CURSOR\":\"no\" {long}"}}"#),
            format!(r#"{{"MESSAGE":"\"__CURSOR\":\"no\" {long}","__CURSOR":"s=1;i=2"}}"#),
            format!(r#"{{"MESSAGE":"{long}","__CURSOR":"s=1;i=2","OTHER":"{long}"}}"#),
        ];
        for record in records {
            for piece in [4096, 65_537, 3 * MAX_JSON] {
                let text = format!("before\n{record}\nafter\n");
                let wanted =
                    [Cut::Line(b"before".to_vec()), Cut::Long(Some("s=1;i=2".into())), Cut::Line(b"after".to_vec())];
                assert!(cuts(text.as_bytes(), piece) == wanted, "{piece} {}", &record[..40]);
            }
        }
        let text = format!("{long}{long}\nafter\n");
        assert!(cuts(text.as_bytes(), 65_536) == [Cut::Long(None), Cut::Line(b"after".to_vec())]);
    }
}
