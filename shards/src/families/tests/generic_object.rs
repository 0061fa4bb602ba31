//! OBJECT and MEMORY USAGE.

use crate::testing::Tester;

#[test]
fn encodings_are_named_as_in_redis() {
    for shards in [1, 4] {
        let mut t = Tester::new(shards);
        t.run("MSET int 12 short abc");
        t.run(&format!("SET long {}", "x".repeat(45)));
        assert_eq!(t.run("OBJECT ENCODING int"), "$3\r\nint\r\n");
        assert_eq!(t.run("OBJECT ENCODING short"), "$6\r\nembstr\r\n");
        assert_eq!(t.run("OBJECT ENCODING long"), "$3\r\nraw\r\n");
        assert_eq!(t.run("OBJECT ENCODING none"), "$-1\r\n");
        assert_eq!(t.run("OBJECT REFCOUNT int"), ":1\r\n");
    }
}

#[test]
fn looking_at_a_key_does_not_make_it_used() {
    let mut t = Tester::new(1);
    t.run("SET k v");
    t.world.advance_clock(10_000);
    for line in ["OBJECT IDLETIME k", "EXISTS k", "TYPE k", "TTL k", "MEMORY USAGE k", "OBJECT ENCODING k"] {
        t.run(line);
        assert_eq!(t.run("OBJECT IDLETIME k"), ":10\r\n", "{line}");
    }
    t.run("TOUCH k");
    assert_eq!(t.run("OBJECT IDLETIME k"), ":0\r\n");
}

#[test]
fn object_counts_as_a_read_of_its_key() {
    let mut t = Tester::new(1);
    t.run("SET k v");
    for line in ["OBJECT ENCODING", "OBJECT IDLETIME", "OBJECT REFCOUNT"] {
        t.run(&format!("{line} k"));
        t.run(&format!("{line} none"));
    }
    assert_eq!(t.hits_and_misses(), (3, 3));
    t.run("MEMORY USAGE k");
    assert_eq!(t.hits_and_misses(), (3, 3));
}

#[test]
fn the_policy_decides_between_frequency_and_idle_time() {
    let mut t = Tester::new(1);
    t.run("SET k v");
    assert!(t.run("OBJECT FREQ k").starts_with("-ERR An LFU maxmemory policy is not selected"));
    assert_eq!(t.run("OBJECT FREQ none"), "$-1\r\n");
    t.world.settings.set("maxmemory-policy", 3);
    t.run("SET fresh v");
    assert_eq!(t.run("OBJECT FREQ fresh"), ":5\r\n");
    for (number, command) in ["SET fresh w", "SET other 1", "SET other longer EX 100"].into_iter().enumerate() {
        t.run(command);
        let key = command.split(' ').nth(1).expect("a key");
        let uses = if number == 1 { ":5\r\n" } else { ":6\r\n" };
        assert_eq!(t.run(&format!("OBJECT FREQ {key}")), uses, "{command}: a new value is a use of its key");
    }
    assert!(t.run("OBJECT IDLETIME fresh").starts_with("-ERR An LFU maxmemory policy is selected"));
    for _ in 0..100 {
        t.run("GET fresh");
    }
    let frequency = |t: &mut Tester| -> u32 { t.run("OBJECT FREQ fresh")[1..].trim().parse().expect("a number") };
    let before = frequency(&mut t);
    assert_ne!(before, 5);
    t.run("SET fresh w XX");
    assert!(frequency(&mut t) >= before, "a new value does not make the key unused");
}

#[test]
fn memory_usage_grows_with_the_value() {
    let mut t = Tester::new(1);
    t.run("SET small x");
    t.run(&format!("SET large {}", "x".repeat(100_000)));
    let bytes = |t: &mut Tester, key: &str| -> usize {
        t.run(&format!("MEMORY USAGE {key}"))[1..].trim().parse().expect("a number")
    };
    assert!((16..64).contains(&bytes(&mut t, "small")));
    assert!((100_000..140_000).contains(&bytes(&mut t, "large")));
    assert_eq!(t.run("MEMORY USAGE none"), "$-1\r\n");
    assert_eq!(t.run("MEMORY USAGE small SAMPLES -1"), "-ERR syntax error\r\n");
    assert_eq!(t.run("MEMORY USAGE small SAMPLES"), "-ERR syntax error\r\n");
}

#[test]
fn help_is_an_array_of_simple_strings() {
    let mut t = Tester::new(1);
    let help = t.run("OBJECT HELP");
    assert!(help.starts_with("*15\r\n+OBJECT <subcommand>"), "{help}");
    assert_eq!(help.matches("\r\n+").count(), 15);
}
