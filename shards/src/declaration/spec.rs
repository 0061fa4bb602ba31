//! The declaration of a command, from which everything else about it is derived: arity check, routing, gating, ACL
//! categories, COMMAND and COMMAND DOCS, per-command metrics, reference documentation.

use std::borrow::Cow;

use crate::declaration::category::{self, Categories};
use sherd_types::number;

/// Who executes a command.
#[derive(Clone, Copy)]
pub enum Plane<H> {
    /// A shard's executor, which calls this.
    Data(H),
    /// The IO thread that owns the connection; the number is the IO layer's own.
    Connection(u16),
    /// The control plane.
    Control,
    /// A thread of the extensions: commands that came with the configuration, in Python.
    Extension,
    /// Only its subcommands are executed.
    Container,
}

/// Which shards a data command needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Those of its keys.
    Keys,
    /// All of them, with its database as a whole.
    All,
    /// All of them, but each by itself: one is held at a time, unless in a transaction. The replies are arrays, which are joined.
    Each,
    /// The one that the cursor in argument 1 stands in.
    Cursor,
}

macro_rules! flags {
    ($($name:ident = $bit:expr, $text:expr;)*) => {
        /// Command flags as a bit set.
        pub mod flag {
            $(pub const $name: u32 = 1 << $bit;)*
        }
        /// Flags with the names that COMMAND gives them.
        pub const FLAG_NAMES: &[(u32, &str)] = &[$((flag::$name, $text)),*];
    };
}

// In the order in which Redis lists them.
flags! {
    WRITE = 0, "write";
    READONLY = 1, "readonly";
    DENYOOM = 2, "denyoom";
    MODULE = 3, "module";
    ADMIN = 4, "admin";
    PUBSUB = 5, "pubsub";
    NOSCRIPT = 6, "noscript";
    BLOCKING = 7, "blocking";
    LOADING = 8, "loading";
    STALE = 9, "stale";
    SKIP_MONITOR = 10, "skip_monitor";
    SKIP_SLOWLOG = 11, "skip_slowlog";
    ASKING = 12, "asking";
    FAST = 13, "fast";
    NO_AUTH = 14, "no_auth";
    MAY_REPLICATE = 15, "may_replicate";
    NO_ASYNC_LOADING = 16, "no_async_loading";
    NO_MULTI = 17, "no_multi";
    MOVABLE_KEYS = 18, "movablekeys";
    ALLOW_BUSY = 19, "allow_busy";
    NO_MANDATORY_KEYS = 20, "no_mandatory_keys";
}

macro_rules! groups {
    ($($group:ident = $name:expr, $category:expr;)*) => {
        /// The group in the documentation; most are an ACL category as well.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Group {
            $($group,)*
        }

        impl Group {
            /// Every group.
            pub const ALL: &'static [Group] = &[$(Group::$group),*];

            /// The name in COMMAND DOCS.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Group::$group => $name,)*
                }
            }

            /// The ACL category of its commands.
            pub const fn category(self) -> Categories {
                match self {
                    $(Group::$group => $category,)*
                }
            }
        }
    };
}

groups! {
    String = "string", category::STRING;
    Bitmap = "bitmap", category::BITMAP;
    Hash = "hash", category::HASH;
    List = "list", category::LIST;
    Set = "set", category::SET;
    SortedSet = "sorted-set", category::SORTED_SET;
    HyperLogLog = "hyperloglog", category::HYPERLOGLOG;
    Geo = "geo", category::GEO;
    Stream = "stream", category::STREAM;
    Generic = "generic", Categories::NONE;
    Transactions = "transactions", category::TRANSACTION;
    Connection = "connection", Categories::NONE;
    Server = "server", Categories::NONE;
    Cluster = "cluster", Categories::NONE;
    PubSub = "pubsub", Categories::NONE;
    Scripting = "scripting", category::SCRIPTING;
    Module = "module", Categories::NONE;
}

/// Where a key specification begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At this argument (the command's name is argument 0).
    Index(i16),
    /// After this word, searched from the given argument on (from the end backwards when negative).
    Keyword(&'static str, i16),
    /// Nowhere that a rule could tell.
    Unknown,
}

/// How the keys follow from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// Up to `last` (relative to the beginning; negative counts from the command's end), every `step`, `limit` as in
    /// Redis: 0 or 1 no limit, 2 half of the rest, ...
    Range { last: i16, step: i16, limit: i16 },
    /// The argument at `number` says how many keys; the first is at `first` (both relative to the beginning).
    Number { number: i16, first: i16, step: i16 },
    /// In a way that no rule tells.
    Unknown,
}

