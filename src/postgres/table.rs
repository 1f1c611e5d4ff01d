//! What a statement gave, bounded before it is kept.

use tokio_postgres::SimpleQueryRow;

/// The most columns that an answer may have.
pub const MAX_COLUMNS: usize = 16;

/// The most bytes of one value that are kept; a value that is longer is not a number, and long enough for a label.
const MAX_CELL: usize = 1024;

/// Columns by name and rows of text, as the server writes it.
#[derive(Debug, Default)]
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
}

/// One row of a table.
#[derive(Clone, Copy)]
pub struct Row<'t> {
    columns: &'t [String],
    cells: &'t [Option<String>],
}

impl Table {
    /// Without rows so far.
    pub fn new(columns: Vec<String>) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Takes a row.
    pub fn push(&mut self, row: &SimpleQueryRow) {
        self.add((0..self.columns.len()).map(|index| row.try_get(index).ok().flatten()));
    }

    fn add<'a>(&mut self, cells: impl Iterator<Item = Option<&'a str>>) {
        self.rows.push(cells.map(|cell| cell.map(|text| beginning(text, MAX_CELL).to_owned())).collect());
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Every row.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|cells| Row { columns: &self.columns, cells })
    }

    /// The first row.
    pub fn first(&self) -> Option<Row<'_>> {
        self.rows().next()
    }

    #[cfg(test)]
    /// With these columns and rows, for tests.
    pub fn of(columns: &[&str], rows: &[&[Option<&str>]]) -> Self {
        let mut table = Self::new(columns.iter().map(ToString::to_string).collect());
        for row in rows {
            table.add(row.iter().copied());
        }
        table
    }
}

impl<'t> Row<'t> {
    /// The text of a column; none where it is NULL or there is no such column.
    pub fn text(self, column: &str) -> Option<&'t str> {
        let index = self.columns.iter().position(|known| known == column)?;
        self.at(index)
    }

    /// The text of a column by its place.
    pub fn at(self, index: usize) -> Option<&'t str> {
        self.cells.get(index)?.as_deref()
    }

    /// The number in a column.
    pub fn number(self, column: &str) -> Option<f64> {
        number(self.text(column)?)
    }

    /// The truth in a column.
    pub fn is_true(self, column: &str) -> bool {
        self.text(column) == Some("t")
    }
}

/// What a text says as a number; a truth is 1 or 0.
pub fn number(text: &str) -> Option<f64> {
    match text {
        "t" | "true" => Some(1.0),
        "f" | "false" => Some(0.0),
        // It may have been cut, and a number without its last digits is another number.
        text if text.len() >= MAX_CELL => None,
        text => text.trim().parse().ok(),
    }
}

/// At most so many bytes from the beginning of a text, in whole characters.
pub fn beginning(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_truths_are_values_and_other_texts_are_not() {
        let cases = [("12", 12.0), ("-0.5", -0.5), ("1e3", 1000.0), ("t", 1.0), ("false", 0.0)];
        for (text, value) in cases {
            assert_eq!(number(text), Some(value), "{text}");
        }
        for text in ["", "paid", "1 day", "12:00:00", "$5.00"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn a_value_is_cut_between_characters_and_then_no_number() {
        let long = "7".repeat(MAX_CELL + 1);
        let table = Table::of(&["n", "text"], &[&[Some(&long), Some(&"ü".repeat(MAX_CELL))]]);
        let row = table.first().unwrap();
        assert_eq!(row.number("n"), None);
        assert_eq!(row.text("text").unwrap().len(), MAX_CELL);
        assert_eq!(beginning("aü", 2), "a");
    }
}
