//! THE TABLE of actions, and the contract between an action and its executor.
//!
//! An action is one file below `action/` and one row in [`actions!`] here. From the row follow its block under `steps:`,
//! its dispatch, its place in the JSON Schema, its label and its line in the documentation.

pub mod alert;
pub mod backup_and_fix_json;
pub mod cache_clear;
pub mod check_port;
pub mod command;
pub mod create_missing_dirs;
pub mod database_vacuum;
pub mod fix_permissions;
pub mod kill_process_on_port;
pub mod log_analysis;
pub mod log_rotate;
pub mod old_file_cleanup;
mod script;
pub mod service_restart;
pub mod temp_file_cleanup;

use crate::machine::systemd::Buses;
use crate::net::Roots;
use crate::observation::Failure;
use crate::values::Invalid;
use schemars::JsonSchema;
use serde::Deserialize;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

/// What an action does when it is its turn. It is built once from its configuration; everything that it may ever touch is
/// named there, and nothing that a target, a log or a webhook says becomes a part of it.
pub trait Action: Send + Sync + 'static {
    /// Says exactly what [`Action::act`] would do now, one line for each thing. It changes nothing.
    ///
    /// # Errors
    /// Why it would not act, or could not.
    fn rehearse(&self, scene: &Scene) -> impl Future<Output = Result<Vec<String>, Setback>> + Send;

    /// Does it. The executor owns the time: an action that is not done within [`Settings::timeout`] is dropped, and must
    /// then leave nothing half done that it cannot find again.
    ///
    /// # Errors
    /// Why it did not act, or did not come to its end.
    fn act(&self, scene: &mut Scene) -> impl Future<Output = Result<Done, Setback>> + Send;
}

/// The block of an action, as it stands in the configuration.
pub trait Settings: std::fmt::Debug {
    /// What it becomes.
    type Action: Action;

    /// Compiles, reads and makes everything that it needs. Nothing is touched yet: a folder that is missing now may be
    /// there when it is needed.
    ///
    /// # Errors
    /// Every mistake in the block, with its path from the block on.
    fn build(&self, context: &Context) -> Result<Self::Action, Vec<Invalid>>;

    /// The longest that it may take; it is a part of the sum that `recover_within` is held against.
    fn timeout(&self) -> Duration;

    /// What it touches: the same text for two steps that differ in patience alone, so that one remedy does not interrupt again
    /// what another one has just restarted.
    fn subject(&self) -> String {
        format!("{self:?}")
    }
}

/// What is shared by the actions of one configuration while they are built.
#[derive(Debug, Default)]
pub struct Context {
    /// The certificate authorities of the system, read once and only if somebody needs them.
    pub roots: Roots,
    /// The buses on which systemd is asked.
    pub buses: Buses,
    /// Where copies of what is about to be changed are kept: a folder of Banken's own.
    pub backups: PathBuf,
}

/// What an action is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It looks or tells, and changes nothing: the next step follows at once.
    Looks,
    /// It tidies up: no service is disturbed by it, so that it may be done because of a line in a log alone.
    Tidies,
    /// It interrupts something that runs. It counts against the breakers, and is only done if a probe agrees.
    Disturbs,
}

/// The description of an action: its row in the table, in words.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// The key of its block and the value of the label `action`.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// An example in YAML: an entry under `steps:`.
    pub example: &'static str,
    /// What it is there for.
    pub effect: Effect,
}

/// What was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Done {
    /// In one line, for the journal and for people: `removed 12 files, 340.1 MiB`. It holds no secret.
    pub detail: String,
}

impl Done {
    /// Said in one line.
    pub fn new(detail: impl Into<String>) -> Self {
        Self { detail: detail.into() }
    }
}

/// Why an action was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Setback {
    /// The target is left alone: it is being started already, or a person has stopped it. Nothing was touched.
    #[error("left alone: {0}")]
    Busy(String),
    /// A rule of safety forbids it. Nothing was touched.
    #[error("refused: {0}")]
    Refused(String),
    /// It was tried and failed; what was changed nevertheless is said.
    #[error("{0}")]
    Failed(String),
}

impl From<Failure> for Setback {
    fn from(failure: Failure) -> Self {
        Setback::Failed(failure.to_string())
    }
}

/// The incident for which an action is taken: what it may tell about, and what the steps before it found out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scene {
    /// The remedy.
    pub remedy: String,
    /// The incident, an id that is unique on this host: `restart-dashboard-1764336000-1`.
    pub incident: String,
    /// What is broken, in words: `probe dashboard is unhealthy`.
    pub condition: String,
    /// The probe, log or job that is looked after, by its name, where there is one.
    pub target: String,
    /// Why it fails: reason and detail, where they are known.
    pub failure: Option<Failure>,
    /// When it first failed, in seconds since the Unix epoch.
    pub failing_since: f64,
    /// The attempt, from 1.
    pub attempt: u32,
    /// What the steps so far found or did; each bounded by whoever adds it.
    pub findings: Vec<Finding>,
}

