//! Rotations of real files, with real writers.

mod writers;

use super::super::Action as _;
use super::*;
use crate::machine::confined::trials::{Swapper, contents, link_to, with_own_mounts};
use crate::machine::until::Until;
use flate2::read::MultiGzDecoder;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

pub(super) fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
    (folder, root)
}

pub(super) fn built(root: &Path, rest: &str) -> Action {
    let config: Config = serde_yaml::from_str(&format!("{{ root: {}, above: 1KiB, {rest} }}", root.display())).unwrap();
    config.build(&Context::default()).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

pub(super) async fn act(action: &Action) -> Result<String, Setback> {
    action.act(&mut Scene::default()).await.map(|done| done.detail)
}

fn big(path: &Path) -> Vec<u8> {
    let text: Vec<u8> = (0..200).flat_map(|number| format!("line {number} of a log\n").into_bytes()).collect();
    fs::write(path, &text).unwrap();
    text
}

pub(super) fn names(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned());
    let mut names: Vec<_> = entries.collect();
    names.sort();
    names
}

pub(super) fn unpacked(path: &Path) -> Vec<u8> {
    let mut text = Vec::new();
    MultiGzDecoder::new(File::open(path).unwrap()).read_to_end(&mut text).unwrap();
    text
}

#[tokio::test]
async fn a_log_is_renamed_and_a_fresh_one_has_its_owner_and_mode() {
    let (_folder, root) = folder();
    let text = big(&root.join("app.log"));
    fs::write(root.join("small.log"), "small").unwrap();
    fs::set_permissions(root.join("app.log"), fs::Permissions::from_mode(0o604)).unwrap();
    if rustix::process::geteuid().as_raw() == 0 {
        std::os::unix::fs::chown(root.join("app.log"), Some(12345), Some(12346)).unwrap();
    }
    let former = root.join("app.log").metadata().unwrap();
    let action = built(&root, "files: [ '*.log' ], reopens: true");
    let told = action.rehearse(&Scene::default()).await.unwrap();
    assert_eq!(
        told,
        [format!("would rotate {}/app.log ({})", root.display(), crate::remedy::files::show_size(text.len() as u64))]
    );
    assert_eq!(names(&root), ["app.log", "small.log"]);
    let done = act(&action).await.unwrap();
    assert!(done.starts_with("rotated 1 log: "), "{done}");
    let fresh = root.join("app.log").metadata().unwrap();
    assert_eq!((fresh.len(), fresh.mode(), fresh.uid(), fresh.gid()), (0, former.mode(), former.uid(), former.gid()));
    let all = names(&root);
    assert_eq!(all.len(), 3, "{all:?}");
    let rotated = root.join(&all[1]);
    assert_eq!(rotated.metadata().unwrap().ino(), former.ino(), "the same file under another name");
    assert_eq!(fs::read(rotated).unwrap(), text);
    let done = act(&action).await.unwrap();
    assert!(done.starts_with("nothing was rotated"), "{done}");
}

#[tokio::test]
async fn a_copied_log_is_emptied_and_nothing_of_it_is_missing() {
    for compress in [true, false] {
        let (_folder, root) = folder();
        let text = big(&root.join("app.log"));
        let former = root.join("app.log").metadata().unwrap();
        let action = built(&root, &format!("files: [ app.log ], copytruncate: true, compress: {compress}"));
        act(&action).await.unwrap();
        let now = root.join("app.log").metadata().unwrap();
        assert_eq!((now.len(), now.ino()), (0, former.ino()));
        let all = names(&root);
        assert_eq!(
            (all.len(), Path::new(&all[1]).extension().is_some_and(|ending| ending == "gz")),
            (2, compress),
            "{all:?}"
        );
        let copy = root.join(&all[1]);
        assert_eq!(copy.metadata().unwrap().mode(), former.mode());
        assert_eq!(if compress { unpacked(&copy) } else { fs::read(&copy).unwrap() }, text);
    }
}

