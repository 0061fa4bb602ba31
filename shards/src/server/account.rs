//! What a shard's data take, in bytes: added to by whoever holds the shard, and by the background thread, which frees later.

use std::ops::Deref;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// See the [module](self).
#[derive(Default, Debug)]
pub struct Account {
    bytes: AtomicI64,
    /// How often it has begun anew. What was handed over before that is no part of it any more.
    era: Mutex<u64>,
}

impl Account {
    /// Begins anew with so many bytes, as all that there was is gone or on its way to be freed.
    pub fn begin_anew(&self, bytes: i64) {
        let mut era = self.era();
        *era += 1;
        self.bytes.store(bytes, Relaxed);
    }

    // Taken where something goes to the background or comes from there, never by commands that keep to themselves.
    fn era(&self) -> MutexGuard<'_, u64> {
        self.era.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for Account {
    type Target = AtomicI64;

    fn deref(&self) -> &AtomicI64 {
        &self.bytes
    }
}

/// Bytes of an account that come free later.
pub struct Claim {
    account: Arc<Account>,
    era: u64,
}

impl Claim {
    /// A claim to an account as it is now.
    pub fn of(account: &Arc<Account>) -> Claim {
        Claim { account: Arc::clone(account), era: *account.era() }
    }

    /// Adds to the account, unless it has begun anew.
    pub fn add(&self, bytes: i64) {
        let era = self.account.era();
        if *era == self.era {
            self.account.bytes.fetch_add(bytes, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_handed_over_before_an_account_began_anew_does_not_touch_it() {
        let account = Arc::new(Account::default());
        account.fetch_add(100, Relaxed);
        let (early, kept) = (Claim::of(&account), Claim::of(&account));
        kept.add(-40);
        assert_eq!(account.load(Relaxed), 60);
        account.begin_anew(0);
        early.add(-60);
        assert_eq!(account.load(Relaxed), 0);
        account.fetch_add(7, Relaxed);
        Claim::of(&account).add(-7);
        assert_eq!(account.load(Relaxed), 0);
    }
}
