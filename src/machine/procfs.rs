//! What `/proc/PID` says, read with one buffer and parsed without ever failing hard on what is written there.

use crate::observation::{Failure, Reason, is_own_shortage};
use std::fs::File;
use std::io::{self, Read as _};

/// `PF_KTHREAD` of `include/linux/sched.h`.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// The fields of `/proc/PID/stat` that matter here; all of them cost one read, and none of them stalls the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Ended, and only kept until its parent asks for the exit status.
    pub zombie: bool,
    /// A thread of the kernel, which has no program.
    pub kernel_thread: bool,
    /// User and system time of all its threads, in clock ticks.
    pub cpu_ticks: u64,
    /// Number of threads.
    pub threads: u64,
    /// When it started, in clock ticks since the boot.
    pub start: u64,
    /// Memory that is mapped, in bytes.
    pub virtual_bytes: u64,
    /// Resident memory, in pages.
    pub resident_pages: u64,
}

/// Parses `/proc/PID/stat`. The name in it may hold spaces and brackets, so everything is counted from the last one.
pub fn parse_stat(text: &[u8]) -> Option<Stat> {
    let name_end = memchr::memrchr(b')', text)?;
    let mut fields = std::str::from_utf8(&text[name_end + 1..]).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    let flags: u64 = fields.nth(5)?.parse().ok()?;
    let user: u64 = fields.nth(4)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    let threads: i64 = fields.nth(4)?.parse().ok()?;
    let start = fields.nth(1)?.parse().ok()?;
    let virtual_bytes = fields.next()?.parse().ok()?;
    let resident: i64 = fields.next()?.parse().ok()?;
    Some(Stat {
        zombie: matches!(state, "Z" | "X" | "x"),
        kernel_thread: flags & KERNEL_THREAD != 0,
        cpu_ticks: user.saturating_add(system),
        threads: u64::try_from(threads).unwrap_or(0),
        start,
        virtual_bytes,
        resident_pages: u64::try_from(resident).unwrap_or(0),
    })
}

/// The first number of a line of `/proc/PID/status`, such as `Tgid`.
pub fn status_number(text: &[u8], key: &str) -> Option<u32> {
    status_fields(text, key)?.next()?.parse().ok()
}

/// The effective user of `/proc/PID/status`, which is the one that `ps` shows.
pub fn effective_uid(text: &[u8]) -> Option<u32> {
    status_fields(text, "Uid")?.nth(1)?.parse().ok()
}

/// The signals that `/proc/PID/status` says a process has a handler for, signal 1 in the lowest bit.
pub fn caught_signals(text: &[u8]) -> Option<u64> {
    u64::from_str_radix(status_fields(text, "SigCgt")?.next()?, 16).ok()
}

fn status_fields<'a>(text: &'a [u8], key: &str) -> Option<std::str::SplitAsciiWhitespace<'a>> {
    let line = text
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(key.as_bytes()).and_then(|rest| rest.strip_prefix(b":")))?;
    Some(std::str::from_utf8(line).ok()?.split_ascii_whitespace())
}

/// How much of one file is read: a command line can be megabytes long, and nobody searches that far.
const MAX_READ: u64 = 64 * 1024;

/// Reads files of `/proc/PID` into one buffer.
#[derive(Default)]
pub struct Reader {
    buffer: Vec<u8>,
}

impl Reader {
    /// The file's content, or `None` when the process has gone or does not let us see it.
    ///
    /// # Errors
    /// [`Reason::Local`] when we ran out of something ourselves, which says nothing about any process.
    pub fn read(&mut self, pid: i32, file: &str) -> Result<Option<&[u8]>, Failure> {
        self.buffer.clear();
        let result = File::open(format!("/proc/{pid}/{file}"))
            .and_then(|file| file.take(MAX_READ).read_to_end(&mut self.buffer));
        Ok(seen(result)?.map(|_| self.buffer.as_slice()))
    }

    /// `/proc/PID/stat`, parsed.
    ///
    /// # Errors
    /// [`Reason::Local`] when we ran out of something ourselves.
    pub fn stat(&mut self, pid: i32) -> Result<Option<Stat>, Failure> {
        Ok(self.read(pid, "stat")?.and_then(parse_stat))
    }
}

