//! Running scripts: arguments, replies, errors, the end of a script that must not go on.

mod support;

use sherd_scripts::runtime::Ran;
use sherd_shards::handler::reply::Protocol;
use support::Bench;

#[test]
fn a_script_gets_its_keys_and_arguments() {
    let Some(mut bench) = Bench::new() else { return };
    let reply = bench.run_with(b"return {KEYS[1], ARGV[1], #KEYS, #ARGV}", &[b"k"], &[b"a\0b", b"c"]);
    assert_eq!(reply, "*4\r\n$1\r\nk\r\n$3\r\na\0b\r\n:1\r\n:2\r\n");
    assert_eq!(bench.run("return #KEYS + #ARGV"), ":0\r\n");
}

#[test]
fn an_error_says_where_it_was_raised() {
    let Some(mut bench) = Bench::new() else { return };
    assert_eq!(
        bench.run("\nerror('x')"),
        "-ERR user_script:2: x script: 13fb0b6c37ac9ebcd9df39a9b8c2dbd53e2df6b9, on @user_script:2.\r\n"
            .replace("13fb0b6c37ac9ebcd9df39a9b8c2dbd53e2df6b9", &sha("\nerror('x')"))
    );
    let raised = bench.run("return redis.call('reply', '-MYERR of mine\\r\\n')");
    assert!(raised.starts_with("-MYERR of mine script: "), "{raised}");
    assert!(raised.ends_with(", on @user_script:1.\r\n"), "{raised}");
    assert_eq!(bench.run("return redis.pcall('reply', '-MYERR of mine\\r\\n')"), "-MYERR of mine\r\n");
    assert_eq!(
        bench.run("return x.y").split(" script:").next(),
        Some("-ERR user_script:1: Script attempted to access nonexistent global variable 'x'")
    );
}

fn sha(text: &str) -> String {
    sherd_types::sha1::sha1(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_stopped_script_gets_no_further_by_catching_errors() {
    let Some(mut bench) = Bench::new() else { return };
    let source = "for i = 1, 10 do pcall(redis.call, 'ping') end \
                  xpcall(function() redis.call('ping') end, function() return 1 end) \
                  coroutine.wrap(function() redis.call('ping') end)() return 'done'";
    for allowed in 0..5 {
        let script = bench.cache.of_text(source.as_bytes()).expect("a script");
        bench.host.stop_after = Some(allowed);
        assert_eq!(bench.execute(&script, &[], &[]), (String::new(), Ran::Stopped));
    }
    bench.host.stop_after = None;
    assert_eq!(bench.run("return 'well'"), "$4\r\nwell\r\n");
}

#[test]
fn a_script_that_loops_is_killed() {
    let Some(mut bench) = Bench::new() else { return };
    for source in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "while true do xpcall(function() while true do end end, function() end) end",
        "local f = coroutine.wrap(function() while true do pcall(function() while true do end end) end end) \
         while true do f() end",
        "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
    ] {
        bench.host.interruptions = 0;
        bench.host.kill_at = Some(3);
        let reply = bench.run(source);
        assert!(reply.starts_with("-ERR Script killed by user with SCRIPT KILL. script: "), "{source}: {reply}");
        bench.host.kill_at = None;
        assert_eq!(bench.run("local n = 0 for i = 1, 1e6 do n = n + 1 end return n"), ":1000000\r\n");
    }
}

#[test]
fn a_script_that_does_not_compile_is_refused() {
    let Some(mut bench) = Bench::new() else { return };
    let reply = bench.run("return (");
    assert_eq!(reply, "-ERR Error compiling script (new function): user_script:1: unexpected symbol near '<eof>'\r\n");
    assert!(bench.run("\u{1b}Lua").starts_with("-ERR Error compiling script"));
}

#[test]
fn replies_become_values_and_values_replies() {
    let Some(mut bench) = Bench::new() else { return };
    let same = [
        "+OK\r\n",
        ":7\r\n",
        "$3\r\nabc\r\n",
        "*2\r\n:1\r\n*1\r\n$1\r\na\r\n",
        "*0\r\n",
        "-ERR no\r\n",
        "*2\r\n-ERR inner\r\n+OK\r\n",
    ];
    for reply in same {
        assert_eq!(bench.run_with(b"return redis.pcall('reply', ARGV[1])", &[], &[reply.as_bytes()]), reply);
    }
    bench.protocol = Protocol::Resp3;
    let same_in_three = [
        "_\r\n",
        "#t\r\n",
        "#f\r\n",
        ",1.5\r\n",
        ",inf\r\n",
        "(123456789012345678901234567890\r\n",
        "=7\r\ntxt:abc\r\n",
        "%1\r\n$1\r\na\r\n:1\r\n",
        "~1\r\n$1\r\na\r\n",
    ];
    for reply in same_in_three {
        let source = b"redis.setresp(3) return redis.pcall('reply', ARGV[1])";
        assert_eq!(bench.run_with(source, &[], &[reply.as_bytes()]), reply);
    }
    assert_eq!(bench.run("return redis.call('protocol')"), ":2\r\n");
    assert_eq!(bench.run("redis.setresp(3) return redis.call('protocol')"), ":3\r\n");
}

#[test]
fn arrays_end_before_their_first_nil() {
    let Some(mut bench) = Bench::new() else { return };
    assert_eq!(bench.run("return {1, 2, nil, 4}"), "*2\r\n:1\r\n:2\r\n");
    assert_eq!(
        bench.run("local t = {} t[1] = 1 t[2] = 2 t[4] = 4 return {t, 'x'}"),
        "*2\r\n*2\r\n:1\r\n:2\r\n$1\r\nx\r\n"
    );
    assert_eq!(bench.run("return {3.9, -3.9, 1e400, 'x'}"), "*4\r\n:3\r\n:-3\r\n:-9223372036854775808\r\n$1\r\nx\r\n");
}

#[test]
fn numbers_are_passed_as_the_shortest_texts_that_tell_them() {
    let Some(mut bench) = Bench::new() else { return };
    let reply = bench.run("return redis.call(1, 1.5, 0.1, 1e15, 1e21, -0.0, 2^53)");
    let texts: Vec<&str> = reply.lines().filter(|line| !line.starts_with(['$', '*'])).collect();
    assert_eq!(texts, ["1", "1.5", "0.1", "1000000000000000", "1e+21", "0", "9007199254740992"]);
}

#[test]
fn instructions_are_counted_for_each_script_by_itself() {
    let Some(mut bench) = Bench::new() else { return };
    for _ in 0..100 {
        bench.run("local n = 0 for i = 1, 10000 do n = n + 1 end return n");
    }
    // Some are asked for if the thread has to wait for a core; counted together, all of these would be 20.
    assert!(bench.host.interruptions < 10, "{} interruptions", bench.host.interruptions);
    bench.host.interruptions = 0;
    bench.run("local n = 0 for i = 1, 200000 do n = n + 1 end return n");
    assert!(bench.host.interruptions >= 3);
}

#[test]
fn a_reply_without_end_is_refused() {
    let Some(mut bench) = Bench::new() else { return };
    let long = "string.rep('x', 2 ^ 20)";
    let reply = bench.run(&format!("local t = {{{long}}} for i = 1, 40 do t = {{t, t}} end return t"));
    assert!(reply.starts_with("-ERR the reply becomes too long"), "{}", &reply[..reply.len().min(100)]);
}
