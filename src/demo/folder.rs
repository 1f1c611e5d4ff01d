//! The service's folder, and the small files that are written there as a whole.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::options::default_dir;

const PID_FILE: &str = "demo.pid";

/// # Errors
/// When the folder cannot be made, or is the default one and belongs to someone else.
pub(super) fn prepare(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {} (--dir)", dir.display()))?;
    // Anyone may have made a folder of this name in the shared temporary folder.
    if dir == default_dir() {
        let owner = fs::symlink_metadata(dir)?.uid();
        ensure!(
            owner == rustix::process::geteuid().as_raw(),
            "{} belongs to another user: choose another folder with --dir",
            dir.display()
        );
    }
    Ok(())
}

/// # Errors
/// When the file cannot be written.
pub(super) fn write_pid(dir: &Path) -> Result<()> {
    write_whole(&dir.join(PID_FILE), &format!("{}\n", std::process::id()), 0o644)
}

/// Leaves the file of another demo that uses the same folder alone.
pub(super) fn remove_pid(dir: &Path) {
    let path = dir.join(PID_FILE);
    let ours = fs::read_to_string(&path).is_ok_and(|text| text.trim() == std::process::id().to_string());
    if ours && let Err(error) = fs::remove_file(&path) {
        tracing::warn!(%error, path = %path.display(), "demo: cannot remove the pid file");
    }
}

/// Writes a file so that a reader sees all of it or nothing.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn write_whole(path: &Path, text: &str, mode: u32) -> Result<()> {
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let write = || {
        let _ = fs::remove_file(&draft);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&draft, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
