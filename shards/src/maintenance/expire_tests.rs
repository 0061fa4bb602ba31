//! The shards' own sweep: how much of it one tick does.

use std::time::Duration;

use super::budget;
use crate::maintenance::expire::Pace;
use crate::testing::Tester;

/// Ticks until nothing with an expiry is left in any shard, when `keys` have expired among `others` that never do. `None` if the
/// machine was so slow that the time of a tick was over before its work.
fn ticks_until_gone(mut t: Tester, keys: usize, others: usize) -> Option<usize> {
    const TICKS_MAX: usize = 100;
    // A tick may take long: it is counted how often the sweep stops by itself.
    t.world.settings.hz.set(1);
    for number in 0..keys {
        t.run(&format!("SET volatile:{number} v PX 5"));
    }
    for number in 0..others {
        t.run(&format!("SET lasting:{number} v"));
    }
    t.world.advance_clock(10);
    let ticks = (1..TICKS_MAX).find(|_| t.sweep_tick() == 0).expect("the sweep comes to an end");
    (t.time_caps() == 0).then_some(ticks)
}

#[test]
fn the_sweep_is_as_quick_over_many_slots_as_over_one_table() {
    const ATTEMPTS: usize = 100;
    for (keys, others) in [(1, 0), (100, 0), (1000, 0), (3000, 500)] {
        for (shards, cluster) in [(1, false), (4, false), (1, true), (4, true)] {
            let tester = || if cluster { Tester::of_cluster(shards) } else { Tester::new(shards) };
            let ticks = (0..ATTEMPTS).find_map(|_| ticks_until_gone(tester(), keys, others));
            assert_eq!(ticks, Some(1), "{shards} shards, cluster {cluster}, {keys} keys");
        }
    }
}

#[test]
fn a_sweep_without_anything_to_do_ends() {
    let mut t = Tester::of_cluster(2);
    t.run("SET k v PX 100000");
    t.sweep_tick();
    let mut pace = Pace::default();
    pace.tick_over();
    assert_eq!(t.run("DBSIZE"), ":1\r\n");
}

#[test]
fn effort_adds_two_percent_of_the_time_a_step() {
    assert_eq!(budget(10, 1), Duration::from_millis(25));
    assert_eq!(budget(10, 10), Duration::from_millis(43));
    assert_eq!(budget(500, 1), Duration::from_micros(500));
}

/// Buckets that are swept in one tick where nothing has expired.
fn swept_with(effort: i64) -> usize {
    let mut t = Tester::new(1);
    for number in 0..100_000 {
        t.run(&format!("SET key:{number} v EX 1000"));
    }
    // So few ticks that the time of one is no limit.
    t.world.settings.hz.set(1);
    t.world.settings.active_expire_effort.set(effort);
    t.swept_in_a_tick()
}

#[test]
fn effort_decides_how_much_is_swept_in_a_tick() {
    let (least, most) = (swept_with(1), swept_with(10));
    assert!(most > 4 * least, "{least} {most}");
}
