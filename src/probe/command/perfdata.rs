//! The output of a Nagios plugin: text, and after `|` performance data `'label'=value[UOM];warn;crit;min;max`.
//!
//! After the guidelines for the development of monitoring plugins, and as forgiving as real plugins need: a bound that
//! cannot be read is left out, an unknown unit leaves the number as it is. The value itself must be one.

use std::borrow::Cow;

/// One value with what the plugin holds it against, in base units.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Datum<'a> {
    pub(super) label: Cow<'a, str>,
    /// None where the plugin could not find it out, which it writes as `U`.
    pub(super) value: Option<f64>,
    pub(super) warning: Option<Range>,
    pub(super) critical: Option<Range>,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
}

/// The range in which a value is good, or with `@` that in which it is bad.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Range {
    /// Where it begins; none without a lower end. Where nothing is written it is 0, and not told.
    pub(super) lower: Option<f64>,
    pub(super) upper: Option<f64>,
}

/// What is wrong with performance data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) String);

/// Everything that stands behind a `|`: the rest of the first line, and all that follows the first `|` of the further lines.
pub(super) fn read(output: &str) -> Result<Vec<Datum<'_>>, Unreadable> {
    let (first, further) = output.split_once('\n').unwrap_or((output, ""));
    let parts = [first, further].into_iter().filter_map(|part| part.split_once('|').map(|(_, data)| data));
    let mut read = Vec::new();
    for part in parts {
        let mut rest = part.trim_start();
        while !rest.is_empty() {
            let (datum, after) = datum(rest)?;
            read.push(datum);
            rest = after.trim_start();
        }
    }
    Ok(read)
}

fn datum(rest: &str) -> Result<(Datum<'_>, &str), Unreadable> {
    let (label, rest) = label(rest)?;
    let (text, after) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
    let mut fields = text.split(';');
    let written = fields.next().unwrap_or_default();
    let wrong = || Unreadable(format!("{} of {} is not a number", excerpt(written), excerpt(&label)));
    let (number, unit) = match written {
        "" | "U" => (None, Unit::ONE),
        _ => number(written).map(|(number, unit)| (Some(number), Unit::of(unit))).ok_or_else(wrong)?,
    };
    let mut range = || fields.next().and_then(|text| Range::read(text, unit));
    let (warning, critical) = (range(), range());
    let mut end = || fields.next().and_then(plain).map(|value| unit.to_base(value));
    let (min, max) = (end(), end());
    Ok((Datum { label, value: number.map(|value| unit.to_base(value)), warning, critical, min, max }, after))
}

/// Up to `=`; in single quotes where it has blanks, quotes (doubled) or `=` in it.
fn label(rest: &str) -> Result<(Cow<'_, str>, &str), Unreadable> {
    let no_value = |label: &str| Unreadable(format!("{} has no value: '=' is missing", excerpt(label)));
    let Some(quoted) = rest.strip_prefix('\'') else {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let (label, after) = rest.split_at(end);
        return match after.strip_prefix('=') {
            Some(_) if label.is_empty() => Err(Unreadable(format!("{} has no label", excerpt(rest)))),
            Some(after) => Ok((Cow::Borrowed(label), after)),
            None => Err(no_value(label)),
        };
    };
    let mut at = 0;
    while let Some(quote) = quoted[at..].find('\'').map(|found| at + found) {
        if quoted[quote + 1..].starts_with('\'') {
            at = quote + 2;
            continue;
        }
        let label = &quoted[..quote];
        let after = quoted[quote + 1..].strip_prefix('=').ok_or_else(|| no_value(label))?;
        let label = if label.contains("''") { Cow::Owned(label.replace("''", "'")) } else { Cow::Borrowed(label) };
        return if label.is_empty() { Err(Unreadable("a label is empty".into())) } else { Ok((label, after)) };
    }
    Err(Unreadable(format!("{} has no closing quote", excerpt(rest))))
}

