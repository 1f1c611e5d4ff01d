//! Label sets rendered once, so that a scrape copies text instead of building it.

/// A label set, already rendered as it stands between the braces of a sample.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels {
    /// `a="x",b="y",`: with a comma at the end, for the labels that follow.
    text: Box<str>,
}

impl Labels {
    /// Renders label pairs; values are escaped as the exposition formats demand.
    pub fn render(pairs: &[(&str, &str)]) -> Self {
        let mut text = String::new();
        for (key, value) in pairs {
            text.push_str(key);
            text.push_str("=\"");
            for character in value.chars() {
                match character {
                    '\\' => text.push_str("\\\\"),
                    '"' => text.push_str("\\\""),
                    '\n' => text.push_str("\\n"),
                    other => text.push(other),
                }
            }
            text.push_str("\",");
        }
        Self { text: text.into() }
    }

    /// The set as it stands between braces: `a="x",b="y"`.
    pub fn text(&self) -> &str {
        self.text.strip_suffix(',').unwrap_or(&self.text)
    }

    /// The set as it stands in front of other labels: `a="x",b="y",`.
    pub fn text_before_others(&self) -> &str {
        &self.text
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
    fn values_are_escaped_and_other_labels_can_follow() {
        let labels = Labels::render(&[("a", "x\"y"), ("b", "line\nback\\slash")]);
        assert_eq!(labels.text(), r#"a="x\"y",b="line\nback\\slash""#);
        assert_eq!(labels.text_before_others(), r#"a="x\"y",b="line\nback\\slash","#);
        assert!(Labels::render(&[]).is_empty());
        assert_eq!(Labels::render(&[]).text(), "");
    }
}
