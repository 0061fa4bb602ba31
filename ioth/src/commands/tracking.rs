//! CLIENT TRACKING and its relatives: caches of clients that are told when they are stale.

use std::sync::atomic::Ordering::Relaxed;

use sherd_shards::command::spec::CommandSpec;
use sherd_shards::handler::args;
use sherd_shards::handler::error::{CommandError, SYNTAX};

use super::{declare, ok, Declared, CLIENT};
use crate::connection::tracking::{overlapping, Mode, Tracking};
use crate::connection::Connection;
use crate::request::track::{track, track_no_longer, Wanted};
use crate::thread::handlers::Dispatch;
use crate::thread::IoThread;

type Result<T = Dispatch> = std::result::Result<T, CommandError>;

pub(super) const COMMANDS: &[Declared] = &[
    declare(
        CommandSpec {
            name: "client|tracking",
            summary: "Has the server tell when keys change that the client may have in a cache.",
            since: "6.0.0",
            complexity: "O(1); O(N) in the number of prefixes",
            arity: -3,
            syntax: "ON | OFF [REDIRECT client-id:integer] [PREFIX prefix:string [PREFIX prefix:string ...]] [BCAST] \
                     [OPTIN] [OPTOUT] [NOLOOP]",
            ..CLIENT
        },
        tracking,
    ),
    declare(
        CommandSpec {
            name: "client|caching",
            summary: "Says whether the keys that the next command reads will be cached.",
            since: "6.0.0",
            arity: 3,
            syntax: "YES | NO",
            ..CLIENT
        },
        caching,
    )
    .at_once(),
    declare(
        CommandSpec {
            name: "client|trackinginfo",
            summary: "Describes how this connection tracks keys.",
            since: "6.2.0",
            arity: 2,
            ..CLIENT
        },
        info,
    ),
    declare(
        CommandSpec {
            name: "client|getredir",
            summary: "Answers the id of the client that gets this connection's invalidations.",
            since: "6.0.0",
            arity: 2,
            ..CLIENT
        },
        getredir,
    ),
];

/// The options of CLIENT TRACKING.
#[derive(Default)]
struct Options<'a> {
    broadcast: bool,
    opt_in: bool,
    opt_out: bool,
    wanted: Wanted<'a>,
}

fn parse<'a>(io: &IoThread, words: &[&'a [u8]]) -> Result<Options<'a>> {
    let mut options = Options::default();
    let mut at = 0;
    while at < words.len() {
        let (word, value) = (words[at], words.get(at + 1).copied());
        at += 1;
        match value {
            Some(value) if args::is(word, "redirect") => {
                at += 1;
                if options.wanted.redirect.is_some() {
                    return Err(CommandError::new("ERR A client can only redirect to a single other client"));
                }
                let id = u64::try_from(args::integer(value)?).unwrap_or_default();
                let (record, token) = io
                    .shared
                    .clients
                    .get(id)
                    .ok_or(CommandError::new("ERR The client ID you want redirect to does not exist"))?;
                // Before anything can come for it.
                record.tracking.hears.store(true, Relaxed);
                options.wanted.redirect = Some((id, token));
            }
            Some(prefix) if args::is(word, "prefix") => {
                at += 1;
                options.wanted.prefixes.push(prefix);
            }
            _ if args::is(word, "bcast") => options.broadcast = true,
            _ if args::is(word, "optin") => options.opt_in = true,
            _ if args::is(word, "optout") => options.opt_out = true,
            _ if args::is(word, "noloop") => options.wanted.no_loop = true,
            _ => return Err(SYNTAX),
        }
    }
    options.wanted.mode = match (options.broadcast, options.opt_in, options.opt_out) {
        (true, ..) => Mode::Broadcast,
        (_, true, _) => Mode::OptIn,
        (_, _, true) => Mode::OptOut,
        _ => Mode::Reads,
    };
    Ok(options)
}

fn tracking(io: &mut IoThread, connection: &mut Connection, args: &[&[u8]]) -> Result {
    let options = parse(io, &args[3..])?;
    if args::is(args[2], "on") {
        check(connection.session.tracking.as_deref(), &options)?;
        track(io, connection, &options.wanted);
    } else if args::is(args[2], "off") {
        track_no_longer(io, connection);
    } else {
        return Err(SYNTAX);
    }
    ok(connection)
}