/// Divides a number from its unit.
fn number(text: &str) -> Option<(f64, &str)> {
    let digits =
        |from: usize| text[from..].find(|c: char| !(c.is_ascii_digit() || c == '.')).map_or(text.len(), |n| from + n);
    let mut end = digits(usize::from(text.starts_with(['-', '+'])));
    if text[end..].starts_with(['e', 'E']) {
        let sign = end + 1 + usize::from(text[end + 1..].starts_with(['-', '+']));
        let exponent = digits(sign);
        if exponent > sign {
            end = exponent;
        }
    }
    let number: f64 = text[..end].parse().ok()?;
    number.is_finite().then_some((number, &text[end..]))
}

fn plain(text: &str) -> Option<f64> {
    number(text).filter(|(_, unit)| unit.is_empty()).map(|(number, _)| number)
}

/// A unit: by what its numbers are multiplied, and divided.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Unit(f64, f64);

impl Unit {
    const ONE: Self = Self(1.0, 1.0);

    fn of(word: &str) -> Self {
        let multiplied = |by: f64| Self(by, 1.0);
        match word {
            "ms" => Self(1.0, 1e3),
            "us" | "µs" => Self(1.0, 1e6),
            "ns" => Self(1.0, 1e9),
            "%" => Self(1.0, 1e2),
            "KB" | "kB" => multiplied(1e3),
            "MB" => multiplied(1e6),
            "GB" => multiplied(1e9),
            "TB" => multiplied(1e12),
            "PB" => multiplied(1e15),
            "KiB" => multiplied(1024.0),
            "MiB" => multiplied(1_048_576.0),
            "GiB" => multiplied(1_073_741_824.0),
            "TiB" => multiplied(1_099_511_627_776.0),
            "PiB" => multiplied(1_125_899_906_842_624.0),
            // Seconds, bytes, counters, and what we do not know.
            _ => Self::ONE,
        }
    }

    fn to_base(self, value: f64) -> f64 {
        value * self.0 / self.1
    }
}

impl Range {
    /// `20`, `10:`, `~:20`, `10:20`, `@10:20`.
    fn read(text: &str, unit: Unit) -> Option<Self> {
        let text = text.strip_prefix('@').unwrap_or(text);
        let end = |text: &str| plain(text).map(|value| unit.to_base(value));
        let (lower, upper) = text.split_once(':').map_or((None, text), |(lower, upper)| (Some(lower), upper));
        let lower = match lower {
            None | Some("" | "~") => None,
            Some(lower) => Some(end(lower)?),
        };
        let upper = if upper.is_empty() { None } else { Some(end(upper)?) };
        (lower.is_some() || upper.is_some()).then_some(Self { lower, upper })
    }
}

/// How much of a text is shown in a message.
const SHOWN: usize = 40;

