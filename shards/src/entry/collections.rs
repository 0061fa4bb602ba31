//! The collection types as the keyspace sees them.

use crate::entry::object::{Collection, Object, ObjectMut, ObjectRef, Type};
use sherd_types::hash::{Fields, Hash};
use sherd_types::list::List;
use sherd_types::mover::Mover;
use sherd_types::set::Set;
use sherd_types::stream::{BoxedStream, Stream};
use sherd_types::table::Prefetch;
use sherd_types::walk::Walkable;
use sherd_types::zset::ZSet;

/// Hashes and sets: tables of elements that may expire.
macro_rules! timed_table {
    ($type:ident) => {
        impl Collection for $type {
            const TYPE: Type = Type::$type;
            casts!($type);

            fn empty() -> Self {
                $type::new()
            }

            fn element_count(&self) -> usize {
                self.len()
            }

            fn encoding_name(&self) -> &'static str {
                $type::encoding_name(self)
            }

            fn allocated_bytes(&self, samples: usize) -> usize {
                $type::allocated_bytes(self, samples)
            }

            fn defragment(&mut self, mover: &mut Mover<'_>, at: usize, limit: usize) -> usize {
                $type::defragment(self, mover, at, limit)
            }

            fn free_effort(&self) -> usize {
                $type::free_effort(self)
            }

            #[inline]
            fn element_table(&self) -> Option<&dyn Prefetch> {
                $type::element_table(self)
            }

            fn duplicate(&self) -> Self {
                self.clone()
            }

            #[inline]
            fn timed(&self) -> Option<&Fields> {
                $type::timed(self)
            }

            #[inline]
            fn timed_mut(&mut self) -> Option<&mut Fields> {
                $type::timed_mut(self)
            }

            fn walkable(&mut self) -> Option<&mut dyn Walkable> {
                Some(self)
            }

            fn is_walkable_from(&self, elements: usize) -> bool {
                self.len() >= elements && self.is_walkable()
            }

            #[inline]
            fn is_walked(&self) -> bool {
                $type::is_walked(self)
            }
        }
    };
}

timed_table!(Hash);
timed_table!(Set);

impl Collection for List {
    const TYPE: Type = Type::List;
    casts!(List);

    fn empty() -> Self {
        List::new()
    }

    fn element_count(&self) -> usize {
        self.len()
    }

    fn encoding_name(&self) -> &'static str {
        List::encoding_name(self)
    }

    fn allocated_bytes(&self, samples: usize) -> usize {
        List::allocated_bytes(self, samples)
    }

    fn defragment(&mut self, mover: &mut Mover<'_>, at: usize, limit: usize) -> usize {
        List::defragment(self, mover, at, limit)
    }

    fn free_effort(&self) -> usize {
        List::free_effort(self)
    }

    fn duplicate(&self) -> Self {
        self.clone()
    }

    fn walkable(&mut self) -> Option<&mut dyn Walkable> {
        Some(self)
    }

    fn is_walkable_from(&self, elements: usize) -> bool {
        self.len() >= elements && self.is_walkable()
    }

    #[inline]
    fn is_walked(&self) -> bool {
        List::is_walked(self)
    }
}

impl Collection for ZSet {
    const TYPE: Type = Type::SortedSet;
    casts!(SortedSet);

    fn empty() -> Self {
        ZSet::new()
    }

    fn element_count(&self) -> usize {
        self.len()
    }

    fn encoding_name(&self) -> &'static str {
        self.encoding()
    }

    fn allocated_bytes(&self, _samples: usize) -> usize {
        self.memory_bytes()
    }

    fn defragment(&mut self, mover: &mut Mover<'_>, at: usize, limit: usize) -> usize {
        ZSet::defragment(self, mover, at, limit)
    }

    fn free_effort(&self) -> usize {
        if self.packed().is_some() {
            1
        } else {
            self.len()
        }
    }

    #[inline]
    fn element_table(&self) -> Option<&dyn Prefetch> {
        ZSet::element_table(self)
    }

    fn duplicate(&self) -> Self {
        self.clone()
    }

    fn walkable(&mut self) -> Option<&mut dyn Walkable> {
        Some(self)
    }

    fn is_walkable_from(&self, elements: usize) -> bool {
        self.len() >= elements && self.is_walkable()
    }

    #[inline]
    fn is_walked(&self) -> bool {
        ZSet::is_walked(self)
    }
}

/// A stream of fewer blocks, which are what is walked, is not walked for its entries.
const BLOCKS_MIN: usize = 8;

/// In a box of its own: a stream has a lot to remember, and the other collections shall not grow to its size.
impl Collection for BoxedStream {
    const TYPE: Type = Type::Stream;
    casts!(Stream);

    fn empty() -> Self {
        BoxedStream::default()
    }

    fn element_count(&self) -> usize {
        self.log().len() as usize
    }

    fn encoding_name(&self) -> &'static str {
        "stream"
    }

    fn allocated_bytes(&self, samples: usize) -> usize {
        Stream::allocated_bytes(self, samples)
    }

    fn defragment(&mut self, mover: &mut Mover<'_>, at: usize, limit: usize) -> usize {
        if at == 0 {
            self.relocate(mover);
        }
        Stream::defragment(self, mover, at, limit)
    }

    fn free_effort(&self) -> usize {
        Stream::free_effort(self)
    }

    fn duplicate(&self) -> Self {
        self.clone()
    }

    fn walkable(&mut self) -> Option<&mut dyn Walkable> {
        Some(self)
    }

    fn is_walkable_from(&self, elements: usize) -> bool {
        self.log().len() as usize >= elements && self.log().block_count() >= BLOCKS_MIN || self.remembers(elements)
    }

    #[inline]
    fn is_walked(&self) -> bool {
        Stream::is_walked(self)
    }
}
