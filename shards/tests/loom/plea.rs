//! Shards that are taken out of order by a thread that pleads for them: nobody waits in a circle, and no work is left behind.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;

use loom::thread;

use sherd_shards::executor::engine::{while_others_are_held, Engine, Plea};

use super::{assert_deadlocks, Guarded, Model, TOUCHED};

fn touch_both(engine: &Engine) {
    engine.with_shards(0b11, |_| TOUCHED.iter().for_each(Guarded::touch));
}

/// Holds the second shard, and takes the first one as a script does that has written.
fn plead(engine: &Engine) -> bool {
    let held = Engine::hold(engine, 0b10);
    TOUCHED[1].touch();
    let got = Plea::begin(engine, 0b10).and_then(|plea| {
        plea.wait(0b01, || {
            thread::yield_now();
            true
        })
    });
    let has_got = got.is_some();
    if has_got {
        TOUCHED[0].touch();
    }
    drop(got);
    drop(held);
    has_got
}

#[test]
fn a_thread_that_waits_in_order_gives_way_to_one_that_pleads() {
    loom::model(|| {
        let model = Model::new(2);
        let other = {
            let engine = Arc::clone(&model.engine);
            thread::spawn(move || touch_both(&engine))
        };
        assert!(plead(&model.engine));
        model.finish(0, [other]);
        assert_eq!((TOUCHED[0].count(), TOUCHED[1].count()), (2, 2));
    });
}

#[test]
fn a_batch_that_comes_while_somebody_pleads_is_not_left_behind() {
    loom::model(|| {
        let model = Model::new(2);
        let other = model.submitter(0);
        assert!(plead(&model.engine));
        model.finish(1, [other]);
        assert_eq!((TOUCHED[0].count(), TOUCHED[1].count()), (2, 1));
    });
}

#[test]
fn a_plea_that_is_given_up_leaves_nothing_held_and_no_batch_behind() {
    loom::model(|| {
        let model = Model::new(2);
        let others = [model.submitter(0), {
            let engine = Arc::clone(&model.engine);
            thread::spawn(move || engine.with_shards(0b01, |_| TOUCHED[0].touch()))
        }];
        let held = Engine::hold(&*model.engine, 0b10);
        let asked = AtomicUsize::new(0);
        let plea = Plea::begin(&*model.engine, 0b10).expect("nobody else pleads");
        let got = plea.wait(0b01, || asked.fetch_add(1, Relaxed) == 0);
        drop(got);
        drop(held);
        let engine = Arc::clone(&model.engine);
        model.finish(1, others);
        assert_eq!(TOUCHED[0].count(), 2);
        touch_both(&engine);
    });
}

#[test]
fn a_batch_for_a_shard_that_is_let_go_while_others_are_held_is_left_to_its_thread() {
    loom::model(|| {
        let model = Model::new(2);
        let other = model.submitter(0);
        let held = Engine::hold(&*model.engine, 0b10);
        // Executing a batch checks that the thread holds no others.
        while_others_are_held(|| drop(Engine::try_hold(&*model.engine, 0b01)));
        drop(held);
        model.finish(1, [other]);
        assert_eq!(TOUCHED[0].count(), 1);
    });
}

#[test]
#[ignore = "deadlocks on purpose; run by the test below"]
fn two_that_hold_and_wait_without_a_plea() {
    loom::model(|| {
        let model = Model::new(2);
        let other = {
            let engine = Arc::clone(&model.engine);
            thread::spawn(move || touch_both(&engine))
        };
        let held = Engine::hold(&*model.engine, 0b10);
        model.engine.with_shards(0b01, |_| TOUCHED[0].touch());
        drop(held);
        model.finish(0, [other]);
    });
}

#[test]
fn waiting_out_of_order_without_a_plea_deadlocks() {
    assert_deadlocks("plea::two_that_hold_and_wait_without_a_plea");
}
