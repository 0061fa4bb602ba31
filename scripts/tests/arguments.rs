//! `KEYS` and `ARGV`: their tables are filled again for the next script, which cannot tell them from new ones, whatever the one
//! before has done to them.

mod support;

use support::Bench;

/// What scripts do to their tables.
const CHANGES: &[&str] = &[
    "return 1",
    "KEYS[1] = 'other' ARGV[2] = {1, 2}",
    "KEYS[1] = nil ARGV[1] = nil ARGV[2] = nil",
    "KEYS[2] = 'one more' table.insert(ARGV, 'one more')",
    "KEYS[2] = 'one more' KEYS[2] = nil table.insert(ARGV, 'one more') table.remove(ARGV)",
    "KEYS.name = 1 ARGV.name = 1",
    "KEYS.name = 1 KEYS.name = nil ARGV.name = 1 ARGV.name = nil",
    "for i = 1, 100 do KEYS[i] = i ARGV[i] = i end for i = 3, 100 do KEYS[i] = nil ARGV[i] = nil end",
    "ARGV[8] = 1 ARGV[8] = nil KEYS[8] = 1 KEYS[8] = nil",
    "setmetatable(KEYS, {__index = function() return 'found' end}) setmetatable(ARGV, {__len = ARGV})",
    "setmetatable(KEYS, ARGV) KEYS[0] = 1",
    "rawset(KEYS, 'x', KEYS) rawset(ARGV, 0, ARGV)",
    "KEYS[1], ARGV[1] = KEYS, ARGV",
    "table.remove(KEYS) table.remove(ARGV, 1)",
    "table.sort(ARGV, function(a, b) return a > b end) table.setn(KEYS, 5)",
    "error(KEYS)",
    "KEYS.err = 'MINE' ARGV[3] = 1 return KEYS",
    "ARGV.name = 1 error({err = 'ERR x'})",
    "pcall(error, KEYS) pcall(error, ARGV)",
    "xpcall(function() error(KEYS) end, __redis__err__handler)",
    "local co = coroutine.create(function(k) coroutine.yield(k) k[1] = 'later' end) coroutine.resume(co, KEYS)",
    "KEYS[1] = coroutine.wrap(function() coroutine.yield(ARGV) end) KEYS[1]()",
    "return redis.call('reply', KEYS)",
    "return {KEYS, ARGV}",
];

/// What scripts can find out about them.
const PROBES: &[&str] = &[
    "return {KEYS, ARGV, #KEYS, #ARGV}",
    "return {KEYS.name or 'none', ARGV.name or 'none', KEYS.x and 1 or 0, KEYS[0] or 0, ARGV[0] or 0, KEYS.err or 0}",
    "return {tostring(KEYS[2]), tostring(KEYS[3]), tostring(ARGV[3]), tostring(ARGV[8])}",
    "return {getmetatable(KEYS) and 1 or 0, getmetatable(ARGV) and 1 or 0}",
    "KEYS[8] = 1 ARGV[8] = 1 return {#KEYS, #ARGV}",
    "KEYS[2] = 1 KEYS[1] = nil ARGV[4] = 1 return {#KEYS, #ARGV}",
    "for i, n in ipairs({'d', 'a', 'c', 'b'}) do ARGV[n] = i end local t = {} for k in pairs(ARGV) do t[#t+1] = k end return t",
    "for i = 5, 2, -1 do KEYS[i] = i end local t = {} for k in pairs(KEYS) do t[#t + 1] = k end return t",
    "KEYS.ok = 'fine' return KEYS",
];

#[test]
fn no_script_can_tell_its_tables_from_new_ones() {
    let Some(mut bench) = Bench::new() else { return };
    for probe in PROBES {
        let mut new = Bench::new().expect("it was there before");
        let expected = new.run_with(probe.as_bytes(), &[b"key"], &[b"first", b"second"]);
        for change in CHANGES {
            bench.run_with(change.as_bytes(), &[b"its key"], &[b"its first", b"its second"]);
            // With others between them, too, and with the same table for the third time.
            for _ in 0..2 {
                assert_eq!(
                    bench.run_with(probe.as_bytes(), &[b"key"], &[b"first", b"second"]),
                    expected,
                    "{change}; {probe}"
                );
            }
            bench.run_with(change.as_bytes(), &[b"its key"], &[b"its first", b"its second"]);
            bench.run_with(change.as_bytes(), &[&b"a key"[..]; 9], &[]);
            assert_eq!(
                bench.run_with(probe.as_bytes(), &[b"key"], &[b"first", b"second"]),
                expected,
                "{change}; {probe}"
            );
        }
    }
}

#[test]
fn tables_are_filled_again() {
    let Some(mut bench) = Bench::new() else { return };
    bench.run("collectgarbage('stop') return 1");
    let run = |bench: &mut Bench| {
        assert_eq!(bench.run_with(b"return KEYS[2] .. #ARGV", &[b"key", b"y"], &[b"argument"]), "$2\r\ny1\r\n");
        bench.runtime.memory_bytes()
    };
    run(&mut bench);
    let before = run(&mut bench);
    assert_eq!(run(&mut bench), before, "without the collector, what is allocated stays");
    // Nor are new ones made after others have been needed.
    bench.run_with(b"return 1", &[b"key"], &[]);
    let before = run(&mut bench);
    assert!(bench.run_with(b"return 1", &[b"key"], &[]) == ":1\r\n" && run(&mut bench) == before);
}

#[test]
fn a_kept_table_holds_nothing_of_what_it_held() {
    let Some(mut bench) = Bench::new() else { return };
    let large = vec![b'x'; 1 << 20];
    for change in ["return 1", "KEYS[2] = {KEYS[1]} KEYS[1] = KEYS[2]", "KEYS.name = KEYS[1]"] {
        bench.run_with(change.as_bytes(), &[&large, b"y"], &[&large]);
        bench.run("collectgarbage() collectgarbage() return 1");
        let bytes = bench.runtime.memory_bytes();
        assert!(bytes < 1 << 20, "{change}: {bytes}");
    }
}

#[test]
fn an_argument_that_comes_again_is_what_it_was() {
    let Some(mut bench) = Bench::new() else { return };
    let probe = b"local a = {unpack(ARGV)} ARGV[1] = 60 ARGV[2] = ARGV[3] ARGV[3] = false return {a, type(a[1])}";
    for (first, second) in [("60", "60"), ("60", "61"), ("", "60"), ("60", ""), ("a\0b", "a\0c"), ("60", "60")] {
        for _ in 0..2 {
            let reply = bench.run_with(probe, &[b"key"], &[first.as_bytes(), second.as_bytes(), b"60"]);
            let text = |bytes: &str| format!("${}\r\n{bytes}\r\n", bytes.len());
            assert_eq!(reply, format!("*2\r\n*3\r\n{}{}$2\r\n60\r\n$6\r\nstring\r\n", text(first), text(second)));
        }
    }
}
