//! Banken (番犬, "watchdog"): a Prometheus-native health exporter with alert rules.

pub mod demo;
