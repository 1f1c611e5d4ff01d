//! Drives the real binary, and the real servers around it, as a user does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]
#![allow(clippy::float_cmp, reason = "counts and flags are whole numbers")]
#![allow(clippy::format_push_string, reason = "clearer than write! where a configuration is put together")]

mod cli;
mod config;
mod demo;
mod file;
mod hostile;
mod icmp;
mod jobs;
mod life;
mod logs;
mod metrics_doc;
mod page;
mod port;
mod privilege;
mod prometheus;
mod scan;
mod stage;
mod support;
mod tail;
mod targets;
mod web;
