//! What is written down of the files that were found, and what is wrong with them.

use super::families::{AGE, MATCHES, MODIFIED, NEWEST, OLDEST, SIZE, SIZE_SIGNAL, TOTAL};
use super::tally::{Found, Tally, seconds};
use super::{Order, Which};
use crate::observation::{Failure, Readings, Reason, Unit};
use std::time::{Duration, UNIX_EPOCH};

impl Order {
    pub(super) fn write(&self, tally: &Tally, now: f64, out: &mut Readings) {
        out.set(&MATCHES, tally.count as f64);
        out.set(&TOTAL, tally.total as f64);
        let (Some(newest), Some(oldest)) = (&tally.newest, &tally.oldest) else { return };
        out.set(&NEWEST, seconds(newest.stamp.modified));
        out.set(&OLDEST, seconds(oldest.stamp.modified));
        let (by_age, by_size) = match self.which() {
            Which::Newest => (newest, newest),
            Which::Oldest => (oldest, oldest),
            Which::All => (oldest, tally.largest.as_ref().unwrap_or(oldest)),
        };
        out.set(&MODIFIED, seconds(by_age.stamp.modified));
        out.signal(&AGE, by_age.age(now));
        out.set(&SIZE, by_size.stamp.size as f64);
        out.signal(&SIZE_SIGNAL, by_size.stamp.size as f64);
        out.note("file", by_age.path.display().to_string());
        if let Ok(since) = Duration::try_from_secs_f64(seconds(by_age.stamp.modified)) {
            out.note("written", humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string());
        }
        out.note("size", Unit::Bytes.show(by_size.stamp.size as f64));
        if tally.count > 1 {
            out.note("files", tally.count.to_string());
        }
    }

    /// Everything that is wrong beside the content, the gravest first.
    pub(super) fn complaints(&self, tally: &Tally, now: f64) -> Vec<Failure> {
        let config = &self.config;
        if config.absent {
            return intruder(tally).into_iter().collect();
        }
        let mut complaints: Vec<Failure> = self.miscount(tally).into_iter().collect();
        let (Some(newest), Some(oldest)) = (&tally.newest, &tally.oldest) else { return complaints };
        let (largest, smallest) = (tally.largest.as_ref().unwrap_or(newest), tally.smallest.as_ref().unwrap_or(newest));
        let [old, young, large, small] = match self.which() {
            Which::Newest => [newest; 4],
            Which::Oldest => [oldest; 4],
            Which::All => [oldest, newest, largest, smallest],
        };
        let named = |found: &Found| found.path.display().to_string();
        let written = |found: &Found| format!("{} was written {} ago", named(found), told(found.age(now)));
        let size = |found: &Found| format!("{} has {}", named(found), Unit::Bytes.show(found.stamp.size as f64));
        if let Some(max) = config.max_age.filter(|max| old.age(now) > max.0.as_secs_f64()) {
            let most = humantime::format_duration(max.0);
            complaints.push(Failure::new(Reason::Stale, format!("{}, at most {most} was expected", written(old))));
        }
        if let Some(min) = config.min_age.filter(|min| young.age(now) < min.0.as_secs_f64()) {
            let least = humantime::format_duration(min.0);
            complaints.push(Failure::new(Reason::Limit, format!("{}, at least {least} was expected", written(young))));
        }
        if let Some(max) = config.max_size.filter(|max| large.stamp.size > max.0) {
            let most = Unit::Bytes.show(max.0 as f64);
            complaints.push(Failure::new(Reason::Limit, format!("{}, at most {most} are expected", size(large))));
        }
        if let Some(min) = config.min_size.filter(|min| small.stamp.size < min.0) {
            let least = Unit::Bytes.show(min.0 as f64);
            complaints.push(Failure::new(Reason::Limit, format!("{}, at least {least} are expected", size(small))));
        }
        complaints
    }

    fn miscount(&self, tally: &Tally) -> Option<Failure> {
        let (config, count) = (&self.config, tally.count);
        if let Some(max) = config.max_count.filter(|max| count > *max) {
            let detail = format!("{count} files match {}, at most {max} may", config.path);
            return Some(Failure::new(Reason::Limit, detail));
        }
        let min = config.min_count.unwrap_or(1);
        if count >= min {
            return None;
        }
        let mut facts = vec![match count {
            0 if self.trail.is_plain() && tally.others == 0 => format!("{} is not there", config.path),
            0 if self.trail.is_plain() => format!("there is no file {}", config.path),
            0 => format!("no file matches {}", config.path),
            _ => format!("{count} files match {}, at least {min} must", config.path),
        }];
        facts.extend(tally.other.as_ref().map(|(path, what)| format!("{} is {what}", path.display())));
        if tally.unsettled > 0 {
            facts.push(format!("{} may still be written to", tally.unsettled));
        }
        Some(Failure::new(Reason::Missing, facts.join("; ")))
    }
}

/// What is there although nothing may be.
fn intruder(tally: &Tally) -> Option<Failure> {
    let path = match (&tally.newest, &tally.other) {
        (Some(found), _) => found.path.display(),
        (None, Some((path, _))) => path.display(),
        (None, None) => return None,
    };
    let more = match tally.count + tally.others {
        1 => String::new(),
        all => format!(", and {} more", all - 1),
    };
    Some(Failure::new(Reason::Limit, format!("{path} is there and should not be{more}")))
}

/// A span of time as exactly as somebody wants to know it.
fn told(seconds: f64) -> String {
    let whole = seconds as u64;
    let whole = if whole >= 86_400 { whole - whole % 60 } else { whole };
    humantime::format_duration(Duration::from_secs(whole)).to_string()
}