#[test]
fn what_is_written_while_a_log_is_copied_is_fetched_too() {
    let (_folder, root) = folder();
    let text = big(&root.join("app.log"));
    let folder = crate::machine::confined::Folder::root(&root).unwrap();
    let facts = folder.facts("app.log".as_ref()).unwrap().unwrap();
    // It grows after it was looked at.
    File::options().append(true).open(root.join("app.log")).unwrap().write_all(b"late\n").unwrap();
    let (until, _waiting) = Until::after(Duration::from_secs(60));
    let copied = copy::copy_and_empty(&folder, "app.log".as_ref(), &facts, "copy".as_ref(), true, &until).unwrap();
    assert_eq!(copied, text.len() as u64 + 5);
    assert_eq!(unpacked(&root.join("copy.gz")), [text.as_slice(), b"late\n"].concat());
}

fn rotated_at(root: &Path, days: u64, suffix: &str, content: &[u8]) -> String {
    let then = SystemTime::now() - Duration::from_secs(days * 86_400 + 100);
    let name = names::rotated("app.log".as_ref(), then).unwrap().into_string().unwrap() + suffix;
    fs::write(root.join(&name), content).unwrap();
    File::options().write(true).open(root.join(&name)).unwrap().set_modified(then).unwrap();
    name
}

#[tokio::test]
async fn some_are_kept_and_the_old_ones_go_and_nothing_that_is_not_ours() {
    let (_folder, root) = folder();
    big(&root.join("app.log"));
    for name in ["app.log.1", "app.log.2.gz", "app.log.20261399-000000", "other.log.20260101-000000"] {
        fs::write(root.join(name), "not ours").unwrap();
    }
    let kept: Vec<_> = (0..4).map(|days| rotated_at(&root, days, ".gz", b"x")).collect();
    let old = rotated_at(&root, 8, ".gz", b"x");
    let part = rotated_at(&root, 1, ".gz.part", b"half");
    let action = built(&root, "files: [ app.log ], keep: 4, copytruncate: true");
    let told = action.rehearse(&Scene::default()).await.unwrap().join("\n");
    assert!(told.contains(&format!("{old} (1 B), older than max_age")), "{told}");
    assert!(told.contains(&format!("{} (1 B), beyond keep", kept[3])), "{told}");
    assert!(told.contains(&format!("{part} (4 B), left by")), "{told}");
    act(&action).await.unwrap();
    let all = names(&root);
    assert_eq!(all.len(), 4 + 4 + 1, "{all:?}");
    assert!(kept[..3].iter().all(|name| all.contains(name)));
    assert!(!all.contains(&kept[3]) && !all.contains(&old) && !all.contains(&part));
}

#[tokio::test]
async fn what_an_interrupted_rotation_left_is_finished_the_next_time() {
    // Between the renaming and the fresh file: the place is free.
    let (_folder, root) = folder();
    let plain = rotated_at(&root, 1, "", b"rotated and not compressed");
    fs::write(root.join(".app.log.banken-new"), "").unwrap();
    fs::set_permissions(root.join(".app.log.banken-new"), fs::Permissions::from_mode(0o640)).unwrap();
    let action = built(&root, "files: [ '*.log' ], reopens: true");
    act(&action).await.unwrap();
    assert_eq!(names(&root), ["app.log".to_owned(), format!("{plain}.gz")]);
    assert_eq!(root.join("app.log").metadata().unwrap().mode() & 0o777, 0o640);
    assert_eq!(unpacked(&root.join(format!("{plain}.gz"))), b"rotated and not compressed");
    // After it: somebody has written a log of his own.
    fs::write(root.join(".app.log.banken-new"), "").unwrap();
    fs::write(root.join("app.log"), "lines").unwrap();
    // Between the compressed file and the removal of the plain one.
    fs::write(root.join(&plain), b"rotated and not compressed").unwrap();
    let long_ago = SystemTime::now() - Duration::from_secs(600);
    File::options().write(true).open(root.join(&plain)).unwrap().set_modified(long_ago).unwrap();
    fs::write(root.join(format!("{plain}.gz")), "whatever").unwrap();
    act(&action).await.unwrap();
    assert_eq!(names(&root), ["app.log".to_owned(), format!("{plain}.gz")]);
    assert_eq!(fs::read(root.join("app.log")).unwrap(), b"lines");
    assert_eq!(unpacked(&root.join(format!("{plain}.gz"))), b"rotated and not compressed");
}

