//! The configuration of Alertmanager that is shipped, in a real Alertmanager: who is told what, and in which words.

pub mod debian;
pub mod discord;
mod faults;
mod heard;
mod pace;
mod scenarios;
mod scene;
pub mod servers;

use std::path::{Path, PathBuf};

/// A file of the project, by its path in it.
pub fn of_the_project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The configuration of Alertmanager as it is shipped.
pub fn shipped() -> String {
    std::fs::read_to_string(of_the_project("deploy/alertmanager/alertmanager.yml")).unwrap()
}
