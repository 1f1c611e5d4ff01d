//! Follows files.

use super::checkpoint::Keeper;
use super::intake::Intake;
use crate::values::Invalid;
use tokio::sync::watch;

/// Which files.
#[derive(Debug, Clone, PartialEq)]
pub struct Files {}

/// Where reading goes on.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Position {}

impl Files {
    /// Resolves what is written; mistakes go to `invalid`.
    pub fn build(_paths: &[String], _exclude: &[String], _max: usize, _invalid: &mut Vec<Invalid>) -> Option<Self> {
        Some(Self {})
    }
}

/// Reads until `stop` says so, then saves.
pub async fn follow(
    _files: Files,
    _from: super::From,
    _intake: Intake,
    _keeper: Keeper<Position>,
    _stop: watch::Receiver<bool>,
) {
}
