//! A text that grows: on the thread's stack as long as it is short, then in a block of Lua's own.
//!
//! A frame that Lua may leave by an error owns nothing, and what a script makes counts against its memory: so no `Vec`, and none of
//! the context's buffers either, as the function that `gsub` calls may use these itself.

use std::ffi::c_int;
use std::mem::MaybeUninit;

use crate::lua::Lua;

/// Bytes that need no block.
const SHORT_BYTES_MAX: usize = 1024;

/// See the [module](self).
pub struct Buffer {
    lua: Lua,
    /// A place on Lua's stack that is the buffer's alone: there Lua keeps the block for it.
    place: c_int,
    block: *mut u8,
    capacity: usize,
    length: usize,
    short: [MaybeUninit<u8>; SHORT_BYTES_MAX],
}

impl Buffer {
    /// Nothing yet.
    pub fn new(lua: Lua, place: c_int) -> Buffer {
        let short = [MaybeUninit::uninit(); SHORT_BYTES_MAX];
        Buffer { lua, place, block: std::ptr::null_mut(), capacity: SHORT_BYTES_MAX, length: 0, short }
    }

    fn start(&mut self) -> *mut u8 {
        if self.block.is_null() {
            self.short.as_mut_ptr().cast()
        } else {
            self.block
        }
    }

    /// Adds bytes; an error if there is no memory for them. They are not the buffer's own.
    ///
    /// # Safety
    /// The place is there, and there is room for one value above.
    #[inline(always)]
    pub unsafe fn append(&mut self, bytes: &[u8]) {
        if bytes.len() > self.capacity - self.length {
            self.grow(bytes.len());
        }
        let end = self.start().add(self.length);
        end.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        self.length += bytes.len();
    }

    #[cold]
    unsafe fn grow(&mut self, more: usize) {
        let capacity = (self.length + more).max(self.capacity.saturating_mul(2));
        let block = self.lua.new_userdata(capacity) as *mut u8;
        block.copy_from_nonoverlapping(self.start(), self.length);
        // The old block, if there is one, is garbage from here on.
        self.lua.replace(self.place);
        (self.block, self.capacity) = (block, capacity);
    }

    /// Pushes the text.
    ///
    /// # Safety
    /// As for [`Buffer::append`].
    pub unsafe fn push(&mut self) {
        let bytes = std::slice::from_raw_parts(self.start(), self.length);
        self.lua.push_bytes(bytes);
    }
}
