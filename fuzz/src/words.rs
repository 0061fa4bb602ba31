//! Turning fuzz bytes into command lines that get past the first check: a command by its number, arguments from keys,
//! from the words of the command's own syntax, from a dictionary of edge values, or as raw bytes.

use std::sync::OnceLock;

use sherd_shards::command::registry::Command;
use sherd_shards::command::spec::Plane;
use sherd_types::number::parse_i64;

use super::keyspace::table;

/// Keys over several shards, two of them in one slot, and some that are odd.
const KEYS: [&[u8]; 10] = [
    b"a",
    b"b",
    b"c",
    b"d",
    b"{a}1",
    b"foo",
    b"bar",
    b"\xFF\x00\r\n",
    b"",
    b"a key that is longer than any small buffer would be",
];

/// Values at the edges of what commands take.
pub const EDGES: &[&[u8]] = &[
    b"",
    b"0",
    b"1",
    b"2",
    b"3",
    b"5",
    b"10",
    b"-1",
    b"-2",
    b"-3",
    b"-100",
    b"100",
    b"127",
    b"128",
    b"255",
    b"256",
    b"511",
    b"512",
    b"4095",
    b"-4096",
    b"32767",
    b"32768",
    b"-32769",
    b"65536",
    b"2147483647",
    b"2147483648",
    b"-2147483649",
    b"4294967296",
    b"9007199254740993",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"9223372036854775808",
    b"18446744073709551615",
    b"1700000000",
    b"1700000001000",
    b"00",
    b"01",
    b"+1",
    b" 1",
    b"1 ",
    b"-0",
    b"0.0",
    b"-0.0",
    b"0.1",
    b"1.5",
    b"3.0e3",
    b"1e400",
    b"1e-400",
    b"5e-324",
    b"1.7976931348623157e308",
    b"nan",
    b"-nan",
    b"inf",
    b"+inf",
    b"-inf",
    b"infinity",
    b"0x10",
    b"1.0000000000000002",
    b"99999999999999999999.5",
    b"+",
    b"-",
    b"(",
    b"[",
    b"(1",
    b"(-inf",
    b"(inf",
    b"[a",
    b"[b",
    b"(c",
    b"*",
    b"?",
    b"a*",
    b"[a-",
    b"\\",
    b"f1",
    b"f2",
    b"f3",
    b"m1",
    b"m2",
    b"m3",
    b"abcd",
    b"a member of quite some length, beyond the limits of packing them",
    b"\x00",
    b"\xFF\xFE",
    b"\r\n",
    b"string",
    b"list",
    b"hash",
    b"zset",
    b"DB",
    b"ASYNC",
    b"SYNC",
    b"3q",
    b"1-1",
    b"0-0",
    b"5-*",
    b"$",
    b">",
    b"~",
    b"=",
    b"7-0",
    b"18446744073709551615-18446744073709551615",
    b"1-",
    b"(1-1",
    b"g1",
    b"c1",
    b"13.361389",
    b"38.115556",
    b"-180",
    b"85.05112878",
    b"km",
    b"u8",
    b"i64",
    b"#1",
];

/// Repeated draws in this range only take time (the largest allowed makes a reply of a hundred megabytes).
const SLOW_NUMBERS: std::ops::RangeInclusive<u64> = 5_000..=50_000_000;

/// Commands that the byte can name that begins a command line; its last value is a step of the clock.
const NAMED_BY_A_BYTE: usize = 255;

/// Takes no arguments and long.
const LEFT_OUT: &str = "pfselftest";

/// The commands of the data plane, and for each the words in capitals of its syntax.
pub fn commands() -> &'static [(&'static Command, Vec<&'static str>)] {
    static COMMANDS: OnceLock<Vec<(&'static Command, Vec<&'static str>)>> = OnceLock::new();
    COMMANDS.get_or_init(|| {
        let table = table();
        let data = table
            .commands()
            .iter()
            .filter(|command| matches!(command.spec.plane, Plane::Data(_)) && command.spec.name != LEFT_OUT);
        let commands: Vec<_> = data.map(|command| (command, options(command.spec.syntax))).collect();
        assert!(commands.len() <= NAMED_BY_A_BYTE, "one byte does not reach {} commands", commands.len());
        commands
    })
}

/// The words in capitals of a syntax.
fn options(syntax: &'static str) -> Vec<&'static str> {
    let words = syntax.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter(|word| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_uppercase())).collect()
}

/// Fuzz bytes that are taken from the front.
pub struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    /// The next byte, 0 behind the end.
    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// At most so many bytes.
    pub fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// The next command line: the command and its arguments, the name first.
    pub fn command_line(&mut self) -> (&'static Command, Vec<Vec<u8>>) {
        let commands = commands();
        let (command, own_words) = &commands[usize::from(self.byte()) % commands.len()];
        let count = self.argument_count(command.spec.arity);
        let mut args: Vec<Vec<u8>> = command.spec.name.split('|').map(|word| word.as_bytes().to_vec()).collect();
        while args.len() < count {
            let is_key = command
                .spec
                .keys
                .iter()
                .any(|key| key.begin == sherd_shards::command::spec::Begin::Index(args.len() as i16));
            args.push(self.argument(is_key, own_words));
        }
        (command, args)
    }

    /// How many arguments, with the name: mostly what the arity allows.
    fn argument_count(&mut self, arity: i16) -> usize {
        let least = usize::from(arity.unsigned_abs());
        match self.byte() {
            count @ 0..=223 if arity < 0 => least + usize::from(count % 7),
            0..=223 => least,
            count => usize::from(count) % 16,
        }
    }

    fn argument(&mut self, is_key: bool, own_words: &[&'static str]) -> Vec<u8> {
        match self.byte() {
            choice @ 0..=191 if is_key => KEYS[usize::from(choice) % KEYS.len()].to_vec(),
            choice @ 0..=31 => KEYS[usize::from(choice) % KEYS.len()].to_vec(),
            choice @ 32..=95 if !own_words.is_empty() => {
                own_words[usize::from(choice) % own_words.len()].as_bytes().to_vec()
            }
            choice @ 32..=215 => EDGES[usize::from(choice) % EDGES.len()].to_vec(),
            216..=223 => vec![b'x'; usize::from(self.byte()) * 8],
            _ => self.raw(),
        }
    }

    fn raw(&mut self) -> Vec<u8> {
        let length = usize::from(self.byte() % 24);
        let raw = self.take(length);
        match parse_i64(raw) {
            Some(number) if SLOW_NUMBERS.contains(&number.unsigned_abs()) => b"-4999".to_vec(),
            _ => raw.to_vec(),
        }
    }
}
