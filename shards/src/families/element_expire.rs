//! What HEXPIRE and SEXPIRE have in common with their relatives: giving times to named elements of a collection, taking
//! them away and reading them. What differs, the words and the events, is what each collection says of itself.

use super::effects;
use super::timed_access;
use crate::entry::object::Collection;
use crate::handler::args;
use crate::handler::context::Context;
use crate::handler::error::{CommandError, Outcome};
use crate::handler::reply::Reply;
use crate::keyspace::db::Key;
use sherd_types::hash::EXPIRY_MAX;

const NEGATIVE_TIME: CommandError = CommandError::new("ERR invalid expire time, must be >= 0");

/// What the commands answer for one element.
const ABSENT: i64 = -2;
const NO_EXPIRY: i64 = -1;
const REFUSED: i64 = 0;
const DONE: i64 = 1;
const REMOVED: i64 = 2;

/// Arguments, or those of them that name elements.
pub(super) type Names<'a> = &'a [&'a [u8]];

/// A collection whose elements expire.
pub(super) trait Expires: Collection {
    /// The class of its events.
    const CLASS: u32;
    /// The command that sets a time, the word before the elements, and the command that removes elements.
    const COMMANDS: (&'static str, &'static str, &'static str);
    /// What it needs to know to make room for times.
    type Limits: Copy;

    fn limits(context: &Context<'_>) -> Self::Limits;
    /// The time of an element: outer `None` if it is not there, inner if it does not expire.
    fn time_of(&self, name: &[u8]) -> Option<Option<u64>>;
    /// Sets or removes the time of an element that is there.
    fn set_time_of(&mut self, name: &[u8], time: Option<u64>, limits: Self::Limits);
    fn remove_element(&mut self, name: &[u8]);
    /// Times are about to be set.
    fn expect_times(&mut self) {}
    /// The events of what was done, in order.
    fn events(timed: &Timed) -> [(usize, &'static str); 3];
    /// The condition and the elements behind the time, which is argument 2.
    fn parse_setting<'a>(args: Names<'a>) -> Result<(Condition, Names<'a>), CommandError>;
    /// The elements, whose introduction is argument 2.
    fn parse_names<'a>(args: Names<'a>) -> Result<Names<'a>, CommandError>;
}

/// In what a command counts time.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
}

impl Unit {
    const fn in_ms(self) -> i64 {
        match self {
            Unit::Seconds => 1000,
            Unit::Milliseconds => 1,
        }
    }
}

/// From when a command counts time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    Now,
    Epoch,
}

impl Base {
    pub fn time_ms(self, context: &Context<'_>) -> i64 {
        match self {
            Base::Now => context.now_ms,
            Base::Epoch => 0,
        }
    }
}

/// The time that a text names, in milliseconds since the epoch.
pub(super) fn parse_time(context: &Context<'_>, text: &[u8], unit: Unit, base: Base) -> Result<u64, CommandError> {
    let value = args::integer(text)?;
    if value < 0 {
        return Err(NEGATIVE_TIME);
    }
    let time = value.checked_mul(unit.in_ms()).and_then(|value| value.checked_add(base.time_ms(context)));
    let time = time.map(|time| time as u64).filter(|&time| time <= EXPIRY_MAX);
    time.ok_or_else(|| CommandError::with(format!("ERR invalid expire time in '{}' command", context.spec.name)))
}

/// Under which condition an element gets a new time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Always,
    WithoutExpiry,
    WithExpiry,
    Later,
    Earlier,
}

impl Condition {
    pub fn parse(text: &[u8]) -> Option<Condition> {
        [
            ("NX", Condition::WithoutExpiry),
            ("XX", Condition::WithExpiry),
            ("GT", Condition::Later),
            ("LT", Condition::Earlier),
        ]
        .into_iter()
        .find_map(|(word, condition)| args::is(text, word).then_some(condition))
    }

    /// Whether `new` may replace `old`. An element without a time lasts for ever.
    pub fn allows(self, old: Option<u64>, new: u64) -> bool {
        match self {
            Condition::Always => true,
            Condition::WithoutExpiry => old.is_none(),
            Condition::WithExpiry => old.is_some(),
            Condition::Later => old.is_some_and(|old| new > old),
            Condition::Earlier => old.is_none_or(|old| new < old),
        }
    }
}

/// What has become of elements that a command has timed: how many got a time, lost theirs, were removed.
#[derive(Default)]
pub(super) struct Timed {
    pub set: usize,
    pub persisted: usize,
    pub removed: usize,
}

impl Timed {
    /// Sets the time of an element that is there; one that has passed removes it.
    pub fn apply<T: Expires>(&mut self, elements: &mut T, name: &[u8], time: u64, now: u64, limits: T::Limits) {
        if time <= now {
            elements.remove_element(name);
            self.removed += 1;
        } else {
            elements.set_time_of(name, Some(time), limits);
            self.set += 1;
        }
    }

    /// Takes the time of an element away; false if it has none.
    pub fn persist<T: Expires>(&mut self, elements: &mut T, name: &[u8], limits: T::Limits) -> bool {
        let timed = elements.time_of(name).flatten().is_some();
        if timed {
            elements.set_time_of(name, None, limits);
            self.persisted += 1;
        }
        timed
    }

    /// Announces what was done to which elements; `emptied` if the collection has none any more. A command does the same to all of
    /// them: it sets one time, which has passed or not, or takes times away.
    pub fn finish<T: Expires>(&self, context: &mut Context<'_>, key: &Key<'_>, emptied: bool, names: &[&[u8]]) {
        self.announce::<T>(context, key, emptied, names, |elements| elements);
    }

    /// The same where the command has written the elements as well, which counts their change.
    pub fn finish_written<T: Expires>(&self, context: &mut Context<'_>, key: &Key<'_>, emptied: bool, names: &[&[u8]]) {
        self.announce::<T>(context, key, emptied, names, |_| 0);
    }

    fn announce<T: Expires>(
        &self,
        context: &mut Context<'_>,
        key: &Key<'_>,
        emptied: bool,
        names: &[&[u8]],
        changes: impl Fn(usize) -> usize,
    ) {
        for (elements, event) in T::events(self) {
            if elements > 0 {
                context.changed_elements(changes(elements), key, (T::CLASS, event), names.iter().copied());
            }
        }
        if emptied {
            context.remove_emptied(key);
        } else if self.set + self.persisted > 0 {
            context.announce_fields(key);
        }
    }
}

/// Records that elements which are there have got a time, or were removed as it had passed.
pub(super) fn record_time<T: Expires>(
    context: &mut Context<'_>,
    key: &Key<'_>,
    (time, now): (u64, u64),
    names: &[&[u8]],
) {
    let (expire, word, remove) = T::COMMANDS;
    if time <= now {
        effects::with_elements(context, remove, key, names.iter().copied());
    } else {
        effects::elements_expire_at(context, (expire, word), key, time, names);
    }
}

/// HEXPIRE, SEXPIRE and their variants.
pub(super) fn set_time<T: Expires>(
    context: &mut Context<'_>,
    reply: &mut Reply<'_>,
    unit: Unit,
    base: Base,
) -> Outcome {
    let (key, args, now, limits) = (context.key(1), context.args, timed_access::now(context), T::limits(context));
    let are_named = context.is_recorded() || context.names_elements(T::CLASS);
    context.is_there::<T>(&key)?;
    let time = parse_time(context, args[2], unit, base)?;
    let (condition, names) = T::parse_setting(args)?;
    reply.array(names.len());
    let Some(elements) = timed_access::write::<T>(context, &key, names.iter())? else {
        names.iter().for_each(|_| reply.int(ABSENT));
        return Ok(());
    };
    elements.expect_times();
    let (mut timed, mut applied) = (Timed::default(), Vec::new());
    for name in names {
        reply.int(match elements.time_of(name) {
            None => ABSENT,
            Some(old) if !condition.allows(old, time) => REFUSED,
            Some(_) => {
                if are_named {
                    applied.push(*name);
                }
                timed.apply(elements, name, time, now, limits);
                if time <= now {
                    REMOVED
                } else {
                    DONE
                }
            }
        });
    }
    let emptied = elements.element_count() == 0;
    record_time::<T>(context, &key, (time, now), &applied);
    timed.finish::<T>(context, &key, emptied, &applied);
    Ok(())
}

/// HPERSIST and SPERSIST.
pub(super) fn persist<T: Expires>(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let (key, args, limits) = (context.key(1), context.args, T::limits(context));
    let are_named = context.names_elements(T::CLASS);
    context.is_there::<T>(&key)?;
    let names = T::parse_names(args)?;
    reply.array(names.len());
    let Some(elements) = timed_access::write::<T>(context, &key, names.iter())? else {
        names.iter().for_each(|_| reply.int(ABSENT));
        return Ok(());
    };
    let (mut timed, mut applied) = (Timed::default(), Vec::new());
    for name in names {
        reply.int(if elements.time_of(name).is_none() {
            ABSENT
        } else if timed.persist(elements, name, limits) {
            applied.extend(are_named.then_some(*name));
            DONE
        } else {
            NO_EXPIRY
        });
    }
    timed.finish::<T>(context, &key, false, &applied);
    Ok(())
}

/// HTTL, STTL and their variants.
pub(super) fn get_time<T: Expires>(
    context: &mut Context<'_>,
    reply: &mut Reply<'_>,
    unit: Unit,
    base: Base,
) -> Outcome {
    let (key, args, base_ms) = (context.key(1), context.args, base.time_ms(context));
    let now = timed_access::now(context);
    let names = T::parse_names(args);
    // Of two mistakes that of the key is told, and the key is looked up once, which counts as a hit or a miss.
    let elements = timed_access::read::<T>(context, &key, names.as_ref().map_or(&[][..], |names| names).iter())?;
    let names = names?;
    reply.array(names.len());
    for name in names {
        reply.int(match timed_access::living(elements, name, now).and_then(|elements| elements.time_of(name)) {
            None => ABSENT,
            Some(None) => NO_EXPIRY,
            // Seconds are rounded up: what has not expired has at least one left.
            Some(Some(time)) => (time as i64 - base_ms + unit.in_ms() - 1) / unit.in_ms(),
        });
    }
    Ok(())
}
