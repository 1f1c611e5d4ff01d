//! Label sets rendered once, so that a scrape copies text instead of building it.

use std::fmt::Write as _;

/// A label set, already rendered as it stands between the braces of a sample.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels {
    /// `a="x",b="y"`
    text: Box<str>,
    /// Where `="` of the last label begins in `text`.
    last_key_end: usize,
    /// The last label's value, not escaped.
    last_value: Box<str>,
}

impl Labels {
    /// Renders label pairs; values are escaped as the exposition formats demand.
    pub fn render(pairs: &[(&str, &str)]) -> Self {
        let mut text = String::new();
        let mut last_key_end = 0;
        for (index, (key, value)) in pairs.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            text.push_str(key);
            last_key_end = text.len();
            text.push_str("=\"");
            for character in value.chars() {
                match character {
                    '\\' => text.push_str("\\\\"),
                    '"' => text.push_str("\\\""),
                    '\n' => text.push_str("\\n"),
                    other => {
                        // Writing to a String cannot fail.
                        let _ = text.write_char(other);
                    }
                }
            }
            text.push('"');
        }
        let last_value = pairs.last().map_or("", |(_, value)| value);
        Self { text: text.into(), last_key_end, last_value: last_value.into() }
    }

    /// The whole set: `a="x",b="y"`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Everything up to the last label's key: `a="x",b`.
    pub fn until_last_value(&self) -> &str {
        &self.text[..self.last_key_end]
    }

    /// The last label's value as it was given.
    pub fn last_value(&self) -> &str {
        &self.last_value
    }

    /// Whether there is no label at all.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_and_the_last_one_is_kept_raw() {
        let labels = Labels::render(&[("a", "x\"y"), ("b", "line\nback\\slash")]);
        assert_eq!(labels.text(), r#"a="x\"y",b="line\nback\\slash""#);
        assert_eq!(labels.until_last_value(), r#"a="x\"y",b"#);
        assert_eq!(labels.last_value(), "line\nback\\slash");
        assert!(Labels::render(&[]).is_empty());
    }
}
