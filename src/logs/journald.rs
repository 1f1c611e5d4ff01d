//! Follows the journal of this host, through `journalctl`.
//!
//! The cursor of the last record that was counted is the position. Reading goes on *at* it, not after it: that the first
//! record is the one that is known already shows that nothing was lost.

mod child;
mod cutter;
mod record;

use super::From;
use super::checkpoint::{Keeper, Start};
use super::intake::Intake;
use super::recent::Ask;
use super::stream::{self, Batch, End, Incidents, Sink, Stream, pump, unless_stopped};
use crate::observation::{Failure, Reason};
use crate::values::Invalid;
use child::{Child, Journalctl};
use cutter::{Cut, Cutter};
use record::Record;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use tokio::sync::watch;

/// Where the journal is, unless a folder is given.
const JOURNALS: [&str; 2] = ["/var/log/journal", "/run/log/journal"];

/// The block `journald:`. At least one of `unit` and `identifier` must be there.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The unit whose records are read, `.service` if it has no suffix; with what systemd says about it.
    pub unit: Option<String>,
    /// The syslog identifier of the records that are read, as `logger --tag` sets it.
    pub identifier: Option<String>,
    /// Whether `unit` is a unit of the user that runs Banken, not of the system.
    pub user: bool,
    /// The folder of the journal's files, such as a host's /var/log/journal that is mounted into a container.
    pub directory: Option<PathBuf>,
}

impl Config {
    /// Finds every mistake, with paths from this block on.
    pub fn check(&self) -> Vec<Invalid> {
        let mut invalid = Vec::new();
        if self.unit.is_none() && self.identifier.is_none() {
            let message = "nothing is chosen: add unit (as in bot.service) or identifier";
            invalid.push(Invalid::new("", message));
        }
        if self.user && self.unit.is_none() {
            invalid.push(Invalid::new("user", "there is no unit of a user: add unit, or remove user"));
        }
        for (key, value) in [("unit", &self.unit), ("identifier", &self.identifier)] {
            let Some(value) = value else { continue };
            if value.is_empty() || value.contains(char::is_control) {
                invalid.push(Invalid::new(key, format!("{value:?} is not a name: write it as journalctl shows it")));
            }
        }
        if let Some(unit) = self.unit.as_ref().filter(|unit| unit.contains(['*', '?', '['])) {
            // journalctl would look for units by pattern once, when it starts, and never see a new one.
            let message = format!("{unit:?} is a pattern: write the whole name, and a log for each unit");
            invalid.push(Invalid::new("unit", message));
        }
        if let Some(folder) = self.directory.as_ref().filter(|folder| !folder.is_absolute()) {
            let message = format!("{} is not absolute: begin with /", folder.display());
            invalid.push(Invalid::new("directory", message));
        }
        invalid
    }

    /// What is read of the journal.
    fn matches(&self) -> Vec<String> {
        let unit = if self.user { "--user-unit" } else { "--unit" };
        let options = [(unit, &self.unit), ("--identifier", &self.identifier)];
        let options = options.into_iter().filter_map(|(option, value)| Some(format!("{option}={}", value.as_ref()?)));
        options.chain(self.directory.as_ref().map(|folder| format!("--directory={}", folder.display()))).collect()
    }
}

/// Where reading goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// The cursor of the last record that was counted; without one there was none yet.
    cursor: Option<String>,
    /// What was read of the journal: another choice has other records at the same place.
    matches: Vec<String>,
}

/// Reads until `stop` says so, then saves.
pub async fn follow(config: Config, from: From, intake: Intake, keeper: Keeper<Position>, stop: watch::Receiver<bool>) {
    match Sink::open(intake, keeper).await {
        Ok(sink) => stream::follow(Journal { config, from }, sink, stop).await,
        Err(failure) => tracing::error!(%failure, "a log of the journal is not read"),
    }
}

