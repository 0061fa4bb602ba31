//! Which clients CLIENT LIST and CLIENT KILL mean: conditions that all have to hold, any of which may be turned round by `NOT-`.
//!
//! Redis has some of them for CLIENT KILL only, and for CLIENT LIST either a type or ids; Valkey takes all for both.

use std::mem::discriminant;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

use sherd_shards::handler::args;
use sherd_shards::handler::error::{CommandError, SYNTAX};
use sherd_shards::rights::User;
use sherd_shards::server::client::ClientRecord;

use crate::observe::clients::{client_class, flags, lock, CLIENT_TYPES};
use crate::shared::Shared;

type Result<T> = std::result::Result<T, CommandError>;

/// Every letter that `flags=` can have in a server of this kind, so that a filter can ask for what no client here ever is.
const FLAGS: &[u8] = b"ASMOPtRBbdcuxrUeTIiEN";
const CAPABILITIES: &[u8] = b"r";
const KILL_ID: CommandError = CommandError::new("ERR client-id should be greater than 0");
const LIST_ID: CommandError = CommandError::new("ERR Invalid client ID");

/// The command that asks, where that makes a difference.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    List,
    Kill,
}

/// See the [module](self).
pub(super) struct Filter {
    /// With each whether it has to hold; one of a kind.
    conditions: Vec<(Condition, bool)>,
    /// Who asks is left out.
    pub skips_me: bool,
}

enum Condition {
    Ids(Vec<i64>),
    Type(&'static str),
    User(Arc<User>),
    Address(Vec<u8>),
    LocalAddress(Vec<u8>),
    Ip(Vec<u8>),
    Name(Vec<u8>),
    LibraryName(Vec<u8>),
    LibraryVersion(Vec<u8>),
    Database(u32),
    Flags(Vec<u8>),
    Capabilities(Vec<u8>),
    AgeSeconds(i64),
    IdleSeconds(i64),
}

impl Filter {
    pub fn of_address(address: &[u8]) -> Filter {
        Filter { conditions: vec![(Condition::Address(address.to_vec()), true)], skips_me: false }
    }

    pub fn parse(shared: &Shared, options: &[&[u8]], asks: For) -> Result<Filter> {
        let mut filter = Filter { conditions: Vec::new(), skips_me: asks == For::Kill };
        let mut rest = options;
        while let [option, after @ ..] = rest {
            rest = filter.parse_one(shared, option, after, asks)?;
        }
        Ok(filter)
    }

    /// Takes an option and its values; returns what follows.
    fn parse_one<'a>(
        &mut self,
        shared: &Shared,
        option: &[u8],
        after: &'a [&'a [u8]],
        asks: For,
    ) -> Result<&'a [&'a [u8]]> {
        let (name, wanted) = match option.split_at_checked(4) {
            Some((prefix, name)) if args::is(prefix, "NOT-") => (name, false),
            _ => (option, true),
        };
        let (value, after) = after.split_first().ok_or(SYNTAX)?;
        if args::is(name, "ID") {
            let (ids, after) = parse_ids(value, after, asks)?;
            match self
                .conditions
                .iter_mut()
                .find(|(one, as_wanted)| matches!(one, Condition::Ids(_)) && *as_wanted == wanted)
            {
                Some((Condition::Ids(known), _)) => known.extend(ids),
                _ => self.conditions.push((Condition::Ids(ids), wanted)),
            }
            return Ok(after);
        }
        if wanted && args::is(name, "SKIPME") {
            self.skips_me = [("yes", true), ("no", false)]
                .into_iter()
                .find_map(|(word, skips)| args::is(value, word).then_some(skips))
                .ok_or(SYNTAX)?;
            return Ok(after);
        }
        let condition = Condition::parse(shared, name, value, wanted)?;
        self.conditions
            .retain(|(one, as_wanted)| *as_wanted != wanted || discriminant(one) != discriminant(&condition));
        self.conditions.push((condition, wanted));
        Ok(after)
    }

    pub fn matches(&self, record: &ClientRecord, now_ms: i64) -> bool {
        self.conditions.iter().all(|(condition, wanted)| condition.holds(record, now_ms) == *wanted)
    }
}

impl Condition {
    fn parse(shared: &Shared, name: &[u8], value: &[u8], wanted: bool) -> Result<Condition> {
        for (word, make) in [
            ("ADDR", Condition::Address as fn(Vec<u8>) -> Condition),
            ("LADDR", Condition::LocalAddress),
            ("IP", Condition::Ip),
            ("NAME", Condition::Name),
            ("LIB-NAME", Condition::LibraryName),
            ("LIB-VER", Condition::LibraryVersion),
        ] {
            if args::is(name, word) {
                return Ok(make(value.to_vec()));
            }
        }
        if args::is(name, "TYPE") {
            client_type(value).map(Condition::Type)
        } else if args::is(name, "USER") {
            let unknown = || CommandError::with(format!("ERR No such user '{}'", String::from_utf8_lossy(value)));
            shared.access.find(value).ok_or_else(unknown).map(Condition::User)
        } else if args::is(name, "DB") {
            parse_database(shared, value, wanted).map(Condition::Database)
        } else if args::is(name, "FLAGS") {
            parse_letters(("flags", "FLAGS"), value, FLAGS, wanted).map(Condition::Flags)
        } else if args::is(name, "CAPA") {
            parse_letters(("capa", "CAPA"), value, CAPABILITIES, wanted).map(Condition::Capabilities)
        } else if wanted && args::is(name, "MAXAGE") {
            parse_seconds("maxage", value).map(Condition::AgeSeconds)
        } else if wanted && args::is(name, "IDLE") {
            parse_seconds("idle", value).map(Condition::IdleSeconds)
        } else {
            Err(SYNTAX)
        }
    }

