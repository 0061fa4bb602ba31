//! Memory of states that lupa has not made: bounded, as lupa bounds that of its own.

use std::ffi::c_void;

/// What a state has allocated and may allocate.
pub struct Memory {
    pub used_bytes: usize,
    pub bytes_max: usize,
}

/// Allocates, moves and frees for the state whose [`Memory`] is at `data`; null where it has too much already.
///
/// # Safety
/// Called by Lua, with blocks that it has from here and their lengths.
pub unsafe extern "C-unwind" fn allocate(
    data: *mut c_void,
    block: *mut c_void,
    old_bytes: usize,
    new_bytes: usize,
) -> *mut c_void {
    let memory = &mut *(data as *mut Memory);
    let old_bytes = if block.is_null() { 0 } else { old_bytes };
    if new_bytes == 0 {
        memory.used_bytes -= old_bytes;
        libc::free(block);
        return std::ptr::null_mut();
    }
    let used_bytes = (memory.used_bytes - old_bytes).saturating_add(new_bytes);
    if new_bytes > old_bytes && used_bytes > memory.bytes_max {
        return std::ptr::null_mut();
    }
    let moved = libc::realloc(block, new_bytes);
    if !moved.is_null() {
        memory.used_bytes = used_bytes;
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_too_much_is_refused() {
        let mut memory = Memory { used_bytes: 0, bytes_max: 100 };
        let data = &mut memory as *mut Memory as *mut c_void;
        // SAFETY: each block is handed over with its length, as Lua does.
        unsafe {
            let block = allocate(data, std::ptr::null_mut(), 4, 60);
            assert!(!block.is_null() && allocate(data, std::ptr::null_mut(), 0, 41).is_null());
            let block = allocate(data, block, 60, 100);
            assert!(!block.is_null() && allocate(data, block, 100, 101).is_null());
            let block = allocate(data, block, 100, 50);
            assert_eq!((*(data as *mut Memory)).used_bytes, 50);
            assert!(allocate(data, block, 50, 0).is_null());
        }
        assert_eq!(memory.used_bytes, 0);
    }
}
