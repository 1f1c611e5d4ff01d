//! Tells the binary which source and which compiler it was built from, for `banken_build_info`, and gives it the rule files
//! and the runbooks: what lies in their folders is what `src/shipped.rs` holds.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // In a worktree the head is elsewhere. A path that does not exist would have everything built anew each time.
    if let Some(head) = first_line(Command::new("git").args(["rev-parse", "--git-path", "HEAD"])) {
        println!("cargo:rerun-if-changed={head}");
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=BANKEN_REVISION");
    let revision = std::env::var("BANKEN_REVISION")
        .ok()
        .or_else(|| first_line(Command::new("git").args(["rev-parse", "--short=12", "HEAD"])));
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let rustc = first_line(Command::new(compiler).arg("--version"))
        .and_then(|line| line.split_whitespace().nth(1).map(str::to_owned));
    println!("cargo:rustc-env=BANKEN_REVISION={}", revision.as_deref().unwrap_or("unknown"));
    println!("cargo:rustc-env=BANKEN_RUSTC={}", rustc.as_deref().unwrap_or("unknown"));

    let tables = [
        table("RULES", "The rule files", "alert-rules", "yml")?,
        table("RUNBOOKS", "The runbooks", "docs/runbooks", "md")?,
    ];
    let out = PathBuf::from(std::env::var("OUT_DIR")?).join("shipped.rs");
    std::fs::write(out, tables.concat())?;
    Ok(())
}

fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
}

/// The files of one ending directly in a folder, in order, as a table of names and texts in Rust. A page about the folder
/// itself is left out.
fn table(name: &str, what: &str, folder: &str, extension: &str) -> Result<String, Box<dyn std::error::Error>> {
    let folder = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join(folder);
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension) && !path.ends_with("README.md") {
            files.push(path);
        }
    }
    files.sort();
    let mut text =
        format!("/// {what}: name and text, in the order of their names.\npub const {name}: &[(&str, &str)] = &[\n");
    for path in files {
        let name = |part: Option<&str>| part.map(str::to_owned).ok_or("a file's name is not UTF-8");
        let (file, path) = (name(path.file_name().and_then(OsStr::to_str))?, name(path.to_str())?);
        writeln!(text, "    ({file:?}, include_str!({path:?})),")?;
    }
    text.push_str("];\n");
    Ok(text)
}
