use super::super::Action as _;
use super::*;
use crate::machine::confined::trials::{Swapper, contents, link_to, with_own_mounts};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

struct Place {
    _folder: tempfile::TempDir,
    root: PathBuf,
    context: Context,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let place = Self::at(&base);
        Self { _folder: folder, ..place }
    }

    fn at(base: &Path) -> Self {
        let root = base.join("data");
        fs::create_dir_all(&root).unwrap();
        let context = Context { backups: base.join("backups"), ..Context::default() };
        Self { _folder: tempfile::tempdir().unwrap(), root, context }
    }

    fn built(&self, rest: &str) -> Action {
        let config: Config = serde_yaml::from_str(&format!("{{ root: {}, {rest} }}", self.root.display())).unwrap();
        config.build(&self.context).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
    }

    fn backups(&self) -> Vec<Vec<u8>> {
        if !self.context.backups.exists() {
            return Vec::new();
        }
        contents(&self.context.backups).into_iter().map(|(_, bytes)| bytes).collect()
    }
}

async fn act(action: &Action) -> Result<String, Setback> {
    action.act(&mut Scene::default()).await.map(|done| done.detail)
}

#[tokio::test]
async fn a_broken_file_is_repaired_with_its_mode_and_a_copy_is_safe() {
    let place = Place::new();
    let file = place.root.join("state.json");
    let broken = b"{\n  \"balance\": 12.5,\n  \"orders\": [1, 2, ],\n  \"last\": \"BUY DO";
    fs::write(&file, broken).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o646)).unwrap();
    if rustix::process::geteuid().as_raw() == 0 {
        std::os::unix::fs::chown(&file, Some(12345), Some(12346)).unwrap();
    }
    let former = file.metadata().unwrap();
    let action = place.built(&format!("files: [ state.json ], owner: {}, requires: [ $.balance ]", former.uid()));
    let told = action.rehearse(&Scene::default()).await.unwrap();
    assert!(
        told[0].starts_with("would copy ")
            && told[0].ends_with("closed after its last whole member, a trailing comma removed"),
        "{told:?}"
    );
    assert_eq!((fs::read(&file).unwrap().as_slice(), place.backups().len()), (&broken[..], 0));
    let done = act(&action).await.unwrap();
    assert!(done.contains("state.json repaired"), "{done}");
    assert_eq!(fs::read(&file).unwrap(), b"{\n  \"balance\": 12.5,\n  \"orders\": [1, 2 ]}");
    let now = file.metadata().unwrap();
    assert_eq!((now.mode(), now.uid(), now.gid()), (former.mode(), former.uid(), former.gid()));
    assert_eq!(place.backups(), [broken.to_vec()]);
    let copy = contents(&place.context.backups)[0].0.metadata().unwrap();
    assert_eq!((copy.mode() & 0o777, place.context.backups.metadata().unwrap().mode() & 0o777), (0o600, 0o700));
    assert_eq!(contents(&place.root).len(), 1);
    let done = act(&action).await.unwrap();
    assert!(done.ends_with("is valid") && place.backups().len() == 1, "{done}");
    assert_eq!(file.metadata().unwrap().ino(), now.ino(), "a valid file is left alone");
}

