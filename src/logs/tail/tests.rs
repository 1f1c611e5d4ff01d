//! Files as they are written, rotated and lost, against what is counted of them.

mod bounds;
mod faults;
mod model;
mod rotation;
mod running;

use super::pass::{Outcome, Wake};
use super::{Files, Tail};
use crate::board::{LogCell, LogRecord};
use crate::logs::Spec;
use crate::logs::checkpoint::Keeper;
use crate::logs::intake::Intake;
use crate::state::Store;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A folder of logs, where the clock is turned by hand.
struct Scene {
    folder: tempfile::TempDir,
    spec: Spec,
    store: Store,
    tail: Option<Tail>,
    cell: Arc<LogCell>,
    now: Instant,
}

const PASSED: Duration = Duration::from_secs(6);

impl Scene {
    fn new(paths: &[&str]) -> Self {
        Self::with(paths, serde_json::json!({}))
    }

    /// `paths` are relative to the folder, `more` are further keys of the log's entry.
    fn with(paths: &[&str], more: serde_json::Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("logs")).unwrap();
        let store = Store::open(&folder.path().join("state"), Arc::default()).unwrap();
        let mut entry = more;
        entry["name"] = "app".into();
        entry["rules"] = serde_json::json!([{ "id": "hit", "pattern": "HIT" }]);
        let paths = paths.iter().map(|path| folder.path().join("logs").join(path).display().to_string());
        entry["paths"] = paths.collect::<Vec<_>>().into();
        let spec: Spec = serde_json::from_value(entry).unwrap();
        let cell = Arc::new(LogCell::new(spec.plan(Vec::new()).unwrap().descriptor()));
        Self { folder, spec, store, tail: None, cell, now: Instant::now() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("logs").join(name)
    }