/// One key specification.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeySpec {
    /// Flags in the order in which COMMAND INFO gives them, e.g. `RO ACCESS`.
    pub flags: &'static str,
    pub begin: Begin,
    pub find: Find,
}

impl KeySpec {
    /// Whether what it finds are keys, and not names that only belong to a slot as keys do.
    pub fn is_key(&self) -> bool {
        !self.flags.contains("NOT_KEY")
    }
}

/// One key at argument `index`.
pub const fn one_key(flags: &'static str, index: i16) -> KeySpec {
    KeySpec { flags, begin: Begin::Index(index), find: Find::Range { last: 0, step: 1, limit: 0 } }
}

/// Keys from argument `first` to `last` (relative to it when positive or 0, to the end when negative), every `step`.
pub const fn key_range(flags: &'static str, first: i16, last: i16, step: i16) -> KeySpec {
    KeySpec { flags, begin: Begin::Index(first), find: Find::Range { last, step, limit: 0 } }
}

/// A number of keys at argument `index`, the keys behind it.
pub const fn numbered_keys(flags: &'static str, index: i16) -> KeySpec {
    KeySpec { flags, begin: Begin::Index(index), find: Find::Number { number: 0, first: 1, step: 1 } }
}

/// Gives the argument numbers of a command line's keys.
pub type FindKeys = fn(&[&[u8]]) -> Vec<usize>;

/// Tells what a command line does to the key at an argument, as [`KeySpec::flags`] does.
pub type TellFlags = fn(&[&[u8]], usize) -> &'static str;

/// Tells whether a command line reaches keys that its arguments do not name.
pub type ReachesBeyond = fn(&[&[u8]]) -> bool;

/// Which arguments are channels, for who may use some only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Channels {
    None,
    /// The first one.
    First,
    /// All of them.
    All,
    /// All of them are patterns of channels.
    AllPatterns,
}

/// Gives the databases that a command line names, with the numbers of the arguments.
pub type FindDatabases = fn(&[&[u8]]) -> Vec<(usize, u32)>;

/// Which databases a command works in, for who may use some only.
#[derive(Clone, Copy, Debug)]
pub enum Databases {
    /// The selected one, if any.
    Current,
    /// Those that its arguments name, and the selected one if it has keys.
    Named(FindDatabases),
    All,
}

/// The database at an argument, where it is a number; what is none is refused by the command.
pub fn database_at(args: &[&[u8]], at: usize) -> Option<(usize, u32)> {
    Some((at, u32::try_from(number::parse_i64(args.get(at)?)?).ok()?))
}

/// Arguments that nobody but the command itself may see: MONITOR and the slow log show them as [`REDACTED`].
///
/// Data and not a function, so that commands of the control plane declare theirs as all others do. A word that is an
/// argument's value by chance hides what follows it: too much is hidden rather than too little.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Secret {
    /// The word that they follow, in either case; empty where they begin at `from`.
    pub word: &'static str,
    /// The argument at which the word is looked for first.
    pub from: usize,
    /// From there it is looked for at every so many arguments.
    pub step: usize,
    /// How many they are, at most.
    pub count: usize,
}

/// What is shown of a secret.
pub const REDACTED: &[u8] = b"(redacted)";

impl Secret {
    /// All arguments from `from` on.
    pub const fn all_from(from: usize) -> Secret {
        Secret { word: "", from, step: 1, count: usize::MAX }
    }

    /// `count` arguments behind each `word` from argument `from` on.
    pub const fn behind(word: &'static str, from: usize, count: usize) -> Secret {
        Secret { word, from, step: 1, count }
    }

    fn hide(&self, args: &[&[u8]], shown: &mut [&[u8]]) {
        let hide = |from: usize, shown: &mut [&[u8]]| {
            shown.iter_mut().skip(from).take(self.count).for_each(|arg| *arg = REDACTED);
        };
        if self.word.is_empty() {
            return hide(self.from, shown);
        }
        for at in (self.from..args.len()).step_by(self.step.max(1)) {
            if args[at].eq_ignore_ascii_case(self.word.as_bytes()) {
                hide(at + 1, shown);
            }
        }
    }
}

