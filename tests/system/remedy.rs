//! Remedies at work on real files, real servers and real services.

mod cache_clear;
mod log_rotate;
mod scenarios;
