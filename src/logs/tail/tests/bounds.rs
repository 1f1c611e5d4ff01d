use super::*;

#[test]
fn a_line_without_an_end_takes_no_memory_and_its_rest_is_skipped_across_restarts() {
    let mut scene = Scene::new(&["app.log"]);
    scene.pass();
    let mut written = 0;
    for part in 0..6 {
        let text = [format!("HIT {part} ").into_bytes(), vec![b'x'; 700_000]].concat();
        written += text.len();
        scene.append("app.log", text);
        scene.restart();
        assert_eq!((scene.hits(), scene.lines()), (1, 1), "{part}");
    }
    scene.append("app.log", "HIT\nHIT\n");
    scene.pass();
    let long = scene.read(|record| (record.counts.long_lines, record.counts.bytes));
    assert_eq!((scene.hits(), scene.lines(), long), (2, 2, (1, written as u64 + 8)));
}

#[test]
fn the_newest_files_are_followed_and_the_others_counted() {
    let mut scene = Scene::with(&["*.log"], serde_json::json!({ "max_files": 3 }));
    for number in 0..10 {
        scene.append(&format!("{number}.log"), "old HIT\n");
    }
    scene.pass();
    assert_eq!(scene.read(|record| (record.files, record.files_ignored)), (3, 7));
    // One that was left out is written: it is the newest then, and only what is new in it counts.
    let base = std::time::SystemTime::now() + Duration::from_secs(60);
    for number in 0..10 {
        scene.append(&format!("{number}.log"), "HIT\n");
        let file = OpenOptions::new().append(true).open(scene.path(&format!("{number}.log"))).unwrap();
        file.set_modified(base + Duration::from_secs(number)).unwrap();
        scene.pass();
        assert_eq!((scene.hits(), scene.read(|record| record.files)), (number + 1, 3), "{number}");
    }
    for number in 0..8 {
        scene.remove(&format!("{number}.log"));
    }
    scene.settle();
    assert_eq!(scene.read(|record| (record.files, record.files_ignored)), (2, 0));
    assert_eq!(scene.hits(), 10);
}

#[test]
fn more_files_than_may_stay_open_are_read_all_the_same() {
    let mut scene = Scene::new(&["*.log"]);
    scene.pass();
    for round in 1..=2 {
        for number in 0..300 {
            scene.append(&format!("{number}.log"), "HIT\n");
        }
        scene.pass();
        assert_eq!(scene.hits(), 300 * round);
    }
    let open = scene.tail.as_ref().unwrap().files.iter().filter(|file| file.is_open()).count();
    assert_eq!(open, 256);
    scene.restart();
    assert_eq!(scene.hits(), 600);
}

#[test]
fn a_folder_is_listed_again_only_when_names_came_or_went() {
    let mut scene = Scene::new(&["*.log"]);
    scene.append("app.log", "");
    scene.pass();
    let look = |scene: &mut Scene, seconds| {
        scene.now += Duration::from_secs(seconds);
        let tail = scene.tail.as_mut().unwrap();
        tail.pass(&Wake::All, scene.now, 1.0);
        tail.lister.generation()
    };
    let listed = look(&mut scene, 1);
    for _ in 0..10 {
        assert_eq!(look(&mut scene, 1), listed);
    }
    scene.append("new.log", "HIT\n");
    look(&mut scene, 1);
    assert_eq!(scene.hits(), 1);
    // And now and then in any case.
    let listed = look(&mut scene, 1);
    assert_ne!(look(&mut scene, 31), listed);
}

#[test]
fn a_hundred_thousand_names_in_the_folder_hold_nothing_up() {
    let mut scene = Scene::new(&["app.log"]);
    for number in 0..100_000 {
        fs::File::create(scene.path(&format!("other-{number}"))).unwrap();
    }
    scene.append("app.log", "");
    scene.pass();
    scene.append("app.log", lines(0..3));
    let began = Instant::now();
    scene.tail.as_mut().unwrap().pass(&Wake::All, scene.now + Duration::from_millis(1), 1.0);
    assert_eq!(scene.hits(), 3);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn a_path_that_is_no_text_is_saved_and_found_again() {
    use std::os::unix::ffi::OsStrExt as _;
    let mut scene = Scene::new(&["*.log"]);
    scene.pass();
    let path = scene.folder.path().join("logs").join(std::ffi::OsStr::from_bytes(b"\xff.log"));
    fs::write(&path, "HIT\n").unwrap();
    scene.pass();
    scene.restart();
    assert_eq!((scene.hits(), scene.events()), (1, (0, 0, 0)));
}
