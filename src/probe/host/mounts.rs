//! Which file systems are mounted, and which of them hold anybody's data. Pure.

use crate::values::Pattern;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

/// Which file systems are reported. Those of the kernel itself, images that are full by nature (squashfs, iso9660) and
/// the layers and volumes of single containers never are; a file system that is mounted in several places is reported
/// once, at its shortest path.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Left out in addition: patterns searched in the path of the mount; `^` and `$` tie them to its ends.
    pub exclude_mounts: Vec<Pattern>,
    /// Left out in addition: types of file systems, exact.
    pub exclude_fstypes: Vec<String>,
}

/// One line of `/proc/self/mountinfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// The kernel's number of this mount; another mount at the same place has another one.
    pub(super) id: u64,
    /// The number of the file system, `major:minor`.
    pub(super) number: String,
    /// Whether the file system's root is mounted, and not a folder in it.
    pub(super) is_whole: bool,
    /// Where.
    pub(super) point: PathBuf,
    /// Nothing can be written there, so it cannot fill up.
    pub(super) read_only: bool,
    pub(super) fstype: String,
    /// What is mounted: a device, `server:/export`, or any word.
    pub(super) device: String,
}

/// Parses `/proc/self/mountinfo`; lines that cannot be understood are skipped.
pub(super) fn parse_mountinfo(text: &[u8]) -> Vec<Mount> {
    text.split(|byte| *byte == b'\n').filter_map(parse_line).collect()
}

fn parse_line(line: &[u8]) -> Option<Mount> {
    // Single spaces, not any white space: the device of some file systems is an empty word.
    let mut fields = line.split(|byte| *byte == b' ');
    let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let number = text_of(fields.nth(1)?);
    let is_whole = fields.next()? == b"/";
    let point = PathBuf::from(OsString::from_vec(unescaped(fields.next()?)));
    let _of_this_mount = fields.next()?;
    // Any number of optional fields, and a dash after them.
    fields.find(|field| *field == b"-")?;
    let fstype = text_of(fields.next()?);
    let device = text_of(fields.next()?);
    let of_file_system = fields.next().unwrap_or_default();
    // A file system that is writable can fill up, also where this mount of it is read-only: a service manager or a
    // container mounts everything so for a watchdog.
    let read_only = has_option(of_file_system, b"ro");
    point.is_absolute().then_some(Mount { id, number, is_whole, point, read_only, fstype, device })
}

fn has_option(options: &[u8], wanted: &[u8]) -> bool {
    options.split(|byte| *byte == b',').any(|option| option == wanted)
}

fn text_of(field: &[u8]) -> String {
    String::from_utf8_lossy(&unescaped(field)).into_owned()
}

/// Spaces, tabs, line breaks, backslashes and `#` stand there as `\` and three octal digits.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        if let (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) = (first, after) {
            bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    bytes
}

/// More file systems than this are not asked: each is a thread for a moment, and three series.
pub(super) const MAX_MOUNTS: usize = 256;

/// Those that are reported, in the order of mounting.
pub(super) fn select(mounts: Vec<Mount>, config: &Config) -> Vec<Mount> {
    // What is mounted over something else hides it, and a path leads to the last one only.
    let mut last_at: HashMap<PathBuf, Mount> = HashMap::new();
    for mount in mounts {
        last_at.insert(mount.point.clone(), mount);
    }
    let mut best: HashMap<String, Mount> = HashMap::new();
    for mount in last_at.into_values().filter(|mount| holds_data(mount) && !is_excluded(mount, config)) {
        match best.get(&mount.number) {
            Some(known) if rank(known) <= rank(&mount) => {}
            _ => {
                best.insert(mount.number.clone(), mount);
            }
        }
    }
    let mut selected: Vec<_> = best.into_values().collect();
    selected.sort_by_key(|mount| mount.id);
    selected.truncate(MAX_MOUNTS);
    selected
}

fn rank(mount: &Mount) -> (bool, usize, &Path) {
    (!mount.is_whole, mount.point.as_os_str().len(), &mount.point)
}

fn is_excluded(mount: &Mount, config: &Config) -> bool {
    config.exclude_fstypes.contains(&mount.fstype)
        || config.exclude_mounts.iter().any(|pattern| pattern.is_match(mount.point.as_os_str().as_bytes()))
}

/// File systems without blocks of their own, which would be 0 bytes, and images, which are always full. To ask an
/// autofs would even mount what it stands for.
const WITHOUT_DATA: [&str; 33] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "cramfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "erofs",
    "fuse.gvfsd-fuse",
    "fuse.lxcfs",
    "fuse.portal",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nfsd",
    "nsfs",
    "proc",
    "pstore",
    "ramfs",
    "romfs",
    "rootfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "squashfs",
    "sysfs",
    "tracefs",
];

/// Folders of container engines. One of them may be a disk of its own; what is mounted below belongs to a container.
const OF_CONTAINERS: [&str; 4] = ["/var/lib/docker", "/var/lib/containers", "/var/lib/kubelet", "/var/lib/lxcfs"];

/// Files that a container engine mounts into a container from the host's disk.
const INTO_CONTAINERS: [&str; 3] = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];

