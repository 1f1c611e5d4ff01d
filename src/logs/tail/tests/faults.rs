use super::*;
use crate::observation::Reason;
use rustix::fs::{CWD, FileType, Mode, mknodat};

#[test]
fn a_log_without_files_says_so_and_is_no_error() {
    let mut scene = Scene::new(&["deep/*/app.log"]);
    scene.pass();
    let fault = scene.read(|record| record.fault.clone()).unwrap();
    assert_eq!(fault.reason, Reason::Missing);
    assert!(fault.detail.contains("deep/*/app.log"), "{fault:?}");
    assert!(scene.read(|record| record.caught_up_at.is_some()), "its counts are known: 0");
    fs::create_dir_all(scene.path("deep/er")).unwrap();
    scene.append("deep/er/app.log", "HIT\n");
    scene.pass();
    assert_eq!((scene.hits(), scene.read(|record| record.fault.clone())), (1, None));
}

#[test]
fn what_is_no_regular_file_is_left_alone() {
    let mut scene = Scene::new(&["*.log"]);
    scene.append("app.log", "");
    scene.pass();
    mknodat(CWD, scene.path("fifo.log"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    std::os::unix::fs::symlink("/dev/zero", scene.path("zero.log")).unwrap();
    std::os::unix::fs::symlink("nowhere", scene.path("dangling.log")).unwrap();
    fs::create_dir(scene.path("folder.log")).unwrap();
    scene.remove("app.log");
    mknodat(CWD, scene.path("app.log"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    scene.settle();
    assert_eq!(scene.read(|record| record.files), 0);
    assert_eq!(scene.read(|record| record.fault.clone()).unwrap().reason, Reason::Missing);
    scene.remove("app.log");
    scene.append("app.log", "HIT\n");
    scene.settle();
    assert_eq!(scene.hits(), 1);
}

#[test]
fn links_are_followed_and_a_file_with_two_names_is_read_once() {
    let mut scene = Scene::new(&["*.log"]);
    scene.pass();
    scene.append("real.txt", lines(0..2));
    std::os::unix::fs::symlink("real.txt", scene.path("a.log")).unwrap();
    fs::hard_link(scene.path("real.txt"), scene.path("b.log")).unwrap();
    scene.pass();
    assert_eq!((scene.hits(), scene.read(|record| record.files)), (2, 1));
}

#[test]
fn our_own_log_is_not_read() {
    use std::os::unix::fs::MetadataExt as _;
    let mut scene = Scene::new(&["*.log"]);
    scene.append("own.log", "");
    scene.start();
    let own = fs::metadata(scene.path("own.log")).unwrap();
    scene.tail.as_mut().unwrap().own = vec![(own.dev(), own.ino())];
    scene.pass();
    scene.append("own.log", "HIT\n");
    scene.append("app.log", "HIT\n");
    scene.pass();
    assert_eq!((scene.hits(), scene.read(|record| record.files)), (1, 1));
}

#[test]
fn a_damaged_checkpoint_means_the_one_before_and_then_what_from_says() {
    for (from, expected) in [("end", 1), ("beginning", 31), ("checkpoint", 31)] {
        let mut scene = Scene::with(&["app.log"], serde_json::json!({ "from": from }));
        scene.append("app.log", "");
        scene.pass();
        scene.append("app.log", lines(0..10));
        scene.pass();
        scene.append("app.log", lines(10..20));
        scene.pass();
        let saved = scene.folder.path().join("state/logs/app.json");
        let length = fs::metadata(&saved).unwrap().len() as usize;
        fs::write(&saved, vec![0; length]).unwrap();
        scene.append("app.log", lines(20..30));
        scene.restart();
        assert_eq!(scene.hits(), 30, "{from}: counts and place are those of the one before");
        fs::write(&saved, "cut").unwrap();
        fs::write(saved.with_extension("json.previous"), "").unwrap();
        scene.restart();
        scene.append("app.log", lines(30..31));
        scene.pass();
        assert_eq!(scene.hits(), expected, "{from}");
    }
}

#[test]
fn a_checkpoint_that_cannot_be_written_does_not_stop_counting() {
    let mut scene = Scene::new(&["app.log"]);
    scene.pass();
    let state = scene.folder.path().join("state/logs");
    fs::remove_dir_all(&state).unwrap();
    fs::write(&state, "in the way").unwrap();
    scene.append("app.log", lines(0..5));
    scene.pass();
    assert_eq!(scene.hits(), 5);
    fs::remove_file(&state).unwrap();
    scene.pass();
    scene.restart();
    assert_eq!(scene.hits(), 5);
}

#[test]
fn a_look_counts_without_saving() {
    let mut scene = Scene::new(&["app.log"]);
    scene.pass();
    scene.append("app.log", lines(0..5));
    let store = Store::read_only(&scene.folder.path().join("state"));
    for _ in 0..2 {
        let plan = scene.spec.plan(Vec::new()).unwrap();
        let cell = Arc::new(LogCell::new(plan.descriptor()));
        plan.look(Arc::clone(&cell), Some(&store), Duration::from_secs(10));
        assert_eq!(cell.read(|record| (record.patterns[0].matches, record.files)), (5, 1));
    }
    scene.restart();
    assert_eq!(scene.hits(), 5);
}
