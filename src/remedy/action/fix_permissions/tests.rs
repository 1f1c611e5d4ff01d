use super::super::Action as _;
use super::*;
use crate::machine::confined::trials::{Swapper, link_to};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    (folder, root)
}

fn built(root: &Path, paths: &str) -> Action {
    let config: Config = serde_yaml::from_str(&format!("{{ root: {}, paths: [ {paths} ] }}", root.display())).unwrap();
    config.build(&Context::default()).unwrap()
}

fn file(path: &Path, mode: u32) {
    fs::write(path, "").unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().mode() & 0o7777
}

#[tokio::test]
async fn modes_are_set_also_where_nobody_may_read_and_never_within_a_folder() {
    let (_folder, root) = folder();
    fs::create_dir(root.join("logs")).unwrap();
    file(&root.join("logs/inside"), 0o600);
    fs::set_permissions(root.join("logs"), fs::Permissions::from_mode(0o1700)).unwrap();
    file(&root.join("shut"), 0o000);
    file(&root.join("right"), 0o640);
    let paths = "{ path: logs, mode: '0750' }, { path: shut, mode: '0640' }, { path: right, mode: '0640' }";
    let action = built(&root, paths);
    let told = action.rehearse(&Scene::default()).await.unwrap();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].ends_with("shut from 0000 to 0640") && mode(&root.join("shut")) == 0, "{told:?}");
    let done = action.act(&mut Scene::default()).await.unwrap();
    assert!(done.detail.starts_with("changed the mode of 2 paths"), "{done:?}");
    assert_eq!(mode(&root.join("shut")), 0o640);
    assert_eq!((mode(&root.join("logs")), mode(&root.join("logs/inside"))), (0o1750, 0o600), "sticky stays");
    let again = action.act(&mut Scene::default()).await.unwrap();
    assert!(again.detail.ends_with("are as they should be"), "{again:?}");
}

#[tokio::test]
async fn one_path_that_is_not_allowed_leaves_all_as_they_are() {
    let (_folder, root) = folder();
    let (_other, outside) = folder();
    file(&outside.join("secret"), 0o600);
    file(&root.join("first"), 0o600);
    file(&root.join("narrow"), 0o640);
    file(&root.join("setuid"), 0o4700);
    file(&root.join("linked"), 0o600);
    fs::hard_link(root.join("linked"), outside.join("second")).unwrap();
    symlink(outside.join("secret"), root.join("link")).unwrap();
    symlink(&outside, root.join("way")).unwrap();
    let fifo = rustix::fs::mknodat(rustix::fs::CWD, root.join("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0);
    fifo.unwrap();
    for (path, wanted, words) in [
        ("narrow", "0644", "would give others more"),
        ("setuid", "0755", "setuid"),
        ("linked", "0640", "several names"),
        ("link", "0640", "symbolic link"),
        ("way/secret", "0640", "symbolic link"),
        ("fifo", "0640", "a FIFO"),
    ] {
        let action = built(&root, &format!("{{ path: first, mode: '0640' }}, {{ path: {path}, mode: '{wanted}' }}"));
        let setback = action.act(&mut Scene::default()).await.unwrap_err();
        assert!(matches!(&setback, Setback::Refused(why) if why.contains(words)), "{path}: {setback:?}");
    }
    assert_eq!(
        (mode(&root.join("first")), mode(&outside.join("secret")), mode(&root.join("narrow"))),
        (0o600, 0o600, 0o640)
    );
    let setback = built(&root, "{ path: missing, mode: '0640' }").act(&mut Scene::default()).await.unwrap_err();
    assert!(matches!(setback, Setback::Failed(_)), "{setback:?}");
}

#[tokio::test]
async fn what_belongs_to_another_user_is_refused_unless_that_user_is_named() {
    if rustix::process::geteuid().as_raw() != 0 {
        // Nothing can be given away without root.
        return;
    }
    let (_folder, root) = folder();
    file(&root.join("theirs"), 0o600);
    std::os::unix::fs::chown(root.join("theirs"), Some(12345), None).unwrap();
    let setback = built(&root, "{ path: theirs, mode: '0640' }").act(&mut Scene::default()).await.unwrap_err();
    assert!(matches!(&setback, Setback::Refused(why) if why.contains("12345")), "{setback:?}");
    let yaml = format!("{{ root: {}, paths: [ {{ path: theirs, mode: '0640' }} ], owner: 12345 }}", root.display());
    let config: Config = serde_yaml::from_str(&yaml).unwrap();
    config.build(&Context::default()).unwrap().act(&mut Scene::default()).await.unwrap();
    assert_eq!(mode(&root.join("theirs")), 0o640);
}

#[tokio::test]
async fn files_and_folders_that_are_exchanged_for_links_all_the_time_never_lead_outside() {
    let (_folder, root) = folder();
    let (_other, outside) = folder();
    fs::create_dir(root.join("sub")).unwrap();
    file(&root.join("sub/file"), 0o600);
    file(&outside.join("file"), 0o600);
    link_to(&outside, &root.join("link"));
    link_to(&outside.join("file"), &root.join("file-link"));
    file(&root.join("plain"), 0o600);
    let swappers = [
        Swapper::start(&root.join("sub"), &root.join("link")),
        Swapper::start(&root.join("plain"), &root.join("file-link")),
    ];
    let folder_way = built(&root, "{ path: sub/file, mode: '0640' }");
    let file_way = built(&root, "{ path: plain, mode: '0640' }");
    let mut changed = 0;
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while (changed < 100 || swappers.iter().any(|swapper| swapper.swaps() < 300))
        && std::time::Instant::now() < deadline
    {
        for action in [&folder_way, &file_way] {
            changed += usize::from(
                action.act(&mut Scene::default()).await.is_ok_and(|done| done.detail.starts_with("changed")),
            );
        }
        assert_eq!(mode(&outside.join("file")), 0o600);
        for path in ["sub/file", "plain"] {
            let folder = Folder::root(&root).unwrap();
            let Ok((parent, name)) = folder.holder(Path::new(path)) else { continue };
            let Ok(file) = parent.open(name, OFlags::RDONLY) else { continue };
            rustix::fs::fchmod(&file, 0o600.into()).unwrap();
        }
    }
    assert!(changed >= 100, "{changed}");
}
