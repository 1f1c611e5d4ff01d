//! The text in which pids are written down.

/// The pid on the first line; PostgreSQL and others write more lines after it.
pub(super) fn parse_pid(text: &[u8]) -> Option<i32> {
    let line = std::str::from_utf8(text.split(|byte| *byte == b'\n').next()?).ok()?;
    line.trim().parse().ok().filter(|pid| *pid > 0)
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
}
