//! What a command does to a key, as the flags of its specification say.

/// What is done to a key, as a set of bits.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Uses(u8);

impl Uses {
    /// Nothing but to look whether it is there and of which type.
    pub const NONE: Uses = Uses(0);
    /// What is in it comes out.
    pub const READ: Uses = Uses(1);
    /// It is changed, made or removed.
    pub const WRITE: Uses = Uses(2);
    pub const BOTH: Uses = Uses(3);

    /// Whether these allow all of the others.
    #[inline]
    pub const fn allow(self, others: Uses) -> bool {
        self.0 & others.0 == others.0
    }

    /// The uses of both sets.
    pub const fn with(self, others: Uses) -> Uses {
        Uses(self.0 | others.0)
    }
}

/// What the flags of a key specification say.
pub fn uses_of(flags: &str) -> Uses {
    let is_any = |flag: &str, words: &[&str]| words.iter().any(|word| flag.eq_ignore_ascii_case(word));
    flags.split(' ').fold(Uses::NONE, |uses, flag| match flag {
        _ if is_any(flag, &["access"]) => uses.with(Uses::READ),
        _ if is_any(flag, &["insert", "update", "delete"]) => uses.with(Uses::WRITE),
        _ => uses,
    })
}
