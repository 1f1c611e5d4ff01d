//! Buckets of one width, the latest so many of them, found by their number.

/// In these parts of a second time is kept: an hour of them fits into 16 bits.
const PARTS: f64 = 16.0;

/// How much of a bucket's time was good and bad, in sixteenths of a second; the rest is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Share {
    pub good: u16,
    pub bad: u16,
}

impl Share {
    /// Seconds that were good.
    pub fn good_seconds(self) -> f64 {
        f64::from(self.good) / PARTS
    }

    /// Seconds that were bad.
    pub fn bad_seconds(self) -> f64 {
        f64::from(self.bad) / PARTS
    }
}

/// What a bucket holds beside its time.
pub trait Slot: Copy + Default {
    fn share(&mut self) -> &mut Share;
}

impl Slot for Share {
    fn share(&mut self) -> &mut Share {
        self
    }
}

/// The latest `length` buckets of `width` seconds. Memory is taken with the first of them.
#[derive(Debug, Clone)]
pub struct Ring<T> {
    width: u32,
    length: usize,
    newest: u64,
    slots: Vec<T>,
    /// What was too little to be kept so far, good and bad.
    carry: [f64; 2],
}

impl<T: Slot> Ring<T> {
    pub fn new(width: u32, length: usize) -> Self {
        Self { width, length, newest: 0, slots: Vec::new(), carry: [0.0; 2] }
    }

    /// Seconds.
    pub fn width(&self) -> f64 {
        f64::from(self.width)
    }

    pub fn length(&self) -> usize {
        self.length
    }

    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// The number of the bucket in which a moment lies, in seconds since the Unix epoch.
    pub fn number(&self, at: f64) -> u64 {
        (at.max(0.0) / self.width()) as u64
    }

    /// Makes the bucket of this moment the newest. What lies between is unknown. If the clock was put back, what lies behind
    /// it is dropped: it belongs to no time that has been.
    pub fn advance(&mut self, at: f64) {
        let number = self.number(at);
        if self.slots.is_empty() {
            self.slots = vec![T::default(); self.length];
            self.newest = number;
        }
        let (from, to) = (self.newest.min(number), self.newest.max(number));
        for stale in (from + 1..=to).rev().take(self.length) {
            let index = self.index(stale);
            self.slots[index] = T::default();
        }
        self.newest = number;
    }

    /// The bucket with this number, if it is kept.
    pub fn get(&self, number: u64) -> Option<&T> {
        self.holds(number).then(|| &self.slots[self.index(number)])
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let index = self.index(number);
        if self.holds(number) { self.slots.get_mut(index) } else { None }
    }

    /// Adds the time from one moment to another. More than a bucket is wide never gets into it, whatever the clock does.
    pub fn book(&mut self, from: f64, to: f64, good: bool) {
        let (first, last) = (self.number(from), self.number(to));
        let oldest = self.newest.saturating_sub(self.length as u64 - 1);
        let limit = (self.width() * PARTS) as u16;
        for number in first.max(oldest)..=last.min(self.newest) {
            let begin = number as f64 * self.width();
            let seconds = to.min(begin + self.width()) - from.max(begin);
            let parts = seconds.max(0.0) * PARTS + self.carry[usize::from(good)];
            self.carry[usize::from(good)] = parts.fract();
            let Some(slot) = self.get_mut(number) else { continue };
            let share = slot.share();
            let (mine, other) =
                if good { (&mut share.good, &mut share.bad) } else { (&mut share.bad, &mut share.good) };
            *mine = mine.saturating_add(parts as u16).min(limit);
            // Where a clock was put back, what is booked now takes the place of what was booked before.
            *other = (*other).min(limit - *mine);
        }
    }

    /// The buckets in order, the oldest first; none before the first.
    pub fn slots(&self) -> impl Iterator<Item = &T> {
        let oldest = (self.newest + 1).saturating_sub(self.slots.len() as u64);
        (oldest..=self.newest).filter_map(|number| self.get(number))
    }

    /// Puts back what was kept, the oldest first.
    pub fn restore(&mut self, newest: u64, slots: Vec<T>) {
        if slots.len() != self.length {
            return;
        }
        self.newest = newest;
        self.slots = vec![T::default(); self.length];
        let oldest = (newest + 1).saturating_sub(self.length as u64);
        for (number, slot) in (oldest..).zip(slots) {
            let index = self.index(number);
            self.slots[index] = slot;
        }
    }

    fn holds(&self, number: u64) -> bool {
        !self.slots.is_empty() && number <= self.newest && self.newest - number < self.length as u64
    }

    fn index(&self, number: u64) -> usize {
        (number % self.length as u64) as usize
    }
}
