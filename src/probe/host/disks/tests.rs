//! Against file systems that hang, fail and fill as they are told.

use super::super::mounts::parse_mountinfo;
use super::*;
use crate::observation::{Family, Reading};
use rustix::io::Errno;
use std::collections::HashMap;
use std::sync::{Condvar, Mutex};

/// Answers by the mount's path; those that are told to hang do so until they are released.
#[derive(Default)]
struct Fake {
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Default)]
struct State {
    hanging: Vec<&'static str>,
    errors: HashMap<&'static str, Errno>,
    spaces: HashMap<&'static str, Space>,
    asked: HashMap<String, usize>,
}

impl Fake {
    fn disks(self: &Arc<Self>) -> Disks {
        let fake = Arc::clone(self);
        Disks::new(Arc::new(move |path| fake.ask(path)))
    }

    fn ask(&self, path: &Path) -> io::Result<Space> {
        let path = path.to_str().unwrap();
        let mut state = self.state.lock().unwrap();
        *state.asked.entry(path.to_owned()).or_default() += 1;
        while state.hanging.contains(&path) {
            state = self.released.wait(state).unwrap();
        }
        match state.errors.get(path) {
            Some(errno) => Err((*errno).into()),
            None => Ok(state.spaces.get(path).copied().unwrap_or(HALF)),
        }
    }

    fn hang(&self, path: &'static str) {
        self.state.lock().unwrap().hanging.push(path);
    }

    fn release(&self) {
        self.state.lock().unwrap().hanging.clear();
        self.released.notify_all();
    }

    fn times_asked(&self, path: &str) -> usize {
        self.state.lock().unwrap().asked.get(path).copied().unwrap_or(0)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.released.notify_all();
    }
}

const HALF: Space = Space { size: 1000, free: 500, available: 500 };

fn mount(id: u64, point: &str) -> Mount {
    let line = format!("{id} 0 8:{id} / {point} rw - ext4 /dev/{id} rw");
    parse_mountinfo(line.as_bytes()).remove(0)
}

const PATIENCE: Duration = Duration::from_millis(200);

async fn run(disks: &mut Disks, mounts: &[Mount]) -> (Result<(), Failure>, Readings, Duration) {
    let mut out = Readings::default();
    let begun = std::time::Instant::now();
    let result = disks.run(mounts.to_vec(), PATIENCE, &mut out).await;
    (result, out, begun.elapsed())
}

fn value(out: &Readings, family: &'static Family, mount: &str) -> Option<u64> {
    let key = format!("mount=\"{mount}\",");
    let of = |reading: &&Reading| {
        std::ptr::eq(reading.family, family) && reading.labels.as_ref().is_some_and(|l| l.text().starts_with(&key))
    };
    out.gauges().iter().find(of).map(|reading| reading.value as u64)
}

#[tokio::test]
async fn a_stuck_mount_is_named_and_holds_up_neither_the_others_nor_the_next_run() {
    let fake = Arc::new(Fake::default());
    let mut disks = fake.disks();
    let mounts = [mount(1, "/"), mount(2, "/mnt/dead"), mount(3, "/data")];
    fake.hang("/mnt/dead");

    let (result, out, took) = run(&mut disks, &mounts).await;
    let failure = result.unwrap_err();
    assert_eq!(failure.reason, Reason::Timeout);
    assert!(failure.detail.contains("/mnt/dead (/dev/2, ext4)"), "{}", failure.detail);
    assert!(!failure.detail.contains("/data"), "{}", failure.detail);
    assert!(took < Duration::from_secs(2), "{took:?}");
    for answering in ["/", "/data"] {
        assert_eq!(value(&out, &DISK_STUCK, answering), Some(0));
        assert_eq!(value(&out, &DISK_SIZE, answering), Some(1000));
        assert_eq!(value(&out, &DISK_AVAILABLE, answering), Some(500));
    }
    assert_eq!(value(&out, &DISK_STUCK, "/mnt/dead"), Some(1));
    assert_eq!(value(&out, &DISK_SIZE, "/mnt/dead"), None);

    for _ in 0..3 {
        let (result, out, took) = run(&mut disks, &mounts).await;
        assert_eq!(result.unwrap_err().reason, Reason::Timeout);
        assert!(took < PATIENCE, "it waited again: {took:?}");
        assert_eq!(value(&out, &DISK_STUCK, "/mnt/dead"), Some(1));
        assert_eq!(value(&out, &DISK_SIZE, "/data"), Some(1000));
    }
    assert_eq!((fake.times_asked("/mnt/dead"), fake.times_asked("/data")), (1, 4));

    fake.release();
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    loop {
        let (result, out, _) = run(&mut disks, &mounts).await;
        if result.is_ok() {
            assert_eq!(value(&out, &DISK_STUCK, "/mnt/dead"), Some(0));
            assert_eq!(value(&out, &DISK_SIZE, "/mnt/dead"), Some(1000));
            break;
        }
        assert!(std::time::Instant::now() < deadline, "it answers again and nobody asks");
    }
    assert_eq!(fake.times_asked("/mnt/dead"), 2);
}