/// The last messages, each a line; at most `max_bytes` of them, of which the newest are kept.
pub async fn recent(config: &Config, ask: &Ask, max_bytes: usize) -> Result<Vec<u8>, Failure> {
    let journal = Journal { config: config.clone(), from: From::End };
    let records = journal.find()?.last(&config.matches(), ask, max_bytes).await?;
    // The newest come first, so that what is cut off is old.
    let mut messages: Vec<Vec<u8>> = Vec::new();
    for line in records.split(|byte| *byte == b'\n') {
        if let Some(Ok(record)) = record::parse(line) {
            messages.push(record.message.0.join(&b'\n'));
        }
    }
    let mut text = Vec::new();
    for message in messages.iter().rev() {
        text.extend_from_slice(message);
        text.push(b'\n');
    }
    Ok(text)
}

/// The journal as a source.
struct Journal {
    config: Config,
    from: From,
}

impl stream::Source for Journal {
    type Position = Position;

    async fn read(&mut self, sink: &Sink<Position>, stop: &mut watch::Receiver<bool>) -> End {
        let journalctl = match self.find() {
            Ok(journalctl) => journalctl,
            Err(failure) => return End::Failed(failure),
        };
        let position = match unless_stopped(stop, self.position(&journalctl, sink)).await {
            Some(Ok(position)) => position,
            Some(Err(failure)) => return End::Failed(failure),
            None => return End::Stopped,
        };
        let end = match Follower::start(&journalctl, self.config.matches(), position).await {
            Ok(mut follower) => {
                let end = pump(&mut follower, sink, stop).await;
                follower.child.end().await;
                end
            }
            Err(failure) => End::Failed(failure),
        };
        match end {
            End::Failed(failure) if child::is_lost_cursor(&failure) => self.lose(&journalctl, sink, failure).await,
            end => end,
        }
    }
}

impl Journal {
    fn find(&self) -> Result<Journalctl, Failure> {
        if self.config.directory.is_none() && !JOURNALS.iter().any(|folder| std::path::Path::new(folder).is_dir()) {
            let detail = format!(
                "this host keeps no journal in {}: in a container, mount the host's and name it under directory:",
                JOURNALS.join(" or ")
            );
            return Err(Failure::new(Reason::Missing, detail));
        }
        Journalctl::find(child::FOLDERS)
    }

    /// Where to go on; the first time, where to begin.
    async fn position(&self, journalctl: &Journalctl, sink: &Sink<Position>) -> Result<Position, Failure> {
        let lost = match sink.start() {
            Start::At(position) => return Ok(position),
            Start::First => 0,
            Start::Lost => 1,
        };
        self.begin(journalctl, sink, lost).await
    }

    async fn begin(&self, journalctl: &Journalctl, sink: &Sink<Position>, gaps: u64) -> Result<Position, Failure> {
        let matches = self.config.matches();
        let cursor = match self.from {
            From::Checkpoint if gaps > 0 => None,
            From::Beginning => None,
            // The last record that is there now is the first that is known already. Where there is none, all are new.
            From::End | From::Checkpoint => journalctl.newest(&matches).await?,
        };
        let position = Position { cursor, matches };
        sink.begin_at(position.clone(), Incidents { gaps, ..Incidents::default() }).await?;
        Ok(position)
    }

    /// Begins again where the saved cursor means nothing to this journal.
    async fn lose(&self, journalctl: &Journalctl, sink: &Sink<Position>, failure: Failure) -> End {
        match self.begin(journalctl, sink, 1).await {
            Ok(_) => End::Failed(failure),
            Err(failure) => End::Failed(failure),
        }
    }
}

/// A running `journalctl --follow`.
struct Follower {
    child: Child,
    cutter: Cutter,
    matches: Vec<String>,
    /// The cursor of the record that must come first, because reading goes on at it.
    known: Option<Known>,
    own_pid: Option<String>,
}

struct Known {
    cursor: String,
    /// Whether it was reached with the same choice of records.
    is_ours: bool,
}

impl Follower {
    async fn start(journalctl: &Journalctl, matches: Vec<String>, position: Position) -> Result<Self, Failure> {
        let child = journalctl.follow(&matches, position.cursor.as_deref()).await?;
        let is_ours = position.matches == matches;
        let known = position.cursor.map(|cursor| Known { cursor, is_ours });
        // In a container we may be the first process, which in the journal of the host is systemd.
        let own_pid = Some(std::process::id()).filter(|pid| *pid != 1).map(|pid| pid.to_string());
        Ok(Self { child, cutter: Cutter::default(), matches, known, own_pid })
    }

