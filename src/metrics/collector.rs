//! Encodes the board through prometheus-client, with label sets that were rendered once.

use super::catalogue::{JobView, LogView, OWN, PER_JOB, PER_LOG, PER_PROBE, PER_REMEDY, ProbeView, RemedyView};
use super::own_process;
use super::samples::Samples;
use crate::board::{Board, JOB_DURATION, LOG_SIZE, ProbeCell};
use crate::health::Limit;
use crate::observation::{Family, FamilyType, Labels, Severity, Signal};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::fmt::{self};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::time::Instant;

/// Encodes a board as the body of a scrape.
#[derive(Debug)]
pub struct Exposition {
    registry: Registry,
    board: Arc<Board>,
    last_length: AtomicUsize,
}

impl Exposition {
    /// Of this board.
    pub fn new(board: Arc<Board>) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(BoardCollector { board: Arc::clone(&board) }));
        Self { registry, board, last_length: AtomicUsize::new(4096) }
    }

    /// The board's state in the OpenMetrics text format, in UTF-8.
    ///
    /// # Errors
    /// When the encoder refuses a family, which is a defect of the catalogue.
    pub fn open_metrics(&self) -> Result<Vec<u8>, fmt::Error> {
        let begun = std::time::Instant::now();
        // A scrape is about as long as the one before: growing a large text step by step would copy it many times.
        let mut text = Text(Vec::with_capacity(self.last_length.load(Ordering::Relaxed) * 9 / 8));
        text::encode(&mut text, &self.registry)?;
        self.last_length.store(text.0.len(), Ordering::Relaxed);
        self.board.own.set_scrape_duration(begun.elapsed());
        Ok(text.0)
    }
}

/// More than half of what the encoder writes is a single character (`{`, `}`, a space, the end of a line), for which a
/// copy of memory costs several times as much as a push.
struct Text(Vec<u8>);

impl fmt::Write for Text {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        match text.as_bytes() {
            [byte] => self.0.push(*byte),
            bytes => self.0.extend_from_slice(bytes),
        }
        Ok(())
    }
}

#[derive(Debug)]
struct BoardCollector {
    board: Arc<Board>,
}

impl Collector for BoardCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let cells = self.board.probes();
        let now = Instant::now();
        for row in PER_PROBE {
            let mut metric = begin(&mut encoder, &row.family)?;
            for cell in cells.iter() {
                let mut samples = Samples::of_cell(&mut metric, &row.family, cell);
                let failing = self.board.failing_dependencies(cell);
                cell.read(|record| (row.write)(&ProbeView { cell, record, failing, now }, &mut samples))?;
            }
        }
        for family in distinct(cells.iter().flat_map(|cell| cell.descriptor().families.iter().copied())) {
            let mut metric = begin(&mut encoder, family)?;
            for cell in cells.iter().filter(|cell| publishes(cell, family)) {
                kind_samples(&mut Samples::of_cell(&mut metric, family, cell), cell, family)?;
            }
        }
        self.logs(&mut encoder)?;
        self.jobs(&mut encoder)?;
        self.remedies(&mut encoder)?;
        let signals = cells.iter().flat_map(|cell| cell.descriptor().limits.iter().map(|limit| limit.signal));
        for family in distinct(signals.map(|signal| signal.threshold)) {
            let mut metric = begin(&mut encoder, family)?;
            for cell in cells.iter() {
                let of_family = |signal: &Signal| std::ptr::eq(signal.threshold, family);
                let mut samples = Samples::of_cell(&mut metric, family, cell);
                threshold_samples(&mut samples, &cell.descriptor().limits, of_family)?;
            }
        }
        for row in OWN {
            let mut metric = begin(&mut encoder, &row.family)?;
            (row.write)(&self.board, &mut Samples::of_banken(&mut metric, &row.family))?;
        }
        for (family, value) in own_process::read() {
            let mut metric = begin(&mut encoder, family)?;
            Samples::of_banken(&mut metric, family).optional(value)?;
        }
        Ok(())
    }
}

