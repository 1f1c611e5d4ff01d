//! Real files of SQLite, used by others at the same time; PostgreSQL is tested in `tests/system/remedy`.

use super::*;
use crate::remedy::action::Action as _;
use rusqlite::Connection;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A folder that others may not write, a database with many dead rows in it, and where the backups go.
struct Scenery {
    folder: tempfile::TempDir,
}

impl Scenery {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let scenery = Self { folder };
        let connection = scenery.connect();
        connection
            .execute_batch(
                "create table t (id integer primary key, text text);
                 with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
                 insert into t select i, hex(randomblob(50)) from n;
                 create index of_text on t (text);
                 delete from t where id % 10 > 0;",
            )
            .unwrap();
        scenery
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("trades.db")
    }

    fn connect(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    fn build(&self, more: &str) -> Action {
        self.build_of(&self.path(), more)
    }

    fn build_of(&self, path: &Path, more: &str) -> Action {
        let yaml = format!("{{ sqlite: {{ path: {} }}, lock_timeout: 200ms {more} }}", path.display());
        let config: Config = serde_yaml::from_str(&yaml).unwrap();
        config.build(&self.context()).unwrap()
    }

    fn context(&self) -> Context {
        Context { backups: self.folder.path().join("backups"), ..Context::default() }
    }

    fn backups(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path().join("backups")).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.path()).unwrap()
    }
}

async fn act(action: &Action) -> Result<Done, Setback> {
    action.act(&mut Scene::default()).await
}

