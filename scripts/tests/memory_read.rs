//! What is read in Lua's own memory rather than asked by its API: scripts cannot tell, neither by replies nor by errors.

mod support;

use sherd_shards::handler::reply::Protocol;
use support::Bench;

/// Replies of commands, of every kind.
const REPLIES: &[&str] = &[
    "+OK\r\n",
    "+a status\r\n",
    "$5\r\na\r\nbc\r\n",
    "$0\r\n\r\n",
    "$-1\r\n",
    "*-1\r\n",
    ":0\r\n",
    ":-17\r\n",
    ":9007199254740993\r\n",
    ":-9223372036854775808\r\n",
    "*0\r\n",
    "*3\r\n$1\r\na\r\n:1\r\n$0\r\n\r\n",
    "*3\r\n$1\r\na\r\n$-1\r\n$1\r\nb\r\n",
    "*2\r\n*1\r\n:1\r\n+OK\r\n",
    "*2\r\n*0\r\n_\r\n",
    "-ERR of mine\r\n",
    "-ALONE\r\n",
    "_\r\n",
    "#t\r\n",
    "#f\r\n",
    ",1.5\r\n",
    "(12345678901234567890\r\n",
    "=8\r\ntxt:text\r\n",
    "%1\r\n$1\r\na\r\n:1\r\n",
    "~1\r\n$1\r\na\r\n",
    "$9\r\ncut",
];

/// Ways to call a command and to use its reply; `?` is the call.
const USES: &[&str] = &[
    "return ?",
    "return (?)",
    "local r = ? return r",
    "?",
    "? return 1",
    "return ?, 1",
    "return 1, ?",
    "return {?}",
    "return {?, ?}",
    "return type(?)",
    "return select('#', ?)",
    "local function f() return ? end return f()",
    "local function f() return ? end local x = f() return {x, x}",
    "local function f() return ? end f() return 'other'",
    "local function f() ? end return f()",
    "return coroutine.wrap(function() return ? end)()",
    "local x = coroutine.wrap(function() return ? end)() return {x}",
    "local x = coroutine.wrap(redis.call)('reply', ARGV[1]) return {x}",
    "return coroutine.wrap(redis.call)('reply', ARGV[1])",
    "return pcall(redis.call, 'reply', ARGV[1])",
    "return {pcall(redis.call, 'reply', ARGV[1])}",
    "pcall(redis.call, 'reply', ARGV[1]) return 2",
    "return loadstring(\"return redis.call('reply', ...)\")(ARGV[1])",
    "local x = loadstring(\"return redis.call('reply', ...)\")(ARGV[1]) return {x}",
    "if ARGV[1] then return ? end return 1",
    "for i = 1, 3 do ? end return ?",
    "local a, b = ? return {b and 1 or 0, a}",
    "return setmetatable({}, {__index = function() return ? end}).x",
    "local t = setmetatable({}, {__newindex = function() return ? end}) t.x = 1 return 3",
    "return xpcall(function() return ? end, function(e) return e end)",
];

/// A runtime that reads Lua's memory, and one that does not.
fn both() -> Option<[Bench; 2]> {
    let (reader, mut asker) = (Bench::new()?, Bench::new()?);
    assert_eq!(reader.runtime.reads_memory(), [true; 5], "lupa's Lua is as expected");
    asker.runtime.ask_api();
    assert_eq!(asker.runtime.reads_memory(), [false, false, false, false, true]);
    Some([reader, asker])
}

fn assert_alike(benches: &mut [Bench; 2], script: &str, args: &[&[u8]]) {
    let [mine, other] = benches.each_mut().map(|bench| bench.run_with(script.as_bytes(), &[b"key"], args));
    assert_eq!(mine, other, "{script} {:?}", args.first().map(|arg| String::from_utf8_lossy(arg)));
}

