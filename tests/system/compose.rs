//! The compose stack: what its files promise, and, where a Docker daemon can be started, the whole of it running.

pub mod daemon;
mod files;
mod images;
mod sidecar;
mod stack;

use serde_yaml::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The environments that come with the stack, `.env` being the one of a user who changed nothing.
const ENVIRONMENTS: [&str; 4] =
    [".env.example", "environments/demo.env", "environments/production.env", "environments/long-term.env"];

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A YAML file below `deploy`, with what is merged into its parts.
fn yaml(path: &str) -> Value {
    let mut value: Value = serde_yaml::from_str(&read(deploy().join(path))).unwrap();
    // What is merged may merge something itself.
    for _ in 0..2 {
        value.apply_merge().unwrap();
    }
    value
}

/// The services of a compose file by name.
fn services(file: &str) -> BTreeMap<String, Value> {
    let services = yaml(file)["services"].as_mapping().unwrap().clone();
    services.into_iter().map(|(name, service)| (name.as_str().unwrap().to_owned(), service)).collect()
}

/// The texts of a list.
fn texts(list: &Value) -> Vec<String> {
    list.as_sequence().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// What a file of variables says.
fn variables(file: &str) -> BTreeMap<String, String> {
    let text = read(deploy().join(file));
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_once('=').unwrap()).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// docker-compose, or the plugin of Docker that has taken its place, with nothing of the caller's environment.
fn compose(folder: &Path, arguments: &[&str]) -> Command {
    let old = Path::new("/usr/bin/docker-compose").exists();
    let mut command = Command::new(if old { "docker-compose" } else { "docker" });
    if !old {
        command.arg("compose");
    }
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", folder);
    command.args(arguments).current_dir(folder);
    command
}

/// What a command says when it succeeds.
fn said(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|error| {
        panic!("{} cannot be started: {error}; tests/run installs what is needed", command.get_program().display())
    });
    let said = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    assert!(status.success(), "{command:?}: {said}");
    said
}
