//! Values that are collections, as they lie in their entry.
//!
//! Every collection is a pointer with a byte or so that says what is behind it, of any alignment, so that an entry
//! holds it where the field happens to begin, beside the key: a small collection is two allocations, entry and packed
//! block. The type is in the entry's tag. [`Object`] is a collection of any type on its way into an entry or out of it,
//! [`ObjectRef`] and [`ObjectMut`] are what an entry lends.
//!
//! A new collection type is one line in `objects!` and one `Collection` implementation.

use sherd_types::hash::Fields;
use sherd_types::mover::Mover;
use sherd_types::table::Prefetch;
use sherd_types::walk::Walkable;

/// A value's type, as TYPE names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
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

    /// The type with a number; a string for a number that none has.
    #[inline]
    pub(crate) const fn from_number(number: u8) -> Type {
        match number {
            1 => Type::List,
            2 => Type::Set,
            3 => Type::SortedSet,
            4 => Type::Hash,
            5 => Type::Stream,
            _ => Type::String,
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
    /// Moves what is to be moved: of about `limit` elements (nodes or blocks of many) from the place `at` on, 0 being the
    /// first; where to go on, 0 at the end. Elements that come or go meanwhile may be passed by.
    fn defragment(&mut self, mover: &mut Mover<'_>, at: usize, limit: usize) -> usize;
    /// The table in which its elements are found by their names, if it has grown one.
    #[inline]
    fn element_table(&self) -> Option<&dyn Prefetch> {
        None
    }
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
    /// The collection as one whose elements can be walked while it changes.
    #[inline]
    fn walkable(&mut self) -> Option<&mut dyn Walkable> {
        None
    }
    /// Whether it has so many elements, in a form that can be walked.
    fn is_walkable_from(&self, _elements: usize) -> bool {
        false
    }
    /// Whether it is being walked.
    #[inline]
    fn is_walked(&self) -> bool {
        false
    }
    /// Moves it into an object.
    fn wrap(self) -> Object;
    /// The object's collection, if it is of this type.
    fn of(object: ObjectRef<'_>) -> Option<&Self>;
    /// The object's collection, if it is of this type.
    fn of_mut(object: ObjectMut<'_>) -> Option<&mut Self>;
}

macro_rules! objects {
    ($($variant:ident($type:ty): $kind:ident;)*) => {
        /// See the [module](self).
        pub enum Object {
            $($variant($type),)*
        }

        /// See the [module](self).
        #[derive(Clone, Copy)]
        pub enum ObjectRef<'a> {
            $($variant(&'a $type),)*
        }

        /// See the [module](self).
        pub enum ObjectMut<'a> {
            $($variant(&'a mut $type),)*
        }

        /// Bytes that a collection of any type takes in an entry.
        pub(crate) const OBJECT_BYTES: usize = largest(&[$(size_of::<$type>()),*]);

        const _: () = {
            $(assert!(align_of::<$type>() == 1, "a collection lies anywhere in an entry");)*
        };

        impl Object {
            /// The collection, lent.
            pub fn view(&self) -> ObjectRef<'_> {
                match self { $(Object::$variant(value) => ObjectRef::$variant(value),)* }
            }

            /// Moves the collection to `place`.
            ///
            /// # Safety
            /// [`OBJECT_BYTES`] bytes may be written there.
            pub(crate) unsafe fn write_to(self, place: *mut u8) {
                // SAFETY: by the caller's promise; a collection needs no alignment.
                match self { $(Object::$variant(value) => unsafe { place.cast::<$type>().write(value) },)* }
            }

            /// Moves the collection out of `place`.
            ///
            /// # Safety
            /// [`Object::write_to`] put one of type `kind` there, which is not used there again.
            pub(crate) unsafe fn read_from(kind: Type, place: *const u8) -> Object {
                match kind {
                    // SAFETY: by the caller's promise.
                    $(Type::$kind => Object::$variant(unsafe { place.cast::<$type>().read() }),)*
                    Type::String => unreachable!("a string is no collection"),
                }
            }
        }

        impl<'a> ObjectRef<'a> {
            /// The collection at `place`.
            ///
            /// # Safety
            /// [`Object::write_to`] put one of type `kind` there, and nobody changes it as long as it is lent.
            #[inline]
            pub(crate) unsafe fn at(kind: Type, place: *const u8) -> ObjectRef<'a> {
                match kind {
                    // SAFETY: by the caller's promise.
                    $(Type::$kind => ObjectRef::$variant(unsafe { &*place.cast::<$type>() }),)*
                    Type::String => unreachable!("a string is no collection"),
                }
            }
            /// Its type.
            pub fn value_type(self) -> Type {
                match self { $(ObjectRef::$variant(_) => Type::$kind,)* }
            }
            /// What OBJECT ENCODING says.
            pub fn encoding(self) -> &'static str {
                match self { $(ObjectRef::$variant(value) => value.encoding_name(),)* }
            }
            /// See [`Collection::element_table`].
            #[inline]
            pub fn element_table(self) -> Option<&'a dyn Prefetch> {
                match self { $(ObjectRef::$variant(value) => value.element_table(),)* }
            }
            /// What expires in it; see [`Collection::timed`].
            #[inline]
            pub fn timed(self) -> Option<&'a Fields> {
                match self { $(ObjectRef::$variant(value) => value.timed(),)* }
            }
            /// Bytes allocated; see [`Collection::allocated_bytes`].
            pub fn memory_bytes(self, samples: usize) -> usize {
                match self { $(ObjectRef::$variant(value) => value.allocated_bytes(samples),)* }
            }
            /// Elements in it.
            pub fn element_count(self) -> usize {
                match self { $(ObjectRef::$variant(value) => value.element_count(),)* }
            }
            /// See [`Collection::free_effort`].
            pub fn free_effort(self) -> usize {
                match self { $(ObjectRef::$variant(value) => value.free_effort(),)* }
            }
            /// See [`Collection::is_walkable_from`].
            pub fn is_walkable_from(self, elements: usize) -> bool {
                match self { $(ObjectRef::$variant(value) => value.is_walkable_from(elements),)* }
            }
            /// See [`Collection::is_walked`].
            #[inline]
            pub fn is_walked(self) -> bool {
                match self { $(ObjectRef::$variant(value) => Collection::is_walked(value),)* }
            }
            /// An independent copy.
            pub fn duplicate(self) -> Object {
                match self { $(ObjectRef::$variant(value) => Object::$variant(value.duplicate()),)* }
            }
        }

        impl<'a> ObjectMut<'a> {
            /// The collection at `place`, for changing it.
            ///
            /// # Safety
            /// [`Object::write_to`] put one of type `kind` there, and nobody else uses it as long as it is lent.
            #[inline]
            pub(crate) unsafe fn at(kind: Type, place: *mut u8) -> ObjectMut<'a> {
                match kind {
                    // SAFETY: by the caller's promise.
                    $(Type::$kind => ObjectMut::$variant(unsafe { &mut *place.cast::<$type>() }),)*
                    Type::String => unreachable!("a string is no collection"),
                }
            }
            /// See [`Collection::defragment`].
            pub fn defragment(self, mover: &mut Mover<'_>, at: usize, limit: usize) -> usize {
                match self { $(ObjectMut::$variant(value) => value.defragment(mover, at, limit),)* }
            }
            /// See [`Collection::walkable`].
            pub fn walkable(self) -> Option<&'a mut dyn Walkable> {
                match self { $(ObjectMut::$variant(value) => value.walkable(),)* }
            }
            /// As [`ObjectRef::timed`].
            #[inline]
            pub fn timed_mut(self) -> Option<&'a mut Fields> {
                match self { $(ObjectMut::$variant(value) => value.timed_mut(),)* }
            }
        }

        $(impl From<$type> for Object {
            fn from(value: $type) -> Object {
                Object::$variant(value)
            }
        })*
    };
}

const fn largest(sizes: &[usize]) -> usize {
    let (mut largest, mut at) = (0, 0);
    while at < sizes.len() {
        if sizes[at] > largest {
            largest = sizes[at];
        }
        at += 1;
    }
    largest
}

/// The parts of [`Collection`] that are alike for every type.
macro_rules! casts {
    ($variant:ident) => {
        fn wrap(self) -> Object {
            Object::$variant(self)
        }
        #[inline]
        fn of(object: ObjectRef<'_>) -> Option<&Self> {
            match object {
                ObjectRef::$variant(value) => Some(value),
                _ => None,
            }
        }
        #[inline]
        fn of_mut(object: ObjectMut<'_>) -> Option<&mut Self> {
            match object {
                ObjectMut::$variant(value) => Some(value),
                _ => None,
            }
        }
    };
}

objects! {
    Hash(sherd_types::hash::Hash): Hash;
    List(sherd_types::list::List): List;
    Set(sherd_types::set::Set): Set;
    SortedSet(sherd_types::zset::ZSet): SortedSet;
    Stream(sherd_types::stream::BoxedStream): Stream;
}
