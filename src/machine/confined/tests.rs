use super::trials::{Swapper, contents, link_to, with_own_mounts};
use super::*;
use crate::machine::until::Until;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

const BOTH: [Means; 2] = [Means::Kernel, Means::Steps];

/// A root, and beside it what must not be reached.
struct Place {
    _folder: tempfile::TempDir,
    root: PathBuf,
    outside: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let (root, outside) = (base.join("root"), base.join("outside"));
        fs::create_dir_all(root.join("sub/deep")).unwrap();
        fs::create_dir_all(outside.join("deep")).unwrap();
        for file in [root.join("sub/file"), outside.join("file"), outside.join("deep/file")] {
            fs::write(file, "content").unwrap();
        }
        Self { _folder: folder, root, outside }
    }

    fn open(&self, means: Means) -> Folder {
        Folder::root_by(&self.root, means).unwrap()
    }
}

#[test]
fn a_link_is_never_followed_wherever_it_stands() {
    let place = Place::new();
    symlink(&place.outside, place.root.join("link")).unwrap();
    symlink("sub", place.root.join("inner")).unwrap();
    symlink(place.outside.join("file"), place.root.join("sub/linked")).unwrap();
    let base = place.root.parent().unwrap();
    symlink(&place.root, base.join("way")).unwrap();
    for means in BOTH {
        assert!(matches!(Folder::root_by(&base.join("way"), means), Err(Trouble::Link(_) | Trouble::NoFolder(_))));
        assert!(matches!(Folder::root_by(&base.join("way/sub"), means), Err(Trouble::Link(_) | Trouble::NoFolder(_))));
        let root = place.open(means);
        for path in ["link", "link/deep", "inner", "inner/deep", "sub/linked"] {
            let trouble = root.folder(Path::new(path)).unwrap_err();
            assert!(matches!(trouble, Trouble::Link(_)), "{means:?} {path}: {trouble:?}");
        }
        let sub = root.folder(Path::new("sub")).unwrap();
        for flags in [OFlags::RDONLY, OFlags::RDWR, OFlags::PATH] {
            let trouble = sub.open("linked".as_ref(), flags).unwrap_err();
            assert!(matches!(trouble, Trouble::Link(_)), "{means:?} {flags:?}: {trouble:?}");
        }
        assert!(sub.facts("linked".as_ref()).unwrap().unwrap().is_link());
        assert!(sub.create("linked".as_ref()).is_err());
    }
}

#[test]
fn no_name_leads_out() {
    let place = Place::new();
    for means in BOTH {
        let root = place.open(means);
        for path in ["..", "sub/..", "sub/../..", "/", "/etc", "./sub"] {
            assert!(root.folder(Path::new(path)).is_err(), "{means:?} {path}");
        }
        for name in ["", ".", "..", "sub/file", "/etc/passwd", "sub/"] {
            let name = OsStr::new(name);
            assert!(matches!(root.open(name, OFlags::RDONLY), Err(Trouble::NoName(_))), "{name:?}");
            assert!(matches!(root.unlink(name), Err(Trouble::NoName(_))), "{name:?}");
            assert!(matches!(root.create(name), Err(Trouble::NoName(_))), "{name:?}");
            assert!(matches!(root.rename(name, "x".as_ref()), Err(Trouble::NoName(_))), "{name:?}");
            assert!(matches!(root.facts(name), Err(Trouble::NoName(_))), "{name:?}");
        }
        assert!(relative(Path::new("a/../b")).is_err() && relative(Path::new("/a")).is_err());
        assert!(relative(Path::new("a/b")).is_ok());
    }
}

#[test]
fn another_file_system_is_not_entered() {
    for means in BOTH {
        let root = Folder::root_by(Path::new("/"), means).unwrap();
        for path in ["proc", "proc/self"] {
            let trouble = root.folder(Path::new(path)).unwrap_err();
            assert!(matches!(trouble, Trouble::Elsewhere(_)), "{means:?} {path}: {trouble:?}");
        }
        // The way to a root may lead over several.
        assert!(Folder::root_by(Path::new("/proc/sys/kernel"), means).is_ok());
    }
}

#[test]
fn a_mount_of_the_same_file_system_is_another_one_too() {
    let test = "machine::confined::tests::a_mount_of_the_same_file_system_is_another_one_too";
    let script =
        "mkdir -p $dir/root/bound $dir/root/plain $dir/outside; echo 1 > $dir/outside/file; echo 2 > $dir/root/over
        mount --bind $dir/outside $dir/root/bound; mount --bind $dir/outside/file $dir/root/over
        mkdir $dir/root/memory; mount -t tmpfs tmpfs $dir/root/memory; echo 3 > $dir/root/memory/file";
    let Some(dir) = with_own_mounts(test, script) else { return };
    for means in BOTH {
        let root = Folder::root_by(&dir.join("root"), means).unwrap();
        for path in ["bound", "memory"] {
            let trouble = root.folder(Path::new(path)).unwrap_err();
            assert!(matches!(trouble, Trouble::Elsewhere(_)), "{means:?} {path}: {trouble:?}");
        }
        for flags in [OFlags::RDWR, OFlags::PATH] {
            assert!(matches!(root.open("over".as_ref(), flags), Err(Trouble::Elsewhere(_))), "{means:?} {flags:?}");
        }
        assert!(root.folder(Path::new("plain")).is_ok());
        assert!(root.unlink("over".as_ref()).is_err() && root.replace("plain".as_ref(), "over".as_ref()).is_err());
        let (until, _waiting) = Until::after(Duration::from_secs(60));
        let mut seen = Vec::new();
        let bounds = Bounds { names: 100, depth: 8 };
        let tour = walk(&root, bounds, &until, &|_| true, &mut |entry| seen.push(entry.name.to_owned())).unwrap();
        assert_eq!(seen, ["over"], "{means:?}");
        assert_eq!(tour.passed.len(), 2, "{tour:?}");
    }
}

