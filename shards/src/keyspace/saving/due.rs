//! How much of a big entry is still to come, as what was written of it says.

use crate::entry::object::ObjectRef;
use sherd_types::walk::StreamPart;

/// See the [module](self).
#[derive(Default)]
pub(super) struct Due {
    /// Elements; blocks of a stream.
    elements: usize,
    /// What a stream remembers, which comes after the blocks.
    memories: usize,
    groups: usize,
    pending: usize,
    /// The number of a group's consumers.
    counts: usize,
    consumers: usize,
    owned: usize,
}

impl Due {
    pub fn of(object: ObjectRef<'_>) -> Due {
        match object {
            ObjectRef::Stream(stream) => Due { elements: stream.log().block_count(), memories: 1, ..Due::default() },
            _ => Due { elements: object.element_count(), ..Due::default() },
        }
    }

    pub fn is_over(&self) -> bool {
        let Due { elements, memories, groups, pending, counts, consumers, owned } = self;
        [elements, memories, groups, pending, counts, consumers, owned].into_iter().all(|&left| left == 0)
    }

    /// An element comes; false if it is one too many.
    #[must_use]
    pub fn element(&mut self) -> bool {
        take(&mut self.elements)
    }

    /// A part of a stream comes; false if it is one too many, or too early.
    #[must_use]
    pub fn part(&mut self, part: &StreamPart<'_>) -> bool {
        match part {
            StreamPart::Block(..) => self.element(),
            StreamPart::Memory(memory) => {
                self.groups = memory.groups;
                self.elements == 0 && take(&mut self.memories)
            }
            StreamPart::Group(group) => {
                let is_due = self.pending + self.counts + self.consumers + self.owned == 0;
                (self.pending, self.counts) = (group.pending, 1);
                is_due && take(&mut self.groups)
            }
            StreamPart::Pending(_) => take(&mut self.pending),
            StreamPart::Consumers(count) => {
                self.consumers = *count;
                self.pending == 0 && take(&mut self.counts)
            }
            StreamPart::Consumer(consumer) => {
                let is_due = self.counts + self.owned == 0;
                self.owned = consumer.owned;
                is_due && take(&mut self.consumers)
            }
            StreamPart::Owned(_) => take(&mut self.owned),
        }
    }
}

fn take(left: &mut usize) -> bool {
    let is_due = *left > 0;
    *left -= usize::from(is_due);
    is_due
}
