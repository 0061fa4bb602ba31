//! The end of the thread that loaded the library.
//!
//! mimalloc 3.3 keeps a heap of its own, which is never freed, for the thread that it was loaded in, and knows that thread
//! by its id. When it ends, mimalloc takes the heap to pieces and keeps the id. The system gives that id to some later
//! thread, which takes over the pieces and crashes at its first allocation. Programs do not notice as their first thread
//! lasts; a Python program that first asks for a server in a thread of a pool does.
//!
//! Here the id is forgotten when the thread ends, which is what mimalloc itself does from 3.4 on. Rejected: to load the
//! library in a thread that is kept for that alone (a thread in every such program), and to hand mimalloc's sources out with
//! ours. How mimalloc lays out what is written to is checked when the library is loaded; its version is fixed.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// No thread has this id: ids are addresses, and aligned.
const NOBODY: usize = usize::MAX;

extern "C" {
    fn mi_theap_get_default() -> *mut c_void;
    fn mi_thread_done();
    fn _mi_is_main_thread() -> bool;
    fn _mi_thread_id() -> usize;
    fn getpid() -> c_int;
    fn gettid() -> c_int;
}

/// Where mimalloc keeps the id of the thread that it was loaded in; only set in that thread.
struct Remembered(Cell<Option<&'static AtomicUsize>>);

impl Drop for Remembered {
    fn drop(&mut self) {
        if let Some(id) = self.0.get() {
            // SAFETY: the thread ends; should anything of it allocate after this, it gets another heap, which is freed.
            unsafe { mi_thread_done() };
            id.store(NOBODY, Relaxed);
        }
    }
}

thread_local! {
    static REMEMBERED: Remembered = const { Remembered(Cell::new(None)) };
}

/// Has mimalloc forget the calling thread when it ends, if that is the one that it was loaded in. For the library's entry.
///
/// # Panics
/// Where mimalloc is not the version that this was written for.
pub fn forget_when_it_ends() {
    // SAFETY: both only tell the ids of this process and thread.
    let is_first = unsafe { getpid() == gettid() };
    // SAFETY: mimalloc may be asked at any time.
    if is_first || unsafe { !_mi_is_main_thread() } {
        // The process does not outlive its first thread by much, and its id is given to no other thread.
        return;
    }
    let id = id_of_heap();
    // SAFETY: mimalloc may be asked at any time, and the thread's own data lasts until its end.
    let fits = unsafe { *id == _mi_thread_id() };
    assert!(fits, "mimalloc lays its threads' data out in another way");
    // SAFETY: the data of this one thread are static; mimalloc writes to the id only when it is loaded.
    REMEMBERED.with(|remembered| remembered.0.set(Some(unsafe { AtomicUsize::from_ptr(id) })));
}

/// Where the calling thread's id is in the data of its heap.
fn id_of_heap() -> *mut usize {
    // SAFETY: a heap begins with the address of its thread's data, which begins with the thread's id.
    unsafe { *mi_theap_get_default().cast::<*mut usize>() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threads_heap_begins_with_its_threads_data_and_that_with_the_threads_id() {
        for _ in 0..2 {
            std::thread::spawn(|| {
                // SAFETY: the thread exists, and so does its id.
                assert_eq!(unsafe { *id_of_heap() }, unsafe { _mi_thread_id() });
            })
            .join()
            .expect("the layout is as expected");
        }
    }
}
