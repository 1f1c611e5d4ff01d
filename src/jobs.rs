//! Runs reported from outside: by HTTP, or by pairs of lines in a log.

use crate::board::Board;
use crate::state::Store;
use crate::values::{Invalid, Pattern};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// One entry under `jobs:`, as it is written.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "JobSpec")]
pub struct Spec {
    /// Unique name, the label `task`: lower-case letters, digits, `_`, `.`, `-`.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_.-]*$|\$\{"))]
    pub name: String,
}

impl Spec {
    /// Resolves the entry.
    ///
    /// # Errors
    /// Every mistake in it, with paths from this entry on.
    pub fn plan(&self) -> Result<Plan, Vec<Invalid>> {
        Ok(Plan { spec: self.clone() })
    }
}

/// A job that is ready to be watched.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    spec: Spec,
}

/// What a job wants to hear of a log: a line that begins or ends a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// The log, by name.
    pub log: String,
    /// How the line is called when it is heard: `job/NAME/start`.
    pub id: String,
    /// What the line looks like.
    pub pattern: Pattern,
}

impl Plan {
    /// The label `task`.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// The lines of logs that begin and end its runs.
    pub fn wishes(&self) -> Vec<Wish> {
        Vec::new()
    }
}

/// Every job with its runs. Shared by the page's API, by logs and by the task that looks for what is late.
#[derive(Debug)]
pub struct Jobs {
    board: Arc<Board>,
}

impl Jobs {
    /// Without any job yet; cells go to `board`. Without a store nothing survives a restart.
    pub fn new(board: Arc<Board>, _store: Option<Store>) -> Self {
        Self { board }
    }

    /// Puts other jobs in place of all; one whose name stays goes on where it stands. Blocks: what was saved is read.
    pub fn replace(&self, _plans: Vec<Plan>) {
        self.board.replace_jobs(Vec::new());
    }

    /// Takes a line that was heard in a log; when this returns, it is saved. A line with a `sequence` that was taken
    /// before is left alone. Blocks.
    pub fn hear(&self, _id: &str, _sequence: u64, _at: f64, _captures: &BTreeMap<String, String>) {}

    /// Looks for what is late and what never ended, until `stop` says so; then saves.
    pub async fn watch(self: Arc<Self>, _stop: watch::Receiver<bool>) {}
}
