//! Numbers for the clients that track what they read: small ones, so that who has read a key fits into a word.
//!
//! A number is used again when its client has gone, while shards still have it among the readers of keys. So that nobody is told
//! of what another one has read, time is counted in **eras**, one for each number that was given out. A key's readers carry the
//! era in which the last one was added: a number that was given out in a later era was not among them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Release};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// Who has a number, and since which era.
#[derive(Clone, Copy)]
struct Holder {
    token: u64,
    since: u64,
}

/// The holders of all numbers, and who had those that nobody has.
#[derive(Default)]
pub struct Holders {
    all: Vec<Holder>,
    free: BTreeSet<u32>,
}

impl Holders {
    /// The token of the client with a number that was given out in this era or before.
    pub fn token(&self, number: u32, era: u64) -> Option<u64> {
        self.all.get(number as usize).filter(|holder| holder.since <= era).map(|holder| holder.token)
    }
}

/// See the [module](self).
#[derive(Default)]
pub struct ReaderNumbers {
    era: AtomicU64,
    holders: RwLock<Holders>,
}

impl ReaderNumbers {
    /// The era now. Whoever has been told a number sees at least the era in which it was given out.
    #[inline]
    pub fn era(&self) -> u64 {
        self.era.load(Acquire)
    }

    /// The smallest free number, for a client with this token, from now on.
    pub fn take(&self, token: u64) -> u32 {
        let mut holders = self.holders.write().unwrap_or_else(PoisonError::into_inner);
        let since = self.era.load(Acquire) + 1;
        let number = holders.free.pop_first().unwrap_or(holders.all.len() as u32);
        let holder = Holder { token, since };
        match holders.all.get_mut(number as usize) {
            Some(place) => *place = holder,
            None => holders.all.push(holder),
        }
        self.era.store(since, Release);
        number
    }

    /// The client with this number has gone.
    pub fn give_back(&self, number: u32) {
        self.holders.write().unwrap_or_else(PoisonError::into_inner).free.insert(number);
    }

    /// Who has which number.
    pub fn holders(&self) -> RwLockReadGuard<'_, Holders> {
        self.holders.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_used_again_is_not_taken_for_the_one_before() {
        let numbers = ReaderNumbers::default();
        assert_eq!([7, 9, 11].map(|token| numbers.take(token)), [0, 1, 2]);
        let before = numbers.era();
        numbers.give_back(1);
        assert_eq!(numbers.holders().token(1, before), Some(9), "it has gone, but nobody else has come");
        assert_eq!(numbers.take(13), 1);
        assert_eq!([before, numbers.era()].map(|era| numbers.holders().token(1, era)), [None, Some(13)]);
        assert_eq!(numbers.holders().token(2, before), Some(11));
        assert_eq!(numbers.holders().token(3, before), None);
        assert_eq!(numbers.take(15), 3);
    }
}
