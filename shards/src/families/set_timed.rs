//! Members together with their expiry: SADDEX.
//!
//! The command and its reply are those of Redis' development branch for 8.12: all or nothing, 1 or 0, as HSETEX.

use super::effects;
use super::element_expire::{parse_time, record_time, Timed};
use super::hash_timed::{time_option, Lifetime, ONE_LIFETIME};
use super::set::{limits, SET};
use super::set_expire::{member_count, unknown, MEMBERS_ABSENT, MEMBERS_TWICE, TOO_FEW};
use super::timed_access;
use crate::handler::args;
use crate::handler::context::Context;
use crate::handler::error::{CommandError, Outcome};
use crate::keyspace::events::class;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, CommandSpec, Plane};
use sherd_types::set::Set;

const ONE_CONDITION: CommandError = CommandError::new("ERR Only one of MXX or MNX arguments can be specified");
const NO_TIME: CommandError = CommandError::new("ERR missing expire time");
const MEMBER_COUNT: CommandError = CommandError::new("ERR invalid number of members");

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "saddex",
    summary: "Adds members to a set, with an expiry and under a condition.",
    since: "8.12.0",
    complexity: "O(N) in the number of members added",
    arity: -5,
    flags: WRITE | DENYOOM | FAST,
    keys: &[one_key("RW UPDATE", 1)],
    syntax: "key [MNX | MXX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | \
             KEEPTTL] MEMBERS nummembers member [member ...]",
    plane: Plane::Data(saddex),
    ..SET
}];

/// Which members SADDEX wants to find.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    NoneExists,
    AllExist,
}

/// What SADDEX is asked for.
struct Request<'a> {
    condition: Condition,
    lifetime: Lifetime,
    members: &'a [&'a [u8]],
}

impl<'a> Request<'a> {
    fn parse(context: &Context<'a>) -> Result<Self, CommandError> {
        let args = context.args;
        let (mut condition, mut lifetime) = (Condition::Always, Lifetime::Unsaid);
        let mut members: Option<&[&[u8]]> = None;
        let mut at = 2;
        while let Some(word) = args.get(at) {
            at += 1;
            if args::is(word, "MEMBERS") {
                if members.is_some() {
                    return Err(MEMBERS_TWICE);
                }
                let count = args.get(at).ok_or_else(|| CommandError::arity("saddex"))?;
                let count = member_count(count, MEMBER_COUNT)?;
                members = Some(args[at + 1..].get(..count).ok_or(TOO_FEW)?);
                at += 1 + count;
            } else if args::is(word, "MNX") || args::is(word, "MXX") {
                if condition != Condition::Always {
                    return Err(ONE_CONDITION);
                }
                condition = if args::is(word, "MNX") { Condition::NoneExists } else { Condition::AllExist };
            } else {
                let time = time_option(word);
                if time.is_none() && !args::is(word, "KEEPTTL") {
                    return Err(unknown(word));
                }
                if lifetime != Lifetime::Unsaid {
                    return Err(ONE_LIFETIME);
                }
                lifetime = Lifetime::Keep;
                if let Some((unit, base)) = time {
                    let text = args.get(at).ok_or(NO_TIME)?;
                    lifetime = Lifetime::Until(parse_time(context, text, unit, base)?);
                    at += 1;
                }
            }
        }
        Ok(Self { condition, lifetime, members: members.ok_or(MEMBERS_ABSENT)? })
    }

    fn is_met_by(&self, set: Option<&Set>) -> bool {
        let exists = |member: &&[u8]| set.is_some_and(|set| set.contains(member));
        match self.condition {
            Condition::Always => true,
            Condition::NoneExists => !self.members.iter().any(exists),
            Condition::AllExist => self.members.iter().all(exists),
        }
    }
}

fn saddex(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, limits, now) = (context.key(1), limits(context), timed_access::now(context));
    let request = Request::parse(context)?;
    let members = request.members;
    let set = timed_access::write::<Set>(context, &key, members.iter())?;
    if !request.is_met_by(set.as_deref()) {
        reply.int(0);
        return Ok(());
    }
    reply.int(1);
    if let Lifetime::Until(time) = request.lifetime {
        if time <= now {
            // It would be gone at once: what is there goes, and nothing comes.
            let Some(set) = set else { return Ok(()) };
            let removed = members.iter().filter(|member| set.remove(member)).count();
            let emptied = set.is_empty();
            if removed > 0 {
                effects::with_elements(context, "SREM", &key, members.iter().copied());
            }
            Timed { removed, ..Timed::default() }.finish::<Set>(context, &key, emptied, &[]);
            return Ok(());
        }
    }
    let set = context.upsert::<Set>(&key)?;
    set.prepare(members[0], members.len(), limits);
    let mut timed = Timed::default();
    for member in members {
        set.add(member, limits);
        match request.lifetime {
            Lifetime::Until(time) => timed.apply(set, member, time, now, limits),
            Lifetime::Keep => {}
            // As writing a field does; no event tells of it.
            Lifetime::Unsaid | Lifetime::Persist => _ = set.set_expiry(member, None, limits),
        }
    }
    context.changed_by(members.len(), &key, class::SET, "sadd");
    // Without a time the request says it best.
    if let Lifetime::Until(time) = request.lifetime {
        effects::with_elements(context, "SADD", &key, members.iter().copied());
        record_time::<Set>(context, &key, (time, now), members);
    }
    timed.finish_written::<Set>(context, &key, false, &[]);
    Ok(())
}

#[cfg(test)]
#[path = "tests/set_timed.rs"]
mod tests;
