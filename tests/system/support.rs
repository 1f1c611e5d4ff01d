//! Starts the real binary and real servers on free ports, and ends them by their own pids.
