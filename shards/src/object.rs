//! Values that are collections, behind one pointer in their entry.
//!
//! A new collection type is one line in `objects!` and one `Collection` implementation.

use crate::types::hash::Fields;

/// A value's type, as TYPE names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    String,
    List,
    Set,
    SortedSet,
    Hash,
    Stream,
}

impl Type {
    /// The name in TYPE's reply.
    pub const fn name(self) -> &'static str {
        match self {
            Type::String => "string",
            Type::List => "list",
            Type::Set => "set",
            Type::SortedSet => "zset",
            Type::Hash => "hash",
            Type::Stream => "stream",
        }
    }
}

/// What the keyspace needs to know of a collection type.
pub trait Collection: Sized {
    /// Its type.
    const TYPE: Type;
    /// An empty one.
    fn empty() -> Self;
    /// Elements in it; a key whose collection has none is removed.
    fn element_count(&self) -> usize;
    /// What OBJECT ENCODING says.
    fn encoding_name(&self) -> &'static str;
    /// Bytes allocated, estimated from `samples` elements (0: from all).
    fn allocated_bytes(&self, samples: usize) -> usize;
    /// How many allocations freeing it frees.
    fn free_effort(&self) -> usize;
    /// An independent copy (COPY).
    fn duplicate(&self) -> Self;
    /// The elements that expire and those beside them; `None` if nothing in it has ever had a time.
    #[inline]
    fn timed(&self) -> Option<&Fields> {
        None
    }
    /// As [`Collection::timed`].
    #[inline]
    fn timed_mut(&mut self) -> Option<&mut Fields> {
        None
    }
    /// Moves it into an object.
    fn wrap(self) -> Object;
    /// The object's collection, if it is of this type.
    fn of(object: &Object) -> Option<&Self>;
    /// The object's collection, if it is of this type.
    fn of_mut(object: &mut Object) -> Option<&mut Self>;
}

macro_rules! objects {
    ($($variant:ident($type:ty): $kind:ident;)*) => {
        /// See the file's head.
        pub enum Object {
            $($variant($type),)*
        }

        impl Object {
            /// Its type.
            pub fn value_type(&self) -> Type {
                match self { $(Object::$variant(_) => Type::$kind,)* }
            }
            /// What OBJECT ENCODING says.
            pub fn encoding(&self) -> &'static str {
                match self { $(Object::$variant(value) => value.encoding_name(),)* }
            }
            /// What expires in it; see [`Collection::timed`].
            #[inline]
            pub fn timed(&self) -> Option<&Fields> {
                match self { $(Object::$variant(value) => value.timed(),)* }
            }
            /// As [`Object::timed`].
            #[inline]
            pub fn timed_mut(&mut self) -> Option<&mut Fields> {
                match self { $(Object::$variant(value) => value.timed_mut(),)* }
            }
            /// Bytes allocated; see [`Collection::allocated_bytes`].
            pub fn memory_bytes(&self, samples: usize) -> usize {
                match self { $(Object::$variant(value) => value.allocated_bytes(samples),)* }
            }
            /// Elements in it.
            pub fn element_count(&self) -> usize {
                match self { $(Object::$variant(value) => value.element_count(),)* }
            }
            /// See [`Collection::free_effort`].
            pub fn free_effort(&self) -> usize {
                match self { $(Object::$variant(value) => value.free_effort(),)* }
            }
            /// An independent copy.
            pub fn duplicate(&self) -> Object {
                match self { $(Object::$variant(value) => Object::$variant(value.duplicate()),)* }
            }
        }

        $(impl From<$type> for Object {
            fn from(value: $type) -> Object {
                Object::$variant(value)
            }
        })*
    };
}

/// The parts of [`Collection`] that are alike for every type.
macro_rules! casts {
    ($variant:ident) => {
        fn wrap(self) -> Object {
            Object::$variant(self)
        }
        fn of(object: &Object) -> Option<&Self> {
            match object {
                Object::$variant(value) => Some(value),
                #[allow(unreachable_patterns)]
                _ => None,
            }
        }
        fn of_mut(object: &mut Object) -> Option<&mut Self> {
            match object {
                Object::$variant(value) => Some(value),
                #[allow(unreachable_patterns)]
                _ => None,
            }
        }
    };
}

objects! {
    Hash(crate::types::hash::Hash): Hash;
    List(crate::types::list::List): List;
    Set(crate::types::set::Set): Set;
    SortedSet(crate::types::zset::ZSet): SortedSet;
    Stream(Box<crate::types::stream::Stream>): Stream;
}