/// Divides errors into those about the process, which then is not seen, and those of our own.
///
/// # Errors
/// [`Reason::Local`] when we ran out of something ourselves.
pub fn seen<T>(result: io::Result<T>) -> Result<Option<T>, Failure> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_own_shortage(&error) => Err(Failure::io(Reason::Local, "cannot read /proc", &error)),
        Err(_) => Ok(None),
    }
}

/// How many descriptors a process has open, `None` where we may not know.
///
/// # Errors
/// [`Reason::Local`] when we ran out of something ourselves.
pub fn open_fds(pid: i32) -> Result<Option<u64>, Failure> {
    let folder = format!("/proc/{pid}/fd");
    // Since Linux 6.2 the folder's size is the count, which spares listing it; before that the size is 0.
    let size = seen(std::fs::metadata(&folder))?.map_or(0, |metadata| metadata.len());
    if size > 0 {
        return Ok(Some(size));
    }
    Ok(seen(std::fs::read_dir(&folder))?.map(|entries| entries.count() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: &str = "4242 (sleep) S 1 4242 4242 0 -1 4194304 105 0 0 0 7 3 0 0 20 0 1 0 98765 5963776 412 \
        18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0\n";

    #[test]
    fn the_fields_of_stat_are_found() {
        let expected = Stat {
            zombie: false,
            kernel_thread: false,
            cpu_ticks: 10,
            threads: 1,
            start: 98765,
            virtual_bytes: 5_963_776,
            resident_pages: 412,
        };
        assert_eq!(parse_stat(PLAIN.as_bytes()), Some(expected));
    }

    #[test]
    fn a_name_with_spaces_brackets_and_foreign_bytes_does_not_shift_the_fields() {
        for name in [&b"a) R 1 2 3 (b"[..], b"tmux: server", b"\xff\xfe)", b"", b"((((", b"line\nbreak"] {
            let mut text = b"4242 (".to_vec();
            text.extend_from_slice(name);
            text.extend_from_slice(PLAIN.as_bytes().strip_prefix(b"4242 (sleep").unwrap());
            assert_eq!(parse_stat(&text), parse_stat(PLAIN.as_bytes()), "{:?}", String::from_utf8_lossy(name));
        }
    }

    #[test]
    fn zombies_and_threads_of_the_kernel_are_known_as_such() {
        let zombie = parse_stat(PLAIN.replace(") S", ") Z").as_bytes()).unwrap();
        assert!(zombie.zombie && !zombie.kernel_thread);
        let kernel = parse_stat(PLAIN.replace("4194304", "69238880").as_bytes()).unwrap();
        assert!(kernel.kernel_thread && !kernel.zombie);
    }

    #[test]
    fn the_lines_of_status_are_found_by_their_whole_key() {
        let status = b"Name:\tUid: 9\nTgid:\t77\nNgid:\t0\nUid:\t1000\t1001\t1002\t1003\nSigCgt:\t0000000000000a01\n";
        assert_eq!(status_number(status, "Tgid"), Some(77));
        assert_eq!(effective_uid(status), Some(1001));
        assert_eq!(caught_signals(status), Some(0xa01));
        assert_eq!(status_number(status, "Tg"), None);
    }

    #[test]
    fn descriptors_are_counted_both_ways_alike() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let listed = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
        let counted = open_fds(pid).unwrap().unwrap();
        // Other tests open and close files meanwhile.
        assert!(counted.abs_diff(listed) < 50, "{counted} against {listed}");
    }

    proptest! {
        #[test]
        fn nothing_that_stands_in_a_file_makes_the_parsers_panic(text in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse_stat(&text);
            let _ = effective_uid(&text);
            let _ = status_number(&text, "Tgid");
        }

        #[test]
        fn nothing_that_resembles_stat_makes_the_parser_panic(text in "[0-9]{1,4} \\(.{0,8}\\)( -?[0-9A-Z]{1,22}){0,30}") {
            let _ = parse_stat(text.as_bytes());
        }
    }
}