/// Whether options go together, and with how the client tracks already.
fn check(now: Option<&Tracking>, options: &Options<'_>) -> Result<()> {
    let error = |text| Err(CommandError::new(text));
    let Options { broadcast, opt_in, opt_out, wanted } = options;
    if !broadcast && !wanted.prefixes.is_empty() {
        return error("ERR PREFIX option requires BCAST mode to be enabled");
    }
    if now.is_some_and(|now| now.is_broadcast() != *broadcast) {
        return error(
            "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it \
             with a different mode.",
        );
    }
    if *broadcast && (*opt_in || *opt_out) {
        return error("ERR OPTIN and OPTOUT are not compatible with BCAST");
    }
    if *opt_in && *opt_out {
        return error("ERR You can't specify both OPTIN mode and OPTOUT mode");
    }
    let mode = now.map(|now| now.mode);
    if *opt_in && mode == Some(Mode::OptOut) || *opt_out && mode == Some(Mode::OptIn) {
        return error(
            "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it \
             with a different mode.",
        );
    }
    check_prefixes(now, &wanted.prefixes)
}

fn check_prefixes(now: Option<&Tracking>, prefixes: &[&[u8]]) -> Result<()> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let error = |prefix: &[u8], kind: &str, other: &[u8]| {
        Err(CommandError::with(format!(
            "ERR Prefix '{}' overlaps with {kind} prefix '{}'. Prefixes for a single client must not overlap.",
            text(prefix),
            text(other)
        )))
    };
    for prefix in prefixes {
        if let Some(other) = now.and_then(|now| now.overlap(prefix)) {
            return error(prefix, "an existing", other);
        }
    }
    match overlapping(prefixes) {
        Some((one, other)) => error(one, "another provided", other),
        None => Ok(()),
    }
}

fn caching(_: &mut IoThread, connection: &mut Connection, args: &[&[u8]]) -> Result {
    let Some(tracking) = &mut connection.session.tracking else {
        return Err(CommandError::new(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
        ));
    };
    let (yes, no) = (args::is(args[2], "yes"), args::is(args[2], "no"));
    if yes && tracking.mode != Mode::OptIn {
        return Err(CommandError::new("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode."));
    }
    if no && tracking.mode != Mode::OptOut {
        return Err(CommandError::new("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode."));
    }
    if !yes && !no {
        return Err(SYNTAX);
    }
    tracking.caching = true;
    connection.record.tracking.set_tracks(tracking.tracks());
    ok(connection)
}

fn info(_: &mut IoThread, connection: &mut Connection, _: &[&[u8]]) -> Result {
    let is_broken = connection.record.tracking.is_broken.load(Relaxed);
    let tracking = connection.session.tracking.as_deref();
    let mut flags = vec![if tracking.is_some() { "on" } else { "off" }];
    if let Some(Tracking { mode, caching, no_loop, .. }) = tracking {
        let (of_mode, of_caching) = match mode {
            Mode::Reads => (None, None),
            Mode::Broadcast => (Some("bcast"), None),
            Mode::OptIn => (Some("optin"), caching.then_some("caching-yes")),
            Mode::OptOut => (Some("optout"), caching.then_some("caching-no")),
        };
        flags.extend(of_mode);
        flags.extend(of_caching);
        flags.extend(no_loop.then_some("noloop"));
        flags.extend(is_broken.then_some("broken_redirect"));
    }
    let redirect = tracking.map_or(-1, |tracking| tracking.redirect as i64);
    let prefixes: Vec<_> = tracking.into_iter().flat_map(|tracking| tracking.prefixes.iter().cloned()).collect();
    connection.reply(|reply| {
        reply.map(3);
        reply.bulk(b"flags");
        reply.set(flags.len());
        flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
        reply.bulk(b"redirect");
        reply.int(redirect);
        reply.bulk(b"prefixes");
        reply.array(prefixes.len());
        prefixes.iter().for_each(|prefix| reply.bulk(prefix));
    });
    Ok(Dispatch::Done)
}

fn getredir(_: &mut IoThread, connection: &mut Connection, _: &[&[u8]]) -> Result {
    let redirect = connection.session.tracking.as_ref().map_or(-1, |tracking| tracking.redirect as i64);
    connection.reply(|reply| reply.int(redirect));
    Ok(Dispatch::Done)
}
