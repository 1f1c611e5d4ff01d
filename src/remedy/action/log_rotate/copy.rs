//! Copies a log and empties it, for a writer that keeps its file open.

use super::compress::{copy, remove_leftover};
use super::names::with;
use crate::machine::confined::{Facts, Folder, Trouble, furnish};
use crate::machine::until::Until;
use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::fs::OFlags;
use std::ffi::OsStr;
use std::fs::File;
use std::io;

/// How often what was written meanwhile is fetched and made safe before the log is emptied.
const ROUNDS: usize = 5;

/// Copies what is in the log to `rotated` (with `.gz`), and empties it. Gives the number of bytes. As long as the copy is
/// not on the disk under its name, nothing is taken from the log.
///
/// # Errors
/// When it cannot be read, copied or emptied.
pub(super) fn copy_and_empty(
    folder: &Folder,
    log: &OsStr,
    expected: &Facts,
    rotated: &OsStr,
    gzip: bool,
    until: &Until,
) -> Result<u64, Trouble> {
    let file = folder.open_same(log, OFlags::RDWR, expected)?;
    let name = if gzip { with(rotated, ".gz") } else { rotated.to_owned() };
    let part = with(&name, ".part");
    remove_leftover(folder, &part)?;
    let mut out = folder.create(&part)?;
    let told = |error| Trouble::io(format!("cannot copy {}", folder.shown(log)), error);
    let copied = append(&file, &mut out, gzip, until)
        .and_then(|copied| {
            furnish(&out, Some(expected.uid), Some(expected.gid), expected.mode() & 0o777)?;
            out.sync_all()?;
            Ok(copied)
        })
        .map_err(told)
        .and_then(|copied| folder.rename(&part, &name).map(|()| copied))
        .and_then(|copied| folder.sync().map(|()| copied));
    let mut copied = match copied {
        Ok(copied) => copied,
        Err(trouble) => {
            remove_leftover(folder, &part)?;
            return Err(trouble);
        }
    };
    for _ in 0..ROUNDS {
        let more = append_whole(&file, &mut out, gzip, until).map_err(told)?;
        if more == 0 {
            break;
        }
        out.sync_data().map_err(told)?;
        copied += more;
    }
    // A writer that never pauses: its last lines are fetched, and are on the disk a moment later.
    copied += append_whole(&file, &mut out, gzip, until).map_err(told)?;
    rustix::fs::ftruncate(&file, 0).map_err(|error| told(error.into()))?;
    out.sync_data().map_err(told)?;
    Ok(copied)
}

/// The same, but a copy that is good stays so when there is no room for more.
fn append_whole(file: &File, out: &mut File, gzip: bool, until: &Until) -> io::Result<u64> {
    let whole = out.metadata()?.len();
    let appended = append(file, out, gzip, until);
    if appended.is_err() {
        out.set_len(whole)?;
    }
    appended
}

/// What stands behind the place to which the log was read. Several gzip streams in a row are one file (RFC 1952).
fn append(file: &File, out: &mut File, gzip: bool, until: &Until) -> io::Result<u64> {
    if !gzip {
        return copy(file, out, until);
    }
    let mut first = [0; 1];
    let begun = io::Read::read(&mut &*file, &mut first)?;
    if begun == 0 {
        return Ok(0);
    }
    let mut encoder = GzEncoder::new(out, Compression::fast());
    io::Write::write_all(&mut encoder, &first)?;
    let rest = copy(file, &mut encoder, until)?;
    encoder.finish()?;
    Ok(1 + rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::time::Duration;

    #[test]
    fn what_came_later_is_appended_and_a_copy_that_finds_no_room_keeps_what_it_had() {
        let folder = tempfile::tempdir().unwrap();
        let (until, waiting) = Until::after(Duration::from_secs(60));
        let path = folder.path().join("log");
        let mut log = File::create(&path).unwrap();
        let file = File::open(&path).unwrap();
        let mut out = File::create_new(folder.path().join("copy")).unwrap();
        for text in ["first ", "", "second"] {
            log.write_all(text.as_bytes()).unwrap();
            assert_eq!(append_whole(&file, &mut out, true, &until).unwrap(), text.len() as u64);
        }
        let unpack = || {
            let mut text = String::new();
            flate2::read::MultiGzDecoder::new(File::open(folder.path().join("copy")).unwrap())
                .read_to_string(&mut text)
                .map(|_| text)
        };
        assert_eq!(unpack().unwrap(), "first second");
        // It breaks off in the middle.
        drop(waiting);
        log.write_all(b"third").unwrap();
        assert!(append_whole(&file, &mut out, true, &until).is_err());
        assert_eq!(unpack().unwrap(), "first second");
    }
}
