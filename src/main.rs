//! Entry point: parse, call, map an error to an exit code.

fn main() {}
