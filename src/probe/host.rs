//! Stub.
use super::{Context, Kind};
use crate::observation::{Failure, Readings};
use crate::values::Invalid;
use schemars::JsonSchema;
use serde::Deserialize;
/// The row.
pub static KIND: Kind =
    Kind { name: "host", summary: "stub", example: "[]", reasons: &[], families: &[], signals: &[] };
/// The block.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// I.
    pub interval: Option<crate::values::Period>,
    /// T.
    pub thresholds: std::collections::BTreeMap<String, super::Thresholds>,
}
/// D.
pub const DEFAULT_INTERVAL: std::time::Duration = std::time::Duration::from_secs(15);
impl Config {
    /// Builds.
    ///
    /// # Errors
    /// None.
    pub fn build(&self, _: &Context) -> Result<Probe, Vec<Invalid>> {
        Ok(Probe)
    }
}
/// Built.
pub struct Probe;
impl super::Probe for Probe {
    async fn run(&mut self, _: &mut Readings) -> Result<(), Failure> {
        Ok(())
    }
}
