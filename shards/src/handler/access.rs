//! The shards that a command holds while it runs.

use std::marker::PhantomData;

use crate::keyspace::shard::Shard;
use crate::slot::{SlotMap, SHARDS_MAX};

/// One shard, or several of them by index. Made only by who holds their batons.
pub struct Shards<'a> {
    map: SlotMap,
    held: Held,
    owner: PhantomData<&'a mut Shard>,
}

enum Held {
    /// The only shard that there is, which has every slot.
    Only(*mut Shard),
    /// One of several.
    One(*mut Shard),
    /// Null where a shard is not held.
    Many(Box<[*mut Shard; SHARDS_MAX]>),
}

impl<'a> Shards<'a> {
    /// One shard.
    #[inline]
    pub fn one(map: SlotMap, shard: &'a mut Shard) -> Shards<'a> {
        let held = if map.shards() == 1 { Held::Only(shard) } else { Held::One(shard) };
        Shards { map, held, owner: PhantomData }
    }

    /// Several shards.
    pub fn many(map: SlotMap, shards: impl Iterator<Item = &'a mut Shard>) -> Shards<'a> {
        let mut held = Box::new([std::ptr::null_mut(); SHARDS_MAX]);
        for shard in shards {
            held[shard.index] = shard as *mut Shard;
        }
        Shards { map, held: Held::Many(held), owner: PhantomData }
    }

    /// The same shards for a shorter time, for running one command of several.
    #[inline]
    pub fn reborrow(&mut self) -> Shards<'_> {
        let held = match &self.held {
            Held::Only(shard) => Held::Only(*shard),
            Held::One(shard) => Held::One(*shard),
            Held::Many(shards) => Held::Many(shards.clone()),
        };
        Shards { map: self.map, held, owner: PhantomData }
    }

    /// Which shards these are, as a bit set.
    pub fn held(&self) -> u64 {
        match &self.held {
            // SAFETY: as in `of_slot_ref`.
            Held::Only(shard) | Held::One(shard) => 1 << unsafe { (**shard).index },
            Held::Many(shards) => {
                (0..SHARDS_MAX).filter(|&at| !shards[at].is_null()).fold(0, |held, at| held | 1 << at)
            }
        }
    }

    /// Adds shards that are held as well, for as long as these are.
    pub fn join(&mut self, others: &mut Shards<'a>) {
        let mut held = Box::new([std::ptr::null_mut(); SHARDS_MAX]);
        for of in [&self.held, &others.held] {
            match of {
                // SAFETY: as in `of_slot_ref`.
                Held::Only(shard) | Held::One(shard) => held[unsafe { (**shard).index }] = *shard,
                Held::Many(shards) => {
                    (0..SHARDS_MAX).filter(|&at| !shards[at].is_null()).for_each(|at| held[at] = shards[at])
                }
            }
        }
        self.held = Held::Many(held);
    }

    #[inline(always)]
    fn pointer(&self, slot: u16) -> *mut Shard {
        match &self.held {
            Held::Only(shard) => *shard,
            _ => self.pointer_among_several(slot),
        }
    }

    // Apart, so that the usual case is one comparison wherever a key's shard is looked for.
    #[inline(never)]
    fn pointer_among_several(&self, slot: u16) -> *mut Shard {
        let index = self.map.shard_of(slot);
        let shard = match &self.held {
            // SAFETY: as in `of_slot_ref`.
            Held::Only(shard) | Held::One(shard) if unsafe { (**shard).index } == index => *shard,
            Held::Only(_) | Held::One(_) => std::ptr::null_mut(),
            Held::Many(shards) => shards[index],
        };
        assert!(!shard.is_null(), "a command touched a key of a shard that it does not hold");
        shard
    }

    /// The shard that has this slot.
    #[inline(always)]
    pub fn of_slot(&mut self, slot: u16) -> &mut Shard {
        // SAFETY: the pointers were made from exclusive borrows that last as long as `self`.
        unsafe { &mut *self.pointer(slot) }
    }

    /// The shard that has this slot, for reading.
    #[inline]
    pub fn of_slot_ref(&self, slot: u16) -> &Shard {
        // SAFETY: as in `of_slot`, shared for as long as `self` is.
        unsafe { &*self.pointer(slot) }
    }

    /// Some shard that is held.
    #[inline(always)]
    pub fn first(&mut self) -> &mut Shard {
        let shard = match &self.held {
            Held::Only(shard) | Held::One(shard) => *shard,
            Held::Many(shards) => *shards.iter().find(|shard| !shard.is_null()).expect("a command holds a shard"),
        };
        // SAFETY: as in `of_slot`.
        unsafe { &mut *shard }
    }

    /// The changes that the shards that are held have counted.
    pub fn changes(&self) -> u64 {
        match &self.held {
            // SAFETY: as in `of_slot_ref`.
            Held::Only(shard) | Held::One(shard) => unsafe { &**shard }.stats.dirty.get(),
            Held::Many(shards) => {
                let held = shards.iter().filter(|shard| !shard.is_null());
                // SAFETY: as in `of_slot_ref`.
                held.map(|shard| unsafe { &**shard }.stats.dirty.get()).fold(0, u64::wrapping_add)
            }
        }
    }

    /// Every shard that is held, in ascending order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Shard> {
        let list: Vec<*mut Shard> = match &self.held {
            Held::Only(shard) | Held::One(shard) => vec![*shard],
            Held::Many(shards) => shards.iter().copied().filter(|shard| !shard.is_null()).collect(),
        };
        // SAFETY: as in `of_slot`; the pointers differ from one another.
        list.into_iter().map(|shard| unsafe { &mut *shard })
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{catch_unwind, AssertUnwindSafe};

    use super::Shards;
    use crate::testing::Tester;

    #[test]
    fn the_only_shard_has_every_slot() {
        let mut tester = Tester::new(1);
        let map = tester.world.slots;
        let mut shards = Shards::one(map, &mut tester.shards[0]);
        for slot in [0, 1, 8192, 16383] {
            assert_eq!(shards.of_slot(slot).index, 0);
            assert_eq!(shards.reborrow().of_slot_ref(slot).index, 0);
        }
        assert_eq!((shards.held(), shards.iter_mut().count()), (1, 1));
    }

    #[test]
    fn a_key_of_a_shard_that_is_not_held_is_out_of_reach() {
        let mut tester = Tester::new(4);
        let map = tester.world.slots;
        let of_last = map.slots_of(3).start as u16;
        let reach = |mut shards: Shards<'_>| catch_unwind(AssertUnwindSafe(|| shards.of_slot(of_last).index)).ok();
        assert_eq!(reach(Shards::one(map, &mut tester.shards[1])), None);
        assert_eq!(reach(Shards::many(map, tester.shards.iter_mut().take(3))), None);
        assert_eq!(reach(Shards::one(map, &mut tester.shards[3])), Some(3));
        assert_eq!(reach(Shards::many(map, tester.shards.iter_mut())), Some(3));
    }
}