#[tokio::test]
async fn what_cannot_be_repaired_or_would_not_be_what_it_must_be_stays_untouched() {
    let place = Place::new();
    let schema = place.root.parent().unwrap().join("schema.json");
    fs::write(&schema, r#"{"required": ["b"], "properties": {"a": {"type": "integer"}}}"#).unwrap();
    let file = place.root.join("a.json");
    for (text, rest) in [
        ("{/* a comment */}", String::new()),
        ("{\"a\":", String::new()),
        ("{\"a\": 1, \"b\": tr", "requires: [ $.b ]".to_owned()),
        ("{\"a\": 1, \"b\": tr", format!("schema: {}", schema.display())),
        ("{\"a\": \"x\", \"b\": 1,}", format!("schema: {}", schema.display())),
        ("{\"a\": 1}", "requires: [ $.b ]".to_owned()),
    ] {
        fs::write(&file, text).unwrap();
        let inode = file.metadata().unwrap().ino();
        let action = place.built(&format!("files: [ a.json ], {rest}"));
        let setback = act(&action).await.unwrap_err();
        assert!(
            matches!(&setback, Setback::Failed(words) if words.contains("cannot be repaired")),
            "{text}: {setback:?}"
        );
        assert_eq!((fs::read_to_string(&file).unwrap().as_str(), file.metadata().unwrap().ino()), (text, inode));
        assert_eq!((place.backups().len(), contents(&place.root).len()), (0, 1));
    }
    fs::write(&file, "{\"a\": 1, \"b\": 2,}").unwrap();
    act(&place.built(&format!("files: [ a.json ], requires: [ $.a ], schema: {}", schema.display()))).await.unwrap();
}

#[tokio::test]
async fn what_is_no_lone_file_of_the_owner_is_refused_and_no_other_is_touched() {
    let place = Place::new();
    let outside = tempfile::tempdir().unwrap();
    let broken = "{\"a\":1,";
    fs::write(outside.path().join("target"), broken).unwrap();
    for name in ["first", "linked", "large", "setgid"] {
        fs::write(place.root.join(name), broken).unwrap();
    }
    symlink(outside.path().join("target"), place.root.join("link")).unwrap();
    symlink(outside.path(), place.root.join("way")).unwrap();
    fs::hard_link(place.root.join("linked"), outside.path().join("second")).unwrap();
    fs::write(place.root.join("large"), vec![b' '; 3000]).unwrap();
    fs::set_permissions(place.root.join("setgid"), fs::Permissions::from_mode(0o2600)).unwrap();
    let mode = rustix::fs::Mode::RWXU;
    rustix::fs::mknodat(rustix::fs::CWD, place.root.join("fifo"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    for name in ["link", "way/target", "linked", "large", "setgid", "fifo", "way"] {
        let action = place.built(&format!("files: [ first, {name} ], max_size: 2KiB"));
        let setback = act(&action).await.unwrap_err();
        assert!(matches!(setback, Setback::Refused(_)), "{name}: {setback:?}");
    }
    let foreign = place.built("files: [ first ], owner: 54321");
    assert!(matches!(act(&foreign).await, Err(Setback::Refused(_))));
    let missing = place.built("files: [ first, missing ]");
    assert!(matches!(act(&missing).await, Err(Setback::Failed(_))));
    assert_eq!((fs::read_to_string(place.root.join("first")).unwrap().as_str(), place.backups().len()), (broken, 0));
}

#[tokio::test]
async fn so_many_copies_of_each_file_are_kept_and_no_others_are_touched() {
    let place = Place::new();
    fs::create_dir(place.root.join("sub")).unwrap();
    let action = place.built("files: [ a.json, sub/a.json ], keep: 2");
    fs::create_dir(&place.context.backups).unwrap();
    fs::write(place.context.backups.join("a.json.other"), "kept").unwrap();
    for round in 0..4 {
        fs::write(place.root.join("a.json"), format!("[\"a\", {round},")).unwrap();
        fs::write(place.root.join("sub/a.json"), format!("[\"sub\", {round},")).unwrap();
        act(&action).await.unwrap();
    }
    let mut copies = place.backups();
    copies.sort();
    let texts: Vec<_> = copies.iter().map(|copy| std::str::from_utf8(copy).unwrap()).collect();
    assert_eq!(texts, ["[\"a\", 2,", "[\"a\", 3,", "[\"sub\", 2,", "[\"sub\", 3,", "kept"]);
}

#[tokio::test]
async fn what_a_run_that_was_cut_off_left_is_no_obstacle() {
    let place = Place::new();
    fs::write(place.root.join("a.json"), "[1,").unwrap();
    fs::write(place.root.join(".a.json.banken-new"), "half of somet").unwrap();
    act(&place.built("files: [ a.json ]")).await.unwrap();
    assert_eq!(contents(&place.root), [(place.root.join("a.json"), b"[1]".to_vec())]);
}

/// What somebody else does to the file, by a word.
type Meanwhile = (&'static str, fn(&Path));

#[test]
fn what_somebody_writes_between_the_look_and_the_repair_stays() {
    let place = Place::new();
    let file = place.root.join("a.json");
    fs::write(&file, "[1,").unwrap();
    let task = place.built("files: [ a.json ]").task;
    let between: [Meanwhile; 3] = [
        ("rewritten", |file| fs::write(file, "[1, 2]").unwrap()),
        ("replaced", |file| {
            fs::write(file.with_extension("new"), "[3]").unwrap();
            fs::rename(file.with_extension("new"), file).unwrap();
        }),
        ("removed", |file| fs::remove_file(file).unwrap()),
    ];
    for (what, change) in between {
        fs::write(&file, "[1,").unwrap();
        let outcome = task.carry_out_after_look(|| change(&file));
        assert!(matches!(&outcome, Err(Setback::Failed(words)) if words.contains("meanwhile")), "{what}: {outcome:?}");
        let now = contents(&place.root);
        let expected: &[&[u8]] = match what {
            "rewritten" => &[b"[1, 2]"],
            "replaced" => &[b"[3]"],
            _ => &[],
        };
        assert_eq!(now.iter().map(|(_, bytes)| bytes.as_slice()).collect::<Vec<_>>(), expected, "{what}");
    }
}

#[tokio::test]
async fn a_file_that_is_exchanged_for_a_link_all_the_time_never_leads_outside() {
    let place = Place::new();
    let outside = tempfile::tempdir().unwrap();
    let outside = outside.path().canonicalize().unwrap();
    fs::write(outside.join("a.json"), "[7,").unwrap();
    fs::create_dir(place.root.join("sub")).unwrap();
    link_to(&outside, &place.root.join("way"));
    link_to(&outside.join("a.json"), &place.root.join("sub/link"));
    fs::write(place.root.join("sub/a.json"), "[1,").unwrap();
    let before = contents(&outside);
    let action = place.built("files: [ sub/a.json ]");
    let swappers = [
        Swapper::start(&place.root.join("sub/a.json"), &place.root.join("sub/link")),
        Swapper::start(&place.root.join("sub"), &place.root.join("way")),
    ];
    let mut repaired = 0;
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while (repaired < 10 || swappers[1].swaps() < 300) && std::time::Instant::now() < deadline {
        repaired += usize::from(act(&action).await.is_ok_and(|done| done.contains("repaired")));
        assert_eq!(contents(&outside), before);
        let folder = crate::machine::confined::Folder::root(&place.root).unwrap();
        if let Ok(sub) = folder.folder(Path::new("sub"))
            && let Ok(file) = sub.open("a.json".as_ref(), rustix::fs::OFlags::RDWR)
        {
            use std::io::Write as _;
            (&file).write_all(b"[1,").unwrap();
            file.set_len(3).unwrap();
        }
    }
    assert!(repaired > 0, "nothing was ever repaired");
}

#[test]
fn without_room_for_the_copy_nothing_is_repaired() {
    let test = "remedy::action::backup_and_fix_json::tests::without_room_for_the_copy_nothing_is_repaired";
    let script = "mkdir $dir/backups; mount -t tmpfs -o size=16k tmpfs $dir/backups";
    let Some(dir) = with_own_mounts(test, script) else { return };
    let place = Place::at(&dir);
    let broken = format!("[\"{}\",", "x".repeat(100_000));
    fs::write(place.root.join("a.json"), &broken).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let setback = runtime.block_on(act(&place.built("files: [ a.json ]"))).unwrap_err();
    assert!(matches!(&setback, Setback::Failed(words) if words.contains("cannot write the copy")), "{setback:?}");
    assert_eq!(fs::read_to_string(place.root.join("a.json")).unwrap(), broken);
    assert_eq!((place.backups().len(), contents(&place.root).len()), (0, 1));
}

#[test]
fn mistakes_are_found_at_their_place() {
    let mistakes = |context: &Context, yaml: &str| -> Vec<String> {
        let config: Config = serde_yaml::from_str(yaml).unwrap();
        let mistakes = config.build(context).err().unwrap_or_default();
        mistakes.into_iter().map(|mistake| mistake.path).collect()
    };
    let context = Context { backups: "/var/lib/banken/backups".into(), ..Context::default() };
    assert_eq!(mistakes(&Context::default(), "{ root: /opt/x, files: [ a ] }"), [""]);
    let yaml = "{ root: x, files: [ /a ], keep: 0, max_size: 65MiB, schema: /nonexistent }";
    assert_eq!(mistakes(&context, yaml), ["root", "files[0]", "keep", "max_size", "schema"]);
}
