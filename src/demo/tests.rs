//! The whole service over real sockets.

mod api;
mod control;
mod crash;
mod faults;
mod jobs;
mod rig;
mod tls;

pub(super) use rig::{scratch, service};

/// A fault without a test would go unnoticed here.
#[test]
fn every_fault_is_switched_on_in_some_test() {
    let tests = [
        include_str!("tests/crash.rs"),
        include_str!("tests/faults.rs"),
        include_str!("tests/jobs.rs"),
        include_str!("tests/tls.rs"),
    ];
    for row in super::faults::TABLE {
        let name = row.name;
        let switched = [format!("(\"{name}\""), format!("(\"{name}?"), format!("\"/{name}\"")];
        assert!(tests.iter().any(|test| switched.iter().any(|call| test.contains(call))), "{name} has no test");
    }
}
