//! Follows container.

use super::checkpoint::Keeper;
use super::intake::Intake;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::watch;

/// What is followed.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

/// Where reading goes on.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Position {}

/// Reads until `stop` says so, then saves.
pub async fn follow(
    _config: Config,
    _from: super::From,
    _intake: Intake,
    _keeper: Keeper<Position>,
    _stop: watch::Receiver<bool>,
) {
}
