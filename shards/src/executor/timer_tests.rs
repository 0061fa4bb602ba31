//! Every call is counted, whether it was timed by itself or with others, and their times add up to what has passed.

use super::*;
use crate::executor::batch_for_tests::{batch_of, new_shard};
use crate::executor::run::run_batch;
use crate::keyspace::shard::Shard;
use sherd_metrics::histogram::BUCKETS;

fn command(name: &str) -> &'static Command {
    crate::families::install(std::iter::empty()).find(name.as_bytes()).expect("a command")
}

/// Calls of a command, those that failed, and how many times are in its histogram.
fn counted(shard: &Shard, name: &str) -> (u64, u64, u64) {
    let cell = shard.cells.cell(command(name).id);
    let mut sums = [0; BUCKETS];
    cell.latency.add_to(&mut sums);
    (cell.calls.get(), cell.failed.get(), sums.iter().sum())
}

#[test]
fn every_call_is_counted_however_it_was_timed() {
    for times_each in [false, true] {
        for reads in 1..=2 * TOGETHER_MAX as usize + 1 {
            let mut shard = new_shard();
            shard.world.settings.latency_tracking.set(1);
            if times_each {
                shard.world.settings.slowlog_log_slower_than.set(0);
                shard.world.settings.apply();
            }
            let long = format!("SET long {}", "x".repeat(2 * REPLY_BYTES_MAX));
            let mut lines = vec![long.as_str(), "SADD set member", "INCR number"];
            lines.extend(vec!["GET number"; reads]);
            lines.extend(["GET long", "GET number", "GET set", "GET number", "STRLEN number", "GET number"]);
            lines.extend(["SADD set other", "SISMEMBER set other", "SISMEMBER number other"]);
            let mut batch = batch_of(&lines);
            assert!(run_batch(&mut shard, &mut batch));
            let gets = reads as u64 + 5;
            assert_eq!(counted(&shard, "get"), (gets, 1, gets), "{reads} reads, each {times_each}");
            assert_eq!(counted(&shard, "strlen"), (1, 0, 1));
            assert_eq!(counted(&shard, "sismember"), (2, 1, 2));
            assert_eq!(counted(&shard, "sadd"), (2, 0, 2));
            assert_eq!(shard.stats.commands.get(), lines.len() as u64);
        }
    }
}

#[test]
fn what_held_up_calls_that_are_timed_together_is_one_long_call() {
    let (shard, rate) = (new_shard(), TickRate::get());
    let counts = Counts { cells: &shard.cells, stats: &shard.stats, rate };
    let batch = batch_of(["GET a", "GET b", "GET c", "GET d", "GET e", "SET a 1"]);
    let get = command("get");
    let mut timer = Timer::start(&shard.world);
    let left: Vec<bool> = (0..6).map(|at| timer.leaves(&batch.commands, at, 5)).collect();
    assert_eq!(left, [true, true, true, false, false, false]);
    let long = rate.ticks(10_000_000);
    timer.tick = timer.tick.wrapping_sub(long);
    let last = timer.stop(&counts, get);
    assert!(rate.nanoseconds(last) > 9_990_000, "the last call has it");
    let cell = shard.cells.cell(get.id);
    assert_eq!(cell.calls.get(), 3);
    assert!(cell.nanoseconds.get() <= 3 * TOGETHER_NANOSECONDS_MAX);
    assert!(timer.leaves(&batch.commands, 0, REPLY_BYTES_MAX), "they are counted from nought again");
    assert!(!timer.leaves(&batch.commands, 0, REPLY_BYTES_MAX + 1));
}

#[test]
fn only_what_reads_one_key_is_timed_with_others() {
    for name in ["get", "hget", "strlen", "ttl", "exists", "mget", "incr", "lrange", "del", "zscore", "xlen"] {
        let expected = !["exists", "mget", "incr", "lrange", "del"].contains(&name);
        assert_eq!(command(name).quick, expected, "{name}");
    }
}
