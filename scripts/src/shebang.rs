//! The first line of a script: `#!lua flags=no-writes,allow-stale`.

/// What a script says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flags {
    bits: u8,
}

/// One of the flags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Flag {
    NoWrites = 1,
    AllowOom = 2,
    AllowStale = 4,
    NoCluster = 8,
    /// The script has no such line: what it does is looked at command by command.
    Compatible = 16,
    AllowCrossSlotKeys = 32,
}

const NAMES: [(&[u8], Flag); 5] = [
    (b"no-writes", Flag::NoWrites),
    (b"allow-oom", Flag::AllowOom),
    (b"allow-stale", Flag::AllowStale),
    (b"no-cluster", Flag::NoCluster),
    (b"allow-cross-slot-keys", Flag::AllowCrossSlotKeys),
];

/// A flag by its name, in whatever case its letters are.
pub fn named(name: &[u8]) -> Option<Flag> {
    NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, flag)| *flag)
}

impl Flags {
    /// The names of those that are set.
    pub fn names(self) -> impl Iterator<Item = &'static [u8]> {
        NAMES.iter().filter(move |(_, flag)| self.has(*flag)).map(|(name, _)| *name)
    }

    /// Whether a flag is set.
    pub fn has(self, flag: Flag) -> bool {
        self.bits & flag as u8 != 0
    }

    /// The same with a flag more.
    pub fn with(self, flag: Flag) -> Flags {
        Flags { bits: self.bits | flag as u8 }
    }
}

/// The flags of a script, and where its text begins: the line break stays, so that lines keep their numbers.
pub fn parse(source: &[u8]) -> Result<(Flags, usize), Vec<u8>> {
    if !source.starts_with(b"#!") {
        return Ok((Flags::default().with(Flag::Compatible), 0));
    }
    let Some(end) = source.iter().position(|&byte| byte == b'\n') else {
        return Err(b"ERR Invalid script shebang".to_vec());
    };
    let mut words = source[..end].split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let engine = words.next().and_then(|word| word.strip_prefix(b"#!")).unwrap_or_default();
    if engine != b"lua" {
        return Err([b"ERR Unexpected engine in script shebang: #!", engine].concat());
    }
    let mut flags = Flags::default();
    for word in words {
        let Some(list) = word.strip_prefix(b"flags=") else {
            return Err([b"ERR Unknown lua shebang option: ", word].concat());
        };
        // An empty list has no flags, and not one without a name.
        for name in list.split(|&byte| byte == b',').take_while(|_| !list.is_empty()) {
            let Some((_, flag)) = NAMES.iter().find(|(known, _)| *known == name) else {
                return Err([b"ERR Unexpected flag in script shebang: ", name].concat());
            };
            flags = flags.with(*flag);
        }
    }
    Ok((flags, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_from_the_first_line() {
        let (flags, body) = parse(b"#!lua flags=no-writes,allow-oom\nreturn 1").expect("it is well-formed");
        assert!(flags.has(Flag::NoWrites) && flags.has(Flag::AllowOom) && !flags.has(Flag::Compatible));
        assert_eq!(body, 31);
        let (flags, body) = parse(b"return 1").expect("it has no such line");
        assert!(flags.has(Flag::Compatible) && body == 0);
    }

    #[test]
    fn an_empty_list_has_no_flags() {
        let (flags, body) = parse(b"#!lua flags=\nreturn 1").expect("it is well-formed");
        assert!(!flags.has(Flag::NoWrites) && !flags.has(Flag::Compatible) && body == 12);
    }

    #[test]
    fn what_is_no_flag_is_refused() {
        for (source, expected) in [
            (&b"#!lua"[..], "ERR Invalid script shebang"),
            (b"#!python\n", "ERR Unexpected engine in script shebang: #!python"),
            (b"#!lua flags=x\n", "ERR Unexpected flag in script shebang: x"),
            (b"#!lua flags=,\n", "ERR Unexpected flag in script shebang: "),
            (b"#!lua x=y\n", "ERR Unknown lua shebang option: x=y"),
        ] {
            assert_eq!(parse(source).expect_err("it is malformed"), expected.as_bytes());
        }
    }
}
