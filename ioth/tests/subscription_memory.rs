//! What a subscription takes in all tables that know of it, as the allocator counts it.

use sherd_ioth::connection::subscriptions::{Kind, Subscriptions};
use sherd_ioth::shared::pubsub::registry::Registry;
use sherd_ioth::thread::subscribers::Subscribers;
use sherd_metrics::allocator::Mimalloc;
use sherd_metrics::memory::{self, Counting};

#[global_allocator]
static ALLOCATOR: Counting<Mimalloc> = Counting(Mimalloc);

const CONNECTIONS: usize = 10;

/// Of many channels of one subscriber each, and names of 16 bytes.
const BYTES_MAX: i64 = 125;

#[test]
fn channels_of_one_subscriber_take_little_and_leave_nothing_behind() {
    // What is allocated once in a process, as the seed of all hashes, is no part of it.
    sherd_types::table::hash(b"");
    for channels in [5_000, 100_000] {
        let before = memory::thread_bytes();
        let registry = Registry::default();
        let mut subscribers = Subscribers::default();
        let mut clients: Vec<Subscriptions> = (0..CONNECTIONS).map(|_| Subscriptions::default()).collect();
        let empty = memory::thread_bytes();
        for number in 0..channels {
            let at = number % CONNECTIONS;
            let (name, since) = registry.add(Kind::Channel, format!("c{number:015}").as_bytes(), 0);
            clients[at].insert(Kind::Channel, name.clone());
            subscribers.add(Kind::Channel, name, at as u32, since);
        }
        let each = (memory::thread_bytes() - empty) / channels as i64;
        assert!(each <= BYTES_MAX, "{each} bytes a subscription of {channels}");
        let told: usize = clients.iter().map(Subscriptions::bytes).sum();
        assert!((told / channels) as i64 <= BYTES_MAX && (told / channels) as i64 >= each - 16, "{told} are told");
        for (at, client) in clients.iter_mut().enumerate() {
            for name in client.names(Kind::Channel) {
                drop(client.remove(Kind::Channel, &name));
                subscribers.remove(Kind::Channel, &name, at as u32);
                registry.remove(Kind::Channel, &name, 0);
            }
        }
        let left = memory::thread_bytes() - empty;
        assert_eq!(left, 0, "bytes are left of {channels}");
        drop((registry, subscribers, clients));
        assert_eq!(memory::thread_bytes(), before);
    }
}
