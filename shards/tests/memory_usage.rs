//! What MEMORY USAGE says against what the allocator counted, for every type, encoding and size.

use sherd_metrics::allocator::Mimalloc;
use sherd_metrics::memory::{self, Counting};
// The tester says `crate::` for what it uses.
use sherd_shards::*;

#[allow(dead_code)]
#[path = "../src/testing.rs"]
mod testing;

use testing::Tester;

#[global_allocator]
static ALLOCATOR: Counting<Mimalloc> = Counting(Mimalloc);

/// Elements given to one command.
const CHUNK: usize = 500;

/// How to make element `number` of a collection: the arguments of one element.
type Element = fn(usize) -> Vec<String>;

struct Case {
    name: &'static str,
    command: &'static str,
    element: Element,
    sizes: &'static [usize],
}

const SMALL: &[usize] = &[1, 3, 10, 60];
const ALL: &[usize] = &[1, 10, 100, 500, 1000, 20_000, 1_000_000];
const LARGE: &[usize] = &[1, 10, 130, 600, 10_000, 200_000];

/// Lengths that differ as in real data, from 4 to 24 bytes.
fn word(number: usize) -> String {
    let length = 4 + number.wrapping_mul(2_654_435_761) % 21;
    format!("{number:0length$}w")
}

const CASES: &[Case] = &[
    Case { name: "list of words", command: "RPUSH", element: |n| vec![word(n)], sizes: ALL },
    Case { name: "list of numbers", command: "RPUSH", element: |n| vec![n.to_string()], sizes: LARGE },
    Case { name: "list of long strings", command: "RPUSH", element: |n| vec!["x".repeat(100 + n % 300)], sizes: LARGE },
    Case {
        name: "list of huge strings",
        command: "LPUSH",
        element: |n| vec!["x".repeat(9000 + n % 500)],
        sizes: SMALL,
    },
    Case { name: "set of numbers", command: "SADD", element: |n| vec![(n * 7).to_string()], sizes: ALL },
    Case {
        name: "set of wide numbers",
        command: "SADD",
        element: |n| vec![(n * 7_000_000_000).to_string()],
        sizes: LARGE,
    },
    Case { name: "set of words", command: "SADD", element: |n| vec![word(n)], sizes: ALL },
    Case { name: "set of long strings", command: "SADD", element: |n| vec![format!("{n:090}")], sizes: LARGE },
    Case { name: "hash of words", command: "HSET", element: |n| vec![format!("f{n}"), word(n)], sizes: ALL },
    Case { name: "hash of numbers", command: "HSET", element: |n| vec![format!("f{n}"), n.to_string()], sizes: LARGE },
    Case {
        name: "hash of long strings",
        command: "HSET",
        element: |n| vec![format!("f{n}"), "x".repeat(70 + n % 300)],
        sizes: LARGE,
    },
    Case {
        name: "sorted set of words",
        command: "ZADD",
        element: |n| vec![(n % 1000).to_string(), word(n)],
        sizes: ALL,
    },
    Case {
        name: "sorted set of long strings",
        command: "ZADD",
        element: |n| vec![format!("{n}.5"), format!("{n:090}")],
        sizes: LARGE,
    },
    Case { name: "hyperloglog", command: "PFADD", element: |n| vec![word(n)], sizes: LARGE },
];

/// Removes the key, runs `make` and gives the bytes that are allocated more afterwards.
fn allocated(t: &mut Tester, make: impl FnOnce(&mut Tester)) -> i64 {
    // What a table with one key more needs is there before.
    t.run("SET other x");
    t.run("SET key x");
    t.run("DEL key");
    // Of this thread only: other values are still being freed elsewhere.
    let before = memory::thread_bytes();
    make(t);
    memory::thread_bytes() - before
}

fn number(reply: &str) -> i64 {
    reply[1..].trim_end().parse().expect("a number")
}