#[tokio::test]
async fn a_rotated_file_that_somebody_still_writes_is_not_compressed() {
    let (_folder, root) = folder();
    let plain = rotated_at(&root, 1, "", b"held");
    let held = File::options().append(true).open(root.join(&plain)).unwrap();
    let action = built(&root, "files: [ app.log ], reopens: true");
    let done = act(&action).await.unwrap();
    assert!(done.contains("open in a process") && names(&root) == std::slice::from_ref(&plain), "{done}");
    drop(held);
    act(&action).await.unwrap();
    assert_eq!(names(&root), [format!("{plain}.gz")]);
}

#[tokio::test]
async fn a_folder_in_which_others_may_write_is_refused_with_the_remedy() {
    for (mode, who) in [(0o775, "its group"), (0o757, "everybody"), (0o1777, "everybody")] {
        let (_folder, root) = folder();
        big(&root.join("app.log"));
        fs::set_permissions(&root, fs::Permissions::from_mode(mode)).unwrap();
        let action = built(&root, "files: [ '*.log' ], reopens: true");
        let setback = act(&action).await.unwrap_err();
        let Setback::Refused(words) = &setback else { panic!("{setback:?}") };
        assert!(words.contains(who) && words.contains("chmod go-w"), "{words}");
        assert!(matches!(action.rehearse(&Scene::default()).await, Err(Setback::Refused(_))));
        assert_eq!(names(&root), ["app.log"]);
    }
}

