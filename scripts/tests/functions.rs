//! Libraries in one runtime: loaded when one of their functions is called, forgotten with a new version, and never half there.

mod support;

use std::time::Duration;

use sherd_scripts::functions::library::{Function, Library};
use sherd_scripts::functions::table::{Libraries, Recent};
use sherd_scripts::runtime::{Program, Run};
use sherd_shards::handler::reply::Protocol;
use support::Bench;

const TWO: &str = "#!lua name=lib
local calls = 0
redis.register_function('f', function(keys, args) calls = calls + 1 return {keys[1], args[1], calls} end)
redis.register_function{function_name='g', callback=function() return g end, flags={'no-writes'}, description='d'}";

fn load(bench: &mut Bench, source: &str) -> Result<Vec<Function>, String> {
    let library = Library::of_source(source.as_bytes())?;
    let loaded = bench.runtime.load(&library, None, Some(Duration::from_millis(200)));
    loaded.map_err(|text| String::from_utf8_lossy(&text).into_owned())
}

/// A table with a library that another runtime has loaded.
fn table(source: &str) -> Libraries {
    let mut other = Bench::new().expect("Lua was there just now");
    let (libraries, library) =
        (Libraries::default(), Library::of_source(source.as_bytes()).expect("its name is right"));
    let functions = other.runtime.load(&library, None, None).expect("it loads");
    libraries.add(library.with_functions(functions), true).expect("there is no other one");
    libraries
}

fn call(bench: &mut Bench, libraries: &Libraries, name: &str) -> String {
    let Some(found) = Recent::default().find(libraries, name.as_bytes()) else { return "none".to_owned() };
    bench.runtime.follow(libraries);
    let run = Run {
        program: Program::Function(&found),
        keys: &[b"k"],
        args: &[b"a"],
        protocol: Protocol::Resp2,
        reply_bytes_max: usize::MAX,
    };
    let mut out = Vec::new();
    bench.runtime.run(&run, &mut bench.host, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn a_library_registers_its_functions_and_nothing_that_fails_is_kept() {
    let Some(mut bench) = Bench::new() else { return };
    let functions = load(&mut bench, TWO).expect("it loads");
    let names: Vec<&[u8]> = functions.iter().map(|function| &*function.name).collect();
    assert_eq!(names, [b"f", b"g"]);
    assert_eq!(functions[1].description.as_deref(), Some(&b"d"[..]));
    assert_eq!(functions[1].flags.names().collect::<Vec<_>>(), [b"no-writes"]);
    for (body, expected) in [
        ("x", "Error compiling function: user_function:2: '=' expected near '<eof>'"),
        ("x = 1", "Error registering functions: ERR user_function:2: Attempt to modify a readonly table"),
        ("while true do end", "Error registering functions: ERR FUNCTION LOAD timeout"),
        (
            "return redis.call('PING')",
            "Error registering functions: ERR user_function:2: Script attempted to access \
          nonexistent global variable 'call'",
        ),
    ] {
        assert_eq!(load(&mut bench, &format!("#!lua name=lib\n{body}")).expect_err("it fails"), expected);
    }
    assert_eq!(bench.run("return 1"), ":1\r\n");
}

#[test]
fn a_runtime_loads_a_library_with_the_first_call_and_keeps_what_is_local_to_it() {
    let Some(mut bench) = Bench::new() else { return };
    let libraries = table(TWO);
    assert_eq!(call(&mut bench, &libraries, "f"), "*3\r\n$1\r\nk\r\n$1\r\na\r\n:1\r\n");
    assert_eq!(call(&mut bench, &libraries, "F"), "*3\r\n$1\r\nk\r\n$1\r\na\r\n:2\r\n");
    assert!(
        call(&mut bench, &libraries, "g").contains("nonexistent global variable 'g' script: g, on @user_function:4.")
    );
    assert_eq!(bench.run_with(b"return KEYS[1]", &[b"of a script"], &[]), "$11\r\nof a script\r\n");
    assert_eq!(call(&mut bench, &libraries, "f"), "*3\r\n$1\r\nk\r\n$1\r\na\r\n:3\r\n");
    libraries.remove(b"lib");
    assert_eq!(call(&mut bench, &libraries, "f"), "none");
    let libraries = table(TWO);
    assert_eq!(call(&mut bench, &libraries, "f"), "*3\r\n$1\r\nk\r\n$1\r\na\r\n:1\r\n");
}

#[test]
fn a_library_that_meets_the_memory_limit_is_an_error_wherever_it_meets_it() {
    let Some(mut bench) = Bench::new() else { return };
    let libraries = table(TWO);
    call(&mut bench, &libraries, "f");
    for room in (0..40_000).step_by(97) {
        bench.allow(room);
        let loaded = load(&mut bench, TWO);
        let reply = call(&mut bench, &libraries, "f");
        bench.allow(usize::MAX);
        assert!(loaded.is_ok_and(|functions| functions.len() == 2) || reply.starts_with(['-', '*']), "{reply}");
        assert!(call(&mut bench, &libraries, "f").starts_with("*3\r\n"));
    }
}
