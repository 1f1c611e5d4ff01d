//! Reads the text formats of Prometheus: what another exporter answers, or what programs write for the textfile collector
//! of `node_exporter`. Both 0.0.4 and OpenMetrics 1.0, also with names in quotes, as Prometheus 3 writes those that are not
//! ASCII.
//!
//! Nothing is copied but what has escapes in it, and nothing is kept: whoever reads decides what to do with each line. What
//! only a whole text can have wrong (a family in two places, a series twice) is not looked for.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// Which of the two formats a text is in. They differ in the unit of timestamps, in exemplars and in the end mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `text/plain; version=0.0.4`: timestamps in milliseconds.
    Prometheus,
    /// `application/openmetrics-text`: timestamps in seconds, exemplars, `# EOF` at the end.
    OpenMetrics,
}

impl Dialect {
    /// That of a text which comes without a `Content-Type`: OpenMetrics is what ends in `# EOF`.
    pub fn of(text: &[u8]) -> Self {
        let last = text.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        if last == b"# EOF" { Self::OpenMetrics } else { Self::Prometheus }
    }
}

/// How much of a text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Samples in the whole text.
    pub samples: usize,
    /// Bytes in one line.
    pub line: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { samples: 100_000, line: 64 << 10 }
    }
}

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
pub enum Item<'a> {
    /// `# HELP name text`
    Help {
        /// The family.
        name: Cow<'a, str>,
        /// What it measures.
        text: Cow<'a, str>,
    },
    /// `# TYPE name type`
    Type {
        /// The family; that of a counter ends in `_total` in 0.0.4 and does not in OpenMetrics.
        name: Cow<'a, str>,
        /// How its values behave.
        metric_type: MetricType,
    },
    /// `# UNIT name unit`, only in OpenMetrics.
    Unit {
        /// The family.
        name: Cow<'a, str>,
        /// Its unit.
        unit: &'a str,
    },
    /// A value.
    Sample(Sample<'a>),
}

/// How the values of a family behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricType {
    /// Only goes up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets, a sum and a count.
    Histogram,
    /// Quantiles, a sum and a count.
    Summary,
    /// Nobody says: `untyped` in 0.0.4, `unknown` in OpenMetrics.
    Unknown,
    /// A histogram of what is now, only in OpenMetrics.
    GaugeHistogram,
    /// One 0/1 for each state, only in OpenMetrics.
    StateSet,
    /// Labels around a constant, only in OpenMetrics.
    Info,
}

impl FromStr for MetricType {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        Ok(match word {
            "counter" => Self::Counter,
            "gauge" => Self::Gauge,
            "histogram" => Self::Histogram,
            "summary" => Self::Summary,
            "untyped" | "unknown" => Self::Unknown,
            "gaugehistogram" => Self::GaugeHistogram,
            "stateset" => Self::StateSet,
            "info" => Self::Info,
            _ => return Err(()),
        })
    }
}

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample<'a> {
    /// Its name as it is written, with `_total`, `_bucket` and the like.
    pub name: Cow<'a, str>,
    /// Its labels.
    pub labels: LabelText<'a>,
    /// Its value, which may be infinite or no number.
    pub value: f64,
    /// When it was taken, in seconds since the Unix epoch, where it says so.
    pub timestamp: Option<f64>,
}

/// The labels of a sample, read but not taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LabelText<'a>(&'a str);

impl<'a> LabelText<'a> {
    /// As they are written between the braces.
    pub fn text(self) -> &'a str {
        self.0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Name and value of each, in the order in which they are written.
    pub fn iter(self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            rest = skip_blanks(rest);
            // They were read once before, so that there is nothing left to go wrong.
            let (name, after) = label_name(rest).ok()?;
            let (value, after) = label_value(after).ok()?;
            let after = skip_blanks(after);
            rest = after.strip_prefix(',').unwrap_or(after);
            Some((name, value))
        })
    }

    /// The value of the label with this name.
    pub fn get(self, name: &str) -> Option<Cow<'a, str>> {
        self.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
    /// Whether a bound was exceeded; otherwise it is not the format.
    pub is_limit: bool,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for Mistake {}

/// Reads a text line by line. After a line that is wrong it goes on with the next; after a bound that was exceeded it ends.
pub fn read(text: &[u8], dialect: Dialect, limits: Limits) -> Reader<'_> {
    Reader { rest: text, dialect, limits, line: 0, samples: 0, end: End::NotYet }
}