/// See the [module](self). Build one with struct update syntax from [`CommandSpec::DEFAULT`].
#[derive(Clone, Copy)]
pub struct CommandSpec<H> {
    /// Lower case; a subcommand is `container|sub`.
    pub name: &'static str,
    /// One sentence for COMMAND DOCS and the reference.
    pub summary: &'static str,
    /// The Redis (or Valkey) version that brought it.
    pub since: &'static str,
    /// What later versions changed, each with its version, oldest first.
    pub history: &'static [(&'static str, &'static str)],
    /// The version since which something else is to be used, and what: "`LMOVE`".
    pub deprecated: Option<(&'static str, &'static str)>,
    /// Meant for servers and their developers, not for applications: `syscmd` in COMMAND DOCS.
    pub system: bool,
    /// For COMMAND DOCS, e.g. `O(1)`.
    pub complexity: &'static str,
    pub group: Group,
    /// Arguments with the name: exactly this many, or at least the absolute value of a negative number.
    pub arity: i16,
    /// See [`flag`].
    pub flags: u32,
    /// ACL categories besides those that follow from flags and group; see [`crate::declaration::table::categories_of`].
    pub categories: Categories,
    pub keys: &'static [KeySpec],
    /// The argument that names an element of the first key's collection, 0 if none does: what finding it reads is asked of
    /// memory in advance; see [`crate::executor::prefetch`].
    pub element: u8,
    /// The arguments as the documentation writes them: `key value [NX | XX]`.
    pub syntax: &'static str,
    pub scope: Scope,
    /// Keys that only the arguments tell (SORT ... STORE, MIGRATE): returns the argument numbers of all keys.
    pub find_keys: Option<FindKeys>,
    /// What is done to a key, where only the arguments tell (`SET ... GET`, `BITFIELD ... GET`).
    pub tell_flags: Option<TellFlags>,
    /// Whether all shards are needed besides those of the keys, where only the arguments tell (SORT ... BY).
    pub reaches_beyond: Option<ReachesBeyond>,
    pub channels: Channels,
    pub databases: Databases,
    /// COMMAND tips, e.g. `nondeterministic_output`.
    pub tips: &'static [&'static str],
    /// What MONITOR and the slow log must not show.
    pub secrets: &'static [Secret],
    pub plane: Plane<H>,
}

impl<H> CommandSpec<H> {
    /// A command without keys or flags that does nothing.
    pub const DEFAULT: CommandSpec<H> = CommandSpec {
        name: "",
        summary: "",
        since: "1.0.0",
        history: &[],
        deprecated: None,
        system: false,
        complexity: "O(1)",
        group: Group::Generic,
        arity: 1,
        flags: 0,
        categories: Categories::NONE,
        keys: &[],
        element: 0,
        syntax: "",
        scope: Scope::Keys,
        find_keys: None,
        tell_flags: None,
        reaches_beyond: None,
        channels: Channels::None,
        databases: Databases::Current,
        tips: &[],
        secrets: &[],
        plane: Plane::Control,
    };

    /// Whether `argc` arguments (the name counts) are acceptable.
    #[inline]
    pub const fn accepts(&self, argc: usize) -> bool {
        let least = self.arity.unsigned_abs() as usize;
        argc == least || argc > least && self.arity < 0
    }

    /// Whether it has just one key, at argument 1.
    #[inline]
    pub fn has_one_key_in_front(&self) -> bool {
        let is_in_front =
            |one: &KeySpec| one.begin == Begin::Index(1) && matches!(one.find, Find::Range { last: 0, .. });
        self.find_keys.is_none() && matches!(self.keys, [one] if is_in_front(one))
    }

    /// Whether a command's keys are what its client has read, for its cache. Of a script, its commands are looked at.
    pub fn reads_keys(&self) -> bool {
        self.has(flag::READONLY) && !self.has(flag::PUBSUB) && self.group != Group::Scripting && !self.keys.is_empty()
    }

