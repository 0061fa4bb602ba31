//! Counters that are declared once: the field, whether CONFIG RESETSTAT sets it to zero, and where the picture of all
//! counters ([`Shown`]) has it.
//!
//! Whoever resets or shows counters goes through [`Catalogue::for_each`] and names none of them, so there is no second list
//! that a new counter could be missing from.

use crate::Counter;

/// What CONFIG RESETSTAT does to a counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnReset {
    /// It counts from zero again.
    Zero,
    /// It says how things are, or what must not begin anew.
    Keep,
}

/// Where a counter is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shown {
    /// In the list of shards or of IO threads, by this name.
    Each(&'static str),
    /// The same, of a counter of nanoseconds.
    EachInSeconds(&'static str),
    /// In a part, by a name: the sum of all shards and threads, and of all counters with this part and name.
    Sum(&'static str, &'static str),
    /// The same, but the largest.
    Max(&'static str, &'static str),
}

/// What is declared of a counter.
#[derive(Debug)]
pub struct Declared {
    /// The field.
    pub name: &'static str,
    pub on_reset: OnReset,
    pub shown: &'static [Shown],
}

/// A group of declared counters; see [`counters!`](crate::counters).
pub trait Catalogue {
    /// Visits every counter of the group.
    fn for_each(&self, visit: &mut dyn FnMut(&'static Declared, &Counter));

    /// CONFIG RESETSTAT.
    fn reset_counters(&self) {
        self.for_each(&mut |declared, counter| {
            if declared.on_reset == OnReset::Zero {
                counter.set(0);
            }
        });
    }
}

/// Declares a struct of counters. A row is `name: Zero or Keep, and where it is shown`; fields that are no counters follow
/// after `and`.
#[macro_export]
macro_rules! counters {
    (
        $(#[$attribute:meta])*
        pub struct $group:ident {
            $($(#[$doc:meta])* $counter:ident: $on_reset:ident $(, $shown:ident($($argument:literal),*))*;)*
        }
        $(and {
            $($(#[$other_doc:meta])* $other:ident: $type:ty,)*
        })?
    ) => {
        $(#[$attribute])*
        pub struct $group {
            $($(#[$doc])* pub $counter: $crate::Counter,)*
            $($($(#[$other_doc])* pub $other: $type,)*)?
        }

        impl $crate::catalogue::Catalogue for $group {
            fn for_each(&self, visit: &mut dyn FnMut(&'static $crate::catalogue::Declared, &$crate::Counter)) {
                $(
                    visit(
                        &$crate::catalogue::Declared {
                            name: stringify!($counter),
                            on_reset: $crate::catalogue::OnReset::$on_reset,
                            shown: &[$($crate::catalogue::Shown::$shown($($argument),*)),*],
                        },
                        &self.$counter,
                    );
                )*
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    counters! {
        #[derive(Default)]
        pub struct Group {
            calls: Zero, Sum("totals", "calls"), Each("calls");
            /// Now.
            open: Keep, Max("clients", "open");
            hidden: Zero;
        } and {
            name: &'static str,
        }
    }

    #[test]
    fn every_counter_is_visited_and_reset_as_it_was_declared() {
        let group = Group { name: "a", ..Group::default() };
        group.for_each(&mut |_, counter| counter.add(3));
        group.reset_counters();
        let mut seen = Vec::new();
        group.for_each(&mut |declared, counter| seen.push((declared.name, counter.get(), declared.shown)));
        assert_eq!(
            seen,
            [
                ("calls", 0, [Shown::Sum("totals", "calls"), Shown::Each("calls")].as_slice()),
                ("open", 3, &[Shown::Max("clients", "open")]),
                ("hidden", 0, &[]),
            ]
        );
        assert_eq!(group.name, "a");
    }
}
