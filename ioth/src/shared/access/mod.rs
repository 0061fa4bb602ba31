//! The users of a server, and what was denied to them.
//!
//! The table is changed by the control plane alone. Whoever has a user of it keeps a reference; a change raises the
//! generation, and a connection that sees another generation than its own looks its user up again, before it looks at anything
//! that it has received since. So what is sent after a change was answered is judged by it.

pub mod log;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use sherd_shards::rights::user::DEFAULT_NAME;
use sherd_shards::rights::User;

use log::{AccessLog, Reason};

type Table = HashMap<Vec<u8>, Arc<User>>;

/// Changed users, and the names of those that are deleted.
#[derive(Default)]
pub struct Change {
    pub users: Vec<User>,
    pub deleted: Vec<Vec<u8>>,
}

/// See the [module](self).
pub struct Access {
    users: RwLock<Table>,
    /// Grows with every change, after it was made.
    generation: AtomicU64,
    /// The identity of the next user that is new.
    next_identity: AtomicU64,
    /// Whether a new connection has to log in, without the table's lock.
    asks_for_password: AtomicBool,
    /// Whether any password will do for the default user.
    is_open: AtomicBool,
    pub log: AccessLog,
    denials: [AtomicU64; Reason::ALL.len()],
}

impl Default for Access {
    fn default() -> Access {
        let user = Arc::new(User::default());
        Access {
            next_identity: AtomicU64::new(user.identity + 1),
            users: RwLock::new(HashMap::from([(user.name.clone(), user)])),
            generation: AtomicU64::new(0),
            asks_for_password: AtomicBool::new(false),
            is_open: AtomicBool::new(true),
            log: AccessLog::default(),
            denials: Default::default(),
        }
    }
}

impl Access {
    fn table(&self) -> RwLockReadGuard<'_, Table> {
        self.users.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// A user by its name.
    pub fn find(&self, name: &[u8]) -> Option<Arc<User>> {
        self.table().get(name).cloned()
    }

    /// The user of those who have not logged in.
    pub fn default_user(&self) -> Arc<User> {
        self.find(DEFAULT_NAME).expect("the default user is never deleted")
    }

    /// What a user is now that somebody has known earlier; `None` if it was deleted, though there may be another of its name.
    pub fn same_user(&self, user: &User) -> Option<Arc<User>> {
        self.find(&user.name).filter(|found| found.identity == user.identity)
    }

    /// Asked before users are looked up: acquires, so that who sees a generation sees its users.
    #[inline]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Whether a new connection has to log in.
    #[inline]
    pub fn asks_for_password(&self) -> bool {
        self.asks_for_password.load(Ordering::Relaxed)
    }

    /// Whether the default user needs no password, so that anybody who reaches the port may do what it may.
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Changes users. The default one cannot be deleted.
    pub fn change(&self, change: Change) {
        let mut table = self.users.write().unwrap_or_else(PoisonError::into_inner);
        for name in change.deleted.iter().filter(|name| *name != DEFAULT_NAME) {
            table.remove(name);
        }
        for mut user in change.users {
            user.identity = match table.get(&user.name) {
                Some(known) => known.identity,
                None => self.next_identity.fetch_add(1, Ordering::Relaxed),
            };
            table.insert(user.name.clone(), Arc::new(user));
        }
        let default = &table[DEFAULT_NAME];
        self.is_open.store(default.needs_no_password, Ordering::Relaxed);
        self.asks_for_password.store(!default.needs_no_password || !default.is_enabled, Ordering::Relaxed);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Counts a denial.
    pub fn count(&self, reason: Reason) {
        self.denials[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Denials for a reason.
    pub fn denials(&self, reason: Reason) -> u64 {
        self.denials[reason as usize].load(Ordering::Relaxed)
    }

    /// CONFIG RESETSTAT.
    pub fn reset_denials(&self) {
        self.denials.iter().for_each(|count| count.store(0, Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> User {
        User::new(name.as_bytes().to_vec(), Vec::new())
    }

    #[test]
    fn a_changed_user_stays_the_same_and_one_that_was_deleted_does_not_come_back() {
        let access = Access::default();
        access.change(Change { users: vec![user("anna")], ..Change::default() });
        let anna = access.find(b"anna").expect("anna is there");
        let before = access.generation();
        access.change(Change { users: vec![user("anna")], ..Change::default() });
        assert!(access.generation() > before);
        assert!(access.same_user(&anna).is_some_and(|changed| !Arc::ptr_eq(&changed, &anna)));
        access.change(Change { deleted: vec![b"anna".to_vec()], ..Change::default() });
        assert!(access.find(b"anna").is_none());
        access.change(Change { users: vec![user("anna")], ..Change::default() });
        assert!(access.find(b"anna").is_some() && access.same_user(&anna).is_none());
    }

    #[test]
    fn the_default_user_says_whether_one_has_to_log_in() {
        let access = Access::default();
        let default = |open, enabled| {
            let mut user = User::default();
            (user.needs_no_password, user.is_enabled) = (open, enabled);
            user
        };
        for (open, enabled, asks) in [(true, true, false), (false, true, true), (true, false, true)] {
            access.change(Change { users: vec![default(open, enabled)], deleted: vec![b"default".to_vec()] });
            assert_eq!((access.is_open(), access.asks_for_password()), (open, asks));
        }
    }
}
