//! Lua's memory running out at every place where something is allocated: the script answers an error, nothing is lost, and the
//! runtime goes on. This is what holds the rule in `lua.rs`.

mod support;

use support::Bench;

/// Scripts that use every library, with what they answer when there is room.
const SCRIPTS: &[&str] = &[
    "local t = {} for i = 1, 50 do t[i] = 'value ' .. i end return t",
    "return cjson.decode(cjson.encode({a = {1, 2, {b = 'text'}}, c = 'd', e = string.rep('x', 3000)})).a[3].b",
    "return {cmsgpack.unpack(cmsgpack.pack({1, 2, {3}}, 'text', {a = 'b'}))}",
    "return {struct.unpack('>I2c0d', struct.pack('>I2c0d', 5, 'fives', 1.5))}",
    "return bit.tohex(bit.bxor(0xF0F0, 0xFF))",
    "return redis.pcall('reply', '*2\\r\\n$3000\\r\\n' .. string.rep('y', 3000) .. '\\r\\n%1\\r\\n+a\\r\\n,1.5\\r\\n')",
    "return redis.call('reply', '-ERR an error\\r\\n')",
    "return {redis.sha1hex('abc'), redis.error_reply('MINE ' .. string.rep('z', 2000)), redis.status_reply('fine')}",
    "return pcall(error, {err = 'a table'})",
    "return loadstring('return ' .. string.rep('1 + ', 500) .. '1')()",
    "local parts = {'return ', '7'} local n = 0 return load(function() n = n + 1 return parts[n] end)()",
    "redis.log(redis.LOG_WARNING, string.rep('w', 1000)) return math.random(10)",
    "return {redis.call('x', 1, 2.5, string.rep('k', 500)), tostring(cjson.new().null), getmetatable('').__index == string}",
    "return {string.gsub(string.rep('ab', 2000), '(a)(b)', '%2%1%0'), (string.gsub('abc', '%w', {a = 'x', b = 5}))}",
    "return {string.gsub(string.rep('ab', 2000), 'a', function(a) return string.rep(a, 50) end)}",
    "local n = 0 for key, value in ('a=1,b=2,c=3'):gmatch('(%w+)=(%w+)') do n = n + value end return {n, ('x.y'):find('.', 1, true)}",
    "local t = {} for i = 1, 40 do t[i] = tostring(i * 7 % 11) end table.sort(t) table.insert(t, 3, 'x') return t",
    "return nothing",
    "return {err = 'ERR ' .. string.rep('e', 1000)}",
];

#[test]
fn every_allocation_may_fail() {
    let Some(mut bench) = Bench::new() else { return };
    SCRIPTS.iter().for_each(|source| every_allocation_may_fail_in(&mut bench, source));
}

fn every_allocation_may_fail_in(bench: &mut Bench, source: &str) {
    let expected = bench.run_with(source.as_bytes(), &[b"key"], &[b"argument"]);
    let (mut failed, mut room) = (0, 0);
    loop {
        let mut bench = Bench::new().expect("it was there before");
        if failed % 2 == 1 {
            // Then its table for the keys is a new one, and that for the arguments is filled again.
            bench.run_with(b"return 1", &[&b"key"[..]; 2], &[b"an argument"]);
        }
        bench.allow(room);
        let reply = bench.run_with(source.as_bytes(), &[b"key"], &[b"argument"]);
        bench.allow(usize::MAX);
        assert_eq!(bench.run("return 1 + 1"), ":2\r\n", "{source} with {room} bytes");
        if reply == expected {
            break;
        }
        assert!(reply.starts_with('-') || reply.contains("not enough memory"), "{source} with {room} bytes: {reply}");
        failed += 1;
        room += 61;
        assert!(room < 1 << 20, "{source} never has enough: {reply}");
    }
    assert!(failed > 1, "{source} allocates nothing");
}

#[test]
fn a_stopped_collector_does_not_outlive_its_script() {
    let Some(mut bench) = Bench::new() else { return };
    bench.allow(1 << 20);
    let source = "collectgarbage('stop') for i = 1, 1e9 do local t = {i} end";
    assert!(bench.run(source).contains("not enough memory"));
    assert_eq!(bench.run("local n = 0 for i = 1, 1e5 do local t = {i} n = n + t[1] end return n"), ":5000050000\r\n");
}
