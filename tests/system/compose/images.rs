//! Images under the names that the compose file asks for, without a registry: Banken's from the last stage of its own
//! Dockerfile, the others from Debian's packages, laid out as the real ones are.

use super::daemon::Daemon;
use super::{deploy, said};
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// An image that is being filled.
struct Image {
    root: PathBuf,
}

impl Image {
    fn new(root: PathBuf) -> Self {
        std::fs::create_dir_all(&root).unwrap();
        Self { root }
    }

    fn inside(&self, path: &str) -> PathBuf {
        let inside = self.root.join(path.trim_start_matches('/'));
        std::fs::create_dir_all(inside.parent().unwrap()).unwrap();
        inside
    }

    /// A program with the libraries that it loads.
    fn program(&self, from: &str, to: &str) {
        std::fs::copy(from, self.inside(to)).unwrap_or_else(|error| panic!("{from}: {error}"));
        self.libraries(Path::new(from));
    }

    fn libraries(&self, program: &Path) {
        let listed = Command::new("ldd").arg(program).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        for library in listed.split_whitespace().filter(|word| word.starts_with('/')) {
            std::fs::copy(library, self.inside(library)).unwrap();
        }
    }

    /// What health checks of the real images use.
    fn busybox(&self, programs: &[&str]) {
        let found = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
        self.program(found.expect("busybox-static is installed: tests/run does that"), "/bin/busybox");
        for program in programs {
            symlink("busybox", self.inside(&format!("/bin/{program}"))).unwrap();
        }
    }

    /// A folder that belongs to the user of the image.
    fn folder_of(&self, user: u32, path: &str) {
        let folder = self.inside(path);
        std::fs::create_dir_all(&folder).unwrap();
        chown(&folder, Some(user), Some(user)).unwrap();
    }

    fn import(&self, daemon: &Daemon, tag: &str, changes: &[&str]) {
        let archive = self.root.with_extension("tar");
        said(Command::new("tar").arg("-C").arg(&self.root).arg("-cf").arg(&archive).arg("."));
        let mut command = daemon.docker();
        command.arg("import");
        for change in changes {
            command.arg("--change").arg(change);
        }
        said(command.arg(&archive).arg(tag));
    }
}

/// Makes them all. `tag` gives the name that a service asks for.
pub fn make(daemon: &Daemon, tag: impl Fn(&str) -> String) {
    let folder = daemon.folder().join("images");
    let prometheus = Image::new(folder.join("prometheus"));
    prometheus.program("/usr/bin/prometheus", "/bin/prometheus");
    prometheus.busybox(&["wget"]);
    prometheus.folder_of(65534, "/prometheus");
    let nobody = ["USER 65534", "WORKDIR /prometheus", "VOLUME /prometheus", "ENTRYPOINT [\"/bin/prometheus\"]"];
    prometheus.import(daemon, &tag("prometheus"), &nobody);

    let alertmanager = Image::new(folder.join("alertmanager"));
    alertmanager.program("/usr/bin/prometheus-alertmanager", "/bin/alertmanager");
    alertmanager.busybox(&["wget"]);
    alertmanager.folder_of(65534, "/alertmanager");
    for template in ["default.tmpl", "email.tmpl"] {
        // Debian's looks for them in files.
        let file = format!("/usr/share/prometheus/alertmanager/{template}");
        if Path::new(&file).exists() {
            std::fs::copy(&file, alertmanager.inside(&file)).unwrap();
        }
    }
    let nobody = ["USER 65534", "WORKDIR /alertmanager", "VOLUME /alertmanager", "ENTRYPOINT [\"/bin/alertmanager\"]"];
    alertmanager.import(daemon, &tag("alertmanager"), &nobody);

    // No package registry carries Grafana. In its place stands who answers its health check and nothing else.
    let grafana = Image::new(folder.join("grafana"));
    grafana.busybox(&["wget", "httpd"]);
    std::fs::write(grafana.inside("/www/api/health"), "{ \"database\": \"ok\" }").unwrap();
    grafana.import(
        daemon,
        &tag("grafana"),
        &["USER 472", "ENTRYPOINT [\"/bin/httpd\", \"-f\", \"-p\", \"3000\", \"-h\", \"/www\"]"],
    );
    banken(daemon, &folder, &tag("banken"));
}

/// The last stage of the Dockerfile, with the binary under test instead of one that is built for it. That one is not static:
/// its libraries are laid upon the image, and nothing else.
fn banken(daemon: &Daemon, folder: &Path, tag: &str) {
    let given = Image::new(folder.join("given"));
    std::fs::create_dir_all(given.inside("/out/state")).unwrap();
    let binary = given.inside("/out/banken");
    said(Command::new("strip").arg("-o").arg(&binary).arg(env!("CARGO_BIN_EXE_banken")));
    given.import(daemon, "banken-binary:test", &[]);
    let mut build = daemon.docker();
    build.args(["build", "--quiet", "--build-arg", "BINARY=banken-binary:test", "--tag", "banken:bare", "--file"]);
    said(build.arg(deploy().join("Dockerfile")).arg(deploy().parent().unwrap()));

    let libraries = Image::new(folder.join("libraries"));
    libraries.libraries(&binary);
    std::fs::write(folder.join("libraries.Dockerfile"), "FROM banken:bare\nCOPY . /\n").unwrap();
    let mut build = daemon.docker();
    build.args(["build", "--quiet", "--tag", tag, "--file"]).arg(folder.join("libraries.Dockerfile"));
    said(build.arg(&libraries.root));
}
