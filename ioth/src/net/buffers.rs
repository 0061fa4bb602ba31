//! Read buffers that are kept for use again: a connection has one only while there are bytes of a request in it.

/// Bytes that a new read buffer has room for.
pub const READ_BYTES: usize = 16 * 1024;
/// A buffer that has grown beyond this is freed when it is empty.
pub const BUFFER_KEEP_MAX: usize = 64 * 1024;
/// Buffers that are kept.
const BUFFERS_MAX: usize = 256;

/// Empty buffers of one thread.
#[derive(Default)]
pub struct BufferPool {
    free: Vec<Vec<u8>>,
}

impl BufferPool {
    /// An empty buffer.
    pub fn take(&mut self) -> Vec<u8> {
        self.free.pop().unwrap_or_else(|| Vec::with_capacity(READ_BYTES))
    }

    /// Takes a buffer back.
    pub fn give_back(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        if buffer.capacity() <= BUFFER_KEEP_MAX && self.free.len() < BUFFERS_MAX {
            self.free.push(buffer);
        }
    }

    /// Frees all of them.
    pub fn clear(&mut self) {
        self.free = Vec::new();
    }
}