/// Compares both ways of asking with what was allocated; gives a line for each that is off.
fn compare(t: &mut Tester, name: &str, bytes: i64, off: &mut Vec<String>) {
    let encoding = t.run("OBJECT ENCODING key").lines().nth(1).unwrap_or_default().to_owned();
    let exact = number(&t.run("MEMORY USAGE key SAMPLES 0"));
    let sampled = number(&t.run("MEMORY USAGE key"));
    let error = |said: i64| (said - bytes) as f64 / bytes as f64;
    println!(
        "{name:40} {encoding:10} {bytes:>10} exact {:+.1} % sampled {:+.1} %",
        error(exact) * 100.0,
        error(sampled) * 100.0
    );
    if error(exact).abs() > 0.05 || error(sampled).abs() > 0.05 {
        off.push(format!("{name} ({encoding}): {bytes} allocated, {exact} said, {sampled} from samples"));
    }
}

fn collection(t: &mut Tester, case: &Case, size: usize) {
    for from in (0..size).step_by(CHUNK) {
        let words: Vec<String> = (from..(from + CHUNK).min(size)).flat_map(case.element).collect();
        let mut args: Vec<&[u8]> = vec![case.command.as_bytes(), b"key"];
        args.extend(words.iter().map(String::as_bytes));
        assert!(!t.run_args(&args).starts_with(b"-"), "{}", case.name);
    }
}

#[test]
fn memory_usage_is_within_a_twentieth_of_what_was_allocated() {
    let mut off = Vec::new();
    let mut t = Tester::new(1);
    for case in CASES {
        for &size in case.sizes {
            let bytes = allocated(&mut t, |t| collection(t, case, size));
            compare(&mut t, &format!("{} x {size}", case.name), bytes, &mut off);
        }
    }
    let strings =
        ["12345".to_owned(), "x".to_owned(), "x".repeat(40), "x".repeat(250), "x".repeat(300), "x".repeat(100_001)];
    for text in &strings {
        for expiry in ["", " EX 1000"] {
            let bytes = allocated(&mut t, |t| assert_eq!(t.run(&format!("SET key {text}{expiry}")), "+OK\r\n"));
            compare(&mut t, &format!("string of {}{expiry}", text.len()), bytes, &mut off);
        }
    }
    type Edit = fn(usize) -> String;
    let edits: [(&str, Edit, usize); 3] = [
        ("appended string", |_| "APPEND key abcdefghijklm".to_owned(), 2000),
        ("bitmap", |bit| format!("SETBIT key {} 1", bit * 100), 3000),
        ("string written at the end", |_| "SETRANGE key 77777 x".to_owned(), 1),
    ];
    for (name, line, times) in edits {
        let bytes = allocated(&mut t, |t| (0..times).for_each(|n| drop(t.run(&line(n)))));
        compare(&mut t, name, bytes, &mut off);
    }
    // The shard's own TTL index has room from here on.
    t.run("HSET timed f v");
    t.run("HEXPIRE timed 1000 FIELDS 1 f");
    for size in [10, 1000, 50_000] {
        let bytes = allocated(&mut t, |t| {
            for n in 0..size {
                t.run(&format!("HSET key f{n} {}", word(n)));
                t.run(&format!("HEXPIRE key 1000 FIELDS 1 f{n}"));
            }
        });
        compare(&mut t, &format!("hash with expiring fields x {size}"), bytes, &mut off);
    }
    for size in [1, 50, 1000, 100_000] {
        let bytes = allocated(&mut t, |t| {
            for n in 1..=size {
                t.run(&format!("XADD key {n}-1 sensor {} value {}", n % 7, word(n)));
            }
        });
        compare(&mut t, &format!("stream x {size}"), bytes, &mut off);
        let bytes = allocated(&mut t, |t| {
            for n in 1..=size {
                t.run(&format!("XADD key {n}-1 f v"));
            }
            t.run("XGROUP CREATE key group 0");
            t.run(&format!("XREADGROUP GROUP group consumer COUNT {size} STREAMS key >"));
        });
        compare(&mut t, &format!("stream with everything pending x {size}"), bytes, &mut off);
    }
    for size in [100, 50_000] {
        let bytes = allocated(&mut t, |t| {
            collection(t, &CASES[6], size);
            (0..size).filter(|n| n % 5 != 0).for_each(|n| drop(t.run(&format!("SREM key {}", word(n)))));
        });
        compare(&mut t, &format!("set shrunk from {size}"), bytes, &mut off);
    }
    assert!(off.is_empty(), "off by more than 5 %:\n{}", off.join("\n"));
}
