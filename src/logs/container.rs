//! Follows the log of a container, through the socket of Docker or Podman.

mod frames;
mod ledger;

use super::From;
use super::checkpoint::{Keeper, Start};
use super::intake::Intake;
use super::recent::Ask;
use super::stream::{self, Batch, End, Incidents, Sink, Stream, pump, unless_stopped};
use crate::machine::docker::{Answer, DEFAULT_SOCKET, Docker, Inspected, Logs, check_name};
use crate::observation::{Failure, Reason};
use crate::values::Invalid;
use frames::{Demux, Line};
use ledger::{Ledger, Seen};
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

pub use ledger::Position;

/// How long finding the end of a log may take.
const FIND_END_WITHIN: Duration = Duration::from_secs(60);

/// The block `container:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Its name. If it is made anew under the same name, that one is followed.
    pub name: String,
    /// Where Docker listens; Podman's socket does as well.
    #[serde(default = "default_socket")]
    pub socket: PathBuf,
}

fn default_socket() -> PathBuf {
    DEFAULT_SOCKET.into()
}

impl Config {
    /// Finds every mistake, with paths from this block on.
    pub fn check(&self) -> Vec<Invalid> {
        let mut invalid = Vec::new();
        if let Err(message) = check_name(&self.name) {
            invalid.push(Invalid::new("name", message));
        }
        if !self.socket.is_absolute() {
            let message = format!("{} is not absolute: begin with /", self.socket.display());
            invalid.push(Invalid::new("socket", message));
        }
        invalid
    }
}

/// Reads until `stop` says so, then saves.
pub async fn follow(config: Config, from: From, intake: Intake, keeper: Keeper<Position>, stop: watch::Receiver<bool>) {
    match Sink::open(intake, keeper).await {
        Ok(sink) => {
            let docker = Docker::new(config.socket);
            stream::follow(Container { docker, name: config.name, from }, sink, stop).await;
        }
        Err(failure) => tracing::error!(%failure, "a container's log is not read"),
    }
}

/// The last lines, each with its end; at most `max_bytes` of them, of which the newest are kept.
pub async fn recent(config: &Config, ask: &Ask, max_bytes: usize) -> Result<Vec<u8>, Failure> {
    let docker = Docker::new(config.socket.clone());
    let inspected = docker.inspect(&config.name).await?;
    let since = ask.since.map(|since| since.max(0.0) as i64);
    let mut answer = docker.logs(&inspected.id, &Logs { follow: false, since, tail: Some(ask.lines) }).await?;
    let mut demux = Demux::new(inspected.config.tty);
    let mut text = Vec::new();
    let mut keep = |line: &Line<'_>, _: Option<i64>| {
        text.extend_from_slice(line.text);
        text.push(b'\n');
        if text.len() > 2 * max_bytes {
            text.drain(..text.len() - max_bytes);
        }
    };
    while let Some(bytes) = answer.next().await? {
        demux.feed(&bytes, &mut keep)?;
    }
    demux.finish(&mut keep);
    Ok(text)
}

/// A container as a source.
struct Container {
    docker: Docker,
    name: String,
    from: From,
}

impl stream::Source for Container {
    type Position = Position;

    async fn read(&mut self, sink: &Sink<Position>, stop: &mut watch::Receiver<bool>) -> End {
        let mut lines = match unless_stopped(stop, self.connect(sink)).await {
            Some(Ok(lines)) => lines,
            Some(Err(failure)) => return End::Failed(failure),
            None => return End::Stopped,
        };
        match pump(&mut lines, sink, stop).await {
            End::Over => match unless_stopped(stop, self.conclude(&mut lines, sink)).await {
                Some(Ok(())) => End::Over,
                Some(Err(failure)) => End::Failed(failure),
                None => End::Stopped,
            },
            end => end,
        }
    }
}

impl Container {
    /// Begins to follow it where reading goes on.
    async fn connect(&self, sink: &Sink<Position>) -> Result<Lines, Failure> {
        let inspected = match self.docker.inspect(&self.name).await {
            Err(failure) if failure.reason == Reason::Missing => {
                if matches!(sink.start(), Start::First) {
                    // Whatever it will write, it has not written it yet.
                    sink.begin_at(Position::of_none(), Incidents::default()).await?;
                }
                return Err(failure);
            }
            inspected => inspected?,
        };
        let ledger = self.ledger(&inspected, sink).await?;
        let ask = Logs { follow: true, since: ledger.since(), tail: None };
        let answer = self.docker.logs(&inspected.id, &ask).await?;
        Ok(Lines { answer, demux: Demux::new(inspected.config.tty), ledger, inspected })
    }

