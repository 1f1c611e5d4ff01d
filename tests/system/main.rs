//! Drives the real binary, and the real servers around it, as a user does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]
#![allow(clippy::float_cmp, reason = "counts and flags are whole numbers")]
#![allow(clippy::format_push_string, reason = "clearer than write! where a configuration is put together")]

mod alerting;
mod atr;
mod chamber;
mod cli;
mod command;
mod compose;
mod config;
mod container;
mod dashboards;
mod demo;
mod dns;
mod exporters;
mod file;
mod healthy;
mod hostile;
mod icmp;
mod jobs;
mod journeys;
mod keeping;
mod kubernetes;
mod life;
mod logs;
mod metrics_doc;
mod page;
mod pm2;
mod port;
mod postgres;
mod privilege;
mod prometheus;
mod redis;
mod remedy;
mod rules;
mod scan;
mod stage;
mod support;
mod systemd;
mod tail;
mod targets;
mod web;
