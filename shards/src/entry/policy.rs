//! The access clock of an entry under each eviction policy.
//!
//! LRU: 24 bits of seconds. LFU, from the lowest: 8 bits of a logarithmic counter, as in Redis; 14 bits of minutes of the last
//! access, which decay goes by; 2 bits that count how often the hand that samples for eviction has come by since then.
//!
//! Most keys of a cache have been used once or twice, so the counter alone tells few of them apart: among keys with the same
//! counter those go first that the hand has met most often, which have not been used for the longest time. Redis has 16 bits of
//! minutes; 14 of them come round after eleven days, in which a key that nobody uses decays to nothing or is evicted.

use crate::entry::Entry;
use sherd_types::random::Random;

/// `maxmemory-policy` by number.
pub const NAMES: [&str; 8] = [
    "noeviction",
    "allkeys-lru",
    "volatile-lru",
    "allkeys-lfu",
    "volatile-lfu",
    "allkeys-random",
    "volatile-random",
    "volatile-ttl",
];

/// How LFU counters grow and decay, as settings say.
#[derive(Clone, Copy, Debug)]
pub struct Lfu {
    /// The greater, the more accesses it takes to count one.
    pub log_factor: i64,
    /// Minutes after which a counter is one less; 0 is never.
    pub decay_minutes: i64,
}

/// The policy under which nothing is evicted.
pub const NO_EVICTION: i64 = 0;

/// Whether the policy evicts only keys that have an expiry.
#[inline]
pub fn is_volatile(policy: i64) -> bool {
    matches!(policy, 2 | 4 | 6 | 7)
}

/// How willingly an entry is evicted under a policy: the highest score goes first. What has expired always does.
#[inline]
pub fn score(policy: i64, entry: &Entry, clock: u32, now_ms: i64, lfu: Lfu, random: &mut Random) -> u64 {
    if entry.is_expired(now_ms) {
        return u64::MAX;
    }
    match policy {
        1 | 2 => u64::from(idle_seconds(entry.clock(), clock)),
        3 | 4 => {
            let rarity = 255 - decayed(entry.clock(), clock, lfu.decay_minutes);
            u64::from(rarity << VISIT_BITS | entry.clock() >> VISIT_SHIFT)
        }
        7 => u64::MAX - entry.expiry().map_or(u64::MAX, |at| at.max(0) as u64),
        _ => random.next() >> 1,
    }
}

/// Whether a key's score is drawn anew each time, so that it says nothing about the last time.
#[inline]
pub fn is_random(policy: i64) -> bool {
    matches!(policy, 5 | 6)
}

/// Bits of an LFU clock that count visits, the highest ones.
const VISIT_BITS: u32 = 2;
const VISIT_SHIFT: u32 = 24 - VISIT_BITS;
/// The bits of an LFU clock's minutes, above the counter.
const MINUTES: u32 = 0x3FFF;

/// What a new key's counter starts with, so that it is not evicted before it had a chance.
const LFU_INITIAL: u32 = 5;

/// Whether the policy counts accesses.
#[inline]
pub fn is_lfu(policy: i64) -> bool {
    policy == 3 || policy == 4
}

/// Whether the policy goes by the time of the last access.
#[inline]
pub fn is_lru(policy: i64) -> bool {
    policy == 1 || policy == 2
}

/// The clock of this moment, without a counter.
#[inline]
pub fn clock_now(policy: i64, monotonic_ms: i64) -> u32 {
    if is_lfu(policy) {
        ((monotonic_ms / 60_000) as u32 & MINUTES) << 8
    } else {
        (monotonic_ms / 1000) as u32 & 0x00FF_FFFF
    }
}

/// The clock of a key that is written for the first time.
#[inline]
pub fn initial(policy: i64, clock: u32) -> u32 {
    if is_lfu(policy) {
        clock | LFU_INITIAL
    } else {
        clock
    }
}

/// The LFU counter after the time that has passed since it was last touched.
pub fn decayed(old: u32, clock: u32, decay_minutes: i64) -> u32 {
    let counter = old & 0xFF;
    if decay_minutes <= 0 {
        return counter;
    }
    let elapsed = (clock >> 8).wrapping_sub(old >> 8) & MINUTES;
    counter.saturating_sub(elapsed / decay_minutes.min(65_535) as u32)
}

