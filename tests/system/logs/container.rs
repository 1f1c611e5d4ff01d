//! `container:` with something that speaks like Docker.

use super::docker::{Container, Docker};
use super::{Counts, config, until_counted, until_unreadable};
use crate::support::{Banken, eventually};
use rustix::process::Signal;
use tempfile::TempDir;

const SECOND: i128 = 1_000_000_000;

struct Stage {
    folder: TempDir,
    docker: Option<Docker>,
}

impl Stage {
    fn new(container: Option<Container>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let docker = Some(Docker::start(folder.path().join("docker.sock"), container));
        Self { folder, docker }
    }

    fn docker(&self) -> &Docker {
        self.docker.as_ref().unwrap()
    }

    fn write(&self, at: i128, output: u8, text: &str) {
        self.docker().change(|container| container.write(at, output, text));
    }

    fn config(&self, more: &str) -> String {
        let folder = self.folder.path();
        let source = format!("container: {{ name: bot, socket: {}/docker.sock }}\n    {more}", folder.display());
        config(&folder.join("state"), &source)
    }

    async fn start(&self, more: &str) -> Banken {
        Banken::start(&self.config(more)).await
    }
}

fn counts(lines: usize, booms: usize) -> Counts {
    Counts { lines: lines as f64, booms: booms as f64, ..Counts::default() }
}

/// Lines as Docker keeps them: several with one time, two outputs out of order, pieces of a long line with another
/// output's line between them.
fn messages() -> Vec<(i128, u8, String)> {
    let piece = "x".repeat(16 << 10);
    vec![
        (0, 1, "boom first\n".into()),
        (1, 1, "same time\n".into()),
        (1, 2, "boom same time\n".into()),
        (1, 1, "boom same time\n".into()),
        (SECOND, 2, "later\n".into()),
        (SECOND - 5, 1, "boom out of order\n".into()),
        (2 * SECOND, 1, format!("boom {piece}").chars().take(16 << 10).collect()),
        (2 * SECOND + 7, 2, "boom between\n".into()),
        (2 * SECOND, 1, "end of the long line\n".into()),
        (3600 * SECOND, 1, "\n".into()),
        (3600 * SECOND, 1, "boom at last\n".into()),
    ]
}

fn expected(messages: &[(i128, u8, String)]) -> Counts {
    let lines = messages.iter().filter(|(_, _, text)| text.ends_with('\n')).count();
    let text: String = messages.iter().map(|(_, _, text)| text.as_str()).collect();
    // A long line is found when it ends.
    let open = messages.last().is_some_and(|(_, _, text)| !text.ends_with('\n'));
    let has_open = open || messages.len() == 8;
    counts(lines, text.matches("boom").count() - usize::from(has_open))
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_banken_is_killed_each_line_is_counted_once() {
    let stage = Stage::new(Some(Container::new("aaaa")));
    let messages = messages();
    for written in 0..=messages.len() {
        let mut banken = stage.start("from: beginning").await;
        until_counted(&banken, expected(&messages[..written])).await;
        if let Some((at, output, text)) = messages.get(written) {
            stage.write(*at, *output, text);
            if written % 3 != 0 {
                until_counted(&banken, expected(&messages[..=written])).await;
            }
        }
        banken.process.signal(if written % 4 == 3 { Signal::TERM } else { Signal::KILL });
        banken.process.ended().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_s_log_is_read_too() {
    let mut container = Container { tty: true, ..Container::new("aaaa") };
    container.write(0, 1, "boom\r\n");
    container.write(1, 1, &("x".repeat((16 << 10) - 2) + "bo"));
    container.write(1, 1, "om\r\n");
    let stage = Stage::new(Some(container));
    let banken = stage.start("from: beginning").await;
    until_counted(&banken, counts(2, 2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_before_the_first_look_is_not_counted_and_all_that_comes_after_is() {
    let mut container = Container::new("aaaa");
    for at in [0, 5 * SECOND, 5 * SECOND, 5 * SECOND - 1] {
        container.write(at, 1, "boom before\n");
    }
    let stage = Stage::new(Some(container));
    let mut banken = stage.start("").await;
    until_counted(&banken, counts(0, 0)).await;
    banken.process.signal(Signal::KILL);
    banken.process.ended().await;
    // At the very time of what is known.
    stage.write(5 * SECOND, 2, "boom while nobody looked\n");
    let banken = stage.start("").await;
    until_counted(&banken, counts(1, 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_stops_is_followed_again_when_it_starts() {
    let stage = Stage::new(Some(Container::new("aaaa")));
    let banken = stage.start("").await;
    until_counted(&banken, counts(0, 0)).await;
    stage.write(0, 1, "boom\n");
    // It is ended in the middle of a line.
    stage.write(1, 1, "boom and");
    stage.docker().change(|container| container.running = false);
    until_counted(&banken, counts(2, 2)).await;
    stage.docker().change(|container| {
        container.write(10 * SECOND, 1, "boom again\n");
        (container.running, container.started_at) = (true, 1);
    });
    until_counted(&banken, counts(3, 3)).await;
    assert_eq!(banken.sample("banken_log_readable{log=\"bot\"}").await, Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_made_anew_is_read_from_its_beginning() {
    let stage = Stage::new(Some(Container::new("aaaa")));
    stage.write(0, 1, "boom before\n");
    let banken = stage.start("").await;
    until_counted(&banken, counts(0, 0)).await;
    let mut anew = Container::new("bbbb");
    anew.write(SECOND, 1, "boom\n");
    stage.docker().set(Some(anew));
    until_counted(&banken, Counts { rotations: 1.0, ..counts(1, 1) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_not_there_is_told_and_then_read_from_its_beginning() {
    let stage = Stage::new(None);
    let banken = stage.start("").await;
    let message = until_unreadable(&banken, "missing").await;
    assert!(message.contains("no container bot") && message.contains("docker ps"), "{message}");
    let mut container = Container::new("aaaa");
    container.write(0, 1, "boom\n");
    stage.docker().set(Some(container));
    until_counted(&banken, counts(1, 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_docker_that_is_away_is_told_and_nothing_is_counted_twice_when_it_is_back() {
    let mut stage = Stage::new(Some(Container::new("aaaa")));
    let banken = stage.start("from: beginning").await;
    stage.write(0, 1, "boom\n");
    stage.write(0, 1, "boom of which the end is still to c");
    until_counted(&banken, counts(1, 1)).await;
    let socket = stage.docker().socket.clone();
    stage.docker = None;
    std::fs::remove_file(&socket).unwrap();
    let mut container = Container::new("aaaa");
    container.write(0, 1, "boom\n");
    container.write(0, 1, "boom of which the end is still to c");
    container.write(0, 1, "ome\n");
    eventually("people are told that Docker is away", async || {
        let message = until_unreadable(&banken, "connect").await;
        (message.contains("docker.sock") && message.contains("start Docker")).then_some(())
    })
    .await;
    stage.docker = Some(Docker::start(socket, Some(container)));
    until_counted(&banken, counts(2, 2)).await;
}
