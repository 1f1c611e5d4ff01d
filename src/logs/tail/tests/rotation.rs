use super::*;

#[test]
fn a_renamed_file_is_read_to_its_end_and_the_new_one_from_its_beginning() {
    let mut scene = Scene::new(&["app.log"]);
    scene.append("app.log", lines(0..3));
    scene.pass();
    scene.append("app.log", lines(3..5));
    scene.rename("app.log", "app.log.1");
    scene.append("app.log", lines(5..6));
    scene.pass();
    assert_eq!((scene.hits(), scene.events()), (3, (1, 0, 0)));
    // A writer that has not opened the new file yet, even long after.
    scene.append("app.log.1", lines(6..7));
    scene.pass();
    scene.settle();
    scene.append("app.log.1", "a last HIT without its end");
    scene.pass();
    assert_eq!(scene.hits(), 4);
    scene.settle();
    assert_eq!((scene.hits(), scene.events()), (5, (1, 0, 0)));
}

#[test]
fn several_rotations_while_nobody_looked_lose_nothing() {
    for glob in ["app.log", "*.log*"] {
        let mut scene = Scene::new(&[glob]);
        scene.append("app.log", lines(0..3));
        scene.pass();
        scene.kill();
        scene.append("app.log", lines(3..5));
        scene.rename("app.log", "app.log.1");
        scene.append("app.log", lines(5..9));
        scene.rename("app.log.1", "app.log.2");
        scene.rename("app.log", "app.log.1");
        scene.append("app.log", lines(9..10));
        scene.restart();
        assert_eq!((scene.hits(), scene.events()), (7, (2, 0, 0)), "{glob}");
        scene.settle();
        scene.restart();
        scene.settle();
        assert_eq!((scene.hits(), scene.events()), (7, (2, 0, 0)), "{glob}");
    }
}

#[test]
fn an_inode_may_come_back_as_another_file() {
    let mut scene = Scene::new(&["app.log"]);
    scene.pass();
    for round in 1..=5 {
        scene.append("app.log", format!("round {round} HIT\n"));
        scene.pass();
        scene.kill();
        scene.remove("app.log");
        // The times of birth are only as fine as the kernel's tick; the beginnings tell the rest.
        scene.append("app.log", format!("another {round} begins HIT\n"));
        scene.pass();
        scene.settle();
        assert_eq!(scene.hits(), 2 * round);
        scene.remove("app.log");
        scene.settle();
    }
}

#[test]
fn a_removed_file_is_read_to_its_end_while_it_is_open() {
    let mut scene = Scene::new(&["app.log"]);
    scene.append("app.log", "");
    scene.pass();
    scene.append("app.log", "HIT\n");
    scene.pass();
    scene.append("app.log", "HIT\nHIT");
    scene.remove("app.log");
    scene.settle();
    assert_eq!((scene.hits(), scene.events()), (3, (0, 0, 0)));
}

#[test]
fn what_was_removed_unread_is_a_gap() {
    let mut scene = Scene::new(&["app.log"]);
    scene.pass();
    scene.append("app.log", "whole\nunfinished");
    scene.pass();
    scene.kill();
    scene.remove("app.log");
    scene.pass();
    assert_eq!(scene.events(), (0, 0, 0), "it may be on its way to another name");
    scene.settle();
    assert_eq!(scene.events(), (0, 0, 1));
    scene.restart();
    scene.settle();
    assert_eq!(scene.events(), (0, 0, 1), "told once");
}

#[test]
fn a_file_that_was_compressed_while_nobody_looked_is_a_gap_and_its_archive_is_not_read() {
    let mut scene = Scene::new(&["*.log*"]);
    scene.append("app.log", lines(0..5));
    scene.pass();
    scene.kill();
    fs::write(scene.path("app.log.1.gz"), lines(0..9)).unwrap();
    scene.append("app.log.new", lines(9..10));
    scene.rename("app.log.new", "app.log");
    scene.settle();
    assert_eq!((scene.hits(), scene.events().2), (1, 1));
    assert_eq!(scene.read(|record| (record.files, record.volume > record.size)), (1, true));
}

#[test]
fn a_truncated_file_begins_anew() {
    let mut scene = Scene::new(&["app.log"]);
    scene.append("app.log", lines(0..50));
    scene.pass();
    scene.truncate("app.log");
    scene.append("app.log", lines(50..52));
    scene.pass();
    assert_eq!((scene.hits(), scene.events()), (2, (0, 1, 0)));
    // It grew past the place of before: only the bytes before that tell.
    scene.truncate("app.log");
    scene.append("app.log", lines(100..200));
    scene.pass();
    assert_eq!((scene.hits(), scene.events()), (102, (0, 2, 0)));
    // Exactly as long as before.
    scene.truncate("app.log");
    scene.append("app.log", lines(300..400));
    scene.pass();
    assert_eq!((scene.hits(), scene.events()), (202, (0, 3, 0)));
    // While nobody looked.
    scene.kill();
    scene.truncate("app.log");
    scene.append("app.log", lines(400..600));
    scene.pass();
    assert_eq!((scene.hits(), scene.events()), (402, (0, 4, 0)));
    // An unfinished line that was seen is replaced by another.
    scene.truncate("app.log");
    scene.append("app.log", "begun");
    scene.pass();
    scene.truncate("app.log");
    scene.append("app.log", "other HIT\n");
    scene.pass();
    assert_eq!(scene.hits(), 403);
    scene.restart();
    assert_eq!(scene.hits(), 403);
}

