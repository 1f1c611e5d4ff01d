//! What a program says: its begin is kept, all of it is read.

use std::os::fd::AsFd;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// How much is read at once.
const CHUNK: usize = 64 << 10;

/// As much as a pipe can hold, unless root has allowed more: what was said before an end is within this.
const MOST_IN_A_PIPE: usize = 1 << 20;

/// What a program said.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its begin.
    pub text: Vec<u8>,
    /// How many bytes all of it had.
    pub total: u64,
}

impl Kept {
    /// Whether there was more than was kept.
    pub fn is_cut(&self) -> bool {
        self.total > self.text.len() as u64
    }
}

/// Our end of a pipe.
pub(super) struct Pipe<R> {
    source: Option<R>,
    most: usize,
    chunk: Box<[u8]>,
    kept: Kept,
}

impl<R: AsyncRead + AsFd + Unpin> Pipe<R> {
    pub(super) fn new(source: R, most: usize) -> Self {
        Self { source: Some(source), most, chunk: vec![0; CHUNK].into(), kept: Kept::default() }
    }

    /// Waits for more and takes it; for ever once there is no more. It may be dropped while it waits.
    pub(super) async fn read(&mut self) {
        let Some(source) = &mut self.source else { return std::future::pending().await };
        match source.read(&mut self.chunk).await {
            Ok(read @ 1..) => self.take(read),
            Ok(0) | Err(_) => self.source = None,
        }
    }

    /// Takes what is there without waiting, and closes it.
    pub(super) fn finish(mut self) -> Kept {
        let mut left = MOST_IN_A_PIPE;
        while let Some(source) = &self.source
            // Past the runtime, which may not have heard yet that there is something.
            && let Ok(read @ 1..) = rustix::io::retry_on_intr(|| rustix::io::read(source, &mut self.chunk[..]))
        {
            self.take(read);
            left = left.saturating_sub(read);
            if left == 0 {
                break;
            }
        }
        self.kept
    }

    fn take(&mut self, read: usize) {
        let room = self.most.saturating_sub(self.kept.text.len());
        self.kept.text.extend_from_slice(&self.chunk[..read.min(room)]);
        self.kept.total += read as u64;
    }
}