    fn position(&self, cursor: String) -> Position {
        Position { cursor: Some(cursor), matches: self.matches.clone() }
    }

    fn take(&mut self, cut: Cut, batch: &mut Batch<Position>) {
        match cut {
            Cut::Line(line) => match record::parse(&line) {
                Some(Ok(record)) => self.take_record(record, batch),
                Some(Err(error)) => {
                    tracing::debug!(%error, "a record of the journal is not understood");
                    batch.happened(Incidents { gaps: 1, ..Incidents::default() });
                }
                None => {}
            },
            Cut::Long(cursor) => {
                if cursor.as_ref().is_some_and(|cursor| self.is_known(cursor, batch)) {
                    return;
                }
                batch.happened(Incidents { long_lines: 1, ..Incidents::default() });
                if let Some(cursor) = cursor {
                    batch.reached(self.position(cursor));
                }
            }
        }
    }

    fn take_record(&mut self, record: Record, batch: &mut Batch<Position>) {
        if self.is_known(&record.cursor, batch) {
            return;
        }
        let is_own = self.own_pid.as_deref().is_some_and(|pid| record.is_of(pid));
        let position = self.position(record.cursor);
        let text = record.message.0.join(&b'\n');
        // Our own log is never read.
        if is_own || record.message.0.is_empty() {
            batch.reached(position);
        } else {
            batch.line(&text, position);
        }
    }

    /// Whether it is the record at which reading goes on. If another one comes first, that one is gone, and who knows
    /// what else.
    fn is_known(&mut self, cursor: &str, batch: &mut Batch<Position>) -> bool {
        let Some(known) = self.known.take() else { return false };
        if known.cursor == cursor {
            return true;
        }
        if known.is_ours {
            batch.happened(Incidents { gaps: 1, ..Incidents::default() });
        }
        false
    }
}

impl Stream for Follower {
    type Position = Position;

    async fn read(&mut self, batch: &mut Batch<Position>) -> Result<(), End> {
        let read = self.child.read(self.cutter.buffer()).await;
        while let Some(cut) = self.cutter.next() {
            self.take(cut, batch);
        }
        read
    }

    fn complaint(&self) -> Option<Failure> {
        self.child.complaint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(yaml: &str) -> Vec<String> {
        let config: Config = serde_yaml::from_str(yaml).unwrap();
        config.check().into_iter().map(|mistake| format!("{}: {}", mistake.path, mistake.message)).collect()
    }

    #[test]
    fn what_is_not_chosen_well_is_told_with_a_remedy() {
        assert!(mistakes("{ unit: bot.service, identifier: bot, user: true, directory: /var/log/journal }").is_empty());
        let wrong = [
            ("{}", ": nothing is chosen: add unit"),
            ("{ identifier: bot, user: true }", "user: there is no unit"),
            ("{ unit: 'bot@*.service' }", "unit: \"bot@*.service\" is a pattern: write the whole name"),
            ("{ unit: '' }", "unit: \"\" is not a name"),
            ("{ identifier: \"a\\0b\" }", "identifier: \"a\\0b\" is not a name"),
            ("{ unit: bot, directory: journal }", "directory: journal is not absolute"),
        ];
        for (yaml, message) in wrong {
            let found = mistakes(yaml);
            assert!(found.len() == 1 && found[0].starts_with(message), "{yaml}: {found:?}");
        }
        assert!(serde_yaml::from_str::<Config>("{ unti: bot }").unwrap_err().to_string().contains("unti"));
    }

    #[test]
    fn what_is_chosen_is_never_taken_for_an_option() {
        let config: Config = serde_yaml::from_str("{ unit: --vacuum-size=1, identifier: -x, user: true }").unwrap();
        assert_eq!(config.matches(), ["--user-unit=--vacuum-size=1", "--identifier=-x"]);
    }
}