/// What a step found out or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The step's action.
    pub action: &'static str,
    /// In lines, for people; escaped, redacted and bounded.
    pub lines: Vec<String>,
}

macro_rules! actions {
    ($( $module:ident $variant:ident ),* $(,)?) => {
        /// Every action, in the order of the table.
        pub static KINDS: &[&Kind] = &[$( &$module::KIND, )*];

        /// One entry under `steps:`, as it is written. Exactly one of the actions' blocks must be there.
        #[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        #[schemars(rename = "RemedyStep")]
        pub struct Spec {
            $(
                #[doc = concat!("The action `", stringify!($module), "`.")]
                pub $module: Option<$module::Config>,
            )*
        }

        /// The block of one action.
        #[derive(Debug, Clone, PartialEq)]
        #[allow(clippy::large_enum_variant, reason = "a few for each remedy")]
        pub enum Block {
            $( #[doc = concat!("Of the action `", stringify!($module), "`.")] $variant($module::Config), )*
        }

        impl Block {
            /// The description of its action.
            pub fn kind(&self) -> &'static Kind {
                match self {
                    $( Block::$variant(_) => &$module::KIND, )*
                }
            }

            /// The longest that it may take.
            pub fn timeout(&self) -> Duration {
                match self {
                    $( Block::$variant(config) => config.timeout(), )*
                }
            }

            /// What it touches, the same for two that touch the same.
            pub fn subject(&self) -> String {
                let subject = match self {
                    $( Block::$variant(config) => config.subject(), )*
                };
                format!("{} {subject}", self.kind().name)
            }

            /// Builds the action.
            ///
            /// # Errors
            /// Every mistake in its block, with paths from this entry on.
            pub fn build(&self, context: &Context) -> Result<Worker, Vec<Invalid>> {
                let built = match self {
                    $( Block::$variant(config) => config.build(context).map(|action| Worker::$variant(Box::new(action))), )*
                };
                built.map_err(|mistakes| mistakes.into_iter().map(|m| m.within(self.kind().name)).collect())
            }
        }

        /// An action that was built, of whichever kind.
        pub enum Worker {
            $( #[doc = concat!("The action `", stringify!($module), "`.")] $variant(Box<$module::Action>), )*
        }

        impl Action for Worker {
            async fn rehearse(&self, scene: &Scene) -> Result<Vec<String>, Setback> {
                match self {
                    $( Worker::$variant(action) => Box::pin(action.rehearse(scene)).await, )*
                }
            }

            async fn act(&self, scene: &mut Scene) -> Result<Done, Setback> {
                match self {
                    $( Worker::$variant(action) => Box::pin(action.act(scene)).await, )*
                }
            }
        }

        impl Spec {
            /// The block of this entry.
            ///
            /// # Errors
            /// When there is none, or more than one.
            pub fn block(&self) -> Result<Block, Invalid> {
                let mut blocks = Vec::new();
                $( blocks.extend(self.$module.clone().map(Block::$variant)); )*
                match (blocks.pop(), blocks.as_slice()) {
                    (Some(block), []) => Ok(block),
                    (None, _) => {
                        let known: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
                        let message = format!("this step has no action: add exactly one of {}", known.join(", "));
                        Err(Invalid::new("", message))
                    }
                    (Some(_), _) => Err(Invalid::new("", "this step has several actions: make a step of each")),
                }
            }
        }
    };
}

actions! {
    service_restart ServiceRestart,
    log_rotate LogRotate,
    cache_clear CacheClear,
    temp_file_cleanup TempFileCleanup,
    create_missing_dirs CreateMissingDirs,
    fix_permissions FixPermissions,
    check_port CheckPort,
    kill_process_on_port KillProcessOnPort,
    database_vacuum DatabaseVacuum,
    backup_and_fix_json BackupAndFixJson,
    old_file_cleanup OldFileCleanup,
    alert Alert,
    log_analysis LogAnalysis,
    command Command,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_no_name_twice_and_every_example_can_be_built() {
        let mut names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KINDS.len());
        let context = Context { backups: "/var/lib/banken/backups".into(), ..Context::default() };
        for kind in KINDS {
            assert!(!kind.summary.is_empty() && !kind.summary.ends_with('.'), "{}", kind.name);
            let specs: Vec<Spec> = serde_yaml::from_str(kind.example)
                .unwrap_or_else(|error| panic!("the example of {}: {error}", kind.name));
            assert!(!specs.is_empty(), "{}", kind.name);
            for spec in specs {
                let block = spec.block().unwrap_or_else(|error| panic!("{}: {error:?}", kind.name));
                assert_eq!(block.kind().name, kind.name);
                assert!(block.timeout() > Duration::ZERO, "{}", kind.name);
                assert!(block.build(&context).is_ok(), "{}: {:?}", kind.name, block.build(&context).err());
            }
        }
    }
}