    /// Where reading goes on; the first time, where it begins.
    async fn ledger(&self, inspected: &Inspected, sink: &Sink<Position>) -> Result<Ledger, Failure> {
        let mut incidents = Incidents::default();
        let ledger = match sink.start() {
            Start::At(position) if position.is_of(&inspected.id) => return Ok(Ledger::resume(position)),
            Start::At(position) => {
                incidents.rotations = u64::from(!position.is_of_none());
                Ledger::begin(&inspected.id)
            }
            Start::First if self.from == From::Beginning => Ledger::begin(&inspected.id),
            Start::Lost if self.from != From::End => {
                incidents.gaps = 1;
                Ledger::begin(&inspected.id)
            }
            start => {
                incidents.gaps = u64::from(start == Start::Lost);
                let failed = |_| Failure::new(Reason::Timeout, "the end of the log was not found in time");
                timeout(FIND_END_WITHIN, self.find_end(inspected)).await.map_err(failed)??
            }
        };
        let position = ledger.position();
        sink.begin_at(position.clone(), incidents).await?;
        Ok(Ledger::resume(position))
    }

    /// The end of what is there now: the last line says from when on to count, and then what is there is counted.
    async fn find_end(&self, inspected: &Inspected) -> Result<Ledger, Failure> {
        let mut ledger = Ledger::begin(&inspected.id);
        let last = Logs { follow: false, since: None, tail: Some(1) };
        self.replay(inspected, &last, &mut ledger).await?;
        let Some(since) = ledger.since() else { return Ok(ledger) };
        let mut ledger = Ledger::from(&inspected.id, since);
        self.replay(inspected, &Logs { follow: false, since: Some(since), tail: None }, &mut ledger).await?;
        Ok(ledger)
    }

    async fn replay(&self, inspected: &Inspected, ask: &Logs, ledger: &mut Ledger) -> Result<(), Failure> {
        let mut answer = self.docker.logs(&inspected.id, ask).await?;
        let mut demux = Demux::new(inspected.config.tty);
        while let Some(bytes) = answer.next().await? {
            demux.feed(&bytes, &mut |line, open| {
                ledger.note(line.stamp, open);
            })?;
        }
        Ok(())
    }

    /// The container has ended, or only its stream has: in the first case what it wrote last is a line without an end.
    async fn conclude(&self, lines: &mut Lines, sink: &Sink<Position>) -> Result<(), Failure> {
        let has_ended = match self.docker.inspect(&lines.inspected.id).await {
            Ok(inspected) => !inspected.state.running || inspected.state.started_at != lines.inspected.state.started_at,
            Err(failure) if failure.reason == Reason::Missing => true,
            Err(failure) => return Err(failure),
        };
        if has_ended {
            let mut batch = sink.batch();
            let Lines { demux, ledger, .. } = lines;
            demux.finish(&mut |line, open| take(ledger, line, open, &mut batch));
            sink.take(&mut batch, true).await?;
        }
        sink.caught_up();
        Ok(())
    }
}

/// Lines of one answer.
struct Lines {
    answer: Answer,
    demux: Demux,
    ledger: Ledger,
    inspected: Inspected,
}

impl Stream for Lines {
    type Position = Position;

    async fn read(&mut self, batch: &mut Batch<Position>) -> Result<(), End> {
        let bytes = self.answer.next().await?.ok_or(End::Over)?;
        let ledger = &mut self.ledger;
        Ok(self.demux.feed(&bytes, &mut |line, open| take(ledger, line, open, batch))?)
    }

    fn complaint(&self) -> Option<Failure> {
        let said = self.demux.complaint()?;
        Some(Failure::new(Reason::Protocol, format!("the log of the container may have holes: {said}")))
    }
}

fn take(ledger: &mut Ledger, line: &Line<'_>, open: Option<i64>, batch: &mut Batch<Position>) {
    match ledger.note(line.stamp, open) {
        Seen::Known => {}
        Seen::New { gap } => {
            batch.happened(Incidents { gaps: u64::from(gap), ..Incidents::default() });
            batch.line(line.text, ledger.position());
        }
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
    fn a_name_that_would_be_another_path_is_refused() {
        assert!(mistakes("{ name: my_bot-1.live }").is_empty());
        for name in ["../info", "a/b", "a?follow=0", "a b", "-a", ""] {
            let found = mistakes(&format!("{{ name: '{name}' }}"));
            assert!(found.len() == 1 && found[0].starts_with("name: "), "{name}: {found:?}");
        }
        assert!(mistakes("{ name: bot, socket: docker.sock }")[0].starts_with("socket: docker.sock is not absolute"));
    }
}
