//! Entry point: parse, call, map an error to an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Libraries that speak TLS without naming a provider take this one; a second installation is no fault.
    let _ = rustls::crypto::ring::default_provider().install_default();
    banken::cli::main()
}