    /// What COMMAND DOCS says of its kind.
    pub fn doc_flags(&self) -> impl Iterator<Item = &'static str> {
        self.deprecated.map(|_| "deprecated").into_iter().chain(self.system.then_some("syscmd"))
    }

    /// Whether the command has this flag.
    #[inline]
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// A command line as others may see it.
    pub fn shown<'a, 'b>(&self, args: &'b [&'a [u8]]) -> Cow<'b, [&'a [u8]]> {
        if self.secrets.is_empty() {
            return Cow::Borrowed(args);
        }
        let mut shown = args.to_vec();
        self.secrets.iter().for_each(|secret| secret.hide(args, &mut shown));
        Cow::Owned(shown)
    }

    /// First key, last key and step as COMMAND gives them; zeros where no fixed positions exist.
    pub fn legacy_keys(&self) -> (i64, i64, i64) {
        // As Redis derives them: ranges by index only; several of them are joined when they are contiguous.
        let mut result: Option<(i64, i64, i64)> = None;
        for spec in self.keys {
            let (Begin::Index(begin), Find::Range { last, step, .. }) = (spec.begin, spec.find) else { continue };
            let begin = i64::from(begin);
            let last = if last < 0 { i64::from(last) } else { begin + i64::from(last) };
            result = match result {
                None => Some((begin, last, i64::from(step))),
                Some((first, previous, step)) if previous >= 0 && begin == previous + 1 => Some((first, last, step)),
                other => other,
            };
        }
        result.unwrap_or((0, 0, 0))
    }

    /// The argument numbers of all keys of a command, or `None` when its numbers of keys make no sense.
    pub fn key_positions(&self, args: &[&[u8]]) -> Option<Vec<usize>> {
        if let Some(find) = self.find_keys {
            return Some(find(args));
        }
        let argc = args.len() as i64;
        let mut keys = Vec::new();
        for spec in self.keys {
            let begin = match spec.begin {
                Begin::Index(index) => i64::from(index),
                Begin::Keyword(word, from) => match find_keyword(args, word, from) {
                    Some(index) => index as i64 + 1,
                    None => continue,
                },
                Begin::Unknown => continue,
            };
            let (first, last, step) = match spec.find {
                Find::Range { last, step, limit } => {
                    let last = if last >= 0 {
                        begin + i64::from(last)
                    } else if limit <= 1 {
                        argc + i64::from(last)
                    } else {
                        begin + (argc - begin) / i64::from(limit) + i64::from(last)
                    };
                    (begin, last, i64::from(step))
                }
                Find::Number { number, first, step } => {
                    let at = begin + i64::from(number);
                    let count = args.get(at as usize).map(|text| leading_integer(text))?;
                    if count < 0 || count > argc {
                        return None;
                    }
                    let first = begin + i64::from(first);
                    (first, first + (count - 1) * i64::from(step), i64::from(step))
                }
                Find::Unknown => continue,
            };
            if last >= argc {
                return None;
            }
            let mut at = first;
            while at <= last {
                keys.push(at as usize);
                at += step;
            }
        }
        Some(keys)
    }
}

/// The number that a text begins with, as C's `atoi` reads it: Redis finds keys so before the command itself looks at its
/// arguments closely.
fn leading_integer(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text.first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let value = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0i64, |value, byte| value.saturating_mul(10).saturating_add(i64::from(byte - b'0')));
    if negative {
        -value
    } else {
        value
    }
}

fn find_keyword(args: &[&[u8]], word: &str, from: i16) -> Option<usize> {
    let matches = |at: &usize| args[*at].eq_ignore_ascii_case(word.as_bytes());
    if from >= 0 {
        (from as usize..args.len()).find(matches)
    } else {
        (1..(args.len() as i64 + i64::from(from) + 1).max(1) as usize).rev().find(matches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn legacy(keys: &'static [KeySpec]) -> (i64, i64, i64) {
        CommandSpec::<()> { keys, ..CommandSpec::DEFAULT }.legacy_keys()
    }

    #[test]
    fn adjacent_fixed_positions_make_one_range_and_what_only_arguments_tell_is_left_out() {
        const STREAMS: KeySpec = KeySpec {
            begin: Begin::Keyword("STREAMS", 1),
            find: Find::Range { last: -1, step: 1, limit: 2 },
            flags: "",
        };
        assert_eq!(legacy(&[]), (0, 0, 0));
        assert_eq!(legacy(const { &[one_key("", 1)] }), (1, 1, 1));
        assert_eq!(legacy(const { &[key_range("", 1, -1, 2)] }), (1, -1, 2));
        assert_eq!(legacy(const { &[one_key("", 1), one_key("", 2)] }), (1, 2, 1));
        assert_eq!(legacy(const { &[one_key("", 1), numbered_keys("", 2)] }), (1, 1, 1));
        assert_eq!(legacy(const { &[STREAMS] }), (0, 0, 0));
    }
}
