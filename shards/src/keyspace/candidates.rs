//! The best candidates for eviction that a shard has seen so far.
//!
//! A handful of samples seldom holds the best key of a shard, but the best of what is left of earlier handfuls comes close
//! to it: sixteen candidates are kept in order, and each sample is set against them.

/// Candidates kept.
pub const POOL: usize = 16;
/// A key's buffer that was longer than this is not kept for the next candidate.
const KEY_KEEP_MAX: usize = 256;

/// A key that may be evicted; it may be gone or changed by the time that its turn comes.
#[derive(Default, Debug)]
pub struct Candidate {
    pub score: u64,
    pub db: u16,
    pub slot: u16,
    pub key: Vec<u8>,
}

/// A shard's state of eviction.
#[derive(Default)]
pub struct Evictor {
    pub(crate) pool: Pool,
    /// Nanoseconds spent in the batch that is being executed.
    pub(crate) spent: u64,
}

impl Evictor {
    /// A new batch begins.
    #[inline]
    pub fn begin_batch(&mut self) {
        self.spent = 0;
    }
}

/// See the [module](self). The highest score is last.
#[derive(Default, Debug)]
pub struct Pool {
    candidates: Vec<Candidate>,
    /// The eviction policy that the scores belong to.
    policy: i64,
    /// A buffer for the next candidate's key.
    spare: Vec<u8>,
}

impl Pool {
    /// Forgets candidates whose scores belong to another policy.
    pub fn set_policy(&mut self, policy: i64) {
        if self.policy != policy {
            self.policy = policy;
            self.candidates.clear();
        }
    }

    /// Sets a key against the candidates.
    #[inline]
    pub fn offer(&mut self, score: u64, db: u16, slot: u16, key: &[u8]) {
        let full = self.candidates.len() == POOL;
        if full && score <= self.candidates[0].score {
            return;
        }
        let mut at = self.candidates.partition_point(|candidate| candidate.score < score);
        // The hand that samples comes round to a key that is still here only in small keyspaces.
        if self.candidates.iter().any(|candidate| candidate.key == key && candidate.db == db) {
            return;
        }
        let mut buffer = std::mem::take(&mut self.spare);
        if full {
            buffer = self.candidates.remove(0).key;
            at -= 1;
        }
        buffer.clear();
        buffer.extend_from_slice(key);
        self.candidates.insert(at, Candidate { score, db, slot, key: buffer });
    }

    /// Takes the best candidate.
    pub fn pop(&mut self) -> Option<Candidate> {
        self.candidates.pop()
    }

    /// Takes back a candidate that is done with, for its buffer.
    pub fn recycle(&mut self, candidate: Candidate) {
        if candidate.key.capacity() <= KEY_KEEP_MAX {
            self.spare = candidate.key;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(pool: &mut Pool, scores: impl IntoIterator<Item = u64>) {
        for score in scores {
            pool.offer(score, 0, 0, score.to_string().as_bytes());
        }
    }

    #[test]
    fn the_pool_keeps_the_best_candidates_and_gives_the_best_first() {
        let mut pool = Pool::default();
        offer(&mut pool, (0..100).map(|number| number * 37 % 100));
        let scores: Vec<u64> = std::iter::from_fn(|| pool.pop()).map(|candidate| candidate.score).collect();
        assert_eq!(scores, (84..100).rev().collect::<Vec<u64>>());
    }

    #[test]
    fn a_key_is_in_the_pool_once() {
        let mut pool = Pool::default();
        offer(&mut pool, [5, 5, 7, 5]);
        assert_eq!((pool.pop().map(|c| c.key), pool.pop().map(|c| c.key)), (Some(b"7".to_vec()), Some(b"5".to_vec())));
        assert!(pool.pop().is_none());
    }

    #[test]
    fn candidates_of_another_policy_are_forgotten() {
        let mut pool = Pool::default();
        pool.set_policy(1);
        offer(&mut pool, [1, 2]);
        pool.set_policy(1);
        assert!(pool.pop().is_some());
        pool.set_policy(3);
        assert!(pool.pop().is_none());
    }
}