fn excerpt(text: &str) -> String {
    let short: String = text.chars().take(SHOWN).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("{short:?}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `label=value`, with `w:`, `c:` and `m:` for what it is held against.
    fn check(output: &str, expected: &[&str]) {
        let read = read(output).unwrap_or_else(|wrong| panic!("{output}: {}", wrong.0));
        let show = |end: Option<f64>| end.map_or(String::new(), |end| end.to_string());
        let range = |name: &str, range: Option<Range>| {
            range.map_or(String::new(), |range| format!(" {name}:{}..{}", show(range.lower), show(range.upper)))
        };
        let found: Vec<_> = read
            .iter()
            .map(|datum| {
                let m = if datum.min.or(datum.max).is_some() {
                    format!(" m:{}..{}", show(datum.min), show(datum.max))
                } else {
                    String::new()
                };
                format!(
                    "{}={}{}{}{m}",
                    datum.label,
                    show(datum.value),
                    range("w", datum.warning),
                    range("c", datum.critical)
                )
            })
            .collect();
        assert_eq!(found, expected, "{output}");
    }

    #[test]
    fn what_real_plugins_print_is_read() {
        check(
            "LOAD OK - total load average: 1.47, 0.91|load1=1.470;100.000;200.000;0; load5=0.910;100.000;200.000;0; \n",
            &["load1=1.47 w:..100 c:..200 m:0..", "load5=0.91 w:..100 c:..200 m:0.."],
        );
        check(
            "DISK OK - free space: / 54597MiB (58% inode=97%);| /=40322990080B;267847005634;270552530944;0;270552530944\n",
            &["/=40322990080 w:..267847005634 c:..270552530944 m:0..270552530944"],
        );
        check("PROCS OK: 88 processes | procs=88;1:10000;;0;\n", &["procs=88 w:1..10000 m:0.."]);
        check(
            "PING OK - rta = 0.05 ms|rta=0.057000ms;3000.0;5000.0;0.0 pl=7%;80;100;0\n",
            &["rta=0.000057 w:..3 c:..5 m:0..", "pl=0.07 w:..0.8 c:..1 m:0.."],
        );
        check("no performance data\n", &[]);
        check("", &[]);
    }

    #[test]
    fn data_may_stand_on_several_lines_with_long_text_between() {
        check("OK | a=1 \nlong text\nmore | b=2\nc=3\n\nd=4", &["a=1", "b=2", "c=3", "d=4"]);
        check("OK\nlong | b=2\n'c c'=3", &["b=2", "c c=3"]);
        check("OK |\n", &[]);
    }

    #[test]
    fn labels_units_and_ranges_are_read_in_every_form() {
        check("|'it''s a = b'=1 '|'=2 a=3 é=4", &["it's a = b=1", "|=2", "a=3", "é=4"]);
        let units = [
            "1s=1",
            "5us=0.000005",
            "5ns=0.000000005",
            "7%=0.07",
            "2B=2",
            "2KB=2000",
            "2MB=2000000",
            "1.5GB=1500000000",
            "1TB=1000000000000",
            "2KiB=2048",
            "9c=9",
            "21C=21",
            "-1.5=-1.5",
            "1e+06=1000000",
            "1E3s=1000",
            "+2=2",
            ".5=0.5",
            "2eggs=2",
            "U=",
            "=",
        ];
        for case in units {
            let (written, value) = case.split_once('=').unwrap();
            check(&format!("|x={written}"), &[&format!("x={value}")]);
        }
        let ranges = [
            ("10", "..10"),
            ("10:", "10.."),
            ("~:10", "..10"),
            ("10:20", "10..20"),
            ("@10:20", "10..20"),
            ("-5:-1", "-5..-1"),
            (":7", "..7"),
        ];
        for (written, range) in ranges {
            check(&format!("|x=1;{written};{written}"), &[&format!("x=1 w:{range} c:{range}")]);
        }
        for nothing in ["", "~:", ":", "@", "n/a", "80%", "1:x"] {
            check(&format!("|x=1;{nothing};5"), &["x=1 c:..5"]);
        }
        check("|x=1;;;;;;", &["x=1"]);
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let wrong = [
            ("|time taken=3s", "\"time\" has no value"),
            ("|a=1 b", "\"b\" has no value"),
            ("|a=fast", "\"fast\" of \"a\" is not a number"),
            ("|a=0,5", "|a number with a comma is no unit"),
            ("|a=-", "\"-\" of \"a\""),
            ("|a=1e999", "not a number"),
            ("|'a b=1", "no closing quote"),
            ("|'a'1", "'=' is missing"),
            ("|''=1", "label is empty"),
            ("|=1", "has no label"),
        ];
        for (output, words) in wrong {
            match read(output) {
                Err(found) => assert!(found.0.contains(words), "{output}: {}", found.0),
                Ok(read) => assert!(words.starts_with('|'), "{output}: {read:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(output in "([ -~é\t\n]|[|=;:@~'.eE+-]|[0-9]){0,60}") {
            let _ = read(&output);
        }

        #[test]
        fn what_is_written_is_read_again(label in "[ -~é番]{1,20}", value in -1e12..1e12_f64) {
            let output = format!("OK | '{}'={value};1:2;~:3", label.replace('\'', "''"));
            let read = read(&output).unwrap();
            prop_assert_eq!(read.len(), 1);
            prop_assert_eq!((read[0].label.as_ref(), read[0].value), (label.as_str(), Some(value)));
        }
    }
}
