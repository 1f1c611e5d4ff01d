//! What a file is known by beside its inode: its first bytes, and the bytes before the place where reading goes on.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// How much of a file's beginning is remembered.
pub const HEAD: usize = 1 << 10;

/// How much before the offset is remembered.
pub const TAIL: usize = 64;

/// A checksum of a few bytes. The bytes themselves are never saved: a log may hold secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checksum([u8; 16]);

impl Checksum {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut short = [0; 16];
        short.copy_from_slice(&Sha256::digest(bytes)[..16]);
        Self(short)
    }
}

impl Serialize for Checksum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{:032x}", u128::from_be_bytes(self.0)))
    }
}

impl<'de> Deserialize<'de> for Checksum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map(|number| Self(number.to_be_bytes())).map_err(de::Error::custom)
    }
}

/// The beginning of a file, as far as it was there: at most [`HEAD`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Print {
    /// Bytes.
    pub len: u16,
    sum: Checksum,
}

impl Print {
    /// Of the beginning of a file.
    pub fn of(head: &[u8]) -> Self {
        let head = &head[..head.len().min(HEAD)];
        if head.is_empty() {
            return Self::default();
        }
        Self { len: head.len() as u16, sum: Checksum::of(head) }
    }

    /// Whether a file with this beginning may be the one that was remembered; a shorter one is not.
    pub fn fits(&self, head: &[u8]) -> bool {
        let len = usize::from(self.len);
        len == 0 || (head.len() >= len && Checksum::of(&head[..len]) == self.sum)
    }

    /// Whether there is no more to be remembered.
    pub fn is_whole(&self) -> bool {
        usize::from(self.len) == HEAD
    }
}

/// How many bytes before `offset` are remembered.
pub fn back(offset: u64) -> usize {
    offset.min(TAIL as u64) as usize
}

/// The first bytes of a file, at most [`HEAD`].
pub fn head(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; HEAD];
    let len = fill(file, &mut bytes, 0)?;
    bytes.truncate(len);
    Ok(bytes)
}

/// Whether the bytes before `offset` are those that were remembered.
pub fn leads_up_to(file: &File, offset: u64, tail: Checksum) -> io::Result<bool> {
    let mut bytes = [0; TAIL];
    let bytes = &mut bytes[..back(offset)];
    let len = fill(file, bytes, offset - bytes.len() as u64)?;
    Ok(len == bytes.len() && (len == 0 || Checksum::of(bytes) == tail))
}

/// Reads until the buffer is full or the file ends.
pub fn fill(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match file.read_at(&mut buffer[len..], offset + len as u64) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_print_fits_what_begins_alike_and_nothing_shorter() {
        let print = Print::of(b"hello");
        assert!(print.fits(b"hello") && print.fits(b"hello world"));
        assert!(!print.fits(b"hell") && !print.fits(b"jello world"));
        assert!(Print::default().fits(b"") && Print::default().fits(b"x"));
        assert_eq!(Print::of(b""), Print::default());
        assert!(Print::of(&[b'x'; 5000]).is_whole() && !print.is_whole());
    }

    #[test]
    fn a_checksum_is_saved_and_loaded_as_it_was() {
        for bytes in [&b""[..], b"x", b"\0\xff"] {
            let print = Print::of(bytes);
            let text = serde_json::to_string(&print).unwrap();
            assert_eq!(serde_json::from_str::<Print>(&text).unwrap(), print, "{text}");
        }
        assert!(serde_json::from_str::<Checksum>("\"xyz\"").is_err());
    }
}
