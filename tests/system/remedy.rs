//! Remedies at work: the binary beside real servers that are killed.

mod asked;
mod held_back;
mod repaired;
mod server;