    fn append(&self, name: &str, text: impl AsRef<[u8]>) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(text.as_ref()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    /// As logrotate does it: first the copy, then the truncation.
    fn copy(&self, from: &str, to: &str) {
        fs::copy(self.path(from), self.path(to)).unwrap();
    }

    fn truncate(&self, name: &str) {
        OpenOptions::new().write(true).open(self.path(name)).unwrap().set_len(0).unwrap();
    }

    /// Begins where the store says, with a new cell.
    fn start(&mut self) {
        let plan = self.spec.plan(Vec::new()).unwrap();
        self.cell = Arc::new(LogCell::new(plan.descriptor()));
        let intake =
            Intake::new(Arc::clone(plan.patterns()), self.spec.multiline.clone(), Arc::clone(&self.cell), None);
        let files = Files::build(&self.spec.paths, &self.spec.exclude, self.spec.max_files, &mut Vec::new()).unwrap();
        let keeper = Keeper::new(Some(self.store.clone()), "logs/app".into());
        let mut tail = Tail::new(files, self.spec.from, intake, keeper, self.now);
        tail.own.clear();
        self.tail = Some(tail);
    }

    fn turn(&mut self) -> Outcome {
        let now = self.now;
        let tail = self.tail.as_mut().unwrap();
        // What the kernel's tick hides from a listing is found by the one after it; a test does not wait for that.
        tail.discover(now, true);
        tail.pass(&Wake::All, now, 1.0)
    }

    /// Looks until there is no more, and saves.
    fn pass(&mut self) {
        if self.tail.is_none() {
            self.start();
        }
        while self.turn().more {}
        self.save();
    }

    fn save(&mut self) {
        let tail = self.tail.as_mut().unwrap();
        tail.keeper.touch();
        tail.save(true);
    }

    /// Ends without a save.
    fn kill(&mut self) {
        self.tail = None;
    }

    fn restart(&mut self) {
        self.kill();
        self.pass();
    }

    /// Time goes by.
    fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    /// Looks, lets time go by, and looks again: what is held back for a while is let go.
    fn settle(&mut self) {
        self.pass();
        for _ in 0..3 {
            self.wait(PASSED);
            self.pass();
        }
    }

    fn read<T>(&self, look: impl FnOnce(&LogRecord) -> T) -> T {
        self.cell.read(look)
    }

    fn lines(&self) -> u64 {
        self.read(|record| record.counts.lines)
    }

    fn hits(&self) -> u64 {
        self.read(|record| record.patterns[0].matches)
    }

    /// Rotations, truncations, gaps.
    fn events(&self) -> (u64, u64, u64) {
        self.read(|record| (record.counts.rotations, record.counts.truncations, record.counts.gaps))
    }
}

/// Lines with different texts.
fn lines(numbers: std::ops::Range<usize>) -> String {
    numbers.fold(String::new(), |text, number| format!("{text}{number} HIT at this line\n"))
}

#[test]
fn a_log_begins_at_its_end_and_what_is_written_then_is_counted() {
    let mut scene = Scene::new(&["*.log"]);
    scene.append("app.log", "old HIT\nunfini");
    scene.pass();
    assert_eq!(scene.hits(), 0);
    scene.append("app.log", "shed HIT\nHIT\n");
    scene.append("new.log", "HIT\nnone\n");
    scene.pass();
    assert_eq!((scene.hits(), scene.lines()), (3, 4));
    assert_eq!(scene.read(|record| (record.files, record.lag, record.caught_up_at)), (2, 0, Some(1.0)));
}

#[test]
fn a_log_may_begin_at_its_beginning_without_what_was_rotated_away() {
    let mut scene = Scene::with(&["app.log"], serde_json::json!({ "from": "beginning" }));
    scene.append("app.log.1", lines(0..5));
    scene.append("app.log", lines(5..8));
    scene.pass();
    assert_eq!(scene.hits(), 3);
    // Yet who writes on in the rotated file is heard.
    scene.append("app.log.1", "HIT\n");
    scene.pass();
    assert_eq!(scene.hits(), 4);
}

#[test]
fn a_line_is_counted_when_it_is_complete_and_bytes_need_not_be_text() {
    let mut scene = Scene::new(&["app.log"]);
    scene.pass();
    scene.append("app.log", b"\xff\xfe HI");
    scene.pass();
    assert_eq!(scene.lines(), 0);
    scene.append("app.log", b"T \0 \x80\nHIT");
    scene.pass();
    assert_eq!((scene.hits(), scene.lines()), (1, 1));
    scene.settle();
    assert_eq!(scene.lines(), 1, "a live file's last line is waited for");
    assert_eq!(scene.read(|record| record.lag), 0);
}

#[test]
fn counts_and_offset_are_saved_together() {
    let mut scene = Scene::new(&["app.log"]);
    scene.pass();
    scene.append("app.log", lines(0..10));
    scene.pass();
    scene.append("app.log", lines(10..20));
    // Read and killed before it was saved.
    while scene.turn().more {}
    assert_eq!(scene.hits(), 20);
    scene.kill();
    scene.append("app.log", lines(20..25));
    scene.restart();
    assert_eq!((scene.hits(), scene.lines(), scene.events()), (25, 25, (0, 0, 0)));
}

#[test]
fn nothing_is_published_after_a_restart_before_it_is_caught_up_with() {
    let mut scene = Scene::new(&["app.log"]);
    scene.pass();
    let line = "HIT and what belongs to it, again and again and again\n";
    scene.append("app.log", line.repeat(2_000_000));
    scene.kill();
    scene.start();
    let mut turns = 1;
    while scene.turn().more {
        turns += 1;
        assert_eq!(scene.read(|record| record.caught_up_at), None);
    }
    assert!(turns > 1, "a pass is bounded");
    assert_eq!((scene.hits(), scene.read(|record| record.caught_up_at)), (2_000_000, Some(1.0)));
}

#[test]
fn a_changed_configuration_begins_at_the_end_of_what_is_new_in_it() {
    let mut scene = Scene::new(&["app.log"]);
    scene.append("web.log", lines(0..10));
    scene.pass();
    scene.kill();
    scene.append("app.log", lines(0..2));
    scene.spec.paths.push(scene.path("web.log").display().to_string());
    scene.pass();
    assert_eq!(scene.hits(), 2);
    scene.append("web.log", lines(10..11));
    scene.pass();
    assert_eq!(scene.hits(), 3);
}

#[test]
fn a_record_of_several_lines_is_complete_when_the_next_begins_or_the_file_is_quiet() {
    let multiline = serde_json::json!({ "multiline": { "start": "^[0-9]" } });
    let mut scene = Scene::with(&["app.log"], multiline);
    scene.pass();
    scene.append("app.log", "1 HIT\n");
    scene.pass();
    assert_eq!(scene.hits(), 0);
    scene.append("app.log", " HIT\n HIT\n2 none\n");
    scene.pass();
    assert_eq!((scene.hits(), scene.lines()), (1, 3));
    scene.append("app.log", " HIT\n");
    scene.pass();
    assert_eq!(scene.hits(), 1);
    scene.wait(Duration::from_secs(2));
    scene.pass();
    assert_eq!((scene.hits(), scene.lines()), (2, 5));
    scene.settle();
    assert_eq!((scene.hits(), scene.lines()), (2, 5));
}
