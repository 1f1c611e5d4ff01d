//! `database_vacuum` before a real PostgreSQL, and on a file system that is full.

use super::{act, step, step_with};
use crate::postgres::server::{PASSWORD, Server};
use crate::support::{eventually, left_out};
use banken::remedy::action::{Action as _, Context, Scene, Setback};
use std::time::{Duration, Instant};

/// A server with two tables of the role `banken`, full of dead rows, and one of somebody else.
async fn server() -> Server {
    let server = Server::start().await;
    server.app("create schema s authorization banken");
    for table in ["s.orders", "s.\"Mixed Case\""] {
        server.app(&format!("create table {table} as select i, repeat('x', 100) from generate_series(1, 2000) as i"));
        server.app(&format!("alter table {table} owner to banken"));
        server.app(&format!("delete from {table} where i > 100"));
    }
    server.app("create table public.foreign_one (i int)");
    server
}

fn yaml(server: &Server, tables: &str, more: &str) -> String {
    let url = server.url();
    format!(
        "database_vacuum: {{ postgres: {{ url: '{url}', tables: [ {tables} ] {more} }}, lock_timeout: 300ms, timeout: 20s }}"
    )
}

fn vacuums(server: &Server, table: &str) -> u32 {
    let count = format!("select vacuum_count from pg_stat_user_tables where schemaname || '.' || relname = '{table}'");
    server.app(&count).parse().unwrap()
}

#[tokio::test]
async fn named_tables_are_vacuumed_and_no_other() {
    let server = server().await;
    let action = step(&yaml(&server, "s.orders, s.Mixed Case", ""));
    let lines = action.rehearse(&Scene::default()).await.unwrap();
    assert!(lines[0].starts_with("would run VACUUM (ANALYZE) \"s\".\"orders\" ("), "{lines:?}");
    assert!(lines[1].contains("\"s\".\"Mixed Case\""), "{lines:?}");
    assert_eq!(vacuums(&server, "s.orders"), 0, "a rehearsal changes nothing");
    let done = act(&action).await.unwrap();
    assert!(done.detail.starts_with("vacuumed s.orders (") && done.detail.contains("s.Mixed Case"), "{}", done.detail);
    eventually("the server counted it", async || (vacuums(&server, "s.orders") == 1).then_some(())).await;
    assert_eq!(vacuums(&server, "s.Mixed Case"), 1);
    assert_eq!(vacuums(&server, "public.foreign_one"), 0);
    assert_eq!(server.app("select pg_stat_get_dead_tuples('s.orders'::regclass)"), "0");
}

#[tokio::test]
async fn what_is_missing_or_somebody_elses_is_refused_before_anything_is_done() {
    let server = server().await;
    server.app("create view s.a_view as select 1");
    for (tables, words) in [
        ("s.orders, s.nothing", "there is no table s.nothing"),
        ("s.orders, public.foreign_one", "does not own public.foreign_one"),
        ("s.orders, s.a_view", "does not own s.a_view\nis not a table"),
    ] {
        let outcome = act(&step(&yaml(&server, tables, ""))).await;
        let Err(Setback::Refused(said)) = &outcome else { panic!("{tables}: {outcome:?}") };
        assert!(words.lines().any(|words| said.contains(words)), "{said}");
    }
    assert_eq!(vacuums(&server, "s.orders"), 0);
}

#[tokio::test]
async fn a_locked_table_is_left_alone_and_the_others_are_not() {
    let server = server().await;
    let holder = server.session("begin; lock table s.orders in share mode; select pg_sleep(60); rollback");
    eventually("the table is locked", async || {
        let locks = server.app("select count(*) from pg_locks where relation = 's.orders'::regclass and granted");
        (locks != "0").then_some(())
    })
    .await;
    for more in ["", ", skip_locked: true"] {
        let begun = Instant::now();
        let outcome = act(&step(&yaml(&server, "s.orders", more))).await;
        assert!(matches!(&outcome, Err(Setback::Busy(said)) if said.contains("s.orders")), "{more}: {outcome:?}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{more}: it waited");
        let done = act(&step(&yaml(&server, "s.orders, s.Mixed Case", more))).await.unwrap();
        assert!(
            done.detail.contains("vacuumed s.Mixed Case") && done.detail.ends_with(": s.orders"),
            "{}",
            done.detail
        );
    }
    let lines = step(&yaml(&server, "s.orders", "")).rehearse(&Scene::default()).await.unwrap();
    assert!(lines[0].contains("has locked it"), "{lines:?}");
    drop(holder);
    assert_eq!(vacuums(&server, "s.orders"), 0);
}

#[tokio::test]
async fn a_wrong_password_is_told_and_not_shown() {
    let server = server().await;
    let yaml = yaml(&server, "s.orders", "").replace(PASSWORD, "wrong-s3cret");
    let outcome = act(&step(&yaml)).await;
    let Err(Setback::Failed(said)) = &outcome else { panic!("{outcome:?}") };
    assert!(said.starts_with("auth: ") && !said.contains("s3cret"), "{said}");
}

#[tokio::test]
async fn a_standby_is_refused() {
    let server = server().await;
    let standby = server.standby().await;
    let outcome = act(&step(&yaml(&standby, "s.orders", ""))).await;
    assert!(matches!(&outcome, Err(Setback::Refused(said)) if said.contains("standby")), "{outcome:?}");
}

/// A file system of so many bytes; none where we may not mount.
fn small_disk(size: &str) -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", &format!("size={size}"), "banken-test"])
        .arg(folder.path())
        .output();
    let mounted = mounted.is_ok_and(|output| output.status.success());
    if !mounted {
        left_out("a full disk: only root may mount one");
    }
    mounted.then_some(folder)
}

struct Unmount(tempfile::TempDir);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0.path()).output();
    }
}

#[tokio::test]
async fn a_disk_without_room_is_refused_and_the_database_untouched() {
    let Some(disk) = small_disk("24m") else { return };
    let disk = Unmount(disk);
    let path = disk.0.path().join("d/app.db");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    let page = vec![b'x'; 1 << 20];
    {
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute_batch("create table t (blob blob)").unwrap();
        for _ in 0..4 {
            connection.execute("insert into t values (?1)", [&page]).unwrap();
        }
    }
    let before = std::fs::read(&path).unwrap();
    let backups = tempfile::tempdir().unwrap();
    let context = Context { backups: backups.path().join("b"), ..Context::default() };
    let yaml = format!("database_vacuum: {{ sqlite: {{ path: {} }} }}", path.display());
    let outcome = act(&step_with(&yaml, &context)).await;
    let Err(Setback::Refused(said)) = &outcome else { panic!("{outcome:?}") };
    assert!(said.contains("make room first"), "{said}");
    assert!(std::fs::read(&path).unwrap() == before && !context.backups.exists());
    // Where the backups have no room, nothing is done either.
    let Some(small) = small_disk("4m") else { return };
    let small = Unmount(small);
    let context = Context { backups: small.0.path().join("b"), ..Context::default() };
    let outcome = act(&step_with(&yaml, &context)).await;
    assert!(matches!(&outcome, Err(Setback::Refused(said)) if said.contains("the ")), "{outcome:?}");
    assert!(std::fs::read(&path).unwrap() == before);
}
