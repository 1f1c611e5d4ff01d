//! What people switch: the kill switch, maintenance windows and pauses, which all end by themselves or with a file.

use super::spec::Repair;
use crate::observation::unix_now;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The kill switch, where the configuration names no other: a file of this name in the folder of the state.
pub const KILL_SWITCH: &str = "no-repair";

/// The longest pause: it must end by itself while somebody remembers why.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(7 * 24 * 3600);

/// A larger file was not written by us.
const MAX_PAUSE_BYTES: u64 = 64 << 10;

/// A pause that somebody asked for.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Pause {
    /// Until when, in seconds since the Unix epoch.
    pub until: f64,
    /// Of these remedies; of all where there are none.
    pub remedies: Vec<String>,
}

/// What is switched at the moment.
#[derive(Debug, Default)]
struct Standing {
    repair: Repair,
    killed: bool,
    pause: Pause,
}

/// The switches of one Banken.
#[derive(Debug)]
pub struct Switches {
    folder: PathBuf,
    standing: Mutex<Standing>,
}

impl Switches {
    /// Below this folder of the state.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), standing: Mutex::default() }
    }

    /// Takes another configuration.
    pub fn configure(&self, repair: Repair) {
        self.locked().repair = repair;
    }

    /// Looks at the files. Blocks.
    pub fn refresh(&self) {
        let killed = self.is_killed();
        let pause = read_pause(&self.folder);
        let mut standing = self.locked();
        (standing.killed, standing.pause) = (killed, pause);
    }

    /// Whether the kill switch is set at this very moment. Blocks. A file that cannot be looked at counts as set: a repair
    /// that is not certain does not happen.
    pub fn is_killed(&self) -> bool {
        let path = self.locked().repair.kill_switch.clone().unwrap_or_else(|| self.folder.join(KILL_SWITCH));
        match fs::symlink_metadata(path) {
            Ok(_) => true,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// Whether the kill switch was set when it was last looked at.
    pub fn killed(&self) -> bool {
        self.locked().killed
    }

    /// Whether a window or a pause is open for this remedy.
    pub fn in_maintenance(&self, remedy: &str) -> bool {
        let (standing, now) = (self.locked(), unix_now());
        let is_meant = |names: &[String]| names.is_empty() || names.iter().any(|name| name == remedy);
        let longest = now + LONGEST_PAUSE.as_secs_f64();
        let paused =
            now < standing.pause.until && standing.pause.until <= longest && is_meant(&standing.pause.remedies);
        paused || standing.repair.maintenance.iter().any(|window| is_meant(&window.remedies) && window.is_open(now))
    }

    fn locked(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pause_file(folder: &Path) -> PathBuf {
    folder.join("pause.json")
}

/// The pause that was asked for, or none. Blocks.
fn read_pause(folder: &Path) -> Pause {
    let path = pause_file(folder);
    let is_small = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file() && found.len() <= MAX_PAUSE_BYTES);
    let text = is_small.then(|| fs::read(&path).ok()).flatten();
    text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

/// Asks a Banken with this folder to pause. Blocks.
///
/// # Errors
/// When the file cannot be written.
pub fn ask_to_pause(folder: &Path, pause: &Pause) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let fresh = pause_file(folder).with_extension("json.new");
    fs::write(&fresh, serde_json::to_vec(pause)?)?;
    // Root asks, and Banken's user must be able to read it whatever root's umask is.
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o644))?;
    fs::rename(fresh, pause_file(folder))
}