#[test]
fn what_copytruncate_copied_and_was_not_read_yet_is_read_in_the_copy() {
    for restart in [false, true] {
        let mut scene = Scene::new(&["app.log"]);
        scene.pass();
        scene.append("app.log", lines(0..10));
        scene.pass();
        if restart {
            scene.kill();
        }
        scene.append("app.log", lines(10..15));
        scene.copy("app.log", "app.log.1");
        scene.append("app.log", lines(15..17));
        scene.truncate("app.log");
        scene.append("app.log", lines(20..23));
        scene.pass();
        assert_eq!((scene.hits(), scene.events()), (18, (0, 1, 0)), "all but the two lines that were destroyed");
        scene.settle();
        scene.restart();
        scene.settle();
        assert_eq!((scene.hits(), scene.events()), (18, (0, 1, 0)));
    }
}

#[test]
fn a_copy_is_not_read_as_long_as_its_original_is_there() {
    for glob in ["app.log", "*"] {
        let mut scene = Scene::new(&[glob]);
        scene.pass();
        scene.append("app.log", lines(0..10));
        scene.pass();
        // Seen when it is empty, when it is short, and when it is whole.
        scene.append("app.log.1", "");
        scene.pass();
        scene.append("app.log.1", &lines(0..10)[..30]);
        scene.settle();
        scene.append("app.log.1", &lines(0..10)[30..]);
        scene.settle();
        scene.copy("app.log", "app.log.bak");
        scene.settle();
        scene.restart();
        assert_eq!(scene.hits(), 10, "{glob}");
        scene.append("app.log", lines(10..12));
        scene.copy("app.log", "app.log.2");
        scene.truncate("app.log");
        scene.settle();
        assert_eq!((scene.hits(), scene.events()), (12, (0, 1, 0)), "{glob}");
    }
}

#[test]
fn two_truncations_with_copies_while_nobody_looked_lose_nothing() {
    let mut scene = Scene::new(&["app.log"]);
    scene.pass();
    scene.append("app.log", lines(0..10));
    scene.pass();
    scene.kill();
    scene.append("app.log", lines(10..15));
    scene.copy("app.log", "app.log.1");
    scene.truncate("app.log");
    scene.append("app.log", lines(20..27));
    scene.rename("app.log.1", "app.log.2");
    scene.copy("app.log", "app.log.1");
    scene.truncate("app.log");
    scene.append("app.log", lines(30..31));
    scene.settle();
    // The copy that was made first cannot be told from a file that was renamed.
    assert_eq!((scene.hits(), scene.events()), (23, (1, 1, 0)));
}

#[test]
fn equal_beginnings_after_a_rename_are_no_copies() {
    let head = "=== the same header in every file ===\n".repeat(50);
    let mut scene = Scene::new(&["app.log"]);
    scene.append("app.log", &head);
    scene.pass();
    for round in 0..3 {
        scene.append("app.log", "HIT\n");
        scene.rename("app.log", &format!("app.log.{}", round * 2));
        scene.append("app.log", format!("{head}HIT\n"));
        scene.rename("app.log", &format!("app.log.{}", round * 2 + 1));
        scene.append("app.log", &head);
        if round == 1 {
            scene.restart();
        }
        scene.pass();
    }
    scene.settle();
    assert_eq!(scene.hits(), 6);
}

#[test]
fn a_folder_that_vanishes_and_returns_goes_on_where_it_was() {
    let mut scene = Scene::new(&["app.log"]);
    scene.pass();
    scene.append("app.log", lines(0..10));
    scene.pass();
    let (logs, away) = (scene.folder.path().join("logs"), scene.folder.path().join("away"));
    fs::rename(&logs, &away).unwrap();
    scene.settle();
    assert!(scene.read(|record| record.fault.is_some()));
    scene.restart();
    scene.settle();
    let mut file = OpenOptions::new().append(true).open(away.join("app.log")).unwrap();
    file.write_all(lines(10..12).as_bytes()).unwrap();
    fs::rename(&away, &logs).unwrap();
    scene.pass();
    assert_eq!((scene.hits(), scene.read(|record| record.fault.clone()), scene.events().2), (12, None, 0));
}
