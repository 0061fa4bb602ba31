//! What may keep commands from being executed now: CLIENT PAUSE, too few replicas, a snapshot or an append-only file that failed,
//! a journal that is behind, a script that takes too long, and what a replica may not do.
//!
//! A replica leaves it to its primary when keys expire, so nothing expires there either.
//!
//! Several pauses are one that lasts as long as the longest and is as strict as the strictest of them, as in Redis. The server's own,
//! while a replica is to take over or to get everything before the end, is none that clients end or outlast. Until it
//! ends nothing expires and nothing is evicted either: who pauses writes wants the data to stay as they are. A key that has
//! expired is no longer there for readers all the same.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use crate::protocol::error::CommandError;

/// See the [module](self).
#[derive(Default, Debug)]
pub struct Pause {
    /// The time, in milliseconds on the monotonic clock, above the bits [`ALL`], [`BUSY`], [`BEHIND`], [`OWN`] and [`Refusal`]'s: one word, so that
    /// nobody sees the time of one pause with the strictness of another, and a command looks at one. 0: no restraint.
    state: AtomicI64,
}

/// Reads are held back as well.
const ALL: i64 = 1;
/// A script has been running for longer than `busy-reply-threshold`.
const BUSY: i64 = 2;
/// The journal cannot keep up with those who write: they wait, as if writes were paused.
const BEHIND: i64 = 256;
/// The server itself holds back those who write, for as long as it takes.
const OWN: i64 = 2048;
/// What no pause changes: everything below the time but its own bit.
const OTHERS: i64 = ((1 << TIME_SHIFT) - 1) & !ALL;
/// Bits below the time.
const TIME_SHIFT: u32 = 12;
/// The latest time that there is room for.
const UNTIL_MAX: i64 = i64::MAX >> TIME_SHIFT;

/// Why writes are refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// There are fewer replicas than `min-replicas-to-write`.
    TooFewReplicas = 4,
    /// The last snapshot failed, and `stop-writes-on-bgsave-error` is on.
    SnapshotFailed = 8,
    /// This is a replica, and `replica-read-only` is on.
    ReadOnlyReplica = 16,
    /// The append-only file cannot be written.
    JournalFailed = 512,
}

static NO_REPLICAS: CommandError = CommandError::new("NOREPLICAS Not enough good replicas to write.");
static SNAPSHOT_FAILED: CommandError = CommandError::new(
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may \
     modify the data set are disabled, because this instance is configured to report errors during writes if RDB \
     snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.",
);
static FILE_FAILED: CommandError = CommandError::new("MISCONF Errors writing to the AOF file");
static READ_ONLY: CommandError = CommandError::new("READONLY You can't write against a read only replica.");

impl Refusal {
    /// What a write is answered.
    pub fn error(self) -> &'static CommandError {
        match self {
            Refusal::TooFewReplicas => &NO_REPLICAS,
            Refusal::SnapshotFailed => &SNAPSHOT_FAILED,
            Refusal::ReadOnlyReplica => &READ_ONLY,
            Refusal::JournalFailed => &FILE_FAILED,
        }
    }
}

/// A state that most commands have to wait for the end of, or be refused in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// The server follows a primary.
    Follows = 32,
    /// The link to the primary is down, and `replica-serve-stale-data` is off.
    Stale = 64,
    /// The data are being loaded.
    Loading = 128,
    /// A replica loads its primary's data beside those that it goes on serving.
    LoadingBeside = 1024,
}

impl Pause {
    /// Pauses until a time; a pause that is on is only ever made longer and stricter.
    pub fn start(&self, until_ms: i64, writes_only: bool, now_ms: i64) {
        let until_ms = until_ms.min(UNTIL_MAX);
        // Relaxed: it is the word alone that counts.
        let _ = self.state.fetch_update(Relaxed, Relaxed, |state| {
            let old_ms = state >> TIME_SHIFT;
            let (old_ms, kept) = if old_ms > now_ms { (old_ms, ALL | OTHERS) } else { (0, OTHERS) };
            let until_ms = until_ms.max(old_ms);
            let all = if writes_only { 0 } else { ALL };
            (until_ms > now_ms).then_some(until_ms << TIME_SHIFT | state & kept | all)
        });
    }