/// The clock after an access under LFU; under other policies it is the clock of that moment.
#[inline]
pub fn accessed(old: u32, clock: u32, lfu: Lfu, random: &mut Random) -> u32 {
    let mut counter = decayed(old, clock, lfu.decay_minutes);
    if counter < 255 {
        let base = counter.saturating_sub(LFU_INITIAL);
        let factor = lfu.log_factor.max(0) as u64;
        if random.below((u64::from(base) * factor + 1) as usize) == 0 {
            counter += 1;
        }
    }
    clock | counter
}

/// The clock of an entry that the hand which samples for eviction has come by; an access forgets that again.
#[inline]
pub fn visited(policy: i64, old: u32) -> u32 {
    if is_lfu(policy) && old >> VISIT_SHIFT < (1 << VISIT_BITS) - 1 {
        old + (1 << VISIT_SHIFT)
    } else {
        old
    }
}

/// Seconds since the last access under LRU.
pub fn idle_seconds(old: u32, clock: u32) -> u32 {
    clock.wrapping_sub(old) & 0x00FF_FFFF
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::NewValue;

    const LFU: Lfu = Lfu { log_factor: 10, decay_minutes: 1 };

    #[test]
    fn what_is_older_rarer_used_or_expires_sooner_goes_first() {
        let mut random = Random::fixed(1);
        let entry = |clock, expiry| Entry::new(b"k", NewValue::Text(b"v"), expiry, clock);
        let mut score = |policy, entry: &Entry, clock| score(policy, entry, clock, 1000, LFU, &mut random);
        assert!(score(1, &entry(5, None), 100) > score(1, &entry(90, None), 100));
        let (now, hour) = (clock_now(3, 3_600_000), clock_now(3, 0));
        assert!(score(3, &entry(now | 10, None), now) > score(3, &entry(now | 200, None), now));
        assert!(
            score(3, &entry(hour | 40, None), now) > score(3, &entry(now | 10, None), now),
            "sixty minutes of decay"
        );
        assert!(score(7, &entry(0, Some(2000)), 0) > score(7, &entry(0, Some(3000)), 0));
        assert_eq!(score(1, &entry(100, Some(999)), 100), u64::MAX, "it has expired");
        assert_ne!(score(5, &entry(0, None), 0), score(5, &entry(0, None), 0));
    }

    #[test]
    fn the_counter_decays_by_the_minutes_that_passed() {
        let then = clock_now(3, 0) | 10;
        assert_eq!(decayed(then, clock_now(3, 4 * 60_000), 1), 6);
        assert_eq!(decayed(then, clock_now(3, 4 * 60_000), 2), 8);
        assert_eq!(decayed(then, clock_now(3, 400 * 60_000), 1), 0);
        assert_eq!(decayed(then, clock_now(3, 400 * 60_000), 0), 10);
    }

    #[test]
    fn of_keys_used_as_often_the_one_goes_first_that_the_hand_has_met_more_often_since() {
        let mut random = Random::fixed(1);
        let now = clock_now(3, 3_600_000);
        let entry = |clock| Entry::new(b"k", NewValue::Text(b"v"), None, clock);
        let mut score = |clock| score(3, &entry(clock), now, 1000, LFU, &mut random);
        let new = initial(3, now);
        let mut last = new;
        for times in 1..4 {
            let met = visited(3, last);
            assert!(score(met) > score(last), "{times} times");
            last = met;
        }
        assert_eq!(visited(3, last), last, "that often is as often as it counts");
        assert!(score(last) < score(now | 4), "how often a key is used counts for more");
        assert_eq!((decayed(last, now, 1), decayed(last, clock_now(3, 3_600_000 + 120_000), 1)), (5, 3));
        assert_eq!(accessed(last, now, LFU, &mut Random::fixed(1)), now | 6, "an access forgets it");
        assert_eq!(visited(1, 77), 77, "the clock is a time under LRU");
    }

    #[test]
    fn minutes_of_lfu_come_round() {
        let before = clock_now(3, 60_000 * i64::from(MINUTES)) | 10;
        assert_eq!(decayed(before, clock_now(3, 60_000 * i64::from(MINUTES + 3)), 1), 7);
    }

    #[test]
    fn the_counter_grows_slower_the_larger_it_is() {
        let mut random = Random::fixed(3);
        let grow =
            |from: u32, random: &mut Random| (0..1000).filter(|_| accessed(from, 0, LFU, random) & 0xFF > from).count();
        assert_eq!(grow(5, &mut random), 1000);
        assert!((50..200).contains(&grow(6, &mut random)));
        assert!(grow(100, &mut random) < 10);
    }
}
