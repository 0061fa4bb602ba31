//! A bounded lock-free queue, any number of producers and consumers (Vyukov's array queue).
//!
//! Each cell carries a sequence number that says whose turn it is: the round of a position (the position less its place in the
//! ring) when the cell is free for the producer of that position, one more when it holds that position's item. Producers and
//! consumers claim a position by compare-and-swap on the tail or head and then publish through the cell alone.
//!
//! A new ring is zeroed memory, which takes none until it is written: a server has thousands of cells, and uses a few of them
//! until it has clients.

#[cfg(not(loom))]
use std::alloc::{alloc_zeroed, handle_alloc_error, Layout};
use std::mem::MaybeUninit;

#[cfg(loom)]
use loom::{
    cell::UnsafeCell,
    sync::atomic::{fence, AtomicUsize, Ordering},
};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicUsize, Ordering};

/// The standard library's cell with the interface of loom's, which checks every access in the model tests.
#[cfg(not(loom))]
struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    #[inline(always)]
    fn with_mut<R>(&self, access: impl FnOnce(*mut T) -> R) -> R {
        access(self.0.get())
    }
}

#[repr(align(128))]
struct Padded(AtomicUsize);

struct Cell<T> {
    sequence: AtomicUsize,
    item: UnsafeCell<MaybeUninit<T>>,
}

/// See the [module](self).
pub struct Ring<T> {
    tail: Padded,
    head: Padded,
    cells: Box<[Cell<T>]>,
}

// SAFETY: an item is touched by the one thread that claimed its cell; the sequence hands it over (release, acquire).
unsafe impl<T: Send> Send for Ring<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Ring<T> {}

impl<T> Ring<T> {
    /// A ring for at least `capacity` items (rounded up to a power of two, at least 2).
    pub fn new(capacity: usize) -> Ring<T> {
        let capacity = capacity.next_power_of_two().max(2);
        Ring { tail: Padded(AtomicUsize::new(0)), head: Padded(AtomicUsize::new(0)), cells: free_cells(capacity) }
    }

    #[inline(always)]
    fn cell(&self, position: usize) -> &Cell<T> {
        &self.cells[position & (self.cells.len() - 1)]
    }

    /// What the sequence of a position's cell is when that is free for it.
    #[inline(always)]
    fn round(&self, position: usize) -> usize {
        position & !(self.cells.len() - 1)
    }

    /// Adds an item, or gives it back when the ring is full.
    pub fn push(&self, item: T) -> Result<(), T> {
        let mut position = self.tail.0.load(Ordering::Relaxed);
        loop {
            let cell = self.cell(position);
            // Acquire: what the consumer did with the cell is over before it is written again.
            let sequence = cell.sequence.load(Ordering::Acquire);
            match sequence.wrapping_sub(self.round(position)) as isize {
                0 => {
                    let next = position.wrapping_add(1);
                    // SeqCst: comes before the producer's next look at a baton or a sleep flag in the one order that
                    // `is_empty` takes part in.
                    match self.tail.0.compare_exchange_weak(position, next, Ordering::SeqCst, Ordering::Relaxed) {
                        Ok(_) => {
                            cell.item.with_mut(|place| {
                                // SAFETY: the claimed cell is this thread's until its sequence is stored.
                                unsafe { (*place).write(item) };
                            });
                            // Release: the item is visible to whoever sees the sequence.
                            cell.sequence.store(self.round(position).wrapping_add(1), Ordering::Release);
                            return Ok(());
                        }
                        Err(now) => position = now,
                    }
                }
                difference if difference < 0 => return Err(item),
                _ => position = self.tail.0.load(Ordering::Relaxed),
            }
        }
    }

