//! Remedies at work on real services.

mod scenarios;
