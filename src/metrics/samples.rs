//! The samples of one family, with label sets that were rendered once.

use crate::board::{Histogram, ProbeCell};
use crate::observation::{Family, FamilyType, Labels, Reading, Scope};
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder, MetricEncoder};
use std::fmt::{self, Write as _};
use std::sync::LazyLock;

static NO_LABELS: LazyLock<Labels> = LazyLock::new(Labels::default);

/// Writes the samples of one family.
pub struct Samples<'a, 'e> {
    encoder: &'a mut MetricEncoder<'e>,
    family: &'static Family,
    base: &'a Labels,
}

impl<'a, 'e> Samples<'a, 'e> {
    /// Of a family of a log or a job, whose labels these are.
    pub fn of(encoder: &'a mut MetricEncoder<'e>, family: &'static Family, base: &'a Labels) -> Self {
        Self { encoder, family, base }
    }

    /// Of a family of probes, for one cell.
    pub fn of_cell(encoder: &'a mut MetricEncoder<'e>, family: &'static Family, cell: &'a ProbeCell) -> Self {
        let base = match family.scope {
            Scope::Probe => cell.labels(),
            Scope::Name => cell.name_label(),
            Scope::Bare | Scope::Log | Scope::Task | Scope::Remedy => &NO_LABELS,
        };
        Self { encoder, family, base }
    }

    /// Of a family about Banken itself.
    pub fn of_banken(encoder: &'a mut MetricEncoder<'e>, family: &'static Family) -> Self {
        Self { encoder, family, base: &NO_LABELS }
    }

    /// A sample without labels of the family's own.
    pub fn value(&mut self, value: f64) -> fmt::Result {
        self.sample(Set { base: self.base.text(), own: "" }, value)
    }

    /// A sample, where there is a value.
    pub fn optional(&mut self, value: Option<f64>) -> fmt::Result {
        value.map_or(Ok(()), |value| self.value(value))
    }

    /// A sample with one label of the family's own, already rendered: `state="healthy"`.
    pub fn labelled(&mut self, label: &str, value: f64) -> fmt::Result {
        self.sample(Set { base: self.base.text_before_others(), own: label }, value)
    }

    /// A sample with the family's own labels, already rendered.
    pub fn rendered(&mut self, labels: &Labels, value: f64) -> fmt::Result {
        self.sample(Set { base: self.base.text_before_others(), own: labels.text() }, value)
    }

    /// All samples of a histogram.
    pub fn histogram(&mut self, histogram: &Histogram) -> fmt::Result {
        self.buckets(Set { base: self.base.text(), own: "" }, histogram)
    }

    /// All samples of a histogram with the family's own labels, already rendered.
    pub fn rendered_histogram(&mut self, labels: &Labels, histogram: &Histogram) -> fmt::Result {
        self.buckets(Set { base: self.base.text_before_others(), own: labels.text() }, histogram)
    }

    fn buckets(&mut self, labels: Set<'_>, histogram: &Histogram) -> fmt::Result {
        let buckets: Vec<_> = histogram.buckets().collect();
        let (sum, count) = (histogram.sum(), histogram.count());
        if labels.is_empty() {
            return self.encoder.encode_histogram::<Set<'_>>(sum, count, &buckets, None);
        }
        self.encoder.encode_family(&labels)?.encode_histogram::<Set<'_>>(sum, count, &buckets, None)
    }

    /// The sample of a reading.
    pub fn reading(&mut self, reading: &Reading) -> fmt::Result {
        match &reading.labels {
            Some(labels) => self.rendered(labels, reading.value),
            None => self.value(reading.value),
        }
    }

    fn sample(&mut self, labels: Set<'_>, value: f64) -> fmt::Result {
        if labels.is_empty() {
            return encode(self.encoder, self.family.family_type, value);
        }
        encode(&mut self.encoder.encode_family(&labels)?, self.family.family_type, value)
    }
}

/// Whole numbers are printed as such: they are most of a scrape, and a float's shortest form costs much more.
fn encode(encoder: &mut MetricEncoder<'_>, family_type: FamilyType, value: f64) -> fmt::Result {
    const LARGEST_EXACT: u64 = 1 << f64::MANTISSA_DIGITS;
    let whole = value as i64;
    let is_whole = (whole as f64).to_bits() == value.to_bits() && whole.unsigned_abs() < LARGEST_EXACT;
    match family_type {
        FamilyType::Counter if is_whole => encoder.encode_counter::<Set<'_>, u64, f64>(&(value as u64), None),
        FamilyType::Counter => encoder.encode_counter::<Set<'_>, f64, f64>(&value, None),
        _ if is_whole => encoder.encode_gauge(&whole),
        _ => encoder.encode_gauge(&value),
    }
}

/// A label set that is already text. The encoder takes keys as they are, so the whole set is handed over as one key to
/// which no value is ever asked for.
#[derive(Clone, Copy)]
struct Set<'a> {
    base: &'a str,
    own: &'a str,
}

impl Set<'_> {
    fn is_empty(&self) -> bool {
        self.base.is_empty() && self.own.is_empty()
    }
}

impl EncodeLabelSet for Set<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let mut label = encoder.encode_label();
        let mut key = label.encode_label_key()?;
        key.write_str(self.base)?;
        if self.own.is_empty() { Ok(()) } else { key.write_str(self.own) }
    }
}
