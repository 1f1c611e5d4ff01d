//! A history as it is saved: the columns of its buckets, deflated, because most hours are like the one before.

use super::{History, Ring, Share, Slot, Tally};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};
use std::io::{Read as _, Write as _};

/// A history in a text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Packed(String);

impl Packed {
    /// Of a history. Time that still waits for its verdict is good: no incident was confirmed.
    pub fn of(history: &History) -> Self {
        let mut settled = history.clone();
        settled.settle(true);
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        let columns = columns(&settled);
        // Writing to a Vec cannot fail.
        let _ = encoder.write_all(&columns);
        Self(encoder.finish().map(|bytes| STANDARD.encode(bytes)).unwrap_or_default())
    }

    /// The history, as it was; none if the text is not one of ours.
    pub fn unpack(&self) -> Option<History> {
        let deflated = STANDARD.decode(&self.0).ok()?;
        let mut history = History::default();
        let expected = columns(&history).len();
        let mut bytes = Vec::new();
        // Never more than there can be, whatever the file says.
        ZlibDecoder::new(deflated.as_slice()).take(expected as u64 + 1).read_to_end(&mut bytes).ok()?;
        (bytes.len() == expected).then_some(())?;
        let mut rest = bytes.as_slice();
        restore(&mut history.minutes, &mut rest, &TALLY);
        restore(&mut history.tens, &mut rest, &TALLY);
        restore(&mut history.hours, &mut rest, &SHARE);
        // The newest buckets go on where they stood.
        history.sums = [&history.minutes, &history.tens].map(super::sum_of_newest);
        Some(history)
    }
}

/// A field of a bucket.
type Column<T> = fn(&mut T) -> &mut u16;

const SHARE: [Column<Share>; 2] = [|share| &mut share.good, |share| &mut share.bad];

const TALLY: [Column<Tally>; 7] = [
    |tally| &mut tally.share.good,
    |tally| &mut tally.share.bad,
    |tally| &mut tally.min,
    |tally| &mut tally.mean,
    |tally| &mut tally.max,
    |tally| &mut tally.runs,
    |tally| &mut tally.failed,
];

fn columns(history: &History) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&history.minutes, &mut bytes, &TALLY);
    write(&history.tens, &mut bytes, &TALLY);
    write(&history.hours, &mut bytes, &SHARE);
    bytes
}

fn write<T: Slot>(ring: &Ring<T>, bytes: &mut Vec<u8>, columns: &[Column<T>]) {
    bytes.extend(ring.newest().to_le_bytes());
    let mut slots: Vec<T> = ring.slots().copied().collect();
    slots.resize(ring.length(), T::default());
    for column in columns {
        bytes.extend(slots.iter_mut().flat_map(|slot| column(slot).to_le_bytes()));
    }
}

fn restore<T: Slot>(ring: &mut Ring<T>, rest: &mut &[u8], columns: &[Column<T>]) {
    let mut next = |length: usize| {
        let (taken, left) = rest.split_at(length);
        *rest = left;
        taken
    };
    let newest = next(8).iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let mut slots = vec![T::default(); ring.length()];
    for column in columns {
        let values = next(2 * ring.length()).chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        for (slot, value) in slots.iter_mut().zip(values) {
            *column(slot) = value;
        }
    }
    if newest > 0 {
        ring.restore(newest, slots);
    }
}