#[tokio::test]
async fn what_is_no_lone_file_is_refused_by_name_and_passed_by_in_a_pattern() {
    let (_folder, root) = folder();
    let (_other, outside) = folder();
    big(&outside.join("target"));
    symlink(outside.join("target"), root.join("link.log")).unwrap();
    big(&root.join("linked.log"));
    fs::hard_link(root.join("linked.log"), outside.join("second")).unwrap();
    let mode = rustix::fs::Mode::RWXU;
    rustix::fs::mknodat(rustix::fs::CWD, root.join("fifo.log"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    big(&root.join("app.log"));
    for name in ["link.log", "linked.log", "fifo.log"] {
        let setback = act(&built(&root, &format!("files: [ {name} ], copytruncate: true"))).await.unwrap_err();
        assert!(matches!(setback, Setback::Refused(_)), "{name}: {setback:?}");
    }
    let before = contents(&outside);
    let done = act(&built(&root, "files: [ '*.log' ], copytruncate: true")).await.unwrap();
    assert!(done.starts_with("rotated 1 log"), "{done}");
    assert_eq!(done.matches("only files with one name are rotated").count(), 3, "{done}");
    assert_eq!(contents(&outside), before);
}

#[tokio::test]
async fn a_log_that_is_exchanged_for_a_link_all_the_time_never_leads_outside() {
    for method in ["copytruncate: true", "reopens: true"] {
        let (_folder, root) = folder();
        let (_other, outside) = folder();
        big(&outside.join("target"));
        fs::create_dir(root.join("sub")).unwrap();
        fs::create_dir(outside.join("sub")).unwrap();
        big(&outside.join("sub/app.log"));
        link_to(&outside.join("target"), &root.join("sub/link"));
        link_to(&outside.join("sub"), &root.join("way"));
        let before = contents(&outside);
        let action = built(&root, &format!("files: [ '*/app.log' ], keep: 3, {method}"));
        let swappers = [
            Swapper::start(&root.join("sub/app.log"), &root.join("sub/link")),
            Swapper::start(&root.join("sub"), &root.join("way")),
        ];
        let mut rotated = 0;
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while (rotated < 10 || swappers[1].swaps() < 300) && std::time::Instant::now() < deadline {
            let folder = crate::machine::confined::Folder::root(&root).unwrap();
            if let Ok(sub) = folder.folder(Path::new("sub"))
                && let Ok(mut file) = sub.create("app.log".as_ref())
            {
                use std::io::Write as _;
                file.write_all(&[b'x'; 5000]).unwrap();
            }
            rotated += usize::from(act(&action).await.is_ok_and(|done| done.starts_with("rotated")));
            assert_eq!(contents(&outside), before);
        }
        assert!(rotated > 0, "{method}: nothing was ever rotated");
    }
}

#[test]
fn a_full_disk_leaves_the_log_as_it_was() {
    let test = "remedy::action::log_rotate::tests::a_full_disk_leaves_the_log_as_it_was";
    let script = "mkdir $dir/small; mount -t tmpfs -o size=1m,mode=755 tmpfs $dir/small; head -c 900000 /dev/urandom > $dir/small/app.log";
    let Some(dir) = with_own_mounts(test, script) else { return };
    let root = dir.join("small");
    let content = fs::read(root.join("app.log")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for compress in [true, false] {
        let action = built(&root, &format!("files: [ app.log ], copytruncate: true, compress: {compress}"));
        let setback = runtime.block_on(act(&action)).unwrap_err();
        assert!(matches!(&setback, Setback::Failed(words) if words.contains("No space left")), "{setback:?}");
        assert_eq!(names(&root), ["app.log"]);
        assert_eq!(fs::read(root.join("app.log")).unwrap(), content);
    }
    // A renaming needs no room; the compressing does, and leaves the rotated file.
    let plain = rotated_at(&root, 1, "", b"");
    fs::rename(root.join("app.log"), root.join(&plain)).unwrap();
    let long_ago = SystemTime::now() - Duration::from_secs(600);
    File::options().write(true).open(root.join(&plain)).unwrap().set_modified(long_ago).unwrap();
    let action = built(&root, "files: [ app.log ], reopens: true");
    let setback = runtime.block_on(act(&action)).unwrap_err();
    assert!(setback.to_string().contains("No space left"), "{setback}");
    assert_eq!(names(&root), std::slice::from_ref(&plain));
    assert_eq!(fs::read(root.join(plain)).unwrap(), content);
}

#[test]
fn mistakes_are_found_at_their_place() {
    let mistakes = |yaml: &str| -> Vec<String> {
        let config: Config = serde_yaml::from_str(yaml).unwrap();
        let mistakes = config.build(&Context::default()).err().unwrap_or_default();
        mistakes.into_iter().map(|mistake| mistake.path).collect()
    };
    assert_eq!(
        mistakes("{ root: /etc, files: [], above: 0, keep: 0, reopens: true }"),
        ["root", "files", "keep", "above"]
    );
    assert_eq!(mistakes("{ root: /opt/x, files: [ a.log ] }"), [""]);
    assert_eq!(mistakes("{ root: /opt/x, files: [ a.log ], copytruncate: true, reopens: true }"), [""]);
    let signal = |inside: &str| mistakes(&format!("{{ root: /opt/x, files: [ a.log ], signal: {{ {inside} }} }}"));
    assert_eq!(signal("pidfile: bot.pid, exe: /x"), ["signal.pidfile"]);
    assert_eq!(signal("pidfile: /run/bot.pid, exe: python3"), ["signal.exe"]);
    assert_eq!(signal("pidfile: /run/bot.pid, exe: /x, user: no-such-user"), ["signal.user"]);
    let unknown = "{ root: /opt/x, files: [ a ], signal: { pidfile: /a, exe: /b, name: KILL } }";
    assert!(serde_yaml::from_str::<Config>(unknown).is_err());
}
