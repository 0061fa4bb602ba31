//! Files that are read as bytes in memory.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;

use memmap2::{Mmap, UncheckedAdvice};

use crate::threads;

/// Bytes that the system lets go of at once.
const STEP_BYTES: usize = 1 << 20;

/// The bytes of a file. They are let go of bit by bit, and not in one call of some milliseconds, for which threads that wake on the
/// same processor would wait.
pub struct Mapped(Mmap);

/// Opens a file for reading as bytes; an empty one has none.
pub fn open(path: &Path) -> io::Result<Option<Mapped>> {
    let file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(None);
    }
    // SAFETY: the file is the server's own and is replaced by renaming, never written in place. Who truncates it meanwhile ends
    // the process by a signal, as who takes away a disk does.
    unsafe { Mmap::map(&file) }.map(|map| Some(Mapped(map)))
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        for offset in (0..self.0.len()).step_by(STEP_BYTES) {
            let length = STEP_BYTES.min(self.0.len() - offset);
            // SAFETY: what is let go of of a file is read from it again by whoever looks, and nobody can any more.
            let _ = unsafe { self.0.unchecked_advise_range(UncheckedAdvice::DontNeed, offset, length) };
            threads::give_way();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_seen_whole_and_stays_as_it_is() {
        let path = std::env::temp_dir().join(format!("sherd-mapped-{}", std::process::id()));
        for length in [1, 4096, 2 * STEP_BYTES + 1] {
            let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            std::fs::write(&path, &bytes).expect("it is written");
            for _ in 0..2 {
                let mapped = open(&path).expect("it can be read").expect("it has bytes");
                assert!(*mapped == *bytes, "{length}");
            }
            assert!(std::fs::read(&path).expect("it is there") == bytes);
        }
        std::fs::write(&path, b"").expect("it is written");
        assert!(open(&path).expect("it can be read").is_none());
        std::fs::remove_file(&path).expect("it is removed");
    }
}
