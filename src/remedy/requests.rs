//! What a person asks a running Banken for: files in a folder that only its user and root can write to. Whoever may put
//! one there may ask; nothing of this is reachable over the network.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A request that waited longer is of no use any more: nobody expects it to be carried out.
const FRESH: Duration = Duration::from_secs(60);

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// To take note that a remedy gave up, so that it may act again.
    Acknowledge,
    /// To make one attempt now.
    Run,
}

impl Request {
    const ALL: [Request; 2] = [Request::Acknowledge, Request::Run];

    const fn prefix(self) -> &'static str {
        match self {
            Request::Acknowledge => "ack-",
            Request::Run => "run-",
        }
    }
}

fn folder(state: &Path) -> PathBuf {
    state.join("requests")
}

/// Makes the folder, so that it belongs to Banken's user also where root is the first who asks: what is asked for in a folder
/// of root's could not be taken out of it. Blocks.
///
/// # Errors
/// When it cannot be made.
pub fn prepare(state: &Path) -> io::Result<()> {
    fs::create_dir_all(folder(state))
}

/// Asks a Banken with this folder. Blocks.
///
/// # Errors
/// When the file cannot be written.
pub fn ask(state: &Path, request: Request, remedy: &str) -> io::Result<()> {
    fs::create_dir_all(folder(state))?;
    fs::write(folder(state).join(format!("{}{remedy}", request.prefix())), "")
}

/// Takes what was asked for, once. Blocks.
pub fn take(state: &Path) -> Vec<(Request, String)> {
    let Ok(entries) = fs::read_dir(folder(state)) else { return Vec::new() };
    let mut taken = Vec::new();
    for entry in entries.flatten().take(1000) {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let request = Request::ALL.into_iter().find_map(|r| Some((r, name.strip_prefix(r.prefix())?.to_owned())));
        let age = entry.metadata().and_then(|found| found.modified());
        let age = age.ok().and_then(|at| SystemTime::now().duration_since(at).ok()).unwrap_or_default();
        // Gone first: what is carried out is never carried out again.
        if fs::remove_file(entry.path()).is_err() {
            continue;
        }
        match request {
            // To have taken note does not grow old.
            Some((Request::Run, remedy)) if age > FRESH => {
                tracing::warn!(remedy, "a request to act came too late and is dropped: ask again");
            }
            Some(request) => taken.push(request),
            None => tracing::warn!(file = name, "not a request"),
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_taken_once_and_an_old_one_to_act_not_at_all() {
        let state = tempfile::tempdir().unwrap();
        ask(state.path(), Request::Run, "x").unwrap();
        ask(state.path(), Request::Acknowledge, "x").unwrap();
        let mut taken = take(state.path());
        taken.sort_by_key(|(request, _)| request.prefix());
        assert_eq!(taken, [(Request::Acknowledge, "x".into()), (Request::Run, "x".into())]);
        assert_eq!(take(state.path()), []);
        for request in Request::ALL {
            ask(state.path(), request, "x").unwrap();
            let file =
                fs::File::options().append(true).open(folder(state.path()).join(format!("{}x", request.prefix())));
            file.unwrap().set_modified(SystemTime::now() - 2 * FRESH).unwrap();
        }
        assert_eq!(take(state.path()), [(Request::Acknowledge, "x".into())]);
    }
}
