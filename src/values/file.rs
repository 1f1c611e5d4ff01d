//! The block `{ file: PATH }` and the small file that it names.

use serde::de::{Error as _, MapAccess};
use std::path::{Path, PathBuf};

/// Reads the block `{ file: PATH }`.
pub fn file_block<'de, A: MapAccess<'de>>(mut map: A) -> Result<PathBuf, A::Error> {
    let mut path = None;
    while let Some(key) = map.next_key::<String>()? {
        if key != "file" {
            return Err(A::Error::unknown_field(&key, &["file"]));
        }
        path = Some(map.next_value::<PathBuf>()?);
    }
    path.ok_or_else(|| A::Error::missing_field("file"))
}

/// Secrets and certificates are small; a larger file is a mistake in the path.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Reads a small file named in the configuration.
///
/// # Errors
/// When the file cannot be read or is larger than 1 MiB: which file, why, and what to do.
pub fn read_small_file(path: &Path) -> Result<Vec<u8>, String> {
    use std::io::Read as _;
    let shown = path.display();
    let file = std::fs::File::open(path)
        .map_err(|error| format!("cannot read {shown}: {error}; check the path and its permissions"))?;
    // A FIFO or a device would block the start for ever.
    if !file.metadata().map_err(|error| format!("cannot read {shown}: {error}"))?.is_file() {
        return Err(format!("cannot read {shown}: it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|error| format!("cannot read {shown}: {error}"))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("{shown} is larger than 1 MiB: this is hardly the file that was meant"));
    }
    Ok(bytes)
}
