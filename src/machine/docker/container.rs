//! What is read of the answers about containers. Docker and Podman leave out and add different fields.

use crate::observation::label_words;
use serde::Deserialize;

/// What is read of a container's description.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Inspected {
    /// Which one it is, whatever it is called.
    pub id: String,
    /// How often its restart policy has started it again; from 0 again when a person starts it.
    #[serde(default)]
    pub restart_count: u64,
    /// How it was made.
    pub config: InspectedConfig,
    /// How it is.
    pub state: InspectedState,
}

/// How it was made.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InspectedConfig {
    /// Whether it writes on a terminal: then its log comes without frames.
    #[serde(default)]
    pub tty: bool,
    /// The name of its image.
    #[serde(default)]
    pub image: String,
}

/// How it is.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InspectedState {
    /// One word: `running`, `exited`, …
    #[serde(default)]
    pub status: String,
    /// The number of its first process; 0 while it does not run.
    #[serde(default)]
    pub pid: i32,
    /// Whether it runs; a paused one does too.
    #[serde(default)]
    pub running: bool,
    /// Since when, as Docker writes it.
    #[serde(default)]
    pub started_at: String,
    /// Until when, as Docker writes it.
    #[serde(default)]
    pub finished_at: String,
    /// How its main process ended last.
    #[serde(default)]
    pub exit_code: i64,
    /// Whether it was ended for using too much memory.
    #[serde(default, rename = "OOMKilled")]
    pub oom_killed: bool,
    /// Why it could not be started.
    #[serde(default)]
    pub error: String,
    /// What its health check says, if it has one.
    #[serde(default)]
    pub health: Option<InspectedHealth>,
}

/// What a health check says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct InspectedHealth {
    /// One word.
    pub status: String,
    /// Failures in a row.
    pub failing_streak: i64,
    log: Option<Vec<Check>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Check {
    exit_code: i64,
    output: String,
}

impl InspectedHealth {
    /// What the last check that failed has written, and how it ended.
    pub fn last_words(&self) -> Option<(&str, i64)> {
        let failed = self.log.iter().flatten().rfind(|check| check.exit_code != 0)?;
        Some((&failed.output, failed.exit_code))
    }
}

/// What a health check has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// There is no health check.
    None,
    /// It has not found anything yet.
    Starting,
    /// All is well.
    Healthy,
    /// It fails.
    Unhealthy,
}

label_words!(Health, "status", None = "none", Starting = "starting", Healthy = "healthy", Unhealthy = "unhealthy");

impl InspectedState {
    /// What its health check has found.
    pub fn health(&self) -> Health {
        let word = self.health.as_ref().map_or("", |health| health.status.as_str());
        Health::ALL.into_iter().find(|health| health.as_str() == word).unwrap_or(Health::None)
    }
}

/// What a container uses.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(from = "RawStats")]
pub struct Stats {
    /// Bytes, without the files that can be forgotten at once: as `docker stats` shows it.
    pub memory: Option<f64>,
    /// Bytes; where it has no limit, the memory of the host.
    pub memory_limit: Option<f64>,
    /// Seconds of CPU time since it was started.
    pub cpu_seconds: Option<f64>,
    /// Processes and threads.
    pub pids: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawStats {
    #[serde(rename = "pids_stats")]
    pids: RawPids,
    #[serde(rename = "cpu_stats")]
    cpu: RawCpu,
    #[serde(rename = "memory_stats")]
    memory: RawMemory,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawPids {
    current: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawCpu {
    cpu_usage: RawCpuUsage,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawCpuUsage {
    total_usage: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawMemory {
    usage: Option<u64>,
    limit: Option<u64>,
    stats: Option<RawMemoryStats>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawMemoryStats {
    /// With the first version of control groups, where `inactive_file` leaves out the groups below.
    total_inactive_file: Option<u64>,
    inactive_file: Option<u64>,
}

impl From<RawStats> for Stats {
    fn from(raw: RawStats) -> Self {
        let stats = raw.memory.stats.unwrap_or_default();
        let forgettable = stats.total_inactive_file.or(stats.inactive_file).unwrap_or(0);
        let memory = raw.memory.usage.map(|usage| usage.checked_sub(forgettable).unwrap_or(usage) as f64);
        Self {
            memory,
            memory_limit: raw.memory.limit.filter(|limit| *limit > 0).map(|limit| limit as f64),
            cpu_seconds: raw.cpu.cpu_usage.total_usage.map(|nanos| nanos as f64 / 1e9),
            pids: raw.pids.current.map(|pids| pids as f64),
        }
    }
}

/// A container in a list of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Listed {
    /// Which one it is.
    pub id: String,
    /// What it is called; each name begins with a slash.
    #[serde(default)]
    pub names: Vec<String>,
    /// The name of its image.
    #[serde(default)]
    pub image: String,
    /// One word.
    #[serde(default)]
    pub state: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(text: &str) -> Stats {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn memory_is_what_docker_stats_shows_with_both_versions_of_control_groups() {
        let first =
            r#"{"memory_stats":{"usage":1000,"limit":4096,"stats":{"inactive_file":7,"total_inactive_file":300}}}"#;
        assert_eq!((stats(first).memory, stats(first).memory_limit), (Some(700.0), Some(4096.0)));
        let second = r#"{"memory_stats":{"usage":1000,"stats":{"inactive_file":300,"anon":1}}}"#;
        assert_eq!(stats(second).memory, Some(700.0));
        let odd = r#"{"memory_stats":{"usage":1000,"stats":{"inactive_file":3000}}}"#;
        assert_eq!(stats(odd).memory, Some(1000.0));
        // Podman gives no details.
        assert_eq!(stats(r#"{"memory_stats":{"usage":1000,"stats":null}}"#).memory, Some(1000.0));
    }

    #[test]
    fn what_is_not_measured_is_not_zero() {
        // As Docker says it of a container that has ended.
        let ended = r#"{"pids_stats":{},"cpu_stats":{"cpu_usage":{}},"memory_stats":{}}"#;
        assert_eq!(stats(ended), Stats::default());
        let some = stats(r#"{"pids_stats":{"current":2},"cpu_stats":{"cpu_usage":{"total_usage":1500000000}}}"#);
        assert_eq!((some.pids, some.cpu_seconds), (Some(2.0), Some(1.5)));
    }

    #[test]
    fn no_health_check_is_said_in_several_ways() {
        for (text, health) in [
            (r#"{"Status":"running"}"#, Health::None),
            (r#"{"Health":null}"#, Health::None),
            (r#"{"Health":{"Status":"","FailingStreak":0,"Log":null}}"#, Health::None),
            (r#"{"Health":{"Status":"none"}}"#, Health::None),
            (r#"{"Health":{"Status":"starting"}}"#, Health::Starting),
            (r#"{"Health":{"Status":"unhealthy"}}"#, Health::Unhealthy),
        ] {
            let state: InspectedState = serde_json::from_str(text).unwrap();
            assert_eq!(state.health(), health, "{text}");
        }
    }
}