    /// Takes the oldest item.
    pub fn pop(&self) -> Option<T> {
        let mut position = self.head.0.load(Ordering::Relaxed);
        loop {
            let cell = self.cell(position);
            // Acquire: pairs with the producer's release.
            let sequence = cell.sequence.load(Ordering::Acquire);
            match sequence.wrapping_sub(self.round(position).wrapping_add(1)) as isize {
                0 => {
                    let next = position.wrapping_add(1);
                    match self.head.0.compare_exchange_weak(position, next, Ordering::Relaxed, Ordering::Relaxed) {
                        Ok(_) => {
                            // SAFETY: the cell holds an item, which is this thread's by the claim.
                            let item = cell.item.with_mut(|place| unsafe { (*place).assume_init_read() });
                            // Release: the cell is free for the producer one round later.
                            let next_round = self.round(position).wrapping_add(self.cells.len());
                            cell.sequence.store(next_round, Ordering::Release);
                            return Some(item);
                        }
                        Err(now) => position = now,
                    }
                }
                difference if difference < 0 => return None,
                _ => position = self.head.0.load(Ordering::Relaxed),
            }
        }
    }

    /// Items in the ring, exact only when nobody is pushing or popping.
    pub fn len(&self) -> usize {
        let tail = self.tail.0.load(Ordering::Relaxed);
        let head = self.head.0.load(Ordering::Relaxed);
        (tail.wrapping_sub(head) as isize).max(0) as usize
    }

    /// Whether the ring seems empty; see [`Ring::len`].
    pub fn is_empty(&self) -> bool {
        // SeqCst: together with the sequentially consistent operations on the baton and the sleep flag this decides
        // "nobody will come for what I pushed"; see `baton` and `mailbox`.
        // loom takes SeqCst operations for acquire and release; only its fences are in one order.
        #[cfg(loom)]
        fence(Ordering::SeqCst);
        self.tail.0.load(Ordering::SeqCst) == self.head.0.load(Ordering::SeqCst)
    }
}

/// Cells that are free for the first round.
#[cfg(not(loom))]
fn free_cells<T>(count: usize) -> Box<[Cell<T>]> {
    let layout = Layout::array::<Cell<T>>(count).expect("a ring has a size");
    // SAFETY: there are at least two cells, each with a sequence, so the layout is not empty.
    let cells = unsafe { alloc_zeroed(layout) }.cast::<Cell<T>>();
    if cells.is_null() {
        handle_alloc_error(layout);
    }
    // SAFETY: the memory was allocated for these cells and belongs to nobody else; a zeroed cell has the sequence 0, and an item
    // that is not there.
    unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(cells, count)) }
}

/// The same with loom's types, which are more than their values.
#[cfg(loom)]
fn free_cells<T>(count: usize) -> Box<[Cell<T>]> {
    let cell = || Cell { sequence: AtomicUsize::new(0), item: UnsafeCell::new(MaybeUninit::uninit()) };
    (0..count).map(|_| cell()).collect()
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn items_come_out_in_order_and_a_full_ring_refuses() {
        let ring = Ring::new(4);
        for round in 0..10 {
            for i in 0..4 {
                assert_eq!(ring.push(round * 4 + i), Ok(()));
            }
            assert_eq!(ring.push(99), Err(99));
            assert_eq!(
                (0..4).map(|_| ring.pop().expect("full")).collect::<Vec<_>>(),
                (round * 4..round * 4 + 4).collect::<Vec<_>>()
            );
            assert!(ring.pop().is_none());
        }
    }

    #[test]
    fn what_is_left_in_the_ring_is_dropped_with_it() {
        let item = Arc::new(());
        let ring = Ring::new(2);
        ring.push(Arc::clone(&item)).expect("room");
        drop(ring);
        assert_eq!(Arc::strong_count(&item), 1);
    }

    #[test]
    fn nothing_is_lost_or_doubled_among_many_threads() {
        let per_thread = if cfg!(miri) { 50 } else { 20_000u64 };
        let ring = Arc::new(Ring::new(64));
        let producers: Vec<_> = (0..3)
            .map(|_| {
                let ring = Arc::clone(&ring);
                std::thread::spawn(move || {
                    for i in 1..=per_thread {
                        while ring.push(i).is_err() {
                            std::thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        let mut sum = 0;
        for _ in 0..3 * per_thread {
            loop {
                if let Some(i) = ring.pop() {
                    sum += i;
                    break;
                }
                std::thread::yield_now();
            }
        }
        for producer in producers {
            producer.join().expect("a producer ends well");
        }
        assert_eq!(sum, 3 * per_thread * (per_thread + 1) / 2);
        assert!(ring.is_empty());
    }
}
