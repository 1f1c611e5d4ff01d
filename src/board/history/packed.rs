//! A history as it is saved: the columns of its buckets, deflated, because most hours are like the one before.

use super::{History, Ring, Share, Slot, Tally};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use serde::{Deserialize, Serialize};

/// A history in a text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Packed(String);

/// Packs and unpacks histories. One for all of them: what it works with is a quarter of a megabyte, and a thousand of those,
/// one after the other, leave a heap full of holes.
pub struct Packer {
    deflate: Compress,
    inflate: Decompress,
    columns: Vec<u8>,
    deflated: Vec<u8>,
}

impl Default for Packer {
    fn default() -> Self {
        Self {
            deflate: Compress::new(Compression::fast(), true),
            inflate: Decompress::new(true),
            columns: Vec::new(),
            deflated: Vec::new(),
        }
    }
}

impl Packer {
    /// Packs a history. Time that still waits for its verdict is good: no incident was confirmed.
    pub fn pack(&mut self, history: &History) -> Packed {
        let mut settled = history.clone();
        settled.settle(true);
        self.columns.clear();
        write_all(&settled, &mut self.columns);
        self.deflate.reset();
        self.deflated.clear();
        // What cannot be made smaller grows by a few bytes.
        self.deflated.reserve(self.columns.len() + 1024);
        match self.deflate.compress_vec(&self.columns, &mut self.deflated, FlushCompress::Finish) {
            Ok(Status::StreamEnd) => Packed(STANDARD.encode(&self.deflated)),
            _ => Packed::default(),
        }
    }

    /// The history, as it was; none if the text is not one of ours.
    pub fn unpack(&mut self, packed: &Packed) -> Option<History> {
        let deflated = STANDARD.decode(&packed.0).ok()?;
        let mut history = History::default();
        self.columns.clear();
        write_all(&history, &mut self.columns);
        let expected = self.columns.len();
        self.columns.clear();
        // Never more than there can be, whatever the file says.
        self.columns.reserve_exact(expected + 1);
        self.inflate.reset(true);
        let status = self.inflate.decompress_vec(&deflated, &mut self.columns, FlushDecompress::Finish).ok()?;
        (status == Status::StreamEnd && self.columns.len() == expected).then_some(())?;
        let mut rest = self.columns.as_slice();
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

fn write_all(history: &History, bytes: &mut Vec<u8>) {
    write(&history.minutes, bytes, &TALLY);
    write(&history.tens, bytes, &TALLY);
    write(&history.hours, bytes, &SHARE);
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
