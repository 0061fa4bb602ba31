//! Who is told of what, thread by thread.

use sherd_shards::queues::mailbox::Mailbox;

use super::*;

fn pubsub(threads: usize) -> PubSub {
    let mailboxes = (0..threads).map(|_| Mailbox::new(8, Box::new(|| ())));
    PubSub::new(Arc::new(mailboxes.collect()))
}

fn token(io_thread: u16, index: u32) -> Token {
    Token { io_thread, generation: 1, index }
}

fn by_prefix(client: Token) -> Receiver {
    Receiver { by_prefix: true, ..Receiver::own(client) }
}

fn key(name: &str, readers: &[Token], has_changed: bool, by: Option<Token>) -> Invalidation {
    let told = Told::Key {
        key: name.as_bytes().into(),
        readers: readers.iter().map(|reader| reader.to_bits()).collect(),
        has_changed,
        by: by.map_or(0, Token::to_bits),
    };
    Invalidation { told, number: 0, cause: None }
}

/// What a thread is to tell: the clients, by their places, and the keys.
fn told(pubsub: &PubSub, thread: usize) -> Vec<(Vec<u32>, String)> {
    let mut all = Vec::new();
    while let Some(post) = pubsub.take(thread) {
        let Post::Invalidated(parcel) = post else { panic!("something else was posted") };
        for Invalidated { keys, to, .. } in parcel {
            let keys = keys.map_or("all".to_owned(), |keys| {
                let names = keys.keys.iter().map(|(key, _)| String::from_utf8_lossy(key).into_owned());
                names.collect::<Vec<_>>().join(" ")
            });
            all.push((to.iter().map(|receiver| receiver.to.index).collect(), keys));
        }
    }
    all
}

fn name(text: &str) -> Prefix {
    Prefix::from(text.as_bytes())
}

#[test]
fn readers_are_told_in_their_threads_and_others_in_theirs() {
    let pubsub = pubsub(3);
    pubsub.publish_invalidations(vec![
        key("k", &[token(0, 1), token(1, 2), token(0, 3)], false, None),
        key("l", &[token(1, 2)], false, None),
    ]);
    assert_eq!(told(&pubsub, 0), [(vec![1, 3], "k".to_owned())]);
    assert_eq!(told(&pubsub, 1), [(vec![2], "k".to_owned()), (vec![2], "l".to_owned())]);
    assert!(told(&pubsub, 2).is_empty());
    pubsub.trackers.set(Receiver { to: token(2, 9), redirect: 77, ..Receiver::own(token(0, 1)) }, [].iter());
    pubsub.publish_invalidations(vec![key("k", &[token(0, 1), token(0, 3)], false, None)]);
    assert_eq!(
        (told(&pubsub, 0), told(&pubsub, 2)),
        (vec![(vec![3], "k".to_owned())], vec![(vec![9], "k".to_owned())])
    );
    pubsub.trackers.remove(token(0, 1), [].iter());
    pubsub.publish_invalidations(vec![key("k", &[token(0, 1)], false, None)]);
    assert_eq!(told(&pubsub, 0), [(vec![1], "k".to_owned())]);
}

#[test]
fn prefixes_get_the_keys_that_begin_like_them_once_and_in_order() {
    let pubsub = pubsub(2);
    let names = [name(""), name("a:"), name("b")];
    pubsub.trackers.set(by_prefix(token(0, 1)), names[..1].iter());
    pubsub.trackers.set(by_prefix(token(1, 2)), names[1..].iter());
    assert_eq!(pubsub.trackers.prefix_count(), 3);
    let changed = ["b", "a:2", "a:1", "a:2", "c", "a"].map(|name| key(name, &[], true, None));
    pubsub.publish_invalidations(changed.into());
    assert_eq!(told(&pubsub, 0), [(vec![1], "a a:1 a:2 b c".to_owned())]);
    assert_eq!(told(&pubsub, 1), [(vec![2], "a:1 a:2".to_owned()), (vec![2], "b".to_owned())]);
    // What was only forgotten has not changed.
    pubsub.publish_invalidations(vec![key("a:1", &[], false, None)]);
    assert!(told(&pubsub, 0).is_empty() && told(&pubsub, 1).is_empty());
    pubsub.trackers.remove(token(1, 2), names[1..].iter());
    pubsub.publish_invalidations(vec![key("a:1", &[], true, None)]);
    assert!(told(&pubsub, 1).is_empty());
    pubsub.trackers.remove(token(0, 1), names[..1].iter());
    assert_eq!(pubsub.trackers.prefix_count(), 0);
}

#[test]
fn a_change_of_everything_goes_to_every_thread() {
    let pubsub = pubsub(2);
    pubsub.trackers.set(Receiver { to: token(1, 9), redirect: 77, ..Receiver::own(token(0, 1)) }, [].iter());
    pubsub.publish_invalidations(vec![Invalidation { told: Told::Everything, number: 0, cause: None }]);
    assert_eq!(told(&pubsub, 0), [(vec![], "all".to_owned())]);
    assert_eq!(told(&pubsub, 1), [(vec![9], "all".to_owned())]);
}

#[test]
fn what_a_client_has_changed_alone_can_be_left_out_for_it() {
    let (own, other) = (token(0, 1), token(0, 2));
    let keys = Keys::new(vec![(b"a"[..].into(), own.to_bits()), (b"b"[..].into(), 0)]);
    assert_eq!(keys.encoded(), b"*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    assert!(keys.concern(own) && !keys.concern(other));
    assert_eq!(keys.encoded_without(own).as_deref(), Some(&b"*1\r\n$1\r\nb\r\n"[..]));
    let pubsub = pubsub(1);
    pubsub.trackers.set(by_prefix(own), [name("")].iter());
    pubsub.publish_invalidations(vec![key("k", &[], true, Some(own)), key("k", &[], true, None)]);
    let Some(Post::Invalidated(parcel)) = pubsub.take(0) else { panic!("nothing was posted") };
    let keys = parcel[0].keys.as_ref().expect("a key");
    assert!(!keys.concern(own), "somebody else has changed it as well");
}