/// The lines of a text that say something.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
    dialect: Dialect,
    limits: Limits,
    line: usize,
    samples: usize,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    NotYet,
    Marked,
    Told,
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<Item<'a>, Mistake>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.end != End::Told && !self.rest.is_empty() {
            self.line += 1;
            let line = self.next_line();
            if line.len() > self.limits.line {
                return Some(Err(self.beyond(format!("more than {} bytes", self.limits.line))));
            }
            if self.end == End::Marked {
                if line.trim_ascii().is_empty() {
                    continue;
                }
                self.end = End::Told;
                return Some(Err(self.mistake("something stands after # EOF".into())));
            }
            let Ok(line) = std::str::from_utf8(line) else {
                return Some(Err(self.mistake("not UTF-8".into())));
            };
            let read = match self.read_line(line) {
                Ok(Some(item)) => item,
                Ok(None) => continue,
                Err(what) => return Some(Err(self.mistake(what))),
            };
            if let Item::Sample(_) = read {
                self.samples += 1;
                if self.samples > self.limits.samples {
                    return Some(Err(self.beyond(format!("more than {} samples", self.limits.samples))));
                }
            }
            return Some(Ok(read));
        }
        if self.dialect == Dialect::OpenMetrics && self.end == End::NotYet {
            self.end = End::Told;
            return Some(Err(self.mistake("the text ends without # EOF, so some of it may be missing".into())));
        }
        None
    }
}

impl std::iter::FusedIterator for Reader<'_> {}

impl<'a> Reader<'a> {
    fn next_line(&mut self) -> &'a [u8] {
        let end = memchr::memchr(b'\n', self.rest).unwrap_or(self.rest.len());
        let (line, after) = self.rest.split_at(end);
        self.rest = after.get(1..).unwrap_or_default();
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    fn mistake(&self, what: String) -> Mistake {
        Mistake { line: self.line.max(1), what, is_limit: false }
    }

    fn beyond(&mut self, what: String) -> Mistake {
        self.end = End::Told;
        Mistake { line: self.line, what, is_limit: true }
    }

    fn read_line(&mut self, line: &'a str) -> Result<Option<Item<'a>>, String> {
        let line = skip_blanks(line);
        if line.is_empty() {
            return Ok(None);
        }
        let Some(comment) = line.strip_prefix('#') else {
            return sample(line, self.dialect).map(|sample| Some(Item::Sample(sample)));
        };
        if self.dialect == Dialect::OpenMetrics && comment.trim_end() == " EOF" {
            self.end = End::Marked;
            return Ok(None);
        }
        description(comment)
    }
}

/// What stands behind `#`: a description of a family, or a comment.
fn description(comment: &str) -> Result<Option<Item<'_>>, String> {
    let (word, rest) = token(skip_blanks(comment));
    if !matches!(word, "HELP" | "TYPE" | "UNIT") {
        return Ok(None);
    }
    let rest = skip_blanks(rest);
    let (name, rest) = match rest.strip_prefix('"') {
        Some(quoted) => inside_quotes(quoted).map(|(name, rest)| (unescape(name), rest))?,
        None => split_name(rest, true).map(|(name, rest)| (Cow::Borrowed(name), rest))?,
    };
    let rest = skip_blanks(rest);
    Ok(Some(match word {
        "HELP" => Item::Help { name, text: unescape(rest) },
        "UNIT" => Item::Unit { name, unit: rest.trim_end() },
        _ => {
            let unknown = |()| format!("{} is no type of metrics", excerpt(rest));
            Item::Type { name, metric_type: rest.trim_end().parse().map_err(unknown)? }
        }
    }))
}

fn sample(line: &str, dialect: Dialect) -> Result<Sample<'_>, String> {
    let (mut name, mut rest) = if line.starts_with('{') {
        (None, line)
    } else {
        split_name(line, true).map(|(name, rest)| (Some(Cow::Borrowed(name)), skip_blanks(rest)))?
    };
    let mut labels = LabelText::default();
    if let Some(inside) = rest.strip_prefix('{') {
        let inside = skip_blanks(inside);
        let inside = match name {
            Some(_) => inside,
            None => name_in_braces(inside).map(|(quoted, after)| {
                name = Some(quoted);
                after
            })?,
        };
        (labels, rest) = label_text(inside)?;
    }
    let Some(name) = name else { return Err(format!("{} has no name", excerpt(line))) };
    let (word, rest) = token(skip_blanks(rest));
    let value = number(word).ok_or_else(|| match word {
        "" => format!("{} has no value", excerpt(&name)),
        _ => format!("{} of {} is not a number", excerpt(word), excerpt(&name)),
    })?;
    let (timestamp, rest) = timestamp(skip_blanks(rest), dialect)?;
    let exemplar = dialect == Dialect::OpenMetrics && rest.starts_with("# {");
    if !rest.is_empty() && !exemplar {
        return Err(format!("{} stands behind the sample", excerpt(rest)));
    }
    Ok(Sample { name, labels, value, timestamp })
}

fn timestamp(rest: &str, dialect: Dialect) -> Result<(Option<f64>, &str), String> {
    if rest.is_empty() || rest.starts_with('#') {
        return Ok((None, rest));
    }
    let (word, rest) = token(rest);
    let seconds = match dialect {
        Dialect::Prometheus => word.parse::<i64>().ok().map(|millis| millis as f64 / 1000.0),
        Dialect::OpenMetrics => number(word).filter(|seconds| seconds.is_finite()),
    };
    match seconds {
        Some(seconds) => Ok((Some(seconds), skip_blanks(rest))),
        None => Err(format!("{} is not a timestamp", excerpt(word))),
    }
}

