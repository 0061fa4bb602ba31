//! Strings as rows of bits: SETBIT, GETBIT, BITCOUNT, BITPOS.

use std::ops::Range;

use crate::handler::args::{self, is};
use crate::handler::context::Context;
use crate::entry::Text;
use crate::handler::error::{CommandError, Outcome, SYNTAX};
use crate::families::string_range::{edit, grow, length_for_write};
use crate::keyspace::events::class;
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, one_key, CommandSpec, Group, Plane};
use sherd_types::bitmap;

const BITMAP: CommandSpec = CommandSpec { group: Group::Bitmap, ..CommandSpec::DEFAULT };

pub(super) const SPECS: &[CommandSpec] = &[
    CommandSpec {
        name: "setbit",
        summary: "Sets or clears one bit of a key's string and returns what it was.",
        since: "2.2.0",
        arity: 4,
        flags: WRITE | DENYOOM,
        keys: &[one_key("RW ACCESS UPDATE", 1)],
        syntax: "key offset value",
        plane: Plane::Data(setbit),
        ..BITMAP
    },
    CommandSpec {
        name: "getbit",
        summary: "Returns one bit of a key's string.",
        since: "2.2.0",
        arity: 3,
        flags: READONLY | FAST,
        keys: &[one_key("RO ACCESS", 1)],
        syntax: "key offset",
        plane: Plane::Data(getbit),
        ..BITMAP
    },
    CommandSpec {
        name: "bitcount",
        summary: "Counts the bits that are set in a key's string or in a part of it.",
        since: "2.6.0",
        history: &[("7.0.0", "`BYTE` and `BIT`."), ("8.0.0", "Valkey: `start` without `end`.")],
        complexity: "O(N) in the length of the part",
        arity: -2,
        flags: READONLY,
        keys: &[one_key("RO ACCESS", 1)],
        syntax: "key [start [end [BYTE | BIT]]]",
        plane: Plane::Data(bitcount),
        ..BITMAP
    },
    CommandSpec {
        name: "bitpos",
        summary: "Finds the first bit that is set or not set in a key's string or in a part of it.",
        since: "2.8.7",
        history: &[("7.0.0", "`BYTE` and `BIT`.")],
        complexity: "O(N) in the length of the part",
        arity: -3,
        flags: READONLY,
        keys: &[one_key("RO ACCESS", 1)],
        syntax: "key bit [start [end [BYTE | BIT]]]",
        plane: Plane::Data(bitpos),
        ..BITMAP
    },
];

const OFFSET: CommandError = CommandError::new("ERR bit offset is not an integer or out of range");
const VALUE: CommandError = CommandError::new("ERR bit is not an integer or out of range");
const BIT: CommandError = CommandError::new("ERR The bit argument must be 1 or 0.");

/// The place of a bit, which no string may have beyond `proto-max-bulk-len`.
pub(super) fn parse_offset(context: &Context<'_>, text: &[u8], scale: u32) -> Result<u64, CommandError> {
    let offset = args::integer_or(text, OFFSET)?.checked_mul(i64::from(scale)).ok_or(OFFSET)?;
    if offset < 0 || offset >> 3 >= context.settings().proto_max_bulk_len.get() {
        return Err(OFFSET);
    }
    Ok(offset as u64)
}

fn setbit(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let offset = parse_offset(context, context.args[2], 1)?;
    let set = match args::integer_or(context.args[3], VALUE)? {
        0 => false,
        1 => true,
        _ => return Err(VALUE),
    };
    let key = context.key(1);
    let (place, mask) = ((offset / 8) as usize, 0x80 >> (offset % 8));
    let old_length = length_for_write(context, &key)?.unwrap_or(0);
    let was_set = edit(context, &key, |bytes| {
        grow(bytes, place + 1);
        let was_set = bytes[place] & mask != 0;
        if set {
            bytes[place] |= mask;
        } else {
            bytes[place] &= !mask;
        }
        was_set
    });
    if was_set != set || old_length <= place {
        context.changed(&key, class::STRING, "setbit");
    }
    reply.flag(was_set);
    Ok(())
}

fn getbit(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let offset = parse_offset(context, context.args[2], 1)?;
    let key = context.key(1);
    let set = context.read_text(&key)?.is_some_and(|text| {
        text.with(|bytes| bytes.get((offset / 8) as usize).is_some_and(|byte| byte << (offset % 8) & 0x80 != 0))
    });
    reply.flag(set);
    Ok(())
}

/// A part of a string as the arguments name it.
struct Part {
    start: i64,
    /// Without it the part goes on to the end.
    end: Option<i64>,
    in_bits: bool,
}

impl Part {
    /// From `start [end [BYTE | BIT]]`; where end and unit are both wrong, the commands differ in which one they tell.
    fn parse(words: &[&[u8]], unit_first: bool) -> Result<Part, CommandError> {
        if words.len() > 3 {
            return Err(SYNTAX);
        }
        let start = words.first().map_or(Ok(0), |text| args::integer(text))?;
        let end = words.get(1).map(|text| args::integer(text)).transpose();
        let in_bits = match words.get(2) {
            None => Ok(false),
            Some(unit) if is(unit, "BYTE") => Ok(false),
            Some(unit) if is(unit, "BIT") => Ok(true),
            Some(_) => Err(SYNTAX),
        };
        let (end, in_bits) = if unit_first { in_bits.and_then(|unit| Ok((end?, unit)))? } else { (end?, in_bits?) };
        Ok(Part { start, end, in_bits })
    }

    /// The bits of a string of so many bytes; empty where the part has none.
    fn bits(&self, bytes: usize) -> Range<u64> {
        let scale = if self.in_bits { 1 } else { 8 };
        let length = bytes as i64 * 8 / scale;
        let from_end = |index: i64| if index < 0 { index.saturating_add(length) } else { index };
        let start = from_end(self.start).max(0);
        let end = from_end(self.end.unwrap_or(-1)).max(0).min(length - 1);
        if start > end {
            return 0..0;
        }
        (start * scale) as u64..((end + 1) * scale) as u64
    }
}

fn bitcount(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let words = &context.args[2..];
    let part = Part::parse(words, false)?;
    let key = context.key(1);
    let text = context.read_text(&key)?.unwrap_or(Text::Bytes(b""));
    let backwards = part.start < 0 && part.end.is_some_and(|end| end < 0 && part.start > end);
    let count = if backwards { 0 } else { text.with(|bytes| bitmap::count_range(bytes, part.bits(bytes.len()))) };
    reply.int(count as i64);
    Ok(())
}

fn bitpos(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    let set = match args::integer(context.args[2])? {
        0 => false,
        1 => true,
        _ => return Err(BIT),
    };
    let part = Part::parse(&context.args[3..], true)?;
    let key = context.key(1);
    let Some(text) = context.read_text(&key)? else {
        // A string that is not there is an endless row of zeros.
        reply.int(if set { -1 } else { 0 });
        return Ok(());
    };
    let (found, bits) = text.with(|bytes| {
        let bits = part.bits(bytes.len());
        (bitmap::first(bytes, bits.clone(), set), bits)
    });
    reply.int(match found {
        Some(place) => place as i64,
        // Looking for a zero without an end, there is one right behind the string.
        None if !set && part.end.is_none() && !bits.is_empty() => text.len() as i64 * 8,
        None => -1,
    });
    Ok(())
}

#[cfg(test)]
#[path = "tests/bitmap.rs"]
mod tests;
