//! ACL categories as a set of bits: what a rule such as `+@read` means, and what a gate tests without looking at a name.
//!
//! Nearly all of a command's categories follow from its flags and its group; [`crate::declaration::table::categories_of`] is the one place
//! that says how. The rest stands in its specification. The set of a command is made once, with the table.
//!
//! Rejected: categories as words in specifications, which a gate would have to compare and a typing error would make silent.

/// A set of categories.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Categories(u64);

impl Categories {
    pub const NONE: Categories = Categories(0);

    /// The categories of both sets.
    pub const fn with(self, other: Categories) -> Categories {
        Categories(self.0 | other.0)
    }

    /// Those of another set only if a condition holds.
    pub const fn with_if(self, condition: bool, other: Categories) -> Categories {
        if condition {
            self.with(other)
        } else {
            self
        }
    }

    /// Whether any category is in both sets.
    #[inline]
    pub const fn meets(self, other: Categories) -> bool {
        self.0 & other.0 != 0
    }

    /// A category by its name, in lower case and without the sign.
    pub fn by_name(name: &str) -> Option<Categories> {
        ALL.iter().find(|(_, known)| *known == name).map(|(category, _)| *category)
    }

    /// The names in the order in which Redis lists them.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        ALL.iter().filter(move |(category, _)| self.meets(*category)).map(|(_, name)| *name)
    }
}

macro_rules! categories {
    ($($name:ident = $bit:expr, $text:expr;)*) => {
        $(pub const $name: Categories = Categories(1 << $bit);)*
        /// Every category with its name.
        pub const ALL: &[(Categories, &str)] = &[$(($name, $text)),*];
    };
}

// In the order in which Redis and Valkey list them.
categories! {
    KEYSPACE = 0, "keyspace";
    READ = 1, "read";
    WRITE = 2, "write";
    SET = 3, "set";
    SORTED_SET = 4, "sortedset";
    LIST = 5, "list";
    HASH = 6, "hash";
    STRING = 7, "string";
    BITMAP = 8, "bitmap";
    HYPERLOGLOG = 9, "hyperloglog";
    GEO = 10, "geo";
    STREAM = 11, "stream";
    PUBSUB = 12, "pubsub";
    ADMIN = 13, "admin";
    FAST = 14, "fast";
    SLOW = 15, "slow";
    BLOCKING = 16, "blocking";
    DANGEROUS = 17, "dangerous";
    CONNECTION = 18, "connection";
    TRANSACTION = 19, "transaction";
    SCRIPTING = 20, "scripting";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_category_has_a_bit_and_a_name_of_its_own() {
        for (number, (category, name)) in ALL.iter().enumerate() {
            assert_eq!(category.0, 1 << number);
            assert_eq!(Categories::by_name(name), Some(*category));
        }
        assert_eq!(Categories::by_name("READ"), None);
    }
}
