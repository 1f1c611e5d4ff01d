//! The faults that use up the host: memory that grows, and a thread that spins.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::faults::{Fault, Value};
use super::switches::Switches;

/// Eight steps a second: 8 MiB/s.
const STEP: usize = 1 << 20;
const PACE: Duration = Duration::from_millis(125);
/// The name of the spinning thread, as `top -H` shows it.
pub(super) const BURNER: &str = "demo-burn";

/// Grows while the fault is on and gives everything back afterwards.
pub(super) async fn memory(switches: Arc<Switches>) {
    loop {
        switches.until_on(Fault::Memory).await;
        grow(&switches).await;
    }
}

/// Returns when the fault is over, or has another limit than at the beginning.
async fn grow(switches: &Switches) {
    let Some(limit) = limit(switches) else { return };
    let mut held = Vec::new();
    // One reservation of this size is a mapping of its own: untouched it costs nothing, dropped it is gone at once.
    if held.try_reserve_exact(limit).is_err() {
        tracing::warn!(bytes = limit, "demo: this much memory cannot be reserved");
        return switches.until_off(Fault::Memory).await;
    }
    let mut pace = tokio::time::interval(PACE);
    while self::limit(switches) == Some(limit) {
        pace.tick().await;
        let size = limit.min(held.len() + STEP);
        held.resize(size, 0xa5_u8);
        black_box(&held);
    }
}

fn limit(switches: &Switches) -> Option<usize> {
    match switches.value(Fault::Memory) {
        Some(Value::Bytes(bytes)) => usize::try_from(bytes).ok(),
        _ => None,
    }
}

/// Spins one thread while the fault is on.
pub(super) async fn cpu(switches: Arc<Switches>) {
    loop {
        switches.until_on(Fault::Cpu).await;
        let burner = Burner::start();
        switches.until_off(Fault::Cpu).await;
        drop(burner);
    }
}

/// A spinning thread that ends when this is dropped, also when the task that holds it is cut off.
struct Burner(Arc<AtomicBool>);

impl Burner {
    fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let spin = move || {
            while !seen.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        };
        if let Err(error) = std::thread::Builder::new().name(BURNER.to_owned()).spawn(spin) {
            tracing::warn!(%error, "demo: cannot start a thread to burn");
        }
        Self(stop)
    }
}

impl Drop for Burner {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
