//! How many runs may be under way at once: as many as there are file descriptors for.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept for files, the page's connections and the runtime itself.
const RESERVED: u64 = 512;

/// More runs at once than this need more memory than a watchdog should take.
const MOST: u64 = 16_384;

/// What a run may hold at once: its connection and one more address that is tried beside it.
const DESCRIPTORS_PER_RUN: u64 = 2;

/// Raises the soft limit of file descriptors to the hard one and says how many runs fit.
pub fn concurrency() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Where it may not be raised, the limit that is there counts.
    let _ = setrlimit(Resource::Nofile, wanted);
    let current = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    runs_within(current)
}

fn runs_within(descriptors: u64) -> usize {
    let spare = descriptors.saturating_sub(RESERVED.min(descriptors / 2));
    (spare / DESCRIPTORS_PER_RUN).clamp(1, MOST) as usize
}

#[cfg(test)]
mod tests {
    use super::runs_within;

    #[test]
    fn few_descriptors_still_let_something_run_and_many_do_not_cost_all_memory() {
        assert_eq!(runs_within(1), 1);
        assert_eq!(runs_within(64), 16);
        assert_eq!(runs_within(1024), 256);
        assert_eq!(runs_within(u64::MAX), 16_384);
    }
}
