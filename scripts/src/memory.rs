//! A state's memory: how much it may have, and where it comes from.
//!
//! Small blocks come from [`Blocks`], which takes an eighth of the time that the system's allocator does; all others from whoever
//! has made the state, lupa or this process. All are counted here, against one bound.

use std::ffi::c_void;

use crate::api::{api, AllocatorFunction, State};
use crate::blocks::{Blocks, SMALL_BYTES_MAX};

/// What a state has allocated and may allocate.
pub struct Memory {
    pub used_bytes: usize,
    pub bytes_max: usize,
    blocks: Blocks,
    /// Where blocks come from that are not small, and what that is called with.
    others: AllocatorFunction,
    others_data: *mut c_void,
}

impl Memory {
    /// For a state that is yet to be made; it lives as long as the state, for ever.
    pub fn for_new_state(bytes_max: usize) -> *mut Memory {
        Memory::new(0, bytes_max, allocate_in_system, std::ptr::null_mut())
    }

    fn new(used_bytes: usize, bytes_max: usize, others: AllocatorFunction, others_data: *mut c_void) -> *mut Memory {
        Box::into_raw(Box::new(Memory { used_bytes, bytes_max, blocks: Blocks::new(), others, others_data }))
    }

    /// Has a state that others have made allocate here from now on. What it has, it has from them, as they have what is not small.
    ///
    /// # Safety
    /// The state is valid, and has so many bytes already.
    pub unsafe fn for_state(state: *mut State, used_bytes: usize, bytes_max: usize) -> *mut Memory {
        let mut data = std::ptr::null_mut();
        let others = (api().lua_getallocf)(state, &mut data);
        let memory = Memory::new(used_bytes, bytes_max, others, data);
        (api().lua_setallocf)(state, allocate, memory as *mut c_void);
        memory
    }

    /// Allocates, moves or frees a block without counting it.
    #[inline(always)]
    unsafe fn change(&mut self, block: *mut c_void, old_bytes: usize, new_bytes: usize) -> *mut c_void {
        if block.is_null() {
            return self.take(new_bytes);
        }
        let Some(size) = self.blocks.size(block) else {
            return (self.others)(self.others_data, block, old_bytes, new_bytes);
        };
        if new_bytes == 0 {
            self.blocks.put(block, size);
            return std::ptr::null_mut();
        }
        if new_bytes <= size {
            // Nothing may fail here.
            return block;
        }
        let moved = self.take(new_bytes);
        if !moved.is_null() {
            std::ptr::copy_nonoverlapping(block as *const u8, moved as *mut u8, old_bytes);
            self.blocks.put(block, size);
        }
        moved
    }

    #[inline(always)]
    unsafe fn take(&mut self, bytes: usize) -> *mut c_void {
        if (1..=SMALL_BYTES_MAX).contains(&bytes) {
            let block = self.blocks.take(bytes);
            if !block.is_null() {
                return block;
            }
        }
        (self.others)(self.others_data, std::ptr::null_mut(), 0, bytes)
    }
}

/// Allocates, moves and frees for the state whose [`Memory`] is at `data`; null where it has too much already.
///
/// # Safety
/// Called by Lua, with blocks that it has from here, or had before it came here, and their lengths.
pub unsafe extern "C-unwind" fn allocate(
    data: *mut c_void,
    block: *mut c_void,
    old_bytes: usize,
    new_bytes: usize,
) -> *mut c_void {
    let memory = &mut *(data as *mut Memory);
    let old_bytes = if block.is_null() { 0 } else { old_bytes };
    let used_bytes = memory.used_bytes.saturating_sub(old_bytes).saturating_add(new_bytes);
    if new_bytes > old_bytes && used_bytes > memory.bytes_max {
        return std::ptr::null_mut();
    }
    let moved = memory.change(block, old_bytes, new_bytes);
    if new_bytes == 0 || !moved.is_null() {
        memory.used_bytes = used_bytes;
    }
    moved
}

/// The same in the system's memory, without a bound.
unsafe extern "C-unwind" fn allocate_in_system(
    _: *mut c_void,
    block: *mut c_void,
    _: usize,
    new_bytes: usize,
) -> *mut c_void {
    if new_bytes == 0 {
        libc::free(block);
        return std::ptr::null_mut();
    }
    libc::realloc(block, new_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(bytes_max: usize) -> &'static mut Memory {
        // SAFETY: it lives for ever, and nobody else knows it.
        unsafe { &mut *Memory::for_new_state(bytes_max) }
    }

    /// Calls `allocate` as Lua does.
    fn call(memory: &mut Memory, block: *mut c_void, old_bytes: usize, new_bytes: usize) -> *mut c_void {
        // SAFETY: each block is handed over with its length.
        unsafe { allocate(memory as *mut Memory as *mut c_void, block, old_bytes, new_bytes) }
    }

    #[test]
    fn what_would_be_too_much_is_refused() {
        // Of small blocks, and of others.
        for unit in [1, 100] {
            let memory = memory(100 * unit);
            let block = call(memory, std::ptr::null_mut(), 4, 60 * unit);
            assert!(!block.is_null() && call(memory, std::ptr::null_mut(), 0, 41 * unit).is_null());
            let block = call(memory, block, 60 * unit, 100 * unit);
            assert!(!block.is_null() && call(memory, block, 100 * unit, 101 * unit).is_null());
            let block = call(memory, block, 100 * unit, 50 * unit);
            assert_eq!(memory.used_bytes, 50 * unit);
            assert!(call(memory, block, 50 * unit, 0).is_null());
            assert_eq!(memory.used_bytes, 0);
        }
    }

    #[test]
    fn a_block_keeps_what_is_in_it_wherever_it_moves() {
        let memory = memory(usize::MAX);
        let (mut block, mut length) = (std::ptr::null_mut(), 0usize);
        // Within a size, to another one, out of the region, and back.
        for new_length in [10, 16, 17, 500, 512, 513, 40_000, 600, 100, 3, 300, 90_000, 20] {
            block = call(memory, block, length, new_length);
            let kept = length.min(new_length);
            // SAFETY: the block has that length, and was filled as far as it was kept.
            let bytes = unsafe { std::slice::from_raw_parts_mut(block as *mut u8, new_length) };
            let fitting = |(place, byte): (usize, &u8)| *byte == (place % 251) as u8;
            // SAFETY: as above; what is looked at was written.
            assert!(bytes[..kept].iter().enumerate().all(fitting), "{length} to {new_length}");
            (0..new_length).for_each(|place| bytes[place] = (place % 251) as u8);
            length = new_length;
        }
        assert_eq!(memory.used_bytes, 20);
        call(memory, block, length, 0);
        assert_eq!(memory.used_bytes, 0);
    }
}
