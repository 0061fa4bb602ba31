//! Nobody waits for a runtime that nobody makes.

use std::sync::Arc;
use std::thread;

use super::*;

fn pool() -> Arc<Pool<usize>> {
    let pool = Arc::new(Pool::new());
    pool.change(|state| state.has_maker = true);
    pool
}

fn wait_until(pool: &Pool<usize>, is_so: impl Fn(&State<usize>) -> bool) {
    let begun = Instant::now();
    while !is_so(&pool.lock()) {
        assert!(begun.elapsed() < Duration::from_secs(60));
        thread::yield_now();
    }
}

#[test]
fn what_was_made_for_one_and_taken_by_another_is_made_again() {
    let pool = pool();
    let first = thread::spawn({
        let pool = Arc::clone(&pool);
        move || pool.take()
    });
    wait_until(&pool, |state| state.waiting == 1);
    assert_eq!(pool.wait_for_demand(), 1);
    {
        // Another thread comes by before the one that waits has woken up.
        let mut state = pool.lock();
        state.making -= 1;
        state.idle.push(1);
        state.idle.pop();
    }
    assert_eq!(pool.wait_for_demand(), 1);
    pool.add(2, true);
    assert_eq!(first.join().expect("it has not panicked"), Ok(2));
    assert_eq!(pool.lock().waiting, 0);
}

#[test]
fn many_threads_that_come_and_go_get_one_each() {
    let pool = pool();
    let maker = thread::spawn({
        let pool = Arc::clone(&pool);
        move || {
            let mut made = 0;
            loop {
                let count = pool.wait_for_demand();
                if count == 0 {
                    return made;
                }
                for _ in 0..count {
                    made += 1;
                    pool.add(made, true);
                }
            }
        }
    });
    let takers: Vec<_> = (0..8)
        .map(|_| {
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                for round in 0..200 {
                    let runtime = pool.take().expect("one is made");
                    // Some are kept, as by threads that live, and some come back.
                    if round % 3 != 0 {
                        pool.add(runtime, false);
                    }
                }
            })
        })
        .collect();
    takers.into_iter().for_each(|taker| taker.join().expect("it has not panicked"));
    pool.change(|state| state.has_maker = false);
    let kept = 8 * 200_usize.div_ceil(3);
    assert!(maker.join().expect("it has not panicked") >= kept);
    assert_eq!(pool.lock().waiting, 0);
}

#[test]
fn who_waits_is_told_that_none_can_be_made() {
    let pool = pool();
    let taker = thread::spawn({
        let pool = Arc::clone(&pool);
        move || pool.take()
    });
    wait_until(&pool, |state| state.waiting == 1);
    pool.change(|state| (state.failure, state.making) = (Some("no Lua".to_owned()), 0));
    assert_eq!(taker.join().expect("it has not panicked"), Err("no Lua".to_owned()));
}
