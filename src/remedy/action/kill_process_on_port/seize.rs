//! From a port to the processes that hold it, each by a descriptor; or the rule that forbids to touch them.

use super::Setback;
use crate::machine::kin::{self, Groups};
use crate::machine::pidfd::Handle;
use crate::machine::procfs::{Reader, effective_uid};
use crate::machine::program::{Answer, Program, executable, shown_name};
use crate::machine::sockets::{self, Listener, Protocol, listeners};
use crate::machine::user::{self, PASSWD};
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

/// Whom the configuration names.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) port: u16,
    pub(super) programs: Vec<Program>,
    pub(super) uid: u32,
}

/// A process that holds the port and may be ended.
#[derive(Debug)]
pub(super) struct Holder {
    pub(super) handle: Handle,
    pub(super) facts: Facts,
}

/// By what a process is known again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pid: i32,
    /// When it started, in clock ticks since the boot.
    start: u64,
    uid: u32,
    exe: Option<PathBuf>,
    name: String,
    kernel_thread: bool,
    groups: Groups,
    inodes: BTreeSet<u64>,
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {}, user {})", self.name, self.pid, user::called(self.uid, Path::new(PASSWD)))
    }
}

/// More processes than this on one port are not ended by a machine.
const MAX_HOLDERS: usize = 64;

/// Takes hold of the processes that hold the port; nobody, if nobody listens. It blocks on `/proc`. What stands in for the world
/// between the two looks is `between`; it does nothing but in tests.
///
/// # Errors
/// [`Setback::Refused`] by the rule that forbids it, [`Setback::Failed`] if it could not be looked.
pub(super) fn seize(wanted: &Wanted, between: impl FnOnce()) -> Result<Vec<Holder>, Setback> {
    let first = picture(wanted)?;
    if first.is_empty() {
        return Ok(Vec::new());
    }
    let lineage = kin::lineage()?;
    let own = kin::groups(std::process::id().cast_signed())?;
    let mut handles = Vec::with_capacity(first.len());
    for facts in &first {
        judge(wanted, facts, &lineage, &own)?;
        handles.push(Handle::open(facts.pid)?.ok_or_else(|| changed(wanted))?);
    }
    between();
    let second = picture(wanted)?;
    // In this order: as long as a process has not ended, what was just said of its number was said of it.
    if second != first || handles.iter().any(Handle::has_ended) {
        return Err(changed(wanted));
    }
    Ok(handles.into_iter().zip(second).map(|(handle, facts)| Holder { handle, facts }).collect())
}

fn changed(wanted: &Wanted) -> Setback {
    Setback::Refused(format!("who holds port {} changed while it was looked at", wanted.port))
}

/// All who hold the port, in the order of their numbers.
fn picture(wanted: &Wanted) -> Result<Vec<Facts>, Setback> {
    let listeners: Vec<Listener> =
        listeners(Protocol::Tcp)?.into_iter().filter(|listener| listener.address.port() == wanted.port).collect();
    let inodes: BTreeSet<u64> = listeners.iter().map(|listener| listener.inode).collect();
    let owners = sockets::owners(&inodes)?;
    for listener in &listeners {
        let address = listener.address;
        if !owners.pids.contains_key(&listener.inode) {
            return Err(Setback::Refused(format!("who holds {address} may not be seen: it belongs to somebody else")));
        }
        // A process that hides may hold it too; then it belongs to another user, who may have made it.
        if owners.hidden > 0 && listener.uid != wanted.uid {
            let by = user::called(listener.uid, Path::new(PASSWD));
            return Err(Setback::Refused(format!(
                "{address} was made by user {by}, and not all who hold it may be seen"
            )));
        }
    }
    let pids: BTreeSet<i32> = owners.pids.values().flatten().copied().collect();
    if pids.len() > MAX_HOLDERS {
        return Err(Setback::Refused(format!("port {} is held by {} processes", wanted.port, pids.len())));
    }
    let mut reader = Reader::default();
    let mut all = Vec::with_capacity(pids.len());
    for pid in pids {
        let inodes = owners.pids.iter().filter(|(_, pids)| pids.contains(&pid)).map(|(inode, _)| *inode).collect();
        all.push(facts(&mut reader, pid, inodes)?.ok_or_else(|| changed(wanted))?);
    }
    Ok(all)
}

