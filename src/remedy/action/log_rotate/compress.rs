//! Compresses a rotated file, and removes it only when the compressed one is surely on the disk.

use super::names::with;
use super::plan::Named;
use crate::machine::confined::{Facts, Folder, Trouble, furnish};
use crate::machine::until::Until;
use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::fs::OFlags;
use std::ffi::OsStr;
use std::fs::{File, FileTimes};
use std::io::{self, Read, Write};

/// How much is read at once; between two pieces it is asked whether to go on.
const PIECE: usize = 64 * 1024;

/// How it went.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Compressed {
    /// From so many bytes to so many.
    Yes(u64, u64),
    /// It is still written, or has gone: the next time.
    NotYet,
}

/// Compresses one file. Whatever goes wrong, the file itself stays.
///
/// # Errors
/// When it cannot be read, or the compressed one not be written.
pub(super) fn compress(folder: &Folder, named: &Named, until: &Until) -> Result<Compressed, Trouble> {
    let name = named.name.as_os_str();
    let file = match folder.open_same(name, OFlags::RDONLY, &named.facts) {
        Err(trouble) if trouble.is_missing() || trouble.is_forbidden() => return Ok(Compressed::NotYet),
        file => file?,
    };
    let part = with(name, ".gz.part");
    let gzip = with(name, ".gz");
    remove_leftover(folder, &part)?;
    let mut out = folder.create(&part)?;
    let written = write(&file, &mut out, until).and_then(|copied| {
        let facts = Facts::of(&file)?;
        finish(&out, &facts)?;
        Ok((copied, facts))
    });
    let outcome = match written {
        Ok((copied, facts)) if copied == facts.size && facts.is_same_file(&named.facts) => {
            let packed = out.metadata().map_or(0, |data| data.len());
            // Once more, as late as can be: whoever still writes would write into a file without a name.
            match folder.facts(name)? {
                Some(now) if now.is_unchanged(&facts) => {
                    folder.replace(&part, &gzip)?;
                    folder.sync()?;
                    folder.unlink(name)?;
                    folder.sync()?;
                    return Ok(Compressed::Yes(copied, packed));
                }
                _ => Ok(Compressed::NotYet),
            }
        }
        Ok(_) => Ok(Compressed::NotYet),
        Err(error) => Err(Trouble::io(format!("cannot compress {}", folder.shown(name)), error)),
    };
    remove_leftover(folder, &part)?;
    outcome
}

fn write(file: &File, out: &mut File, until: &Until) -> io::Result<u64> {
    let mut encoder = GzEncoder::new(out, Compression::fast());
    let copied = copy(file, &mut encoder, until)?;
    encoder.finish()?;
    Ok(copied)
}

/// Owner, mode and date of the log, and everything on the disk.
fn finish(out: &File, of: &Facts) -> io::Result<()> {
    furnish(out, Some(of.uid), Some(of.gid), of.mode() & 0o777)?;
    out.set_times(FileTimes::new().set_modified(of.modified))?;
    out.sync_all()
}

/// Copies to the end, or fails when the time is over.
pub(super) fn copy(mut from: impl Read, to: &mut impl Write, until: &Until) -> io::Result<u64> {
    let mut piece = vec![0; PIECE];
    let mut copied = 0;
    loop {
        if until.is_over() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the time was over"));
        }
        match from.read(&mut piece) {
            Ok(0) => return Ok(copied),
            Ok(read) => {
                to.write_all(&piece[..read])?;
                copied += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Removes what a run that was cut off left under a name of ours; something else of that name is in the way and stays.
pub(super) fn remove_leftover(folder: &Folder, name: &OsStr) -> Result<(), Trouble> {
    match folder.facts(name)? {
        Some(facts) if facts.is_lone_file() => match folder.unlink(name) {
            Err(trouble) if trouble.is_missing() => Ok(()),
            done => done,
        },
        _ => Ok(()),
    }
}
