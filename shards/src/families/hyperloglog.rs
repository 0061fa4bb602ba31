//! HyperLogLogs: PFADD, PFCOUNT, PFMERGE, and PFDEBUG and PFSELFTEST, by which tests look at them.

use crate::handler::args::is;
use crate::handler::context::{Context, Expiry};
use crate::keyspace::db::Key;
use crate::entry::{Entry, NewValue};
use crate::handler::error::{CommandError, Outcome, WRONG_TYPE};
use crate::families::string_range::edit;
use crate::keyspace::events::class;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, key_range, one_key, CommandSpec, Group, Plane, Scope};
use sherd_types::hyperloglog::{self as hll, Corrupt, Registers, REGISTERS};

const HLL: CommandSpec = CommandSpec { group: Group::HyperLogLog, since: "2.8.9", ..CommandSpec::DEFAULT };

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "pfadd",
        summary: "Adds elements to a HyperLogLog. Creates the key if it is not there.",
        complexity: "O(1) for each element",
        arity: -2,
        flags: WRITE | DENYOOM | FAST,
        keys: &[one_key("RW INSERT", 1)],
        syntax: "key [element [element ...]]",
        plane: Plane::Data(pfadd),
        ..HLL
    },
    CommandSpec {
        name: "pfcount",
        summary: "Estimates the number of different elements of HyperLogLogs together.",
        complexity: "O(1) for one key, mostly from its cached estimate, and O(N) for N keys",
        arity: -2,
        // The estimate is cached in the key.
        flags: READONLY | MAY_REPLICATE,
        keys: &[key_range("RW ACCESS", 1, -1, 1)],
        syntax: "key [key ...]",
        plane: Plane::Data(pfcount),
        ..HLL
    },
    CommandSpec {
        name: "pfmerge",
        summary: "Adds HyperLogLogs to another one. Creates the key if it is not there.",
        complexity: "O(N) in the number of keys",
        arity: -2,
        flags: WRITE | DENYOOM,
        keys: &[one_key("RW ACCESS INSERT", 1), key_range("RO ACCESS", 2, -1, 1)],
        syntax: "destkey [sourcekey [sourcekey ...]]",
        plane: Plane::Data(pfmerge),
        ..HLL
    },
    CommandSpec {
        name: "pfdebug",
        summary: "Shows the inside of a HyperLogLog, for tests.",
        system: true,
        arity: 3,
        flags: WRITE | DENYOOM | ADMIN,
        keys: &[one_key("RW ACCESS", 2)],
        syntax: "subcommand key",
        plane: Plane::Data(pfdebug),
        ..HLL
    },
    CommandSpec {
        name: "pfselftest",
        summary: "Checks that HyperLogLogs count as they should.",
        system: true,
        arity: 1,
        flags: ADMIN,
        scope: Scope::All,
        plane: Plane::Data(pfselftest),
        ..HLL
    },
];

const NOT_ONE: CommandError = CommandError::new("WRONGTYPE Key is not a valid HyperLogLog string value.");
const CORRUPT: CommandError = CommandError::new("INVALIDOBJ Corrupted HLL object detected");
const NO_KEY: CommandError = CommandError::new("ERR The specified key does not exist");
const NOT_SPARSE: CommandError = CommandError::new("ERR HLL encoding is not sparse");
const SELF_TEST: CommandError = CommandError::new("TESTFAILED Registers or estimates are wrong");

fn corrupt(_: Corrupt) -> CommandError {
    CORRUPT
}

/// Whether an entry is a HyperLogLog; the error says why not.
fn check(entry: &Entry) -> Outcome {
    if entry.text().ok_or(WRONG_TYPE)?.with(hll::is_valid) {
        Ok(())
    } else {
        Err(NOT_ONE)
    }
}

/// Whether a key has a HyperLogLog, for a write: false if it is not there.
fn check_for_write(context: &mut Context<'_>, key: &Key<'_>) -> Result<bool, CommandError> {
    match context.get_mut(key) {
        None => Ok(false),
        Some(entry) => check(entry).map(|()| true),
    }
}

/// Makes an empty HyperLogLog under a key that is not there.
fn create(context: &mut Context<'_>, key: &Key<'_>) {
    context.insert(key, NewValue::Editable(hll::empty()), Expiry::None);
}

fn pfadd(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    let elements = &context.args[2..];
    let sparse_max = context.settings().hll_sparse_max_bytes.size();
    let exists = check_for_write(context, &key)?;
    if !exists {
        create(context, &key);
    }
    // A key that is made is a change, and so is every element that is new. What came before one that finds the object corrupt stays.
    let (changes, added) = edit(context, &key, |bytes| {
        let mut changes = usize::from(!exists);
        let added = elements.iter().try_for_each(|element| -> Result<(), Corrupt> {
            changes += usize::from(hll::add(bytes, element, sparse_max)?);
            Ok(())
        });
        if changes > 0 {
            hll::invalidate(bytes);
        }
        (changes, added)
    });
    if changes > 0 {
        context.changed_by(changes, &key, class::STRING, "pfadd");
    }
    added.map_err(corrupt)?;
    reply.flag(changes > 0);
    Ok(())
}

fn pfcount(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    if context.args.len() == 2 {
        return count_one(context, reply);
    }
    let mut registers: Registers = [0; REGISTERS];
    for index in 1..context.args.len() {
        let key = context.key(index);
        if let Some(entry) = context.get(&key) {
            raise_all(&mut registers, entry)?;
        }
    }
    reply.int(hll::estimate(&registers) as i64);
    Ok(())
}

