//! Which faults are on, since when and until when.

use std::collections::BTreeMap;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::Instant;

use super::faults::{Fault, Value};

/// A fault that is on.
#[derive(Debug, Clone)]
pub(super) struct Active {
    pub value: Value,
    /// Wall time of the switch-on; kept when a fault that is already on is switched on again.
    pub since: OffsetDateTime,
    until: Option<Instant>,
}

impl Active {
    pub fn remaining(&self) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(Instant::now()))
    }

    fn is_over(&self) -> bool {
        self.until.is_some_and(|until| until <= Instant::now())
    }
}

/// Which faults are on. One that has run out counts as off without anyone having to switch it.
#[derive(Debug)]
pub(super) struct Switches(watch::Sender<BTreeMap<Fault, Active>>);

impl Switches {
    pub fn new() -> Self {
        Self(watch::Sender::new(BTreeMap::new()))
    }

    pub fn on(&self, fault: Fault, value: Value, lasting: Option<Duration>) {
        let since = self.active(fault).map_or_else(OffsetDateTime::now_utc, |active| active.since);
        let until = lasting.and_then(|lasting| Instant::now().checked_add(lasting));
        self.0.send_modify(|faults| {
            faults.insert(fault, Active { value, since, until });
        });
    }

    pub fn off(&self, fault: Fault) {
        self.0.send_if_modified(|faults| faults.remove(&fault).is_some());
    }

    pub fn reset(&self) {
        self.0.send_modify(BTreeMap::clear);
    }

    pub fn active(&self, fault: Fault) -> Option<Active> {
        self.0.borrow().get(&fault).filter(|active| !active.is_over()).cloned()
    }

    pub fn value(&self, fault: Fault) -> Option<Value> {
        self.active(fault).map(|active| active.value)
    }

    pub fn is_on(&self, fault: Fault) -> bool {
        self.0.borrow().get(&fault).is_some_and(|active| !active.is_over())
    }

    pub async fn until_on(&self, fault: Fault) {
        let mut notices = self.0.subscribe();
        while !self.is_on(fault) {
            if notices.changed().await.is_err() {
                return;
            }
        }
    }

    pub async fn until_off(&self, fault: Fault) {
        let mut notices = self.0.subscribe();
        while let Some(active) = self.active(fault) {
            let over = async {
                match active.until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = over => {}
                changed = notices.changed() => if changed.is_err() { return },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_fault_with_an_end_ends_by_itself() {
        let switches = Switches::new();
        switches.on(Fault::Hang, Value::None, Some(Duration::from_secs(30)));
        assert!(switches.is_on(Fault::Hang));
        let before = Instant::now();
        switches.until_off(Fault::Hang).await;
        assert_eq!(before.elapsed().as_secs(), 30);
        assert!(!switches.is_on(Fault::Hang));
    }

    #[tokio::test(start_paused = true)]
    async fn switching_on_again_changes_the_end_and_keeps_the_beginning() {
        let switches = Switches::new();
        switches.on(Fault::Slow, Value::Duration(Duration::from_secs(1)), Some(Duration::from_secs(30)));
        let since = switches.active(Fault::Slow).unwrap().since;
        switches.on(Fault::Slow, Value::Duration(Duration::from_secs(2)), None);
        tokio::time::advance(Duration::from_secs(60)).await;
        let active = switches.active(Fault::Slow).unwrap();
        assert_eq!((active.since, active.value), (since, Value::Duration(Duration::from_secs(2))));
        switches.reset();
        assert!(!switches.is_on(Fault::Slow));
    }
}
