//! Who is who among processes: ourselves and those we come from, and the units of systemd and the containers to which
//! processes belong.

use super::procfs::{Reader, status_number};
use crate::observation::Failure;
use std::fs;

/// More generations than this are no family tree, but a circle.
const MAX_GENERATIONS: usize = 64;

/// Ourselves, our parent, its parent, … as far as they may be seen.
///
/// # Errors
/// [`crate::observation::Reason::Local`] when we ran out of something ourselves.
pub fn lineage() -> Result<Vec<i32>, Failure> {
    let mut reader = Reader::default();
    let mut pid = std::process::id().cast_signed();
    let mut all = vec![pid];
    while pid > 1 && all.len() < MAX_GENERATIONS {
        let parent = reader.read(pid, "status")?.and_then(|status| status_number(status, "PPid"));
        match parent.and_then(|parent| i32::try_from(parent).ok()).filter(|parent| *parent > 0) {
            Some(parent) => pid = parent,
            None => break,
        }
        all.push(pid);
    }
    Ok(all)
}

/// The control groups of a process, as `/proc/PID/cgroup` lists them; empty where it has gone.
///
/// # Errors
/// [`crate::observation::Reason::Local`] when we ran out of something ourselves.
pub fn groups(pid: i32) -> Result<Groups, Failure> {
    let text = Reader::default().read(pid, "cgroup")?.map(|text| String::from_utf8_lossy(text).into_owned());
    Ok(Groups(text.unwrap_or_default()))
}

/// The control groups of one process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Groups(String);

impl Groups {
    /// Those of no process.
    #[cfg(test)]
    pub fn made_up(text: &str) -> Self {
        Self(text.into())
    }

    fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.lines().filter_map(|line| line.splitn(3, ':').nth(2))
    }

    /// The service of systemd that a process belongs to, if it is one: whatever is innermost counts, so that what a person
    /// has started in a session of a user is none.
    pub fn service(&self) -> Option<&str> {
        self.paths().find_map(|path| {
            let unit = path.rsplit('/').find(|part| has_ending(part, "service") || has_ending(part, "scope"))?;
            // The first process of a manager of units is its own.
            if unit == "init.scope" {
                return Some(unit);
            }
            has_ending(unit, "service").then_some(unit)
        })
    }

    /// Whether any group on the way to the process is that of this unit.
    pub fn are_within(&self, unit: &str) -> bool {
        !unit.is_empty() && self.paths().any(|path| path.split('/').any(|part| part == unit))
    }

    /// The container that a process runs in, by its id, as far as the path of a group says it.
    pub fn container(&self) -> Option<&str> {
        self.paths().find_map(|path| {
            path.split('/').rev().find_map(|part| {
                let part = part.strip_suffix(".scope").unwrap_or(part);
                let id = part.rsplit('-').next().unwrap_or(part);
                (id.len() == CONTAINER_ID && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
            })
        })
    }
}

/// The names of units have one, and are not files.
fn has_ending(name: &str, ending: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, last)| last == ending)
}

/// The digits of a container's whole id.
const CONTAINER_ID: usize = 64;

/// Files that Docker and Podman mount into a container from a folder with its id.
const GIVEN_FILES: [&str; 3] = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"];

/// Whether we run in the container of this whole id.
pub fn are_in_container(id: &str) -> bool {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let own = Groups(read("/proc/self/cgroup"));
    own.container() == Some(id) || is_named_in(id, &read("/proc/self/mountinfo"))
}

/// A group of its own hides the path; what is mounted does not. On a host the mounts of all containers are listed too, but none
/// of them at these places.
fn is_named_in(id: &str, mountinfo: &str) -> bool {
    id.len() >= CONTAINER_ID
        && mountinfo.lines().any(|line| {
            let mut fields = line.split(' ').skip(3);
            let (Some(root), Some(place)) = (fields.next(), fields.next()) else { return false };
            GIVEN_FILES.contains(&place) && root.split('/').any(|part| part == id)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_lineage_begins_with_ourselves_and_ends_with_the_first() {
        let all = lineage().unwrap();
        assert_eq!(all[0], std::process::id().cast_signed());
        assert!(all.len() >= 2 && all.len() < MAX_GENERATIONS, "{all:?}");
        let parent = std::os::unix::process::parent_id().cast_signed();
        assert_eq!(all[1], parent);
    }

    #[test]
    fn the_innermost_unit_says_whether_systemd_manages_a_process() {
        let id = "ab".repeat(32);
        for (path, service) in [
            ("0::/system.slice/bot.service", Some("bot.service")),
            ("0::/system.slice/bot.service/worker/3", Some("bot.service")),
            ("12:pids:/x\n1:name=systemd:/system.slice/bot.service\n0::/", Some("bot.service")),
            ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/bot.service", Some("bot.service")),
            ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-1.scope", None),
            ("0::/user.slice/user-1000.slice/user@1000.service/init.scope", Some("init.scope")),
            ("0::/init.scope", Some("init.scope")),
            ("0::/user.slice/user-1000.slice/session-3.scope", None),
            ("0::/", None),
            ("", None),
            ("nonsense", None),
        ] {
            assert_eq!(Groups(path.into()).service(), service, "{path}");
        }
        let user = Groups("0::/user.slice/user@1000.service/app.slice/banken.service".into());
        assert!(user.are_within("user@1000.service") && user.are_within("banken.service"));
        assert!(!user.are_within("banken") && !user.are_within(""));
        for path in [
            format!("0::/system.slice/docker-{id}.scope"),
            format!("3:cpu:/docker/{id}"),
            format!("0::/machine.slice/libpod-{id}.scope/container"),
        ] {
            assert_eq!(Groups(path.clone()).container(), Some(id.as_str()), "{path}");
        }
        assert_eq!(Groups("0::/system.slice/bot.service".into()).container(), None);
    }

    #[test]
    fn our_own_container_is_known_by_its_files_and_others_are_not() {
        let id = "cd".repeat(32);
        let own = format!("600 1 8:1 /var/lib/docker/containers/{id}/hostname /etc/hostname rw - ext4 /dev/sda1 rw\n");
        assert!(is_named_in(&id, &own));
        // As the host lists the memory of every container.
        let host = format!("600 1 0:9 / /var/lib/docker/containers/{id}/mounts/shm rw - tmpfs shm rw\n");
        assert!(!is_named_in(&id, &host));
        assert!(!is_named_in(&"ef".repeat(32), &own));
        assert!(!is_named_in("", &own));
        assert!(!are_in_container(&"0".repeat(64)));
    }
}