#[tokio::test]
async fn a_stuck_mount_that_changes_its_options_is_not_asked_again_and_a_new_mount_there_is() {
    let fake = Arc::new(Fake::default());
    let mut disks = fake.disks();
    fake.hang("/mnt");
    let _ = run(&mut disks, &[mount(1, "/mnt")]).await;
    let read_only = Mount { read_only: true, ..mount(1, "/mnt") };
    let _ = run(&mut disks, &[read_only]).await;
    assert_eq!(fake.times_asked("/mnt"), 1);
    let _ = run(&mut disks, &[mount(2, "/mnt")]).await;
    assert_eq!(fake.times_asked("/mnt"), 2);
    fake.release();
}

#[tokio::test]
async fn threads_that_hang_for_good_are_bounded_even_if_their_mounts_are_gone() {
    let fake = Arc::new(Fake::default());
    let mut disks = fake.disks();
    fake.hang("/mnt");
    let mut out = Readings::default();
    for id in 0..MAX_MOUNTS as u64 + 20 {
        let _ = disks.run(vec![mount(id, "/mnt")], Duration::ZERO, &mut out).await;
    }
    let (result, _, _) = run(&mut disks, &[mount(9999, "/mnt")]).await;
    assert_eq!(result.unwrap_err().reason, Reason::Timeout);
    assert_eq!(Arc::strong_count(&disks.alive), MAX_MOUNTS + 1);
    fake.release();
}

#[tokio::test]
async fn a_broken_file_system_fails_the_run_and_one_that_is_closed_to_us_does_not() {
    let fake = Arc::new(Fake::default());
    let mut disks = fake.disks();
    fake.state.lock().unwrap().errors.extend([("/stale", Errno::STALE), ("/closed", Errno::ACCESS)]);
    let (result, out, _) = run(&mut disks, &[mount(1, "/stale"), mount(2, "/closed"), mount(3, "/")]).await;
    let failure = result.unwrap_err();
    assert_eq!(failure.reason, Reason::Missing);
    assert!(failure.detail.contains("/stale") && !failure.detail.contains("/closed"), "{}", failure.detail);
    assert_eq!(value(&out, &DISK_STUCK, "/stale"), Some(1));
    assert_eq!(value(&out, &DISK_STUCK, "/closed"), None);
    assert_eq!(value(&out, &DISK_SIZE, "/"), Some(1000));

    let (result, _, _) = run(&mut disks, &[mount(2, "/closed")]).await;
    assert_eq!(result, Ok(()));
    fake.state.lock().unwrap().errors.insert("/closed", Errno::NOMEM);
    let (result, _, _) = run(&mut disks, &[mount(2, "/closed")]).await;
    assert_eq!(result.unwrap_err().reason, Reason::Local, "our own shortage is no fact about a disk");
}

#[tokio::test]
async fn the_signal_is_the_fullest_disk_as_df_sees_it_among_those_that_can_fill() {
    let fake = Arc::new(Fake::default());
    let mut disks = fake.disks();
    fake.state.lock().unwrap().spaces.extend([
        ("/", Space { size: 1000, free: 300, available: 250 }),
        ("/data", Space { size: 1000, free: 150, available: 100 }),
        ("/image", Space { size: 1000, free: 0, available: 0 }),
        ("/nothing", Space { size: 0, free: 0, available: 0 }),
    ]);
    let image = Mount { read_only: true, ..mount(3, "/image") };
    let mounts = [mount(1, "/"), mount(2, "/data"), image, mount(4, "/nothing")];
    let (result, out, _) = run(&mut disks, &mounts).await;
    assert_eq!(result, Ok(()));
    assert_eq!(out.signals(), &[(&DISK, 850.0 / 950.0)]);
    let is_ratio = |reading: &&Reading| std::ptr::eq(reading.family, &DISK_USED_RATIO);
    let ratios: Vec<f64> = out.gauges().iter().filter(is_ratio).map(|reading| reading.value).collect();
    assert_eq!(ratios, [700.0 / 950.0, 850.0 / 950.0], "the image cannot fill up");
    assert_eq!(value(&out, &DISK_SIZE, "/image"), Some(1000));
    assert_eq!(value(&out, &DISK_STUCK, "/nothing"), None);
}

#[tokio::test]
async fn labels_are_escaped_and_rendered_once() {
    let fake = Arc::new(Fake::default());
    let mut disks = fake.disks();
    let mounts = parse_mountinfo(b"1 0 8:1 / /my\\040\"disk\\134 rw - ext4 /dev/\\011x rw\n");
    let labels = |out: &Readings| Arc::clone(out.gauges()[0].labels.as_ref().unwrap());
    let (_, first, _) = run(&mut disks, &mounts).await;
    let (_, second, _) = run(&mut disks, &mounts).await;
    assert_eq!(labels(&first).text(), "mount=\"/my \\\"disk\\\\\",device=\"/dev/\tx\",fstype=\"ext4\"");
    assert!(Arc::ptr_eq(&labels(&first), &labels(&second)));
}

#[test]
fn the_kernel_says_of_the_root_what_df_says() {
    let space = statvfs(Path::new("/")).unwrap();
    let df = std::process::Command::new("df").args(["-B1", "--output=size,avail", "/"]).output().unwrap();
    let df = String::from_utf8(df.stdout).unwrap();
    let numbers: Vec<u64> = df.lines().nth(1).unwrap().split_whitespace().map(|n| n.parse().unwrap()).collect();
    assert_eq!(space.size, numbers[0]);
    assert!(space.available.abs_diff(numbers[1]) < 1 << 30, "{} against {}", space.available, numbers[1]);
}
