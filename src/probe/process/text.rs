//! The text in which processes are described: pids in files, arguments, paths of executables.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// The pid on the first line; PostgreSQL and others write more lines after it.
pub(super) fn parse_pid(text: &[u8]) -> Option<i32> {
    let line = std::str::from_utf8(text.split(|byte| *byte == b'\n').next()?).ok()?;
    line.trim().parse().ok().filter(|pid| *pid > 0)
}

/// The arguments as they would be typed, without the zero at the end.
pub(super) fn joined(arguments: &[u8]) -> Vec<u8> {
    let end = arguments.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    arguments[..end].iter().map(|byte| if *byte == 0 { b' ' } else { *byte }).collect()
}

/// What stands after the last slash.
pub(super) fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// An upgrade replaces the file under a running program, and the kernel then marks the link.
pub(super) fn without_deleted(path: &Path) -> &Path {
    path.as_os_str().as_bytes().strip_suffix(b" (deleted)").map_or(path, |bare| Path::new(OsStr::from_bytes(bare)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pidfile_holds_a_positive_number_on_its_first_line_and_nothing_else_there() {
        let cases: [(&[u8], Option<i32>); 10] = [
            (b"4242\n", Some(4242)),
            (b" 17 ", Some(17)),
            (b"99\n/var/lib/postgresql\n1700000000\n", Some(99)),
            (b"", None),
            (b"\n12", None),
            (b"0", None),
            (b"-5", None),
            (b"12 34", None),
            (b"99999999999999999999", None),
            (b"\xff\xfe", None),
        ];
        for (text, pid) in cases {
            assert_eq!(parse_pid(text), pid, "{:?}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn arguments_are_joined_as_they_would_be_typed() {
        assert_eq!(joined(b"python\0main.py\0--live\0"), b"python main.py --live");
        assert_eq!(joined(b"nginx: worker\0\0\0\0"), b"nginx: worker");
        assert_eq!(joined(b"\0\0"), b"");
    }

    #[test]
    fn a_replaced_executable_keeps_its_path() {
        assert_eq!(without_deleted(Path::new("/opt/bot (deleted)")), Path::new("/opt/bot"));
        assert_eq!(base_name(b"/usr/bin/bot"), b"bot");
        assert_eq!(base_name(b"bot"), b"bot");
    }
}
