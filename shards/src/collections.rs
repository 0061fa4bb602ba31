//! The collection types as the keyspace sees them.

use crate::object::{Collection, Object, Type};
use crate::types::hash::Hash;
use crate::types::list::List;
use crate::types::set::Set;
use crate::types::zset::ZSet;

impl Collection for Hash {
    const TYPE: Type = Type::Hash;
    casts!(Hash);

    fn empty() -> Self {
        Hash::new()
    }

    fn element_count(&self) -> usize {
        self.len()
    }

    fn encoding_name(&self) -> &'static str {
        Hash::encoding_name(self)
    }

    fn allocated_bytes(&self, samples: usize) -> usize {
        Hash::allocated_bytes(self, samples)
    }

    fn free_effort(&self) -> usize {
        Hash::free_effort(self)
    }

    fn duplicate(&self) -> Self {
        self.clone()
    }
}

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

    fn free_effort(&self) -> usize {
        List::free_effort(self)
    }

    fn duplicate(&self) -> Self {
        self.clone()
    }
}

impl Collection for Set {
    const TYPE: Type = Type::Set;
    casts!(Set);

    fn empty() -> Self {
        Set::new()
    }

    fn element_count(&self) -> usize {
        self.len()
    }

    fn encoding_name(&self) -> &'static str {
        Set::encoding_name(self)
    }

    fn allocated_bytes(&self, samples: usize) -> usize {
        Set::allocated_bytes(self, samples)
    }

    fn free_effort(&self) -> usize {
        Set::free_effort(self)
    }

    fn duplicate(&self) -> Self {
        self.clone()
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

    fn free_effort(&self) -> usize {
        if self.packed().is_some() {
            1
        } else {
            self.len()
        }
    }

    fn duplicate(&self) -> Self {
        self.clone()
    }
}
