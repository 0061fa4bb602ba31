//! What scripts see and what they cannot change.

mod support;

use support::Bench;

/// The error of a script, without the place that follows it.
fn error_of(bench: &mut Bench, source: &str) -> String {
    bench.run(source).split(" script: ").next().unwrap_or_default().to_owned()
}

#[test]
fn tables_of_the_sandbox_cannot_be_changed() {
    let Some(mut bench) = Bench::new() else { return };
    for source in [
        "redis = nil",
        "x = 1",
        "_G.x = 1",
        "redis.call = nil",
        "string.format = 1",
        "KEYS = {}",
        "math.pi = 3",
        "rawset(_G, 'x', 1)",
        "rawset(redis, 'call', 1)",
        "setmetatable(_G, {})",
        "setmetatable(redis, {})",
        "table.insert(redis, 1)",
        "table.sort(string)",
        "table.remove(cjson)",
        "getmetatable(_G).__index = nil",
        "getmetatable('').__index = nil",
        "getmetatable('').__index.format = 1",
        "cjson.x = 1",
        "os.x = 1",
    ] {
        let place = if source.contains('(') && !source.contains("getmetatable(") { "" } else { "user_script:1: " };
        let expected = format!("-ERR {place}Attempt to modify a readonly table");
        assert_eq!(error_of(&mut bench, source), expected, "{source}");
        assert_eq!(
            bench.run("return {type(redis.call), redis[1] == nil, math.pi > 3.1}"),
            "*3\r\n$8\r\nfunction\r\n:1\r\n:1\r\n"
        );
    }
}

#[test]
fn only_what_redis_offers_is_there() {
    let Some(mut bench) = Bench::new() else { return };
    for name in [
        "print", "dofile", "loadfile", "require", "module", "package", "io", "debug", "python", "newproxy", "getfenv",
        "setfenv",
    ] {
        assert_eq!(
            error_of(&mut bench, &format!("return {name}")),
            format!("-ERR user_script:1: Script attempted to access nonexistent global variable '{name}'")
        );
    }
    let names = "local t = {} for k in pairs(os) do t[#t + 1] = k end return t";
    assert_eq!(bench.run(names), "*1\r\n$5\r\nclock\r\n");
    assert_eq!(bench.run("return {(next(os)), rawget(os, 'clock') == os.clock}"), "*2\r\n$5\r\nclock\r\n:1\r\n");
    assert_eq!(
        bench.run("return {getmetatable(redis) == nil, type(getmetatable(_G).__index)}"),
        "*2\r\n:1\r\n$8\r\nfunction\r\n"
    );
}

#[test]
fn compiled_chunks_are_no_way_in() {
    let Some(mut bench) = Bench::new() else { return };
    let reply = bench.run("local f, e = loadstring(string.dump(function() return 1 end)) return {f == nil, e ~= nil}");
    assert_eq!(reply, "*2\r\n:1\r\n:1\r\n");
    let source = "local d, n = string.dump(function() return 1 end), 0 \
                  local f, e = load(function() n = n + 1 return n == 1 and d or nil end) return {f == nil, e ~= nil}";
    assert_eq!(bench.run(source), "*2\r\n:1\r\n:1\r\n");
}

#[test]
fn random_numbers_are_those_of_redis() {
    let Some(mut bench) = Bench::new() else { return };
    assert_eq!(bench.run("return {math.random(10), math.random(10), math.random(10)}"), "*3\r\n:4\r\n:9\r\n:4\r\n");
    let seeded = "math.randomseed(42) return {math.random(1000), math.random(1000), math.random(1000)}";
    assert_eq!(bench.run(seeded), bench.run(seeded));
}

#[test]
fn options_of_cjson_end_with_the_script() {
    let Some(mut bench) = Bench::new() else { return };
    assert_eq!(bench.run("cjson.encode_number_precision(3) return cjson.encode(1.23456)"), "$4\r\n1.23\r\n");
    assert_eq!(bench.run("return cjson.encode(1.23456)"), "$7\r\n1.23456\r\n");
}

#[test]
fn the_log_takes_what_the_level_allows() {
    let Some(mut bench) = Bench::new() else { return };
    bench.run("redis.log(redis.LOG_DEBUG, 'not this') redis.log(redis.LOG_WARNING, 'a', 2, 'c')");
    assert_eq!(bench.host.logged, [(3, "a 2 c".to_owned())]);
}

#[test]
fn texts_are_repeated_as_in_lua() {
    let Some(mut bench) = Bench::new() else { return };
    let by_hand = "
        for _, text in ipairs({'', 'a', 'ab\\0', string.rep('0123456789', 60)}) do
            for _, times in ipairs({-2^31, -1, 0, 1, 2, 3, 17, 255, 256, 257, 511, 512, 513, 1025}) do
                local parts = {}
                for i = 1, times do parts[i] = text end
                if text:rep(times) ~= table.concat(parts) then return {#text, times} end
            end
        end
        return 'alike'";
    assert_eq!(bench.run(by_hand), "$5\r\nalike\r\n");
    assert_eq!(bench.run("return string.rep('', 2^31 - 1)"), "$0\r\n\r\n");
    bench.allow(1 << 20);
    assert_eq!(bench.run("return select(2, pcall(string.rep, 'x', 2^31 - 1))"), "$17\r\nnot enough memory\r\n");
}

#[test]
fn unpack_refuses_more_results_than_can_be_counted() {
    let Some(mut bench) = Bench::new() else { return };
    for range in ["-2, 2147483647", "0, 2147483647", "1, 2147483647", "-2147483648, -2", "-2147483648, 2147483647"] {
        let error = "-ERR user_script:1: too many results to unpack";
        assert_eq!(error_of(&mut bench, &format!("return {{unpack({{1, 2, 3}}, {range})}}")), error, "{range}");
        let caught = bench.run(&format!("return {{pcall(unpack, {{}}, {range})}}"));
        assert!(caught.starts_with("*0") || caught.contains("too many"), "{range}: {caught}");
    }
    for (arguments, results) in [
        ("{1, 2, 3}", ":1:2:3"),
        ("{1, 2, 3}, 2", ":2:3"),
        ("{1, 2, 3}, 2, 2", ":2"),
        ("{1, 2, 3}, nil, 2", ":1:2"),
        ("{1, 2, 3}, 3, nil", ":3"),
        ("{1, 2, 3}, '2', '3'", ":2:3"),
        ("{1, 2, 3}, -1, -2", ""),
        ("{1, 2, 3}, 2147483647, -2147483648", ""),
        ("{}", ""),
        ("redis", ""),
    ] {
        let count = results.matches(':').count();
        let expected = format!("*{count}{results}\r\n").replace(':', "\r\n:");
        assert_eq!(bench.run(&format!("return {{unpack({arguments})}}")), expected, "{arguments}");
    }
    assert_eq!(bench.run("local t = {} for i = 1, 7000 do t[i] = i end return select('#', unpack(t))"), ":7000\r\n");
    assert_eq!(
        error_of(&mut bench, "unpack(1)"),
        "-ERR user_script:1: bad argument #1 to 'unpack' (table expected, got number)"
    );
}