fn rows(connection: &Connection) -> i64 {
    connection.query_row("select count(*) from t", [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn a_database_is_checked_backed_up_and_smaller_afterwards() {
    for mode in ["delete", "wal"] {
        let scenery = Scenery::new();
        let _: String =
            scenery.connect().query_row(&format!("pragma journal_mode = {mode}"), [], |r| r.get(0)).unwrap();
        let before = scenery.path().metadata().unwrap();
        let action = scenery.build("");
        let lines = action.rehearse(&Scene::default()).await.unwrap();
        assert!(lines[0].starts_with("would back ") && lines[0].contains("trades.db"), "{lines:?}");
        assert_eq!(scenery.path().metadata().unwrap().len(), before.len(), "a rehearsal changes nothing");
        assert_eq!(scenery.backups().len(), 0);
        let done = act(&action).await.unwrap();
        let after = scenery.path().metadata().unwrap();
        assert!(after.len() < before.len() / 2, "{mode}: {} → {}: {}", before.len(), after.len(), done.detail);
        assert_eq!((after.ino(), after.mode()), (before.ino(), before.mode()));
        let [copy] = scenery.backups().try_into().unwrap();
        assert!(done.detail.contains(copy.to_str().unwrap()), "{}", done.detail);
        assert_eq!(copy.metadata().unwrap().mode() & 0o777, 0o600);
        for place in [&copy, &scenery.path()] {
            let connection = Connection::open(place).unwrap();
            let verdict: String = connection.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
            assert_eq!((verdict.as_str(), rows(&connection)), ("ok", 2000), "{}", place.display());
        }
    }
}

#[tokio::test]
async fn a_bounded_number_of_backups_is_kept_and_those_of_others_are_not_touched() {
    let scenery = Scenery::new();
    let action = scenery.build("");
    act(&action).await.unwrap();
    let first = scenery.backups().remove(0);
    let stranger = scenery.folder.path().join("backups/trades.db-00000000-20200101T000000000Z.db");
    std::fs::write(&stranger, "somebody else's").unwrap();
    for _ in 0..3 {
        act(&action).await.unwrap();
    }
    assert_eq!(scenery.backups().len(), 3 + 1);
    assert!(stranger.exists() && !first.exists());
}

#[tokio::test]
async fn a_locked_database_is_left_alone() {
    let scenery = Scenery::new();
    let holder = scenery.connect();
    let before = scenery.bytes();
    for lock in ["begin exclusive", "begin immediate"] {
        holder.execute_batch(lock).unwrap();
        let outcome = act(&scenery.build("")).await;
        assert!(matches!(&outcome, Err(Setback::Busy(words)) if words.contains("locked")), "{lock}: {outcome:?}");
        holder.execute_batch("rollback").unwrap();
        assert!(scenery.bytes() == before, "{lock}");
    }
    assert!(scenery.backups().iter().all(|path| path.extension().is_some_and(|found| found == "db")));
}

#[tokio::test]
async fn a_damaged_database_is_refused_and_untouched() {
    let scenery = Scenery::new();
    let file = std::fs::OpenOptions::new().write(true).open(scenery.path()).unwrap();
    for page in (2..scenery.path().metadata().unwrap().len() / 4096).step_by(7) {
        file.write_all_at(&[0xa5; 512], page * 4096).unwrap();
    }
    drop(file);
    let before = scenery.bytes();
    let outcome = act(&scenery.build("")).await;
    assert!(matches!(&outcome, Err(Setback::Refused(words)) if words.contains("damaged")), "{outcome:?}");
    assert!(scenery.bytes() == before);
    std::fs::write(scenery.path(), "this is a text and no database, though it is long enough ".repeat(20)).unwrap();
    let outcome = act(&scenery.build("")).await;
    assert!(matches!(&outcome, Err(Setback::Refused(words)) if words.contains("not a database")), "{outcome:?}");
    assert!(scenery.backups().is_empty());
}

#[tokio::test]
async fn what_is_not_exactly_one_file_of_ours_is_refused() {
    let scenery = Scenery::new();
    let folder = scenery.folder.path();
    symlink(scenery.path(), folder.join("link.db")).unwrap();
    symlink(folder, folder.join("folder")).unwrap();
    std::fs::create_dir(folder.join("sub.db")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        folder.join("fifo.db"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let cases = [
        ("link.db", "symbolic link"),
        ("folder/trades.db", "symbolic link"),
        ("sub.db", "regular file"),
        ("fifo.db", "regular file"),
        ("missing.db", "no such file"),
    ];
    for (name, words) in cases {
        let outcome = act(&scenery.build_of(&folder.join(name), "")).await;
        assert!(matches!(&outcome, Err(Setback::Refused(said)) if said.contains(words)), "{name}: {outcome:?}");
    }
    assert!(!folder.join("missing.db").exists());
    std::fs::hard_link(scenery.path(), folder.join("second.db")).unwrap();
    let outcome = act(&scenery.build("")).await;
    assert!(matches!(&outcome, Err(Setback::Refused(said)) if said.contains("hard links")), "{outcome:?}");
    std::fs::remove_file(folder.join("second.db")).unwrap();
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    let outcome = act(&scenery.build("")).await;
    assert!(matches!(&outcome, Err(Setback::Refused(said)) if said.contains("everybody")), "{outcome:?}");
}

#[allow(clippy::disallowed_methods, reason = "the writer has a thread of its own")]
#[tokio::test]
async fn writers_at_the_same_time_lose_nothing() {
    let scenery = Scenery::new();
    let stop = Arc::new(AtomicBool::new(false));
    let path = scenery.path();
    let writer = {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || {
            let connection = Connection::open(path).unwrap();
            connection.busy_timeout(Duration::from_secs(30)).unwrap();
            let mut written = 0;
            while !stop.load(Ordering::Relaxed) {
                connection.execute("insert into t (text) values ('new')", []).unwrap();
                written += 1;
                // Without a breath nobody else ever has a turn: SQLite's locks have no queue.
                std::thread::sleep(Duration::from_millis(1));
            }
            written
        })
    };
    let mut vacuumed = 0;
    for _ in 0..20 {
        match act(&scenery.build(", timeout: 30s")).await {
            Ok(_) => vacuumed += 1,
            Err(setback) => assert!(matches!(setback, Setback::Busy(_)), "{setback}"),
        }
    }
    stop.store(true, Ordering::Relaxed);
    let written: i64 = writer.join().unwrap();
    let connection = scenery.connect();
    let verdict: String = connection.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!((verdict.as_str(), rows(&connection)), ("ok", 2000 + written));
    assert!(vacuumed > 0, "it never had its turn");
}

#[tokio::test]
async fn a_vacuum_that_nobody_waits_for_ends_and_leaves_the_database_whole() {
    let scenery = Scenery::new();
    let action = scenery.build("");
    for millis in [0, 1, 5, 20, 60] {
        let _ = tokio::time::timeout(Duration::from_millis(millis), act(&action)).await;
    }
    // It waits for its turn, until what was left behind has ended.
    act(&action).await.unwrap();
    let connection = scenery.connect();
    let verdict: String = connection.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!((verdict.as_str(), rows(&connection)), ("ok", 2000));
    assert!(scenery.backups().iter().all(|path| path.extension().is_some_and(|found| found == "db")));
}

#[test]
fn mistakes_have_their_place() {
    let cases = [
        ("{}", ""),
        ("{ sqlite: { path: /a.db }, postgres: { url: 'postgres://me@localhost/app', tables: [public.a] } }", ""),
        ("{ sqlite: { path: a.db } }", "sqlite.path"),
        ("{ sqlite: { path: /a/../b.db } }", "sqlite.path"),
        ("{ sqlite: { path: /a.db, backups: 0 } }", "sqlite.backups"),
        ("{ sqlite: { path: /a.db }, lock_timeout: 0s }", "lock_timeout"),
        ("{ sqlite: { path: /a.db }, timeout: 2s, lock_timeout: 2s }", "lock_timeout"),
        ("{ postgres: { url: 'postgres://me@localhost/app', tables: [] } }", "postgres.tables"),
        ("{ postgres: { url: 'postgres://me@localhost/app', tables: [orders] } }", "postgres.tables[0]"),
        ("{ postgres: { url: 'postgres://me@localhost/app', tables: [a.b, a.b] } }", "postgres.tables[1]"),
        ("{ postgres: { url: 'mysql://x', tables: [a.b] } }", "postgres.url"),
    ];
    for (yaml, path) in cases {
        let config: Config = serde_yaml::from_str(yaml).unwrap();
        let mistakes = config.build(&Context::default()).err().unwrap_or_else(|| panic!("{yaml} is accepted"));
        assert_eq!(mistakes[0].path, path, "{yaml}");
    }
}
