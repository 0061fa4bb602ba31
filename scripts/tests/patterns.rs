//! Functions of Lua's libraries that can go on for ever within one call: they answer as Lua's own, and can be ended.

mod support;

use support::Bench;

/// Scripts that are not over in this universe's time, each within one call.
const ENDLESS: &[&str] = &[
    "return string.find(string.rep('a', 3000), string.rep('a*', 300) .. 'b')",
    "return string.match(string.rep('a', 3000), string.rep('a-', 300) .. 'b')",
    "return string.gsub(string.rep('a', 3000), string.rep('a?', 300) .. 'b', '')",
    "for found in string.gmatch(string.rep('a', 3000), string.rep('(a*)', 30) .. 'b') do end",
    "return (string.rep('a', 3000)):find(string.rep('[a-z]*', 300) .. '[0-9]')",
    "return pcall(string.find, string.rep('a', 3000), string.rep('a*', 300) .. 'b')",
    "return string.gsub('x', 'x', function() return string.rep('a', 3000):find(string.rep('a*', 300) .. 'b') end)",
    "return coroutine.wrap(function() return string.rep('a', 3000):find(string.rep('a*', 300) .. 'b') end)()",
    // A set of a megabyte for each of a million bytes.
    "return string.find(string.rep('a', 1e6), '[' .. string.rep('b', 1e6) .. ']+')",
    "while true do string.find(string.rep('a', 1e6), string.rep('a', 1e5) .. 'b', 1, true) end",
    "return table.insert({}, -2 ^ 31, 1)",
    "local t = {} for i = 1, 1e5 do t[i] = i end while true do table.sort(t) end",
    "while true do string.rep('', 2 ^ 31 - 1) end",
    "return loadstring('if x then ' .. string.rep('elseif x then ', 2e6) .. 'end')",
    // One large table that was emptied, a million times.
    "local t, all = {}, {} for i = 1, 2 ^ 16 do t['k' .. i] = i end for k in pairs(t) do t[k] = nil end \
     for i = 1, 1e6 do all[i] = t end return cjson.encode(all)",
    "local t, all = {}, {} for i = 1, 2 ^ 16 do t['k' .. i] = i end for k in pairs(t) do t[k] = nil end \
     for i = 1, 1e6 do all[i] = t end return cmsgpack.pack(all)",
];

#[test]
fn what_goes_on_within_one_call_is_killed() {
    let Some(mut bench) = Bench::new() else { return };
    for source in ENDLESS {
        bench.host.interruptions = 0;
        bench.host.kill_at = Some(5);
        let reply = bench.run(source);
        assert!(reply.starts_with("-ERR Script killed by user with SCRIPT KILL. script: "), "{source}: {reply}");
        assert_eq!(bench.host.interruptions, 5, "{source}");
        bench.host.kill_at = None;
        assert_eq!(bench.run("return (('well'):gsub('l+', string.upper))"), "$4\r\nweLL\r\n");
    }
}

#[test]
fn instructions_that_take_long_are_interrupted_sooner() {
    let Some(mut bench) = Bench::new() else { return };
    // Each of a few instructions copies 10 megabytes; 100,000 of them would take a minute.
    bench.host.kill_at = Some(2);
    let source = "local s, n = string.rep('x', 1e7), 0 \
        while true do n = n + 1 local t = s .. n redis.log(redis.LOG_WARNING, n) end";
    assert!(bench.run(source).starts_with("-ERR Script killed by user"));
    assert!(bench.host.logged.len() < 10_000, "it came as far as {} texts", bench.host.logged.len());
}

#[test]
fn short_matches_are_counted_together() {
    let Some(mut bench) = Bench::new() else { return };
    bench.host.kill_at = Some(2);
    let source = "local s = string.rep('a', 1000) for i = 1, 1e9 do s:find('a-b') end";
    assert!(bench.run(source).starts_with("-ERR Script killed by user"));
}

#[test]
fn a_pattern_may_be_as_long_as_the_subject() {
    let Some(mut bench) = Bench::new() else { return };
    assert_eq!(bench.run("return #string.match(string.rep('a', 5e4), string.rep('a?', 5e4))"), ":50000\r\n");
    let reply = bench.run("return string.match(string.rep('a', 3e5), string.rep('a?', 3e5))");
    assert!(reply.starts_with("-ERR user_script:1: pattern too complex script: "), "{reply}");
}

#[test]
fn numbers_are_texts_and_strings_have_methods() {
    let Some(mut bench) = Bench::new() else { return };
    assert_eq!(bench.run("return {string.find(12345, 34)}"), "*2\r\n:3\r\n:4\r\n");
    assert!(bench.run("return {(121):gsub(1, 2)}").starts_with('-'), "numbers have no methods");
    assert_eq!(bench.run("return {string.gsub(121, 1, 2)}"), "*2\r\n$3\r\n222\r\n:2\r\n");
    assert_eq!(bench.run("return {('key=value'):match('(%w+)=(%w+)')}"), "*2\r\n$3\r\nkey\r\n$5\r\nvalue\r\n");
    assert_eq!(bench.run("return (''):rep(5) .. ('ab'):rep(2)"), "$4\r\nabab\r\n");
    assert_eq!(bench.run("return string.gfind == string.gmatch and ('').find == string.find and 1"), ":1\r\n");
}

#[test]
fn a_replacement_that_fails_leaves_the_rest_alone() {
    let Some(mut bench) = Bench::new() else { return };
    let source = "local results = {} \
        for i = 1, 3 do results[i] = pcall(string.gsub, string.rep('ab', 1000), 'a', function() \
            if i == 2 then error('no') end return string.gsub('xy', '%w', '%0%0') end) and 1 or 0 end \
        return results";
    assert_eq!(bench.run(source), "*3\r\n:1\r\n:0\r\n:1\r\n");
    let yields = bench.run("return coroutine.wrap(function() return string.gsub('a', 'a', coroutine.yield) end)()");
    assert!(yields.contains("attempt to yield across metamethod/C-call boundary"), "{yields}");
    let table = bench.run("return string.gsub('a', 'a', function() return {} end)");
    assert!(table.starts_with("-ERR user_script:1: invalid replacement value (a table) script: "), "{table}");
}