/// `{"a name", …`: as Prometheus 3 writes a name that is not made of ASCII letters, digits, `_` and `:`.
fn name_in_braces(inside: &str) -> Result<(Cow<'_, str>, &str), String> {
    let quoted = inside.strip_prefix('"').ok_or_else(|| "a sample has no name".to_owned())?;
    let (name, rest) = inside_quotes(quoted)?;
    let rest = skip_blanks(rest);
    match rest.strip_prefix(',') {
        Some(rest) => Ok((unescape(name), rest)),
        None if rest.starts_with('}') => Ok((unescape(name), rest)),
        None => Err(format!("{} stands where a ',' or '}}' should", excerpt(rest))),
    }
}

/// Reads labels up to the closing brace, and gives what follows it.
fn label_text(inside: &str) -> Result<(LabelText<'_>, &str), String> {
    let inside = skip_blanks(inside);
    let mut rest = inside;
    loop {
        rest = skip_blanks(rest);
        if let Some(after) = rest.strip_prefix('}') {
            let text = inside[..inside.len() - rest.len()].trim_end_matches(BLANKS);
            return Ok((LabelText(text), after));
        }
        let (_, after) = label_name(rest)?;
        let (_, after) = label_value(after)?;
        rest = skip_blanks(after);
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None if rest.starts_with('}') => {}
            None => return Err(format!("{} stands where a ',' or '}}' should", excerpt(rest))),
        }
    }
}

/// `name=` or `"name"=`.
fn label_name(rest: &str) -> Result<(Cow<'_, str>, &str), String> {
    let (name, rest) = match rest.strip_prefix('"') {
        Some(quoted) => inside_quotes(quoted).map(|(name, rest)| (unescape(name), rest))?,
        None => split_name(rest, false).map(|(name, rest)| (Cow::Borrowed(name), rest))?,
    };
    match skip_blanks(rest).strip_prefix('=') {
        Some(rest) => Ok((name, rest)),
        None => Err(format!("the label {} has no '='", excerpt(&name))),
    }
}

fn label_value(rest: &str) -> Result<(Cow<'_, str>, &str), String> {
    let rest = skip_blanks(rest);
    let quoted = rest.strip_prefix('"').ok_or_else(|| format!("{} is not in quotes", excerpt(rest)))?;
    inside_quotes(quoted).map(|(value, rest)| (unescape(value), rest))
}

/// The name at the beginning; colons only stand in names of metrics.
fn split_name(rest: &str, colons: bool) -> Result<(&str, &str), String> {
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || (colons && *byte == b':');
    let end = rest.as_bytes().iter().position(|byte| !legal(byte)).unwrap_or(rest.len());
    if end == 0 || rest.as_bytes()[0].is_ascii_digit() {
        let what = if colons { "a metric" } else { "a label" };
        return Err(format!("{} is not the name of {what}", excerpt(rest)));
    }
    Ok(rest.split_at(end))
}

/// What stands before the closing quote, still escaped, and what after it.
fn inside_quotes(rest: &str) -> Result<(&str, &str), String> {
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'"', b'\\', rest.as_bytes().get(at..).unwrap_or_default()) {
        at += found;
        if rest.as_bytes()[at] == b'"' {
            return Ok((&rest[..at], &rest[at + 1..]));
        }
        // Whatever is escaped, it does not close; a character of several bytes has no quote in it.
        at += 2;
    }
    Err(format!("{} has no closing quote", excerpt(rest)))
}

/// Resolves `\\`, `\"` and `\n`; anything else behind a backslash is kept with it, as Prometheus does.
fn unescape(text: &str) -> Cow<'_, str> {
    if memchr::memchr(b'\\', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => plain.push('\n'),
            Some(escaped @ ('\\' | '"')) => plain.push(escaped),
            Some(other) => plain.extend(['\\', other]),
            None => plain.push('\\'),
        }
    }
    Cow::Owned(plain)
}

fn number(word: &str) -> Option<f64> {
    // Rust reads more than the format has: `infinity`, `nan` in any case. Go does as well, and with it Prometheus.
    word.parse().ok()
}

const BLANKS: [char; 2] = [' ', '\t'];

fn skip_blanks(text: &str) -> &str {
    text.trim_start_matches(BLANKS)
}

/// Up to the next blank.
fn token(text: &str) -> (&str, &str) {
    text.split_at(text.find(BLANKS).unwrap_or(text.len()))
}

/// How much of a text is shown in a message.
const SHOWN: usize = 40;

fn excerpt(text: &str) -> String {
    let short: String = text.chars().take(SHOWN).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("{short:?}{more}")
}

#[cfg(test)]
mod tests;
