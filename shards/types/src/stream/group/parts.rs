//! A group in the parts in which it is saved.

use super::{Group, NOBODY};
use crate::walk::{ConsumerHead, GroupHead, PendingPart, StreamPart};

impl Group {
    /// The first consumer, which takes what nobody owns.
    pub(super) fn adopter(&self) -> Option<&[u8]> {
        self.names.first_key_value().map(|(name, _)| &**name)
    }

    /// How many pending entries are saved.
    pub(super) fn saved_pending_count(&self) -> usize {
        self.pending.len() - if self.names.is_empty() { self.unowned } else { 0 }
    }

    /// All parts at once.
    pub(in crate::stream) fn visit_parts(&self, name: &[u8], visit: &mut impl FnMut(&StreamPart<'_>)) {
        visit(&StreamPart::Group(GroupHead {
            name,
            last_id: self.last_id.to_bytes(),
            entries_read: self.entries_read,
            pending: self.saved_pending_count(),
        }));
        let adopter = self.adopter();
        let mut unowned = Vec::new();
        for (&id, pending) in &self.pending {
            let is_unowned = pending.consumer == NOBODY;
            let owner = if is_unowned { adopter } else { Some(self.name_of(pending.consumer)) };
            let Some(owner) = owner else { continue };
            let (delivered_ms, delivery_count) = (pending.delivered_ms(), pending.delivery_count);
            visit(&StreamPart::Pending(PendingPart { id: id.to_bytes(), delivered_ms, delivery_count, owner }));
            if is_unowned {
                unowned.push(id);
            }
        }
        visit(&StreamPart::Consumers(self.names.len()));
        for (index, consumer) in self.consumers().enumerate() {
            let adopted = if index == 0 { unowned.as_slice() } else { &[] };
            visit(&StreamPart::Consumer(ConsumerHead {
                name: &consumer.name,
                seen_ms: consumer.seen_ms,
                active_ms: consumer.active_ms,
                owned: consumer.pending.len() + adopted.len(),
            }));
            consumer.pending.iter().chain(adopted).for_each(|&id| visit(&StreamPart::Owned(id.to_bytes())));
        }
    }

    pub(super) fn name_of(&self, number: u32) -> &[u8] {
        &self.consumers[number as usize].as_ref().expect("whoever has pending entries is there").name
    }
}
