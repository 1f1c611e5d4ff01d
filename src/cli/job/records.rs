//! The file into which a command may write how many records it processed.

use crate::cli::complain;
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The variable that names the file to the command.
pub const VARIABLE: &str = "BANKEN_RECORDS_FILE";

/// A number is not longer.
const MAX_BYTES: u64 = 64;

/// An empty file of our own that is gone at the end.
pub struct RecordsFile(PathBuf);

impl RecordsFile {
    /// Creates it in the folder for temporary files.
    ///
    /// # Errors
    /// When it cannot be created, or when something is there already.
    pub fn create(run: &str) -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("banken-records-{run}"));
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The number in it; none if nothing was written.
    pub fn read(&self) -> Option<f64> {
        let text = self.text().ok()?;
        let text = text.trim();
        let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
        if number.is_none() && !text.is_empty() {
            complain(&format!("banken: what the command wrote into {VARIABLE} is not a number of records"));
        }
        number
    }

    fn text(&self) -> io::Result<String> {
        // The command may have put anything in its place: a pipe would be waited for.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file: File = OpenOptions::new().read(true).custom_flags(flags).open(&self.0)?;
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Drop for RecordsFile {
    fn drop(&mut self) {
        // The command may have removed it.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_and_everything_else_is_none() {
        let file = RecordsFile::create(&format!("test-{}", std::process::id())).unwrap();
        assert_eq!(file.read(), None);
        for (text, records) in
            [("7\n", Some(7.0)), (" 1.5e3 ", Some(1500.0)), ("many", None), ("-1", None), ("NaN", None)]
        {
            std::fs::write(file.path(), text).unwrap();
            assert_eq!(file.read(), records, "{text:?}");
        }
        let path = file.path().to_owned();
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/proc/self/stat", &path).unwrap();
        assert_eq!(file.read(), None);
        drop(file);
        assert!(!path.is_symlink());
    }
}
