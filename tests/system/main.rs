//! Drives the real binary, and the real servers around it, as a user does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

mod config;
mod demo;
mod metrics_doc;
mod page;
mod prometheus;
mod stage;
mod support;
