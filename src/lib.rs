//! Banken (番犬, "watchdog"): a Prometheus-native health exporter with alert rules.
//!
//! Data flows one way: configuration → probes → observations → health → board → metrics, status page, remedies.
//! `ARCHITECTURE.md` is the map of the house.

pub mod app;
pub mod board;
pub mod cli;
pub mod config;
pub mod demo;
pub mod exposition;
pub mod fetch;
pub mod health;
pub mod jobs;
pub mod logs;
pub mod machine;
pub mod metrics;
pub mod net;
pub mod observation;
pub mod postgres;
pub mod probe;
pub mod remedy;
pub mod resp;
pub mod schedule;
pub mod shipped;
pub mod state;
pub mod values;
pub mod web;
