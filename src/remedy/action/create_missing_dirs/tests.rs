use super::super::Action as _;
use super::*;
use crate::machine::confined::trials::{Swapper, contents, link_to};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    (folder, root)
}

fn built(root: &Path, rest: &str) -> Action {
    let config: Config = serde_yaml::from_str(&format!("{{ root: {}, {rest} }}", root.display())).unwrap();
    config.build(&Context::default()).unwrap()
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().mode() & 0o7777
}

#[tokio::test]
async fn what_is_missing_is_made_with_its_mode_and_what_is_there_stays() {
    let (_folder, root) = folder();
    fs::create_dir(root.join("data")).unwrap();
    fs::set_permissions(root.join("data"), fs::Permissions::from_mode(0o700)).unwrap();
    let action = built(&root, "dirs: [ data, logs, uploads/images, uploads/files ], mode: '0755'");
    let told = action.rehearse(&Scene::default()).await.unwrap();
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told[0].ends_with("logs (0755)") && !root.join("logs").exists(), "{told:?}");
    let done = action.act(&mut Scene::default()).await.unwrap();
    assert!(
        done.detail.contains("created 4 folders")
            && done.detail.ends_with("logs, uploads, uploads/images, uploads/files"),
        "{done:?}"
    );
    assert_eq!(mode(&root.join("data")), 0o700);
    for made in ["logs", "uploads", "uploads/images", "uploads/files"] {
        assert_eq!(mode(&root.join(made)), 0o755, "{made}: whatever the umask is");
    }
    assert_eq!(contents(&root), []);
    let again = action.act(&mut Scene::default()).await.unwrap();
    assert!(again.detail.starts_with("every folder is there"), "{again:?}");
}

#[tokio::test]
async fn a_link_or_a_file_in_the_way_is_refused_and_nothing_is_made() {
    let (_folder, root) = folder();
    let (_other, outside) = folder();
    symlink(&outside, root.join("link")).unwrap();
    symlink(outside.join("nowhere"), root.join("dangling")).unwrap();
    fs::write(root.join("file"), "").unwrap();
    for dir in ["link", "link/x", "dangling", "file", "file/x"] {
        let action = built(&root, &format!("dirs: [ first, {dir} ]"));
        let setback = action.act(&mut Scene::default()).await.unwrap_err();
        assert!(matches!(setback, Setback::Refused(_)), "{dir}: {setback:?}");
        assert!(action.rehearse(&Scene::default()).await.is_err());
    }
    assert!(!root.join("first").exists());
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[tokio::test]
async fn what_a_run_that_was_cut_off_left_is_finished() {
    let (_folder, root) = folder();
    fs::create_dir(root.join(".logs.banken-new")).unwrap();
    built(&root, "dirs: [ logs ]").act(&mut Scene::default()).await.unwrap();
    assert_eq!(mode(&root.join("logs")), 0o750);
    assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
}

#[tokio::test]
async fn an_owner_is_set_by_root_alone() {
    let (_folder, root) = folder();
    let action = built(&root, "dirs: [ logs ], owner: 12345, group: '12346'");
    let outcome = action.act(&mut Scene::default()).await;
    if rustix::process::geteuid().as_raw() == 0 {
        let data = root.join("logs").metadata().unwrap();
        assert_eq!((data.uid(), data.gid(), data.mode() & 0o7777), (12345, 12346, 0o750));
    } else {
        assert!(matches!(outcome, Err(Setback::Refused(_))), "{outcome:?}");
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn a_root_that_is_not_there_is_not_made() {
    let (_folder, root) = folder();
    let setback = built(&root.join("missing"), "dirs: [ x ]").act(&mut Scene::default()).await.unwrap_err();
    assert!(matches!(&setback, Setback::Failed(words) if words.ends_with("is not there")), "{setback:?}");
}

#[tokio::test]
async fn a_parent_that_is_exchanged_for_a_link_all_the_time_never_leads_outside() {
    let (_folder, root) = folder();
    let (_other, outside) = folder();
    fs::create_dir(root.join("sub")).unwrap();
    link_to(&outside, &root.join("link"));
    let swapper = Swapper::start(&root.join("sub"), &root.join("link"));
    let mut made = 0;
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    let mut number = 0;
    while (made < 30 || swapper.swaps() < 300) && std::time::Instant::now() < deadline {
        number += 1;
        let action = built(&root, &format!("dirs: [ sub/d{number}/e ]"));
        made += usize::from(action.act(&mut Scene::default()).await.is_ok());
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "round {number}");
    }
    assert!(made >= 30, "{made} of {number}");
}

#[test]
fn mistakes_are_found_at_their_place() {
    let mistakes = |yaml: &str| -> Vec<String> {
        let config: Config = serde_yaml::from_str(yaml).unwrap();
        let mistakes = config.build(&Context::default()).err().unwrap_or_default();
        mistakes.into_iter().map(|mistake| mistake.path).collect()
    };
    assert_eq!(mistakes("{ root: /, dirs: [] }"), ["root", "dirs"]);
    assert_eq!(
        mistakes("{ root: /opt/x, dirs: [ a, ../b, /c ], group: no-such-group }"),
        ["dirs[1]", "dirs[2]", "group"]
    );
    assert!(serde_yaml::from_str::<Config>("{ root: /opt/x, dirs: [ a ], mode: '2750' }").is_err());
}
