use super::*;
use crate::machine::confined::trials::{Swapper, contents, link_to, with_own_mounts};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};

fn rules(files: &[&str]) -> Rules {
    Rules {
        files: Some(files.iter().map(|text| Below::parse(text).unwrap()).collect()),
        older_than: Duration::from_secs(3600),
        age_by: AgeBy::Modified,
        owner: rustix::process::geteuid().as_raw(),
        keep_newest: 0,
        max_files: 1000,
        max_bytes: 1 << 40,
    }
}

fn old(path: &Path, hours: u64, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    let then = SystemTime::now() - Duration::from_secs(hours * 3600);
    File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
}

fn planned(root: &Path, rules: &Rules) -> Plan {
    let (until, _waiting) = Until::after(Duration::from_secs(60));
    plan(Folder::root(root).unwrap(), rules, SystemTime::now(), &until).unwrap()
}

fn sweep(root: &Path, rules: &Rules) -> Result<Done, Setback> {
    let (until, _waiting) = Until::after(Duration::from_secs(60));
    plan(Folder::root(root).unwrap(), rules, SystemTime::now(), &until).unwrap().carry_out(&until)
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    (folder, root)
}

#[test]
fn only_lone_regular_files_of_the_owner_that_are_old_and_meant_are_chosen() {
    let (_folder, root) = folder();
    let (_other, outside) = folder_with(&["target"]);
    for name in ["a.tmp", "b.tmp", "young.tmp", "other.txt", ".hidden.tmp", "linked.tmp", "open.tmp"] {
        old(&root.join(name), if name == "young.tmp" { 0 } else { 9 }, b"12345");
    }
    fs::hard_link(root.join("linked.tmp"), outside.join("second")).unwrap();
    symlink(outside.join("target"), root.join("link.tmp")).unwrap();
    let mode = rustix::fs::Mode::RWXU;
    rustix::fs::mknodat(rustix::fs::CWD, root.join("fifo.tmp"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    fs::create_dir(root.join("folder.tmp")).unwrap();
    let held = File::open(root.join("open.tmp")).unwrap();
    let plan = planned(&root, &rules(&["*.tmp"]));
    let names: Vec<_> = plan.chosen.iter().map(|item| item.name.to_str().unwrap()).collect();
    assert!(names == ["a.tmp", "b.tmp"] || names == ["b.tmp", "a.tmp"], "{names:?}");
    assert_eq!((plan.left.young, plan.left.not_lone, plan.left.open), (1, 3, 1));
    let lines = plan.lines();
    assert_eq!(
        lines[2],
        "2 files, 10 B in all; left: 1 not old enough, 3 no regular file with one name, 1 open in a process"
    );
    drop(held);
    let mut foreign = rules(&["*.tmp"]);
    foreign.owner += 1;
    let plan = planned(&root, &foreign);
    assert_eq!((plan.chosen.len(), plan.left.foreign), (0, 4));
    assert!(plan.lines()[0].starts_with("nothing to remove"));
}

fn folder_with(names: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let (folder, root) = folder();
    for name in names {
        old(&root.join(name), 99, b"precious");
    }
    (folder, root)
}

#[test]
fn an_empty_choice_means_nothing() {
    let (_folder, root) = folder_with(&["a", "b"]);
    for rules in
        [rules(&[]), rules(&["c*"]), Rules { max_files: 0, ..rules(&["*"]) }, Rules { max_bytes: 0, ..rules(&["*"]) }]
    {
        let done = sweep(&root, &rules).unwrap();
        assert!(done.detail.starts_with("nothing was removed"), "{done:?}");
    }
    assert_eq!(contents(&root).len(), 2);
}

#[test]
fn the_oldest_go_first_up_to_the_caps_and_the_newest_of_each_folder_stay() {
    let (_folder, root) = folder();
    fs::create_dir(root.join("sub")).unwrap();
    for (name, hours) in [("a", 5), ("b", 4), ("c", 3), ("sub/d", 9), ("sub/e", 2)] {
        old(&root.join(name), hours, b"1234");
    }
    let chosen = |rules: &Rules| -> Vec<String> {
        planned(&root, rules).chosen.iter().map(|item| item.name.to_str().unwrap().to_owned()).collect()
    };
    let all = rules(&["**"]);
    assert_eq!(chosen(&all), ["d", "a", "b", "c", "e"]);
    assert_eq!(chosen(&Rules { max_files: 2, ..all.clone() }), ["d", "a"]);
    assert_eq!(chosen(&Rules { max_bytes: 11, ..all.clone() }), ["d", "a"]);
    assert_eq!(chosen(&Rules { keep_newest: 1, ..all.clone() }), ["d", "a", "b"]);
    assert_eq!(chosen(&Rules { keep_newest: 2, ..all.clone() }), ["a"]);
    assert_eq!(planned(&root, &Rules { max_files: 2, ..all }).left.too_many, 3);
}

#[test]
fn what_changes_between_the_choice_and_the_removal_is_left_alone() {
    let (_folder, root) = folder();
    fs::create_dir_all(root.join("moved")).unwrap();
    for name in ["gone", "rewritten", "replaced", "linked", "moved/a", "plain"] {
        old(&root.join(name), 9, b"1");
    }
    let (until, _waiting) = Until::after(Duration::from_secs(60));
    let plan = planned(&root, &rules(&["**"]));
    fs::remove_file(root.join("gone")).unwrap();
    fs::write(root.join("rewritten"), "new").unwrap();
    fs::rename(root.join("replaced"), root.join("aside")).unwrap();
    old(&root.join("replaced"), 9, b"1");
    fs::hard_link(root.join("linked"), root.join("second")).unwrap();
    fs::rename(root.join("moved"), root.join("elsewhere")).unwrap();
    fs::create_dir(root.join("moved")).unwrap();
    old(&root.join("moved/a"), 9, b"another");
    let done = plan.carry_out(&until).unwrap();
    assert!(done.detail.starts_with("removed 1 file, 1 B") && done.detail.contains("5 changed meanwhile"), "{done:?}");
    assert!(!root.join("plain").exists());
    for name in ["rewritten", "replaced", "aside", "linked", "second", "moved/a", "elsewhere/a"] {
        assert!(root.join(name).exists(), "{name}");
    }
}

#[test]
fn folders_and_files_that_are_exchanged_for_links_all_the_time_never_lead_outside() {
    let names = ["f0", "f1", "f2", "f3"];
    let (_folder, root) = folder();
    let (_other, outside) = folder_with(&names);
    fs::create_dir(root.join("sub")).unwrap();
    link_to(&outside, &root.join("link"));
    link_to(&outside.join("f0"), &root.join("file-link"));
    let before = contents(&outside);
    old(&root.join("sub/f0"), 9, b"");
    // The inner one first: afterwards the way to it is no longer the same.
    let files = Swapper::start(&root.join("sub/f0"), &root.join("file-link"));
    let swapper = Swapper::start(&root.join("sub"), &root.join("link"));
    let mut removed = 0;
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    for round in 0.. {
        let folder = Folder::root(&root).unwrap();
        for sub in ["sub", "link"] {
            let Ok(sub) = folder.folder(Path::new(sub)) else { continue };
            for name in names {
                // By the descriptor, so that this test itself never reaches outside.
                let Ok(file) = sub.create(OsStr::new(name)) else { continue };
                let _ = file.set_modified(SystemTime::now() - Duration::from_secs(9 * 3600));
            }
        }
        match sweep(&root, &rules(&["sub/*", "link/*"])) {
            Ok(done) => removed += usize::from(done.detail.starts_with("removed")),
            Err(setback) => assert!(!setback.to_string().is_empty()),
        }
        assert_eq!(contents(&outside), before, "round {round}");
        if (round > 300 && removed > 20 && swapper.swaps() > 1000) || std::time::Instant::now() > deadline {
            break;
        }
    }
    assert!(removed > 20 && swapper.swaps() > 300, "{removed} rounds removed something, {} swaps", swapper.swaps());
    drop((swapper, files));
}

#[test]
fn names_of_any_bytes_are_removed_and_shown_on_one_line() {
    let (_folder, root) = folder();
    for name in [&b"line\nbreak.tmp"[..], b"\xff\xfe.tmp", b"-rf.tmp", b"*.tmp"] {
        old(&root.join(OsStr::from_bytes(name)), 9, b"");
    }
    let plan = planned(&root, &rules(&["*.tmp"]));
    assert!(plan.lines().iter().all(|line| !line.contains('\n')));
    assert_eq!(sweep(&root, &rules(&["*.tmp"])).unwrap().detail.split(',').next(), Some("removed 4 files"));
    assert_eq!(contents(&root).len(), 0);
}

#[test]
fn files_that_vanish_meanwhile_are_nobodys_failure() {
    let (_folder, root) = folder();
    for round in 0..20 {
        for number in 0..50 {
            old(&root.join(format!("{number}.tmp")), 9, b"");
        }
        let racer = std::thread::spawn({
            let root = root.clone();
            move || (0..50).for_each(|number| drop(fs::remove_file(root.join(format!("{number}.tmp")))))
        });
        let outcome = sweep(&root, &rules(&["*.tmp"]));
        racer.join().unwrap();
        assert!(outcome.is_ok(), "round {round}: {outcome:?}");
    }
}

#[test]
fn mounts_beneath_the_root_are_passed_by() {
    let test = "remedy::files::sweep::tests::mounts_beneath_the_root_are_passed_by";
    let script = "mkdir -p $dir/root/bound $dir/root/memory $dir/outside; mount --bind $dir/outside $dir/root/bound
        mount -t tmpfs tmpfs $dir/root/memory
        touch -d '2 days ago' $dir/root/a $dir/outside/a $dir/root/memory/a";
    let Some(dir) = with_own_mounts(test, script) else { return };
    let done = sweep(&dir.join("root"), &rules(&["**"])).unwrap();
    assert!(done.detail.starts_with("removed 1 file"), "{done:?}");
    assert_eq!(done.detail.matches("another file system").count(), 2, "{done:?}");
    assert!(dir.join("outside/a").exists() && dir.join("root/memory/a").exists());
}

#[test]
fn a_file_that_cannot_be_removed_is_told_with_what_was() {
    let (_folder, root) = folder();
    for name in ["open", "shut"] {
        fs::create_dir(root.join(name)).unwrap();
        old(&root.join(name).join("a"), 9, b"1");
    }
    let plan = planned(&root, &rules(&["**"]));
    fs::set_permissions(root.join("shut"), fs::Permissions::from_mode(0o555)).unwrap();
    let (until, _waiting) = Until::after(Duration::from_secs(60));
    let outcome = plan.carry_out(&until);
    fs::set_permissions(root.join("shut"), fs::Permissions::from_mode(0o755)).unwrap();
    if rustix::process::geteuid().as_raw() == 0 {
        // Nothing stops root there.
        assert!(outcome.is_ok());
        return;
    }
    let Err(Setback::Failed(words)) = outcome else { panic!("{outcome:?}") };
    assert!(
        words.contains("removed 1 file") && words.contains("1 file could not be removed: cannot remove"),
        "{words}"
    );
}

#[test]
fn when_the_time_is_over_the_rest_stays() {
    let (_folder, root) = folder_with(&["a", "b"]);
    let plan = planned(&root, &rules(&["*"]));
    let (over, _waiting) = Until::after(Duration::ZERO);
    let done = plan.carry_out(&over).unwrap();
    assert!(done.detail.contains("the time was over") && contents(&root).len() == 2, "{done:?}");
    // Without having seen everything, the newest are not known, and nothing is chosen.
    let rules = Rules { keep_newest: 1, ..rules(&["*"]) };
    let plan = super::plan(Folder::root(&root).unwrap(), &rules, SystemTime::now(), &over).unwrap();
    assert!(plan.chosen.is_empty());
}