#[test]
fn names_that_are_exchanged_all_the_time_never_lead_outside() {
    let place = Place::new();
    fs::write(place.root.join("sub/deep/inside"), "").unwrap();
    fs::write(place.outside.join("deep/outside"), "").unwrap();
    link_to(&place.outside, &place.root.join("link"));
    let before = contents(&place.outside);
    for means in BOTH {
        let root = place.open(means);
        let swapper = Swapper::start(&place.root.join("sub"), &place.root.join("link"));
        let (mut opened, mut rounds) = (0, 0);
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while (opened < 200 || swapper.swaps() < 200 || rounds < 2000) && std::time::Instant::now() < deadline {
            rounds += 1;
            let Ok(deep) = root.folder(Path::new("sub/deep")) else { continue };
            opened += 1;
            assert!(deep.facts("outside".as_ref()).unwrap().is_none(), "{means:?}: we are outside");
            assert!(deep.facts("inside".as_ref()).unwrap().is_some());
            drop(deep.create("new".as_ref()));
            let _ = deep.unlink("new".as_ref());
        }
        assert!(opened >= 200 && swapper.swaps() >= 200, "{means:?}: {opened} of {rounds}, {} swaps", swapper.swaps());
        drop(swapper);
        assert_eq!(contents(&place.outside), before);
        // The next one begins where this one began.
        if place.root.join("sub").is_symlink() {
            rustix::fs::renameat_with(
                rustix::fs::CWD,
                place.root.join("sub"),
                rustix::fs::CWD,
                place.root.join("link"),
                RenameFlags::EXCHANGE,
            )
            .unwrap();
        }
    }
}

#[test]
fn a_walk_is_bounded_and_sees_names_of_any_bytes() {
    let place = Place::new();
    for name in [&b"line\nbreak"[..], b"\xff\xfe", b"-rf", b" ", b"\x1b[31m"] {
        fs::write(place.root.join(OsStr::from_bytes(name)), "").unwrap();
    }
    let fifo = rustix::fs::mknodat(rustix::fs::CWD, place.root.join("fifo"), rustix::fs::FileType::Fifo, Mode::RWXU, 0);
    fifo.unwrap();
    let deep: PathBuf = std::iter::repeat_n("d", 40).collect();
    fs::create_dir_all(place.root.join(&deep)).unwrap();
    fs::write(place.root.join(&deep).join("deepest"), "").unwrap();
    let (until, waiting) = Until::after(Duration::from_secs(60));
    let root = place.open(Means::Kernel);
    let look = |names, depth| {
        let mut seen = 0;
        let tour = walk(&root, Bounds { names, depth }, &until, &|_| true, &mut |_| seen += 1).unwrap();
        (seen, tour)
    };
    let (seen, tour) = look(1000, 50);
    assert_eq!((seen, tour.cut.is_none(), tour.passed.len()), (8, true, 0));
    let (seen, tour) = look(1000, 10);
    assert_eq!((seen, tour.passed.len()), (7, 1), "{tour:?}");
    let (_, tour) = look(3, 10);
    assert!(tour.names <= 3 && tour.cut.is_some(), "{tour:?}");
    // Opening a FIFO waits for nobody.
    assert!(!Facts::of(root.open("fifo".as_ref(), OFlags::RDONLY).unwrap()).unwrap().is_file());
    drop(waiting);
    assert!(look(1000, 50).1.cut.is_some(), "nobody waits for it any more");
}

#[test]
fn only_the_file_that_was_looked_at_is_opened() {
    let place = Place::new();
    let sub = place.open(Means::Kernel).folder(Path::new("sub")).unwrap();
    let name = OsStr::new("file");
    let facts = sub.facts(name).unwrap().unwrap();
    assert!(sub.open_same(name, OFlags::RDONLY, &facts).is_ok());
    fs::hard_link(place.root.join("sub/file"), place.root.join("second")).unwrap();
    assert!(sub.open_same(name, OFlags::RDONLY, &facts).unwrap_err().is_missing(), "it has two names now");
    fs::remove_file(place.root.join("second")).unwrap();
    fs::write(place.root.join("other"), "").unwrap();
    fs::rename(place.root.join("other"), place.root.join("sub/file")).unwrap();
    assert!(sub.open_same(name, OFlags::RDONLY, &facts).unwrap_err().is_missing(), "it is another one now");
}

#[test]
fn a_path_is_shown_on_one_line() {
    let path = Path::new(OsStr::from_bytes(b"/a\nb/\xff\x1b[0m/\xe3\x81\x82"));
    assert_eq!(show(path), "/a\\nb/\\xff\\u{1b}[0m/\u{3042}");
    assert_eq!(show(""), ".");
}
