//! Turns what a program prints into readings: labels are bounded, and no label has a name of the program's choice.

use super::perfdata::{self, Datum, Range};
use crate::exposition::{Dialect, Item, Limits, Mistake, Sample, read};
use crate::observation::{Family, Labels, Readings, Reason, Scope};
use crate::values::Redactor;
use std::collections::HashSet;
use std::sync::Arc;

pub(super) static VALUE: Family = Family::gauge(
    "banken_command_value",
    Scope::Probe,
    &["value"],
    "A value of the performance data of a Nagios plugin, in seconds, bytes, as a ratio, or as it is written",
);

pub(super) static BOUND: Family = Family::gauge(
    "banken_command_value_bound",
    Scope::Probe,
    &["value", "bound"],
    "What a Nagios plugin holds a value against, in its unit: warning_lower, warning_upper, critical_lower, critical_upper, \
     min, max",
);

pub(super) static METRIC: Family = Family::gauge(
    "banken_command_metric",
    Scope::Probe,
    &["name", "labels"],
    "A sample that the program prints in the text format of Prometheus, by its name and its labels as a text",
);

/// More series than this are not published for one program.
pub(super) const MAX_SERIES: usize = 1000;

/// The longest label value of a name.
const MAX_NAME: usize = 128;

/// The longest label value that holds the labels of a sample.
const MAX_LABELS: usize = 512;

/// What is shorter may be a part of an ordinary word, which would then be missing from names.
const SHORTEST_SECRET: usize = 8;

/// Why output is not published.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unusable {
    pub(super) reason: Reason,
    /// What is wrong, perhaps with a part of the output.
    pub(super) detail: String,
    /// The same without any of it.
    pub(super) bare: String,
}

impl Unusable {
    fn unreadable(place: &str, what: &str) -> Self {
        let bare = format!("{place} cannot be read");
        Self { reason: Reason::Protocol, detail: format!("{bare}: {what}"), bare }
    }

    fn beyond(what: String) -> Self {
        Self { reason: Reason::Limit, detail: what.clone(), bare: what }
    }
}

/// Publishes what one program prints.
pub(super) struct Publisher {
    redactor: Redactor,
}

impl Publisher {
    /// These never become a label.
    pub(super) fn hiding(mut secrets: Vec<String>) -> Self {
        secrets.retain(|secret| secret.len() >= SHORTEST_SECRET);
        Self { redactor: Redactor::hiding(secrets) }
    }

    /// Publishes the performance data of a plugin's output.
    pub(super) fn perfdata(&self, output: &str, out: &mut Readings) -> Result<(), Unusable> {
        let data = perfdata::read(output).map_err(|wrong| Unusable::unreadable("the performance data", &wrong.0))?;
        let mut room = Room::default();
        for datum in &data {
            let label = self.label(&datum.label, MAX_NAME, "the label of a value")?;
            if let Some(value) = datum.value {
                room.take()?;
                out.set_with(&VALUE, &Arc::new(Labels::render(&[("value", &label)])), value);
            }
            for (bound, end) in bounds(datum) {
                room.take()?;
                out.set_with(&BOUND, &Arc::new(Labels::render(&[("value", &label), ("bound", bound)])), end);
            }
        }
        Ok(())
    }

    /// Publishes the samples of a text of Prometheus.
    pub(super) fn textfile(&self, text: &[u8], out: &mut Readings) -> Result<(), Unusable> {
        let limits = Limits { samples: MAX_SERIES, line: 64 << 10 };
        let mut seen = HashSet::new();
        for item in read(text, Dialect::of(text), limits) {
            let Item::Sample(sample) = item.map_err(|mistake| unusable(&mistake))? else { continue };
            let labels = self.labels_of(&sample)?;
            if !seen.insert(labels.text().to_owned()) {
                let what = format!("{}{{{}}} is there twice", sample.name, sample.labels.text());
                return Err(Unusable::unreadable("the output", &what));
            }
            out.set_with(&METRIC, &labels, sample.value);
        }
        Ok(())
    }

    fn labels_of(&self, sample: &Sample<'_>) -> Result<Arc<Labels>, Unusable> {
        let name = self.label(&sample.name, MAX_NAME, "the name of a metric")?;
        let pairs: Vec<_> = sample.labels.iter().collect();
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
        let labels = self.label(Labels::render(&pairs).text(), MAX_LABELS, "the labels of a sample together")?;
        Ok(Arc::new(Labels::render(&[("name", &name), ("labels", &labels)])))
    }

    fn label(&self, text: &str, most: usize, what: &str) -> Result<String, Unusable> {
        if text.chars().nth(most).is_some() {
            return Err(Unusable::beyond(format!("{what} may have at most {most} characters")));
        }
        if text.contains(char::is_control) {
            return Err(Unusable::unreadable(what, "it holds a control character"));
        }
        Ok(self.redactor.redact(text).into_owned())
    }
}

/// Counts series.
#[derive(Default)]
struct Room(usize);

impl Room {
    fn take(&mut self) -> Result<(), Unusable> {
        self.0 += 1;
        if self.0 > MAX_SERIES {
            return Err(Unusable::beyond(format!("the performance data are more than {MAX_SERIES} values and bounds")));
        }
        Ok(())
    }
}

fn unusable(mistake: &Mistake) -> Unusable {
    if mistake.is_limit {
        return Unusable::beyond(mistake.to_string());
    }
    Unusable::unreadable(&format!("line {} of the output", mistake.line), &mistake.what)
}

fn bounds(datum: &Datum<'_>) -> impl Iterator<Item = (&'static str, f64)> {
    let lower = |range: Option<Range>| range.and_then(|range| range.lower);
    let upper = |range: Option<Range>| range.and_then(|range| range.upper);
    let all = [
        ("warning_lower", lower(datum.warning)),
        ("warning_upper", upper(datum.warning)),
        ("critical_lower", lower(datum.critical)),
        ("critical_upper", upper(datum.critical)),
        ("min", datum.min),
        ("max", datum.max),
    ];
    all.into_iter().filter_map(|(bound, end)| Some((bound, end?)))
}