/// Nothing if it has gone.
fn facts(reader: &mut Reader, pid: i32, inodes: BTreeSet<u64>) -> Result<Option<Facts>, Setback> {
    let Some(stat) = reader.stat(pid)? else { return Ok(None) };
    let Some(uid) = reader.read(pid, "status")?.and_then(effective_uid) else { return Ok(None) };
    let Some(name) = shown_name(reader, pid)? else { return Ok(None) };
    let groups = kin::groups(pid)?;
    Ok(Some(Facts {
        pid,
        start: stat.start,
        uid,
        exe: executable(pid).ok(),
        name,
        kernel_thread: stat.kernel_thread,
        groups,
        inodes,
    }))
}

/// The rules that no configuration lifts come first.
fn judge(wanted: &Wanted, facts: &Facts, lineage: &[i32], own: &Groups) -> Result<(), Setback> {
    let refuse = |why: String| Err(Setback::Refused(format!("port {} is held by {facts}, {why}", wanted.port)));
    if facts.pid == 1 || facts.kernel_thread {
        return refuse("on which this whole system rests".into());
    }
    if lineage.first() == Some(&facts.pid) {
        return refuse("which is Banken itself".into());
    }
    if lineage.contains(&facts.pid) {
        return refuse("from which Banken itself was started".into());
    }
    if let Some(unit) = facts.groups.service() {
        return refuse(format!("which systemd manages in {unit}: use service_restart: {{ systemd: {unit} }}"));
    }
    if let Some(id) = facts.groups.container()
        && own.container() != Some(id)
    {
        let id = id.get(..12).unwrap_or(id);
        return refuse(format!("which runs in the container {id}: use service_restart: {{ container: NAME }}"));
    }
    if facts.uid != wanted.uid {
        return refuse(format!("expected user {}", user::called(wanted.uid, Path::new(PASSWD))));
    }
    let mut reader = Reader::default();
    for program in &wanted.programs {
        match program.look()?.at(&mut reader, facts.pid)? {
            Answer::Yes => {}
            Answer::No => return refuse(format!("expected {program}")),
            Answer::Hidden => return refuse("whose executable may not be seen".into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(pid: i32, groups: &str) -> Facts {
        let name = "bot".into();
        Facts {
            pid,
            start: 1,
            uid: 4242,
            exe: None,
            name,
            kernel_thread: false,
            groups: Groups::made_up(groups),
            inodes: BTreeSet::new(),
        }
    }

    #[test]
    fn what_no_configuration_may_touch_is_refused_before_anything_else() {
        let wanted = Wanted { port: 80, programs: Vec::new(), uid: 4242 };
        let id = "ab".repeat(32);
        let (inside, own) = (format!("0::/system.slice/docker-{id}.scope"), Groups::made_up("0::/"));
        let kernel = Facts { kernel_thread: true, ..facts(9, "0::/") };
        let stranger = Facts { uid: 4243, ..facts(9, "0::/") };
        for (facts, words) in [
            (facts(1, "0::/"), "this whole system"),
            (kernel, "this whole system"),
            (facts(50, "0::/"), "Banken itself"),
            (facts(40, "0::/"), "Banken itself was started"),
            (facts(9, "0::/system.slice/bot.service"), "service_restart: { systemd: bot.service }"),
            (facts(9, "0::/init.scope"), "systemd manages in init.scope"),
            (facts(9, &inside), "the container abababababab"),
            (stranger, "expected user 4242"),
        ] {
            let refused = judge(&wanted, &facts, &[50, 40, 1], &own);
            assert!(matches!(&refused, Err(Setback::Refused(said)) if said.contains(words)), "{words}: {refused:?}");
        }
        assert_eq!(judge(&wanted, &facts(9, "0::/user.slice/session-1.scope"), &[50, 40, 1], &own), Ok(()));
        // In one container with us.
        assert_eq!(judge(&wanted, &facts(9, &inside), &[50, 40, 1], &Groups::made_up(&inside)), Ok(()));
    }
}
