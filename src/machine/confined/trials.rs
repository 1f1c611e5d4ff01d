//! What tests of everything on files need: somebody who exchanges names in a loop, and mounts of one's own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use rustix::fs::{Mode, OFlags, RenameFlags, renameat_with};
use std::ffi::OsString;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// Lets two names change places, again and again, until it is dropped.
pub struct Swapper {
    stop: Arc<AtomicBool>,
    swaps: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

/// A name in a folder that is held open: it leads to the same folder, whatever becomes of the way.
fn held(path: &Path) -> (OwnedFd, OsString) {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    (rustix::fs::open(path.parent().unwrap(), flags, Mode::empty()).unwrap(), path.file_name().unwrap().to_owned())
}

impl Swapper {
    /// Begins, with the names of two things that are there.
    pub fn start(one: &Path, other: &Path) -> Self {
        let ((one_in, one), (other_in, other)) = (held(one), held(other));
        let (stop, swaps) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let thread = std::thread::spawn({
            let (stop, swaps) = (Arc::clone(&stop), Arc::clone(&swaps));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    // What is to be exchanged may have been removed or renamed.
                    let done = renameat_with(&one_in, &one, &other_in, &other, RenameFlags::EXCHANGE);
                    swaps.fetch_add(usize::from(done.is_ok()), Ordering::Relaxed);
                    std::thread::yield_now();
                }
            }
        });
        Self { stop, swaps, thread: Some(thread) }
    }

    /// How often they have changed places.
    pub fn swaps(&self) -> usize {
        self.swaps.load(Ordering::Relaxed)
    }
}

impl Drop for Swapper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

/// Makes a link that leads to `target` by a relative way, which no other rule than the one against links forbids.
pub fn link_to(target: &Path, link: &Path) {
    let from: Vec<_> = link.parent().unwrap().components().collect();
    let to: Vec<_> = target.components().collect();
    let common = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
    let way = std::iter::repeat_n(Path::new(".."), from.len() - common);
    let way: PathBuf = way.chain(to[common..].iter().map(AsRef::as_ref)).collect();
    std::os::unix::fs::symlink(way, link).unwrap();
}

/// Everything that is in a folder, and what is in its files.
pub fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.symlink_metadata().unwrap() {
            data if data.is_dir() => all.extend(contents(&path)),
            data if data.is_file() => all.push((path.clone(), std::fs::read(&path).unwrap())),
            _ => all.push((path, Vec::new())),
        }
    }
    all.sort();
    all
}

const INSIDE: &str = "BANKEN_TEST_INSIDE";

/// Runs the test of this name once more in a namespace with mounts of its own, after `script`, in which `$dir` is an empty
/// folder. Inside, gives that folder; outside, judges, and gives nothing. Where this machine allows no such thing, that is
/// said aloud.
pub fn with_own_mounts(test: &str, script: &str) -> Option<PathBuf> {
    if let Ok(dir) = std::env::var(INSIDE) {
        return Some(dir.into());
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().canonicalize().unwrap();
    let mut command = Command::new("unshare");
    if rustix::process::geteuid().as_raw() != 0 {
        command.args(["--user", "--map-root-user"]);
    }
    let script = format!("set -e; {script}\necho inside; exec \"$0\" \"$@\"");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
    command.arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]);
    let output = command.env("dir", &dir).env(INSIDE, &dir).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if said.contains("inside\n") {
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    } else {
        let _ = writeln!(std::io::stderr(), "\nLEFT OUT: {test}: no mounts can be made on this machine: {said}");
    }
    None
}
