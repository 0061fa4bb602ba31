//! CLUSTERSCAN: its cursors, and that every key is met.

use super::*;
use crate::testing::Tester;

fn cluster(shards: usize) -> Tester {
    let tester = Tester::of_cluster(shards);
    tester.world.settings.cluster_enabled.set(1);
    tester
}

/// The cursor and the keys of a reply.
fn parts(reply: &str) -> (String, Vec<String>) {
    let words: Vec<&str> = reply.split("\r\n").filter(|word| !word.starts_with(['$', '*'])).collect();
    (words[0].to_owned(), words[1..].iter().filter(|word| !word.is_empty()).map(|&word| word.to_owned()).collect())
}

fn scan_all(t: &mut Tester, options: &str) -> Vec<String> {
    let (mut cursor, mut found) = ("0".to_owned(), Vec::new());
    for _ in 0..10_000 {
        let (next, keys) = parts(&t.run(&format!("CLUSTERSCAN {cursor}{options}")));
        found.extend(keys);
        cursor = next;
        if cursor == "0" {
            found.sort();
            found.dedup();
            return found;
        }
    }
    panic!("the scan does not end");
}

#[test]
fn every_slot_has_a_tag() {
    for (slot, tag) in tags().iter().enumerate() {
        assert_eq!(usize::from(slot_of(tag)), slot, "{tag:?}");
    }
}

#[test]
fn every_key_is_met() {
    for shards in [1, 4] {
        let mut t = cluster(shards);
        let mut keys: Vec<String> = (0..300).map(|number| format!("key:{number}")).collect();
        keys.extend((0..200).map(|number| format!("{{one}}:{number}")));
        for key in &keys {
            t.run(&format!("SET {key} v"));
        }
        keys.sort();
        assert_eq!(scan_all(&mut t, ""), keys);
        assert_eq!(scan_all(&mut t, " COUNT 1000"), keys);
        assert_eq!(scan_all(&mut t, " TYPE list"), Vec::<String>::new());
        assert_eq!(scan_all(&mut t, " MATCH {one}*").len(), 200);
        assert_eq!(scan_all(&mut t, " MATCH key:7"), ["key:7"]);
        assert_eq!(scan_all(&mut t, &format!(" SLOT {}", slot_of(b"one"))).len(), 200);
        assert_eq!(scan_all(&mut t, &format!(" SLOT {} MATCH {{two}}*", slot_of(b"one"))).len(), 0);
    }
}

#[test]
fn a_cursor_of_another_process_begins_its_slot_again() {
    let mut t = cluster(1);
    (0..100).for_each(|number| drop(t.run(&format!("SET {{one}}:{number} v"))));
    let (first, keys) = parts(&t.run("CLUSTERSCAN 0-{one}-0"));
    assert!(first.starts_with(&format!("{:x}-{{", fingerprint())), "{first}");
    let foreign = first.replacen(&format!("{:x}", fingerprint()), "abc", 1);
    assert_eq!(parts(&t.run(&format!("CLUSTERSCAN {foreign}"))), (first, keys));
}

#[test]
fn patterns_tell_their_slot_where_they_can() {
    let slot = |text: &[u8]| Some(usize::from(slot_of(text)));
    assert_eq!(slot_of_pattern(b"{one}*"), slot(b"one"));
    assert_eq!(slot_of_pattern(b"a{one}?"), slot(b"one"));
    assert_eq!(slot_of_pattern(b"plain"), slot(b"plain"));
    for pattern in ["*{one}", "{o?e}*", "{}x*", "pre*", "{one", "[a]"] {
        let expected = if pattern == "{one" { slot(b"{one") } else { None };
        assert_eq!(slot_of_pattern(pattern.as_bytes()), expected, "{pattern}");
    }
}

#[test]
fn what_is_no_cursor_is_refused() {
    let mut t = cluster(4);
    t.expect(&[
        ("CLUSTERSCAN abc", "-ERR Invalid cursor"),
        ("CLUSTERSCAN 00", "-ERR Invalid cursor"),
        ("CLUSTERSCAN 0-{06S}", "-ERR Invalid cursor"),
        ("CLUSTERSCAN 0-{06S}-x", "-ERR Invalid cursor"),
        ("CLUSTERSCAN 0-{06S}-0-1", "-ERR Invalid cursor"),
        ("CLUSTERSCAN abc COUNT x", "-ERR value is not an integer or out of range"),
        ("CLUSTERSCAN 0 SLOT 16384", "-ERR Invalid or out of range slot"),
        ("CLUSTERSCAN 0 SLOT 0 SLOT 1", "-ERR SLOT option can only be specified once"),
        ("CLUSTERSCAN 0-{06S}-0 SLOT 1", "-ERR Cursor slot mismatch with SLOT argument"),
        ("CLUSTERSCAN 0 SLOT", "-ERR syntax error"),
        ("CLUSTERSCAN 0 COUNT 0", "-ERR syntax error"),
        ("CLUSTERSCAN 0 TYPE foo", "-ERR unknown type name 'foo'"),
        ("CLUSTERSCAN 0-{06S}-0 COUNT 1000 SLOT 0", "*2|$1|0|*0"),
    ]);
    t.world.settings.cluster_enabled.set(0);
    t.expect(&[("CLUSTERSCAN 0", "-ERR This instance has cluster support disabled")]);
}
