//! What file names say: which file was rotated away from which, and which is compressed.

/// How compressed files end. They are never read.
const COMPRESSED: [&str; 12] =
    [".gz", ".bz2", ".xz", ".zst", ".lz4", ".Z", ".zip", ".lzma", ".br", ".7z", ".lzo", ".tgz"];

/// What people and programs put behind the name of a file that they set aside.
const SET_ASIDE: [&str; 9] = ["old", "bak", "backup", "orig", "prev", "previous", "save", "saved", "rotated"];

/// The name without the ending of a compressed file; none for other names.
pub fn uncompressed(name: &[u8]) -> Option<&[u8]> {
    COMPRESSED.iter().find_map(|ending| name.strip_suffix(ending.as_bytes())).filter(|rest| !rest.is_empty())
}

/// The names that the file may have had before it was rotated to `name`: `app.log` for `app.log.1`,
/// `app.log-20261122`, `app.log.old`, `app.1.log` and `app-2026-11-22.log`.
pub fn bases(name: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let behind = (1..name.len()).filter(|&at| is_separator(name[at]) && says_rotated(&name[at + 1..]));
    let behind = behind.map(|at| name[..at].to_vec());
    let dot = memchr::memrchr(b'.', name).filter(|&dot| dot > 0 && dot + 1 < name.len());
    let between = dot.into_iter().flat_map(move |dot| {
        let (stem, ending) = name.split_at(dot);
        let cuts = (1..stem.len()).filter(move |&at| is_separator(stem[at]) && is_stamp(&stem[at + 1..]));
        cuts.map(move |at| [&stem[..at], ending].concat())
    });
    behind.chain(between)
}

const fn is_separator(byte: u8) -> bool {
    matches!(byte, b'.' | b'-' | b'_')
}

fn says_rotated(rest: &[u8]) -> bool {
    is_stamp(rest) || SET_ASIDE.iter().any(|word| rest.eq_ignore_ascii_case(word.as_bytes()))
}

/// A number, a date, a time.
fn is_stamp(rest: &[u8]) -> bool {
    let in_stamp = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'T' | b'Z' | b'+');
    rest.iter().any(u8::is_ascii_digit) && rest.iter().all(in_stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_of_a_rotated_name_is_found_and_other_neighbours_have_none() {
        let rotated = [
            "app.log.1",
            "app.log.12",
            "app.log-20261122",
            "app.log.2026-11-22_10",
            "app.log-20261122-1795000000",
            "app.log.old",
            "app.log_1",
            "app.log.BAK",
            "app.1.log",
            "app-2026-11-22.log",
            "app-2026-11-22T10-00-00.000.log",
            "app__2026-11-22_00-00-00.log",
        ];
        for name in rotated {
            assert!(bases(name.as_bytes()).any(|base| base == b"app.log"), "{name}");
        }
        for name in ["app.log", "app.log.pos", "app.log.lock", "app.log.gz", "app.logs", "web-app.log", "app.log.", "a"]
        {
            assert!(bases(name.as_bytes()).all(|base| base != b"app.log"), "{name}");
        }
        assert_eq!(bases(b"").count(), 0);
    }

    #[test]
    fn compressed_files_are_known_by_their_ending() {
        assert_eq!(uncompressed(b"app.log.1.gz"), Some(&b"app.log.1"[..]));
        assert_eq!(uncompressed(b"app.log.zst"), Some(&b"app.log"[..]));
        assert_eq!(uncompressed(b".gz"), None);
        assert_eq!(uncompressed(b"gz.log"), None);
    }
}