impl BoardCollector {
    fn logs(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let cells = self.board.logs();
        // Counts from before a restart that are not caught up with yet would look like a counter that went back.
        let cells: Vec<_> = cells.iter().filter(|cell| cell.read(|record| record.caught_up_at.is_some())).collect();
        if cells.is_empty() {
            return Ok(());
        }
        for row in PER_LOG {
            let mut metric = begin(encoder, &row.family)?;
            for cell in &cells {
                let mut samples = Samples::of(&mut metric, &row.family, cell.labels());
                cell.read(|record| (row.write)(&LogView { cell, record }, &mut samples))?;
            }
        }
        let owners = cells.iter().map(|cell| (cell.labels(), cell.descriptor().limits.as_slice()));
        thresholds(encoder, LOG_SIZE.threshold, owners)
    }

    fn jobs(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let cells = self.board.jobs();
        if cells.is_empty() {
            return Ok(());
        }
        for row in PER_JOB {
            let mut metric = begin(encoder, &row.family)?;
            for cell in cells.iter() {
                let mut samples = Samples::of(&mut metric, &row.family, cell.labels());
                cell.read(|record| (row.write)(&JobView { cell, record }, &mut samples))?;
            }
        }
        let owners = cells.iter().map(|cell| (cell.labels(), cell.descriptor().limits.as_slice()));
        thresholds(encoder, JOB_DURATION.threshold, owners)
    }

    fn remedies(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let cells = self.board.remedies();
        if cells.is_empty() {
            return Ok(());
        }
        for row in PER_REMEDY {
            let mut metric = begin(encoder, &row.family)?;
            for cell in cells.iter() {
                let mut samples = Samples::of(&mut metric, &row.family, cell.labels());
                cell.read(|record| (row.write)(&RemedyView { cell, record }, &mut samples))?;
            }
        }
        Ok(())
    }
}

/// The thresholds of a sense that has one signal.
fn thresholds<'c>(
    encoder: &mut DescriptorEncoder<'_>,
    family: &'static Family,
    owners: impl Iterator<Item = (&'c Labels, &'c [Limit])>,
) -> fmt::Result {
    let mut metric = begin(encoder, family)?;
    for (labels, limits) in owners {
        threshold_samples(&mut Samples::of(&mut metric, family, labels), limits, |_| true)?;
    }
    Ok(())
}

fn begin<'a>(encoder: &'a mut DescriptorEncoder<'_>, family: &'static Family) -> Result<MetricEncoder<'a>, fmt::Error> {
    let (name, metric_type) = match family.family_type {
        FamilyType::Gauge => (family.name, MetricType::Gauge),
        FamilyType::Histogram => (family.name, MetricType::Histogram),
        // The encoder adds `_total` to each sample itself.
        FamilyType::Counter => (family.name.strip_suffix("_total").unwrap_or(family.name), MetricType::Counter),
    };
    encoder.encode_descriptor(name, family.help, None, metric_type)
}

fn publishes(cell: &ProbeCell, family: &'static Family) -> bool {
    cell.descriptor().families.iter().any(|known| std::ptr::eq(*known, family))
}

fn kind_samples(out: &mut Samples<'_, '_>, cell: &ProbeCell, family: &'static Family) -> fmt::Result {
    cell.read(|record| {
        let readings = match family.family_type {
            FamilyType::Counter => record.sums(),
            _ => record.readings().gauges(),
        };
        let mut of_family = readings.iter().filter(|reading| std::ptr::eq(reading.family, family));
        of_family.try_for_each(|reading| out.reading(reading))
    })
}

fn threshold_samples(out: &mut Samples<'_, '_>, limits: &[Limit], of_family: impl Fn(&Signal) -> bool) -> fmt::Result {
    for limit in limits.iter().filter(|limit| of_family(limit.signal)) {
        for severity in Severity::ALL {
            if let Some(level) = limit.levels.get(severity) {
                out.labelled(severity.label(), level)?;
            }
        }
    }
    Ok(())
}

/// Each family once, sorted by name, so that two scrapes have the same order.
fn distinct(families: impl Iterator<Item = &'static Family>) -> Vec<&'static Family> {
    let mut distinct: Vec<&'static Family> = Vec::new();
    for family in families {
        if !distinct.iter().any(|known| std::ptr::eq(*known, family)) {
            distinct.push(family);
        }
    }
    distinct.sort_by_key(|family| family.name);
    distinct
}
