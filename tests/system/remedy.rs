//! Remedies at work on real files and real servers.

mod cache_clear;
mod log_rotate;
