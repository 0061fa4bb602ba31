//! The hand-off of batches with a hole in it, which the models must find.

use super::*;

/// The hand-off as it would be if who lets go did not look at the ring again, or who publishes did not try the baton again.
fn hand_off_with_a_hole(looks_again: bool, tries_again: bool) {
    loom::model(move || {
        let shared = Arc::new((Baton::new(), Ring::new(2)));
        let bring = move |shared: &(Baton, Ring<u32>)| {
            let (baton, ring) = shared;
            if !baton.try_acquire() {
                ring.push(1).expect("room");
                if !tries_again || !baton.try_acquire() {
                    return;
                }
            }
            while ring.pop().is_some() {}
            baton.release();
            while looks_again && !ring.is_empty() && baton.try_acquire() {
                while ring.pop().is_some() {}
                baton.release();
                thread::yield_now();
            }
        };
        let other = Arc::clone(&shared);
        let second = thread::spawn(move || bring(&other));
        bring(&shared);
        second.join().expect("the second ends well");
        assert!(shared.1.is_empty(), "a batch was left behind");
    });
}

#[test]
fn a_hand_off_in_which_both_look_again_has_no_hole() {
    hand_off_with_a_hole(true, true);
}

#[test]
#[should_panic(expected = "left behind")]
fn a_holder_that_does_not_look_again_leaves_a_batch_behind() {
    hand_off_with_a_hole(false, true);
}

#[test]
#[should_panic(expected = "left behind")]
fn a_publisher_that_does_not_try_again_leaves_a_batch_behind() {
    hand_off_with_a_hole(true, false);
}
