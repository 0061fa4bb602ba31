//! How soon the kernel lets a thread run that has something to do.
//!
//! The threads of a busy server use all cores. One that answers operators and scrapes sleeps most of the time, but when it
//! wakes it would wait until the others have used up their slices of a few milliseconds; and an IO thread would wait for those
//! that save, or for other programs. Since Linux 6.12 a thread may ask for a shorter slice: it then gets the same share of time in
//! smaller pieces, and soon after it wakes.

use std::time::Duration;

/// The kernel's `struct sched_attr` as of its first version, which every kernel accepts.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Asks for a time slice for the calling thread. Without effect where the kernel knows no such wish or another scheduling
/// policy is set: the thread then runs as any other.
pub fn set_time_slice(slice: Duration) {
    let size = size_of::<Attributes>() as u32;
    let mut attributes = Attributes { size, ..Attributes::default() };
    let thread = 0;
    let pointer = &raw mut attributes;
    // SAFETY: the kernel writes at most `size` bytes to the structure, which is valid for that.
    let known = unsafe { libc::syscall(libc::SYS_sched_getattr, thread, pointer, size, 0) } == 0;
    if known && attributes.policy == libc::SCHED_OTHER as u32 {
        attributes.size = size;
        attributes.runtime = slice.as_nanos() as u64;
        // SAFETY: the kernel reads the structure, whose size is in its first field.
        unsafe { libc::syscall(libc::SYS_sched_setattr, thread, &raw const attributes, 0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_stays_what_it_is_but_for_its_slice() {
        // Sandboxes may refuse the question; then the wish has no effect either, and must do no harm.
        let before = read();
        set_time_slice(Duration::from_micros(200));
        let after = read();
        let kept = |attributes: &Attributes| (attributes.policy, attributes.nice);
        assert_eq!(after.as_ref().map(kept), before.as_ref().map(kept));
        // Kernels before 6.12 tell 0, and other policies are left as they are.
        if let (Some(before), Some(after)) = (before, after) {
            assert!([0, before.runtime, 200_000].contains(&after.runtime), "{}", after.runtime);
        }
    }

    fn read() -> Option<Attributes> {
        let mut attributes = Attributes::default();
        let size = size_of::<Attributes>();
        // SAFETY: as in `set_time_slice`.
        let result = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
        (result == 0).then_some(attributes)
    }
}