    /// Ends the pause.
    pub fn end(&self) {
        self.state.fetch_and(OTHERS, Relaxed);
    }

    /// Refuses writes for a reason, or does so no longer.
    pub fn refuse_writes(&self, reason: Refusal, refuse: bool) {
        if refuse {
            self.state.fetch_or(reason as i64, Relaxed);
        } else {
            self.state.fetch_and(!(reason as i64), Relaxed);
        }
    }

    /// Why writes are refused, if they are.
    pub fn refusal(&self) -> Option<Refusal> {
        let state = self.state.load(Relaxed);
        let order =
            [Refusal::SnapshotFailed, Refusal::JournalFailed, Refusal::TooFewReplicas, Refusal::ReadOnlyReplica];
        // A replica's own replicas do not matter: its primary's do.
        let counts = |reason| reason != Refusal::TooFewReplicas || state & Condition::Follows as i64 == 0;
        order.into_iter().find(|&reason| state & reason as i64 != 0 && counts(reason))
    }

    /// What a client's write is answered that has its shards only now, if it may not be executed any more. It was let pass before,
    /// but what this server writes nobody would have: a replica takes over, or has.
    #[cold]
    pub fn late_refusal(&self) -> Option<&'static CommandError> {
        let hands_over = self.state.load(Relaxed) & OWN != 0;
        self.refusal().map(Refusal::error).or(hands_over.then_some(&READ_ONLY))
    }

    /// Says whether a condition holds.
    pub fn set_condition(&self, condition: Condition, holds: bool) {
        if holds {
            self.state.fetch_or(condition as i64, Relaxed);
        } else {
            self.state.fetch_and(!(condition as i64), Relaxed);
        }
    }

    /// Whether a condition holds.
    #[inline]
    pub fn is(&self, condition: Condition) -> bool {
        self.state.load(Relaxed) & condition as i64 != 0
    }

    /// Says whether a script has been running for too long.
    pub fn set_busy(&self, busy: bool) {
        if busy {
            self.state.fetch_or(BUSY, Relaxed);
        } else {
            self.state.fetch_and(!BUSY, Relaxed);
        }
    }

    /// Whether one has.
    pub fn is_busy(&self) -> bool {
        self.state.load(Relaxed) & BUSY != 0
    }

    /// Has those who write wait for the journal, or no longer.
    pub fn set_behind(&self, behind: bool) {
        if behind {
            self.state.fetch_or(BEHIND, Relaxed);
        } else {
            self.state.fetch_and(!BEHIND, Relaxed);
        }
    }

    /// Has those who write wait for something that the server does, or no longer.
    pub fn set_own(&self, own: bool) {
        if own {
            self.state.fetch_or(OWN, Relaxed);
        } else {
            self.state.fetch_and(!OWN, Relaxed);
        }
    }

    /// Whether they wait.
    pub fn is_behind(&self) -> bool {
        self.state.load(Relaxed) & BEHIND != 0
    }

    /// Until when, as far as that is known, and for which commands clients are paused: `Some((until, writes only))`.
    #[inline]
    pub fn get(&self, now_ms: i64) -> Option<(i64, bool)> {
        let state = self.state.load(Relaxed);
        let until_ms = state >> TIME_SHIFT;
        let is_on = until_ms > now_ms;
        match state & OWN != 0 {
            true => Some((UNTIL_MAX, !is_on || state & ALL == 0)),
            false => is_on.then_some((until_ms, state & ALL == 0)),
        }
    }

    /// Whether clients have asked for a pause that is on, of whatever strictness: a primary's writes wait for its end as well.
    #[inline]
    pub fn holds_stream(&self, now_ms: i64) -> bool {
        self.state.load(Relaxed) >> TIME_SHIFT > now_ms
    }

    /// Whether those who write wait for the end of something.
    pub fn holds_writers(&self, now_ms: i64) -> bool {
        self.is_behind() || self.get(now_ms).is_some()
    }

    /// Whether a pause may be on or writes are refused, without looking at the clock.
    #[inline]
    pub fn may_be_on(&self) -> bool {
        self.state.load(Relaxed) != 0
    }

    /// Forgets a pause whose time is over, so that nobody has to look at the clock for it any more.
    pub fn forget_if_over(&self, now_ms: i64) {
        let state = self.state.load(Relaxed);
        if state >> TIME_SHIFT != 0 && state >> TIME_SHIFT <= now_ms {
            // Fails where something has changed meanwhile; the next look does it then.
            let _ = self.state.compare_exchange(state, state & OTHERS, Relaxed, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_together_are_as_long_as_the_longest_and_as_strict_as_the_strictest() {
        for pauses in [[(500, false), (900, true)], [(900, true), (500, false)], [(900, false), (500, true)]] {
            let pause = Pause::default();
            pauses.iter().for_each(|&(until, writes_only)| pause.start(until, writes_only, 100));
            assert_eq!(
                (pause.get(100), pause.get(899), pause.get(900)),
                (Some((900, false)), Some((900, false)), None)
            );
        }
    }

    #[test]
    fn a_pause_that_is_over_makes_no_later_one_stricter() {
        let pause = Pause::default();
        pause.start(500, false, 100);
        pause.start(900, true, 500);
        assert_eq!(pause.get(600), Some((900, true)));
        pause.forget_if_over(899);
        assert!(pause.may_be_on());
        pause.forget_if_over(900);
        assert!(!pause.may_be_on());
    }

    #[test]
    fn too_few_replicas_are_told_of_whatever_becomes_of_a_pause() {
        let pause = Pause::default();
        pause.refuse_writes(Refusal::TooFewReplicas, true);
        pause.start(500, false, 100);
        assert_eq!((pause.refusal().is_some(), pause.get(100)), (true, Some((500, false))));
        pause.forget_if_over(500);
        assert_eq!((pause.refusal().is_some(), pause.get(100), pause.may_be_on()), (true, None, true));
        pause.start(900, true, 600);
        pause.refuse_writes(Refusal::TooFewReplicas, false);
        assert_eq!((pause.refusal().is_some(), pause.get(600)), (false, Some((900, true))));
        pause.end();
        assert!(!pause.may_be_on());
    }

    #[test]
    fn conditions_are_told_apart_and_outlast_pauses() {
        let pause = Pause::default();
        pause.set_condition(Condition::Follows, true);
        pause.start(500, false, 100);
        pause.end();
        let all = [Condition::Follows, Condition::Stale, Condition::Loading, Condition::LoadingBeside];
        assert_eq!(all.map(|condition| pause.is(condition)), [true, false, false, false]);
        assert_eq!((pause.refusal(), pause.get(200)), (None, None));
        pause.set_condition(Condition::Follows, false);
        assert!(!pause.may_be_on());
    }

    #[test]
    fn the_servers_own_pause_is_ended_by_the_server_alone_and_ends_no_other() {
        let pause = Pause::default();
        pause.start(500, false, 100);
        pause.set_own(true);
        assert_eq!(pause.get(100), Some((UNTIL_MAX, false)));
        assert_eq!(pause.get(500), Some((UNTIL_MAX, true)), "reads were held back by the other one only");
        assert!(pause.late_refusal().is_some_and(|error| error.0.starts_with("READONLY ")));
        pause.forget_if_over(500);
        pause.start(900, true, 600);
        pause.end();
        assert_eq!(pause.get(600), Some((UNTIL_MAX, true)));
        pause.start(900, true, 600);
        pause.set_own(false);
        assert!(pause.late_refusal().is_none());
        assert_eq!(pause.get(600), Some((900, true)));
        pause.end();
        assert!(!pause.may_be_on());
    }

    #[test]
    fn a_pause_of_no_time_is_none_and_one_for_ever_has_room() {
        let pause = Pause::default();
        pause.start(100, false, 100);
        assert!(!pause.may_be_on());
        pause.start(i64::MAX, true, 100);
        assert_eq!(pause.get(100), Some((UNTIL_MAX, true)));
        pause.end();
        assert_eq!(pause.get(100), None);
    }
}
