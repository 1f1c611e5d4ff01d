//! Tells the binary which source and which compiler it was built from, for `banken_build_info`.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=.git/HEAD");
    println!("cargo:rerun-if-env-changed=BANKEN_REVISION");
    let revision = std::env::var("BANKEN_REVISION")
        .ok()
        .or_else(|| first_line(Command::new("git").args(["rev-parse", "--short=12", "HEAD"])));
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let rustc = first_line(Command::new(compiler).arg("--version"))
        .and_then(|line| line.split_whitespace().nth(1).map(str::to_owned));
    println!("cargo:rustc-env=BANKEN_REVISION={}", revision.as_deref().unwrap_or("unknown"));
    println!("cargo:rustc-env=BANKEN_RUSTC={}", rustc.as_deref().unwrap_or("unknown"));
}

fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
}
