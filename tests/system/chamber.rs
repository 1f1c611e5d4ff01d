//! A chamber of its own on this machine, in which a manager of services or of containers can be at home: with its own
//! processes, mounts, `/run` and control groups, of which nothing is left afterwards.

use crate::support::{Process, eventually, left_out};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Makes a control group in every hierarchy, says where, and goes into it.
const GROUPS: &str = r#"
set -eu
enter() {
  mkdir "$1/$name"
  echo "group $1/$name"
  case $1 in *cpuset*) cat "$1/cpuset.cpus" > "$1/$name/cpuset.cpus"; cat "$1/cpuset.mems" > "$1/$name/cpuset.mems";; esac
  echo $$ > "$1/$name/cgroup.procs"
}
name=banken-test-$$
if [ -e /sys/fs/cgroup/cgroup.procs ]; then
  own=$(sed -n 's/^0:://p' /proc/self/cgroup)
  enter "/sys/fs/cgroup${own%/}"
else
  for folder in /sys/fs/cgroup/*; do
    [ -L "$folder" ] && continue
    case ${folder##*/} in systemd) key=name=systemd;; unified) key=;; *) key=${folder##*/};; esac
    own=$(sed -n "s/^[0-9]*:$key:\//\//p" /proc/self/cgroup)
    enter "$folder${own%/}"
  done
fi
exec unshare --mount --cgroup --pid --fork --kill-child=KILL --mount-proc sh -c "$inside" sh "$@"
"#;

/// Mounts what belongs to the chamber alone, and starts what was asked for.
const INSIDE: &str = r#"
set -eu
cd /
if [ -e /sys/fs/cgroup/cgroup.procs ]; then
  umount -R -l /sys/fs/cgroup
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
else
  hierarchies=
  for folder in /sys/fs/cgroup/*; do [ -L "$folder" ] || hierarchies="$hierarchies ${folder##*/}"; done
  umount -R -l /sys/fs/cgroup
  mount -t tmpfs tmpfs /sys/fs/cgroup
  for hierarchy in $hierarchies; do
    mkdir "/sys/fs/cgroup/$hierarchy"
    case $hierarchy in
      systemd) mount -t cgroup -o none,name=systemd cgroup "/sys/fs/cgroup/$hierarchy";;
      unified) mount -t cgroup2 cgroup2 "/sys/fs/cgroup/$hierarchy";;
      *) mount -t cgroup -o "$hierarchy" cgroup "/sys/fs/cgroup/$hierarchy";;
    esac
  done
fi
mount -t tmpfs tmpfs /run
mkdir -p /run/lock /run/systemd/system
echo "inside"
"$@" &
wait
"#;

pub struct Chamber {
    process: Option<Process>,
}

impl Chamber {
    /// Starts a command in a chamber. Nothing, and a loud word, where this machine does not allow one: that needs root
    /// and control groups that can be written.
    pub async fn open(command: &mut Command) -> Option<Self> {
        let mut outside = Command::new("sh");
        outside.args(["-c", GROUPS, "sh"]).arg(command.get_program()).args(command.get_args());
        outside.env("inside", INSIDE).envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut process = Process::start(&mut outside);
        let is_inside = eventually("the chamber is open, or cannot be", async || {
            let is_inside = process.output().lines().any(|line| line == "inside");
            (is_inside || !process.is_running()).then_some(is_inside)
        })
        .await;
        let chamber = Self { process: Some(process) };
        if is_inside {
            return Some(chamber);
        }
        let why = chamber.output();
        left_out(&format!("no chamber can be made on this machine: {why}"));
        None
    }

    pub fn output(&self) -> String {
        self.process.as_ref().unwrap().output()
    }

    /// Whether what was started in it still runs.
    pub fn is_open(&mut self) -> bool {
        self.process.as_mut().unwrap().is_running()
    }
}

impl Drop for Chamber {
    fn drop(&mut self) {
        let groups: Vec<PathBuf> =
            self.output().lines().filter_map(|line| line.strip_prefix("group ").map(PathBuf::from)).collect();
        // Its first process ends with it, and every other one with that.
        drop(self.process.take());
        let deadline = Instant::now() + Duration::from_secs(10);
        for group in groups {
            while group.exists() && !remove(&group) && Instant::now() < deadline {
                std::thread::park_timeout(Duration::from_millis(20));
            }
        }
    }
}

/// Control groups are folders of which only the folders can be removed.
fn remove(group: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(group) else { return false };
    for entry in entries.filter_map(Result::ok).filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove(&entry.path());
    }
    std::fs::remove_dir(group).is_ok()
}
