//! The names of rotated files.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::time::{Duration, SystemTime};

/// `app.log.20261128-124843.gz`: a file that was made by a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rotated {
    /// `app.log`
    pub log: OsString,
    /// When, in seconds since the Unix epoch.
    pub at: i64,
    pub form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As it was written.
    Plain,
    /// Compressed.
    Gzip,
    /// A copy that was not finished.
    Part,
}

const STAMP: &str = "%Y%m%d-%H%M%S";

/// The length of `20261128-124843`.
const STAMP_LENGTH: usize = 15;

const PART: &[u8] = b".part";
const GZIP: &[u8] = b".gz";

impl Rotated {
    /// What a name says, if it is one of ours to the last byte.
    pub(super) fn parse(name: &OsStr) -> Option<Self> {
        let bytes = name.as_bytes();
        let (bytes, is_part) = bytes.strip_suffix(PART).map_or((bytes, false), |rest| (rest, true));
        let (bytes, is_gzip) = bytes.strip_suffix(GZIP).map_or((bytes, false), |rest| (rest, true));
        let (log, stamp) = bytes.split_at_checked(bytes.len().checked_sub(STAMP_LENGTH)?)?;
        let log = log.strip_suffix(b".").filter(|log| !log.is_empty())?;
        let at = read(std::str::from_utf8(stamp).ok()?)?;
        let form = match (is_part, is_gzip) {
            (true, _) => Form::Part,
            (false, true) => Form::Gzip,
            (false, false) => Form::Plain,
        };
        Some(Self { log: OsString::from_vec(log.to_vec()), at, form })
    }

    /// How long ago it was made.
    pub(super) fn age(&self, now: SystemTime) -> Duration {
        let at = u64::try_from(self.at).unwrap_or(0);
        now.duration_since(SystemTime::UNIX_EPOCH + Duration::from_secs(at)).unwrap_or_default()
    }
}

/// The name that a log gets at this time.
pub(super) fn rotated(log: &OsStr, now: SystemTime) -> Option<OsString> {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    let at = jiff::Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?;
    let mut name = log.to_owned();
    name.push(".");
    name.push(at.strftime(STAMP).to_string());
    Some(name)
}

fn read(stamp: &str) -> Option<i64> {
    let is_stamp =
        stamp.bytes().enumerate().all(|(at, byte)| if at == 8 { byte == b'-' } else { byte.is_ascii_digit() });
    let time = is_stamp.then(|| jiff::civil::DateTime::strptime(STAMP, stamp).ok())??;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

/// The name with something behind it.
pub(super) fn with(name: &OsStr, suffix: &str) -> OsString {
    let mut name = name.to_owned();
    name.push(suffix);
    name
}

/// The name under which the fresh log waits for the place of the old one.
pub(super) fn fresh(log: &OsStr) -> OsString {
    let mut name = OsString::from(".");
    name.push(log);
    name.push(".banken-new");
    name
}

/// The log that is meant by such a name.
pub(super) fn of_fresh(name: &OsStr) -> Option<OsString> {
    let log = name.as_bytes().strip_prefix(b".")?.strip_suffix(b".banken-new")?;
    (!log.is_empty()).then(|| OsString::from_vec(log.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_a_rotation_made_are_known_as_such() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_870_123);
        let name = rotated("app.log".as_ref(), now).unwrap();
        assert_eq!(name, "app.log.20261128-124843");
        for (suffix, form) in [("", Form::Plain), (".gz", Form::Gzip), (".part", Form::Part), (".gz.part", Form::Part)]
        {
            let parsed = Rotated::parse(&with(&name, suffix)).unwrap();
            assert_eq!(parsed, Rotated { log: "app.log".into(), at: 1_795_870_123, form });
            assert_eq!(parsed.age(now + Duration::from_secs(5)), Duration::from_secs(5));
        }
        for name in [
            "app.log",
            "app.log.1",
            "app.log.20261128",
            "app.log.20261128-1248430",
            ".20261128-124843",
            "app.log.20261328-124843",
            "app.log.20261128-124843.bz2",
            "app.log.20261128+124843",
            "20261128-124843",
            "app.log.2026 128-124843",
        ] {
            assert_eq!(Rotated::parse(name.as_ref()), None, "{name}");
        }
        assert_eq!(of_fresh(&fresh("a.log".as_ref())), Some("a.log".into()));
    }
}