fn raise_all(registers: &mut Registers, entry: &Entry) -> Outcome {
    check(entry)?;
    let text = entry.text().ok_or(WRONG_TYPE)?;
    text.with(|bytes| hll::raise_all(registers, bytes)).map_err(corrupt)
}

/// The estimate of one key comes from its cache, or goes there: that changes the string, though nobody is notified.
fn count_one(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let key = context.key(1);
    let Some(entry) = context.get(&key) else {
        reply.int(0);
        return Ok(());
    };
    check(entry)?;
    let text = entry.text().ok_or(WRONG_TYPE)?;
    let estimate = match text.with(hll::cached) {
        Some(estimate) => estimate,
        None => {
            let estimate = text.with(hll::count).map_err(corrupt)?;
            edit(context, &key, |bytes| hll::set_cached(bytes, estimate));
            context.touched_by(1, &key);
            estimate
        }
    };
    reply.int(estimate as i64);
    Ok(())
}

fn pfmerge(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut registers: Registers = [0; REGISTERS];
    let mut dense = false;
    for index in 1..context.args.len() {
        let key = context.key(index);
        if let Some(entry) = context.get(&key) {
            raise_all(&mut registers, entry)?;
            dense |= entry.text().is_some_and(|text| text.with(hll::is_dense));
        }
    }
    let key = context.key(1);
    if !check_for_write(context, &key)? {
        create(context, &key);
    }
    let sparse_max = context.settings().hll_sparse_max_bytes.size();
    edit(context, &key, |bytes| -> Result<(), Corrupt> {
        if dense {
            hll::store(bytes, &registers);
        } else {
            for (index, &register) in registers.iter().enumerate().filter(|(_, &register)| register > 0) {
                hll::raise(bytes, index, register, sparse_max)?;
            }
        }
        hll::invalidate(bytes);
        Ok(())
    })
    .map_err(corrupt)?;
    context.changed(&key, class::STRING, "pfadd");
    reply.ok();
    Ok(())
}

fn pfdebug(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let command = context.args[1];
    let key = context.key(2);
    if !check_for_write(context, &key)? {
        return Err(NO_KEY);
    }
    if is(command, "GETREG") {
        let mut registers: Registers = [0; REGISTERS];
        make_dense(context, &key)?;
        if let Some(entry) = context.peek(&key) {
            raise_all(&mut registers, entry)?;
        }
        reply.array(REGISTERS);
        registers.iter().for_each(|&register| reply.int(i64::from(register)));
    } else if is(command, "ENCODING") {
        reply.simple(if is_dense(context, &key) { "dense" } else { "sparse" });
    } else if is(command, "TODENSE") {
        let changed = make_dense(context, &key)?;
        reply.flag(changed);
    } else if is(command, "DECODE") {
        if is_dense(context, &key) {
            return Err(NOT_SPARSE);
        }
        let text = context.peek(&key).and_then(Entry::text).ok_or(NO_KEY)?;
        reply.bulk(text.with(decode).as_bytes());
    } else {
        let name = String::from_utf8_lossy(command);
        return Err(CommandError::with(format!("ERR Unknown PFDEBUG subcommand '{name}'")));
    }
    Ok(())
}

fn is_dense(context: &Context<'_>, key: &Key<'_>) -> bool {
    context.peek(key).and_then(Entry::text).is_some_and(|text| text.with(hll::is_dense))
}

/// Packs the registers of a key; true if they were not.
fn make_dense(context: &mut Context<'_>, key: &Key<'_>) -> Result<bool, CommandError> {
    let sparse = !is_dense(context, key);
    if sparse {
        edit(context, key, hll::make_dense).map_err(corrupt)?;
        context.touched_by(1, key);
    }
    Ok(sparse)
}

/// The runs of a sparse object: `z` and `Z` for zeros in one and two bytes, `v` for values.
fn decode(bytes: &[u8]) -> String {
    let runs: Vec<String> = hll::runs(bytes)
        .map(|run| match (run.value, run.is_long) {
            (0, false) => format!("z:{}", run.length),
            (0, true) => format!("Z:{}", run.length),
            (value, _) => format!("v:{value},{}", run.length),
        })
        .collect();
    runs.join(" ")
}

/// Elements that PFSELFTEST counts; the error of the estimate is checked at every power of ten.
const SELF_TEST_ELEMENTS: u64 = 100_000;
/// Elements of these that go to a sparse object as well.
const SELF_TEST_SPARSE_ELEMENTS: u64 = 1000;
/// Six standard errors of 1.04 / sqrt(16384).
const SELF_TEST_ERROR_MAX: f64 = 0.049;

fn pfselftest(_: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    if self_test() != Ok(true) {
        return Err(SELF_TEST);
    }
    reply.ok();
    Ok(())
}

/// Whether both encodings agree and the estimates are as good as they should be.
fn self_test() -> Result<bool, Corrupt> {
    let (mut sparse, mut dense) = (hll::empty(), hll::empty());
    hll::make_dense(&mut dense)?;
    let mut check_at = 1;
    for number in 1..=SELF_TEST_ELEMENTS {
        let element = number.to_le_bytes();
        hll::add(&mut dense, &element, 0)?;
        // The sparse form takes time in proportion to its length.
        let both = number <= SELF_TEST_SPARSE_ELEMENTS;
        if both {
            hll::add(&mut sparse, &element, usize::MAX)?;
        }
        if number == check_at {
            check_at *= 10;
            let estimate = hll::count(&dense)?;
            let error = (estimate as f64 - number as f64).abs() / number as f64;
            if error > SELF_TEST_ERROR_MAX || both && hll::count(&sparse)? != estimate {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

#[cfg(test)]
#[path = "tests/hyperloglog.rs"]
mod tests;
