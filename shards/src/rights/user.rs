//! A user: its name, its passwords, and what it may do.

use crate::declaration::table::Command;
use sherd_types::sha256::{sha256, DIGEST_BYTES};

use super::key_patterns::KeyPatterns;
use super::selector::{first_key_uses, Attempt, Denied, Selector};
use super::Uses;

/// The user that a connection has before it has said who it is.
pub const DEFAULT_NAME: &[u8] = b"default";

/// See [`crate::rights`]. Immutable.
#[derive(Debug)]
pub struct User {
    /// Differs from that of every other user there was, also of one with the same name that was deleted.
    pub identity: u64,
    pub name: Vec<u8>,
    /// Whether one may log in as this user. Who has done so goes on.
    pub is_enabled: bool,
    /// Whether any password will do.
    pub needs_no_password: bool,
    /// Digests.
    pub passwords: Vec<[u8; DIGEST_BYTES]>,
    /// Sets of rights, of which one must allow a command line.
    pub(super) selectors: Vec<Selector>,
    pub(super) is_restricted: bool,
}

impl Default for User {
    /// The default user as it is without any rule.
    fn default() -> User {
        User { needs_no_password: true, ..User::new(DEFAULT_NAME.to_vec(), vec![Selector::all()]) }
    }
}

impl User {
    /// A user with these rights and no passwords, whose identity is that of the default one.
    pub fn new(name: Vec<u8>, selectors: Vec<Selector>) -> User {
        User {
            identity: 0,
            name,
            is_enabled: true,
            needs_no_password: false,
            passwords: Vec::new(),
            is_restricted: !selectors.iter().any(Selector::is_all),
            selectors,
        }
    }

    /// Whether there is anything that the user may not do.
    #[inline]
    pub fn is_restricted(&self) -> bool {
        self.is_restricted
    }

    /// Whether the user may execute a command line in a database, and else why not.
    pub fn check<H: Copy>(&self, command: &'static Command<H>, args: &[&[u8]], db: u16) -> Result<(), Denied> {
        if !self.is_restricted {
            return Ok(());
        }
        let attempt = Attempt::new(command, args, db);
        let mut told: Option<Denied> = None;
        for selector in &self.selectors {
            match selector.check(&attempt) {
                Ok(()) => return Ok(()),
                Err(denied) => told = told.max(Some(denied)),
            }
        }
        Err(told.unwrap_or(Denied::Command))
    }

    /// Whether the user may execute a command line with keys that it does not name, but that are known: one set of rights must
    /// allow all of it. Else the number of a key that is to blame.
    pub fn check_found<H: Copy>(
        &self,
        command: &'static Command<H>,
        args: &[&[u8]],
        db: u16,
        keys: &[Vec<u8>],
    ) -> Result<(), usize> {
        let (attempt, uses) = (Attempt::new(command, args, db), command.first_key_uses.unwrap_or_default());
        let mut blamed = 0;
        for selector in self.selectors.iter().filter(|selector| selector.check(&attempt).is_ok()) {
            match keys.iter().position(|key| !selector.allows_key(key, uses)) {
                Some(at) => blamed = at,
                None => return Ok(()),
            }
        }
        Err(blamed)
    }

    /// For asking about many command lines of one command.
    pub fn in_row<H: Copy>(&self, command: &'static Command<H>, db: u16) -> Row<'_, H> {
        let by_key = match (self.selectors.as_slice(), command.first_key_uses) {
            ([only], Some(uses)) => only.decides_by_first_key(command, db).map(|keys| (keys, uses)),
            _ => None,
        };
        Row { user: self, command, db, by_key }
    }

    /// Whether the user may execute a command line that reads keys which it does not name: one set of rights must allow the
    /// command line and reading every key.
    pub fn may_read_beyond<H: Copy>(&self, command: &'static Command<H>, args: &[&[u8]], db: u16) -> bool {
        let attempt = Attempt::new(command, args, db);
        self.selectors.iter().any(|selector| selector.reads_everything() && selector.check(&attempt).is_ok())
    }

    /// Whether a subscription to a channel, or to a pattern, may stay.
    pub fn may_hear(&self, name: &[u8], is_pattern: bool) -> bool {
        self.selectors.iter().any(|selector| selector.may_hear(name, is_pattern))
    }

    /// Whether one may log in as this user with a password. Takes the same time for every wrong one of the same length.
    pub fn accepts(&self, password: &[u8]) -> bool {
        let digest = sha256(password);
        let is_known = self.passwords.iter().fold(false, |found, known| found | same_digest(known, &digest));
        self.is_enabled & (self.needs_no_password | is_known)
    }
}

/// Command lines of one command, one after the other: what is the same for all of them is looked at once.
pub struct Row<'a, H: 'static> {
    user: &'a User,
    command: &'static Command<H>,
    db: u16,
    /// Where nothing but the first key decides: the patterns, or all keys, and what the command does to it.
    by_key: Option<(Option<&'a KeyPatterns>, Uses)>,
}

impl<H: Copy> Row<'_, H> {
    /// Whether the user may execute this one. `likely` is kept from one to the next, of whatever row: where to look first.
    #[inline]
    pub fn allows(&self, args: &[&[u8]], likely: &mut usize) -> bool {
        match (self.by_key, args) {
            (Some((None, _)), _) => true,
            (Some((Some(keys), uses)), [_, key, ..]) => {
                keys.allow_likely(key, first_key_uses(self.command, uses, args), likely)
            }
            _ => self.user.check(self.command, args, self.db).is_ok(),
        }
    }
}

/// Takes the time that it takes to say no to a password where there is no such user.
pub fn refuse_password(password: &[u8]) -> bool {
    std::hint::black_box(sha256(password));
    false
}

/// Looks at all bytes, whatever the first ones say.
fn same_digest(a: &[u8; DIGEST_BYTES], b: &[u8; DIGEST_BYTES]) -> bool {
    std::hint::black_box(a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b))) == 0
}