    fn holds(&self, record: &ClientRecord, now_ms: i64) -> bool {
        match self {
            Condition::Ids(ids) => ids.contains(&(record.id as i64)),
            Condition::Type(kind) => *kind == client_class(record),
            Condition::User(user) => record.user().identity == user.identity,
            Condition::Address(address) => record.address.as_bytes() == address,
            Condition::LocalAddress(address) => record.local_address.as_bytes() == address,
            Condition::Ip(ip) => ip_of(&record.address).as_bytes() == ip,
            Condition::Name(name) => !name.is_empty() && *lock(&record.name) == *name,
            Condition::LibraryName(name) => !name.is_empty() && lock(&record.library).0 == *name,
            Condition::LibraryVersion(version) => !version.is_empty() && lock(&record.library).1 == *version,
            Condition::Database(db) => record.db.load(Relaxed) == *db,
            Condition::Flags(letters) => {
                let flags = flags(record);
                letters.iter().all(|&letter| flags.as_bytes().contains(&letter))
            }
            Condition::Capabilities(letters) => letters.is_empty() || record.takes_redirects.load(Relaxed),
            Condition::AgeSeconds(seconds) => (now_ms - record.connected_at) / 1000 >= *seconds,
            Condition::IdleSeconds(seconds) => (now_ms - record.last_interaction_at.load(Relaxed)) / 1000 >= *seconds,
        }
    }
}

/// The host of `host:port`, of an IPv6 address without its brackets.
fn ip_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn client_type(name: &[u8]) -> Result<&'static str> {
    CLIENT_TYPES
        .iter()
        .find(|(kind, _)| args::is(name, kind))
        .map(|(_, class)| *class)
        .ok_or_else(|| CommandError::with(format!("ERR Unknown client type '{}'", String::from_utf8_lossy(name))))
}

/// One id or more, up to the first word that is no number: it may be the next option.
fn parse_ids<'a>(first: &[u8], after: &'a [&'a [u8]], asks: For) -> Result<(Vec<i64>, &'a [&'a [u8]])> {
    let error = || if asks == For::List { LIST_ID } else { KILL_ID };
    let one = |text: &[u8]| {
        // What CLIENT LIST is asked for need not be there.
        sherd_types::number::parse_i64(text).filter(|&id| id > 0 || asks == For::List).ok_or_else(error)
    };
    let mut ids = vec![one(first)?];
    let mut rest = after;
    while let [text, after @ ..] = rest {
        if sherd_types::number::parse_i64(text).is_none() {
            // Only ids stand behind ID in Redis, where a word is a mistake among them.
            let is_last = asks == For::List && after.is_empty();
            return if is_last { Err(error()) } else { Ok((ids, rest)) };
        }
        ids.push(one(text)?);
        rest = after;
    }
    Ok((ids, rest))
}

fn parse_seconds(name: &str, text: &[u8]) -> Result<i64> {
    let seconds = sherd_types::number::parse_i64(text)
        .ok_or_else(|| CommandError::with(format!("ERR {name} is not an integer or out of range")))?;
    if seconds <= 0 {
        return Err(CommandError::with(format!("ERR {name} should be greater than 0")));
    }
    Ok(seconds)
}

fn parse_database(shared: &Shared, text: &[u8], wanted: bool) -> Result<u32> {
    let name = if wanted { "DB" } else { "NOT-DB" };
    let number = sherd_types::number::parse_i64(text)
        .and_then(|number| i32::try_from(number).ok())
        .ok_or_else(|| CommandError::with(format!("ERR {name} is not an integer or out of range")))?;
    let count = shared.world.settings.databases.get();
    u32::try_from(number)
        .ok()
        .filter(|&db| i64::from(db) < count)
        .ok_or_else(|| CommandError::with(format!("ERR {name} number should be between 0 and {}", count - 1)))
}

fn parse_letters((word, name): (&str, &str), text: &[u8], known: &[u8], wanted: bool) -> Result<Vec<u8>> {
    if text.iter().all(|letter| known.contains(letter)) {
        return Ok(text.to_vec());
    }
    let place = if wanted { "provided".to_owned() } else { format!("NOT-{name}") };
    Err(CommandError::with(format!(
        "ERR Unknown {word} found in the {place} filter: {}",
        String::from_utf8_lossy(text)
    )))
}

#[cfg(test)]
mod tests {
    use super::ip_of;

    #[test]
    fn the_ip_of_an_address_has_no_port_and_no_brackets() {
        for (address, ip) in
            [("127.0.0.1:6379", "127.0.0.1"), ("[::1]:6379", "::1"), ("/tmp/socket:0", "/tmp/socket"), ("", "")]
        {
            assert_eq!(ip_of(address), ip);
        }
    }
}