#[test]
fn replies_are_the_same_however_they_are_used() {
    let Some(mut benches) = both() else { return };
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        benches.iter_mut().for_each(|bench| bench.protocol = protocol);
        for (usage, reply) in USES.iter().flat_map(|usage| REPLIES.iter().map(move |reply| (usage, reply))) {
            for (call, begin) in [("call", ""), ("pcall", ""), ("call", "redis.setresp(3) ")] {
                let script = [begin, &usage.replace('?', &format!("redis.{call}('reply', ARGV[1])"))].concat();
                assert_alike(&mut benches, &script, &[reply.as_bytes()]);
                assert_alike(&mut benches, "return 'and then another'", &[]);
            }
        }
    }
}

#[test]
fn arguments_are_the_same_of_whatever_type_they_are() {
    let Some(mut benches) = both() else { return };
    for arguments in [
        "",
        "'text'",
        "'', '\\0', ('x'):rep(1000)",
        "1, -1, 0.1, 1e15, 2^53, 1e300, -0",
        "1/0, -1/0, 0/0",
        "'1', 1",
        "nil",
        "'x', nil",
        "true",
        "{}",
        "'x', {}, 'y'",
        "redis.call",
        "'x', cjson.null",
        "KEYS[1], ARGV[1], ARGV[2]",
        "unpack({1, 2, 3, 'four'})",
        "unpack({}, 1, 300)",
        "(function() local t = {} for i = 1, 2000 do t[i] = i % 2 == 0 and i or tostring(i) end return unpack(t) end)()",
    ] {
        for call in ["return redis.call(?)", "return {redis.pcall(?)}", "return redis.acl_check_cmd(?)"] {
            assert_alike(&mut benches, &call.replace('?', arguments), &[b"an argument"]);
        }
    }
}

#[test]
fn globals_are_the_same_whether_a_script_writes_to_them_or_not() {
    let Some(mut benches) = both() else { return };
    let writers = ["", "local function never() absent = 1 end ", "local function never() redis = 1 end "];
    for script in [
        "return {KEYS[1], ARGV[1], redis.REPL_ALL, type(_G), _VERSION}",
        "return absent",
        "return absent.field",
        "return _G.absent",
        "return _G.redis == redis and _G._G == _G",
        "absent = 1",
        "KEYS = 1",
        "redis = nil",
        "function named() end",
        "function redis.named() end",
        "redis.call = 1",
        "_G.redis = 1",
        "_G.absent = 1",
        "_G['KEYS'] = 1",
        "rawset(_G, 'absent', 1)",
        "rawset(redis, 'call', 1)",
        "setmetatable(_G, nil)",
        "table.insert(_G, 1)",
        "return getfenv == nil",
        "return rawget(_G, 'getfenv') == nil and rawget(_G, 'setfenv') == nil",
        "return loadstring('absent = 1')()",
        "return loadstring('redis = 1')()",
        "return loadstring('return absent')()",
        "return loadstring('return redis')() == redis",
        "return pcall(loadstring('KEYS = nil'))",
        "return coroutine.wrap(function() return absent end)()",
        "return coroutine.wrap(loadstring('absent = 1'))()",
        "return getmetatable(_G).__index == nil",
        "local n = 0 for name in pairs(_G) do n = n + 1 end return n",
        "return {pcall(function() return absent end)}",
        "return {pcall(function() absent = 1 end)}",
        "return load(function() return nil end) and 1",
        "return string.dump(function() return absent end):len() > 0",
    ] {
        for writer in writers {
            assert_alike(&mut benches, &[writer, script].concat(), &[b"argument"]);
            assert_alike(&mut benches, "return {type(redis), type(KEYS), rawget(_G, 'absent') == nil}", &[]);
        }
    }
}

#[test]
fn what_nobody_wants_is_still_an_error_or_an_end() {
    let Some(mut bench) = Bench::new() else { return };
    let reply = bench.run("redis.call('reply', '-ERR of mine\\r\\n') return 'further'");
    assert!(reply.starts_with("-ERR of mine script: "), "{reply}");
    assert_eq!(bench.run("redis.pcall('reply', '-ERR of mine\\r\\n') return 'further'"), "$7\r\nfurther\r\n");
    bench.host.stop_after = Some(1);
    assert_eq!(bench.run("redis.call('ping') redis.call('ping') return 'further'"), "");
}
