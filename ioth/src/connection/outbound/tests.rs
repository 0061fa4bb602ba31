//! Tests of [`super`].

use super::*;

/// Replies of one letter each to commands of these shards, in the order of the requests.
fn expecting(shards: &[usize]) -> Outbound {
    let mut outbound = Outbound::default();
    shards.iter().for_each(|&shard| outbound.expect_from(shard, false));
    outbound
}

fn keep(outbound: &mut Outbound, shard: usize, replies: &str) {
    outbound.keep(shard, &mut replies.as_bytes().to_vec(), 0, 1..=replies.len());
    outbound.put_in_order();
}

#[test]
fn replies_that_come_in_parts_are_put_in_the_order_of_the_requests() {
    let mut outbound = expecting(&[0, 0, 1, 1, 0, 1, 0]);
    outbound.reply(Protocol::Resp2, false, |reply| reply.raw(b"."));
    for (shard, replies, in_order) in
        [(0, "a", "a"), (1, "c", "a"), (0, "be", "abc"), (1, "d", "abcde"), (0, "g", "abcde"), (1, "f", "abcdefg.")]
    {
        keep(&mut outbound, shard, replies);
        assert_eq!(String::from_utf8_lossy(&outbound.buffer), in_order, "{replies}");
    }
    assert!(!outbound.has_pending());
    assert_eq!(outbound.scratch.len(), 0);
}

#[test]
fn only_the_shard_whose_replies_are_next_goes_on_while_many_wait_for_them() {
    let mut outbound = expecting(&[0, 1, 1]);
    keep(&mut outbound, 1, "b");
    assert!(outbound.has_room_for(0) && outbound.has_room_for(1));
    let mut outbound = expecting(&[0, 1, 1]);
    outbound.keep(1, &mut vec![b'b'; SCRATCH_BYTES_MAX], 0, [SCRATCH_BYTES_MAX].into_iter());
    assert!(outbound.has_room_for(0) && !outbound.has_room_for(1));
}

#[test]
fn what_stands_behind_commands_that_went_on_is_parked_when_they_are_back() {
    let parked = |done| Parked { batch: Box::new(Batch::new(0, 3)), done };
    let mut outbound = expecting(&[3, 3]);
    outbound.received_from(3);
    outbound.park(parked(0));
    assert!(outbound.awaits_shards() && outbound.has_parked() && !outbound.is_executing());
    assert_eq!(outbound.take_parked().len(), 1);
    outbound.keep_behind(parked(0));
    assert!(outbound.is_executing() && !outbound.has_parked());
    assert_eq!(outbound.take_parked().len(), 0);
    outbound.received_from(3);
    assert!(outbound.has_parked() && !outbound.is_executing());
    outbound.forget_parked();
    assert!(!outbound.awaits_shards() && !outbound.has_parked());
}

/// A buffer that is large enough to be taken over, all of one letter but for what stands before it.
fn large(before: &str, letter: u8) -> Vec<u8> {
    [before.as_bytes(), &vec![letter; TAKEN_BYTES_MIN]].concat()
}

#[test]
fn a_large_reply_is_taken_over_with_its_buffer_and_keeps_its_place() {
    let mut outbound = expecting(&[0, 1, 0]);
    let mut bytes = large("-", b'b');
    let end = bytes.len();
    outbound.keep(1, &mut bytes, 1, [end].into_iter());
    assert!(bytes.is_empty(), "it was not copied");
    assert_eq!((outbound.unread(), outbound.unsent()), (TAKEN_BYTES_MIN, 0));
    assert!(!outbound.has_room_for(1) && outbound.has_room_for(0));
    outbound.keep(0, &mut b"ac".to_vec(), 0, [1, 2].into_iter());
    outbound.put_in_order();
    let unsent = &outbound.buffer[outbound.sent..];
    assert!(unsent.starts_with(b"ab") && unsent.ends_with(b"bc") && unsent.len() == TAKEN_BYTES_MIN + 2);
    assert_eq!((outbound.unread(), outbound.large_bytes), (TAKEN_BYTES_MIN + 2, 0));
}

#[test]
fn a_large_reply_follows_what_waits_and_says_where_it_begins() {
    let mut outbound = Outbound::default();
    for (waits, begins) in [(0, 3), (3, 3), (TAKEN_BYTES_MIN + 8, TAKEN_BYTES_MIN + 8)] {
        outbound.drop_unsent();
        outbound.buffer.extend(vec![b'w'; waits]);
        assert_eq!(outbound.append(large("---", b'r'), 3), begins);
        assert_eq!(outbound.unsent(), waits + TAKEN_BYTES_MIN);
        assert!(outbound.buffer[begins..].iter().all(|&byte| byte == b'r'));
        assert!(outbound.buffer[outbound.sent..begins].iter().all(|&byte| byte == b'w'));
    }
}

#[test]
fn an_empty_reply_may_follow_one_that_was_taken_over() {
    let mut outbound = Outbound::default();
    let mut bytes = large("", b'r');
    let end = bytes.len();
    outbound.append_from(&mut bytes, 0, end);
    outbound.append_from(&mut bytes, end, end);
    outbound.expect_from(0, false);
    outbound.keep(0, &mut bytes, end, [end].into_iter());
    outbound.put_in_order();
    assert_eq!((outbound.unsent(), outbound.has_pending()), (TAKEN_BYTES_MIN, false));
}

#[test]
fn nothing_is_left_of_what_waited_when_it_is_dropped() {
    let mut outbound = expecting(&[0, 1, 2]);
    let mut bytes = large("", b'b');
    outbound.keep(1, &mut bytes, 0, [TAKEN_BYTES_MIN].into_iter());
    outbound.keep(2, &mut b"c".to_vec(), 0, [1].into_iter());
    outbound.push_later(b"message");
    outbound.hold_until(7);
    outbound.drop_unsent();
    assert_eq!((outbound.unread(), outbound.capacity(), outbound.held_until()), (0, 0, 0));
    outbound.keep(0, &mut b"a".to_vec(), 0, [1].into_iter());
    outbound.put_in_order();
    assert_eq!((outbound.buffer.as_slice(), outbound.has_pending()), (&b"a"[..], false));
}
