//! What holds a remedy back.

use super::Rules;
use crate::board::Suppression;
use crate::remedy::action::Effect;
use std::time::Duration;

/// So many actions of one remedy within [`BREAKER_WITHIN`] are enough.
pub const BREAKER_ACTIONS: usize = 3;

/// Within which time the actions of one remedy are counted.
pub const BREAKER_WITHIN: Duration = Duration::from_secs(15 * 60);

/// So many actions on one host within [`HOST_WITHIN`] are enough.
pub const HOST_ACTIONS: usize = 10;

/// Within which time the actions on one host are counted.
pub const HOST_WITHIN: Duration = Duration::from_secs(3600);

/// What is known around a remedy at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a gate of its own")]
pub struct Gates {
    /// Banken itself is in trouble.
    pub own_fault: bool,
    /// The kill switch is set.
    pub kill_switch: bool,
    /// A maintenance window is open.
    pub maintenance: bool,
    /// Something that the target depends on fails.
    pub dependency: bool,
    /// Two or more, and over half of everything, fail at once.
    pub shared_cause: bool,
    /// All remedies of this host together have acted often enough.
    pub host_breaker: bool,
}

impl Gates {
    /// The first gate that is closed for a step of this effect. Who only looks or tells passes more of them; for whom a
    /// person asked, only the kill switch.
    pub(super) fn closed(
        self,
        rules: &Rules,
        effect: Effect,
        asked: bool,
        flapping: bool,
        too_often: bool,
    ) -> Option<Suppression> {
        let changes = effect != Effect::Looks;
        let gates = [
            (!asked && self.own_fault, Suppression::OwnFault),
            (self.kill_switch, Suppression::KillSwitch),
            (!asked && self.maintenance, Suppression::Maintenance),
            (!asked && changes && self.dependency, Suppression::Dependency),
            (!asked && changes && self.shared_cause && !rules.expects_shared_cause, Suppression::SharedCause),
            (!asked && changes && flapping, Suppression::Flapping),
            (!asked && changes && (too_often || self.host_breaker), Suppression::Breaker),
            (!asked && !rules.armed, Suppression::DryRun),
        ];
        gates.into_iter().find(|(closed, _)| *closed).map(|(_, why)| why)
    }
}
