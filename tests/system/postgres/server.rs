//! A PostgreSQL from Debian's packages, in a folder of its own.

use crate::support::{Process, eventually, free_port};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The passwords of the superuser and of the role that Banken is.
pub const SUPERUSER_PASSWORD: &str = "correct-horse";
pub const PASSWORD: &str = "hunter2-battery";

/// Who nobody is in Debian; PostgreSQL does not run as root.
const NOBODY: u32 = 65534;

/// The folder with the programs, of the newest version that is there.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").map(|entries| entries.map(|entry| entry.unwrap().path()));
    let newest = versions
        .into_iter()
        .flatten()
        .max_by_key(|path| path.file_name().unwrap().to_str().unwrap().parse::<u32>().unwrap_or(0));
    newest.expect("PostgreSQL is not there; tests/run installs what is needed").join("bin")
}

/// A program of PostgreSQL, as somebody that may run it.
fn command(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(programs().join(program));
    command.current_dir(folder).env_clear().env("LC_ALL", "C").env("PGPASSWORD", SUPERUSER_PASSWORD);
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Gives a file or folder to whoever the server runs as, and to nobody else.
fn hand_over(path: &Path) {
    let mode = if path.is_dir() { 0o755 } else { 0o600 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

/// The server's own process, which ends in order: killed, it would leave its shared memory behind.
pub struct Postmaster(Process);

impl std::ops::Deref for Postmaster {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.0
    }
}

impl Drop for Postmaster {
    fn drop(&mut self) {
        use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};
        if self.0.is_running() {
            self.0.signal(Signal::CONT);
            self.0.signal(Signal::QUIT);
            // It gives its children five seconds.
            let pid = Pid::from_raw(self.0.pid().cast_signed()).unwrap();
            let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        }
    }
}

pub struct Server {
    // Ends before its folder goes.
    pub process: Postmaster,
    pub port: u16,
    folder: tempfile::TempDir,
}

impl Server {
    /// A server with the role `banken`, which has `pg_monitor` and nothing else, and the database `app`.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// The same with more lines in its configuration.
    pub async fn start_with(configuration: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        hand_over(folder.path());
        let password = folder.path().join("password");
        std::fs::write(&password, SUPERUSER_PASSWORD).unwrap();
        hand_over(&password);
        run(command("initdb", folder.path())
            .args(["--pgdata=data", "--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"])
            .args(["--no-sync", "--pwfile=password"]));
        let server = Self::start_in(folder, free_port(), configuration).await;
        server.sql(&format!("create role banken login password '{PASSWORD}'"));
        server.sql("grant pg_monitor to banken");
        server.sql("create database app");
        server
    }

    async fn start_in(folder: tempfile::TempDir, port: u16, configuration: &str) -> Self {
        let path = folder.path();
        let lines = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\nfsync = off\n\
             autovacuum = off\nshared_buffers = 16MB\nmax_connections = 20\nlog_destination = stderr\n\
             logging_collector = off\n{configuration}\n",
            path.display()
        );
        std::fs::write(path.join("data/postgresql.auto.conf"), lines).unwrap();
        hand_over(&path.join("data/postgresql.auto.conf"));
        let process = Postmaster(Process::start(command("postgres", path).args(["-D", "data"])));
        let server = Self { process, port, folder };
        eventually("PostgreSQL takes connections", async || server.try_sql("postgres", "select 1").ok()).await;
        server
    }

    /// A standby of this server.
    pub async fn standby(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        hand_over(folder.path());
        let origin = format!("host=127.0.0.1 port={} user=postgres password={SUPERUSER_PASSWORD}", self.port);
        run(command("pg_basebackup", folder.path())
            .args(["--pgdata=data", "--checkpoint=fast", "--wal-method=stream", "--no-sync"])
            .arg(format!("--dbname={origin}")));
        std::fs::write(folder.path().join("data/standby.signal"), "").unwrap();
        hand_over(&folder.path().join("data/standby.signal"));
        Self::start_in(folder, free_port(), &format!("primary_conninfo = '{origin}'\nhot_standby = on")).await
    }

    /// Ends it as a stop of the service does, and gives what is needed to start it again.
    pub async fn end(mut self) -> impl Future<Output = Self> {
        self.process.signal(rustix::process::Signal::INT);
        self.process.0.ended().await;
        let Self { port, folder, .. } = self;
        async move { Self::start_in(folder, port, "").await }
    }

    /// The lines that switch TLS on, with a certificate for 127.0.0.1 that is written for them, and its authority.
    pub fn tls(folder: &Path) -> (String, PathBuf) {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &authority).unwrap();
        hand_over(folder);
        let files = [("ca.pem", authority.pem()), ("cert.pem", certificate.pem()), ("key.pem", key.serialize_pem())];
        for (name, pem) in files {
            std::fs::write(folder.join(name), pem).unwrap();
            hand_over(&folder.join(name));
        }
        let at = folder.display();
        (format!("ssl = on\nssl_cert_file = '{at}/cert.pem'\nssl_key_file = '{at}/key.pem'"), folder.join("ca.pem"))
    }

    /// Where `banken` finds it.
    pub fn url(&self) -> String {
        format!("postgres://banken:{PASSWORD}@127.0.0.1:{}/app", self.port)
    }

    /// Its folder, in which its socket is too.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn psql(&self, database: &str) -> Command {
        let mut command = command("psql", self.folder.path());
        command.args(["--host=127.0.0.1", "--username=postgres", "--no-psqlrc", "--quiet", "--tuples-only"]);
        command.args(["--no-align", "--set=ON_ERROR_STOP=1"]);
        command.arg(format!("--port={}", self.port)).arg(format!("--dbname={database}"));
        command
    }

    fn try_sql(&self, database: &str, sql: &str) -> Result<String, String> {
        let output = self.psql(database).arg("--command").arg(sql).stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Runs a statement as the superuser.
    pub fn sql(&self, sql: &str) -> String {
        self.try_sql("postgres", sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The same in the database `app`.
    pub fn app(&self, sql: &str) -> String {
        self.try_sql("app", sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// A session of its own that runs these statements in `app`; it ends with the guard.
    pub fn session(&self, sql: &str) -> Process {
        Process::start(self.psql("app").arg("--command").arg(sql))
    }

    /// How many connections Banken has.
    pub fn connections_of_banken(&self) -> usize {
        let count = "select count(*) from pg_stat_activity where application_name = 'banken'";
        self.sql(count).parse().unwrap()
    }
}