/// As in `node_exporter`'s defaults, except for tmpfs: that is kept where people put data (`/tmp`, `/data`) and left
/// out below `/run` and `/dev`, where its fill says nothing that the memory does not say.
fn holds_data(mount: &Mount) -> bool {
    let point = mount.point.as_path();
    let of_kernel = ["/dev", "/proc", "/sys"].iter().any(|folder| point.starts_with(folder));
    let of_containers = OF_CONTAINERS.iter().any(|folder| point.starts_with(folder) && point != Path::new(folder))
        || INTO_CONTAINERS.iter().any(|file| point == Path::new(file));
    let of_memory = mount.fstype == "tmpfs" && point.starts_with("/run");
    // In a container, its own root is an overlay; on a host, an overlay is the root of some container.
    let of_other_container = mount.fstype == "overlay" && point != Path::new("/");
    !(of_kernel || of_containers || of_memory || of_other_container || WITHOUT_DATA.contains(&mount.fstype.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOST: &str = include_str!("testdata/mountinfo.txt");

    fn selected(text: &str, config: &str) -> Vec<String> {
        let config: Config = serde_yaml::from_str(config).unwrap();
        let mounts = select(parse_mountinfo(text.as_bytes()), &config);
        mounts.into_iter().map(|mount| format!("{} {} {}", mount.point.display(), mount.device, mount.fstype)).collect()
    }

    #[test]
    fn of_a_host_those_remain_that_hold_data() {
        let expected = [
            "/ /dev/nvme0n1p2 ext4",
            "/tmp tmpfs tmpfs",
            "/boot/efi /dev/nvme0n1p1 vfat",
            "/var/lib/docker /dev/sdb1 xfs",
            "/mnt/backup nas.local:/export/backup nfs4",
            "/mnt/my disk\t# 1 /dev/sdc1 ext4",
            "/run/media/ann/STICK /dev/sdd1 exfat",
            "/mnt/nameless  virtiofs",
        ];
        assert_eq!(selected(HOST, "{}"), expected);
    }

    #[test]
    fn the_configuration_leaves_out_more() {
        let config = "{ exclude_mounts: ['^/boot', 'STICK$'], exclude_fstypes: [nfs4, tmpfs, virtiofs] }";
        let kept = selected(HOST, config);
        assert_eq!(
            kept,
            ["/ /dev/nvme0n1p2 ext4", "/var/lib/docker /dev/sdb1 xfs", "/mnt/my disk\t# 1 /dev/sdc1 ext4"]
        );
    }

    #[test]
    fn in_a_container_its_root_and_its_volume_remain() {
        let text = "\
700 600 0:55 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/a:/b,upperdir=/c,workdir=/d
701 700 0:56 / /proc rw - proc proc rw
702 700 0:57 / /dev rw - tmpfs tmpfs rw,size=65536k
703 702 0:58 / /dev/shm rw - tmpfs shm rw,size=65536k
704 700 254:1 /var/lib/docker/containers/1/hosts /etc/hosts rw - ext4 /dev/vda1 rw
705 700 254:1 /var/lib/docker/volumes/data/_data /srv/database rw - ext4 /dev/vda1 rw
";
        assert_eq!(selected(text, "{}"), ["/ overlay overlay", "/srv/database /dev/vda1 ext4"]);
    }

    #[test]
    fn what_is_mounted_over_something_hides_it() {
        let text = "\
1 0 8:1 / / rw - ext4 /dev/sda1 rw
2 1 8:2 / /data rw - ext4 /dev/sda2 rw
3 1 0:40 / /data rw - squashfs image rw
4 1 0:41 / /home rw - autofs systemd-1 rw
5 4 0:42 / /home rw - nfs nas:/home rw
";
        assert_eq!(selected(text, "{}"), ["/ /dev/sda1 ext4", "/home nas:/home nfs"]);
    }

    #[test]
    fn escapes_optional_fields_and_read_only_mounts_are_understood() {
        let mounts = parse_mountinfo(
            b"36 35 98:0 /mnt1 /mnt\\0402\\134x\\ rw,noatime shared:5 master:1 propagate_from:2 - ext3 /dev/r\\040t ro,errors=continue\n\
              bad line\n37 35 98:1 / /a rw - ext4\n38 x\n39 35 98:1 / relative rw - ext4 d rw\n40 35 9:9 / /b ro,errors=remount-ro - ext4 d rw\n",
        );
        assert_eq!(mounts.len(), 2);
        assert_eq!((mounts[0].point.to_str(), mounts[0].device.as_str()), (Some("/mnt 2\\x\\"), "/dev/r t"));
        assert!(mounts[0].read_only && !mounts[0].is_whole);
        assert!(!mounts[1].read_only && mounts[1].is_whole);
    }

    #[test]
    fn a_path_that_is_no_text_stays_what_it_is() {
        let mounts = parse_mountinfo(b"1 0 8:1 / /m\xff\\303\\244 rw - ext4 d rw\n");
        assert_eq!(mounts[0].point.as_os_str().as_bytes(), b"/m\xff\xc3\xa4");
    }

    proptest! {
        #[test]
        fn nothing_makes_the_parser_panic(text in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = select(parse_mountinfo(&text), &Config::default());
        }

        #[test]
        fn nothing_alike_makes_the_parser_panic(
            text in r"([0-9]{0,3} 1 8:[12] / /(\\[0-9]{0,4}|[a-z]){0,4} r[wo]( x:1){0,2} - (ext4|tmpfs|) ?/?[a-z\\0-9]{0,5} rw\n){0,6}",
        ) {
            let mounts = select(parse_mountinfo(text.as_bytes()), &Config::default());
            let mut points: Vec<_> = mounts.iter().map(|mount| &mount.point).collect();
            points.dedup();
            prop_assert_eq!(points.len(), mounts.len());
        }
    }
}
