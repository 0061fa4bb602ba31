//! LCS: what two strings have in common.
//!
//! Time and memory are the product of the two lengths; the bound on memory, `proto-max-bulk-len`, bounds both.

use crate::handler::args::{self, Options};
use crate::handler::context::Context;
use crate::entry::Text;
use crate::handler::error::{CommandError, Outcome, SYNTAX};
use crate::handler::reply::Reply;
use crate::command::spec::{flag::*, key_range, CommandSpec, Group, Plane};
use sherd_types::lcs;

pub(super) const SPECS: &[CommandSpec] = &[CommandSpec {
    name: "lcs",
    summary: "Finds the longest common subsequence of the strings of two keys.",
    since: "7.0.0",
    complexity: "O(N*M) in the lengths of the two strings",
    group: Group::String,
    arity: -3,
    flags: READONLY,
    keys: &[key_range("RO ACCESS", 1, 1, 1)],
    syntax: "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
    plane: Plane::Data(lcs),
    ..CommandSpec::DEFAULT
}];

const NOT_STRINGS: CommandError = CommandError::new("ERR The specified keys must contain string values");
const LENGTH_OR_INDEXES: CommandError =
    CommandError::new("ERR If you want both the length and indexes, please just use IDX.");
const TOO_LARGE: CommandError =
    CommandError::new("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");

#[derive(Default)]
struct LcsOptions {
    length: bool,
    indexes: bool,
    with_lengths: bool,
    shortest: usize,
}

impl LcsOptions {
    fn parse(args: &[&[u8]]) -> Result<Self, CommandError> {
        let mut parsed = LcsOptions::default();
        let mut options = Options::new(args, 3);
        while options.more() {
            if options.take("IDX") {
                parsed.indexes = true;
            } else if options.take("LEN") {
                parsed.length = true;
            } else if options.take("WITHMATCHLEN") {
                parsed.with_lengths = true;
            } else if let Some(text) = options.take_value("MINMATCHLEN") {
                parsed.shortest = args::integer(text)?.max(0) as usize;
            } else {
                return Err(SYNTAX);
            }
        }
        if parsed.length && parsed.indexes {
            return Err(LENGTH_OR_INDEXES);
        }
        Ok(parsed)
    }
}

/// A copy of a key's string, empty if the key is not there.
fn text(context: &mut Context<'_>, index: usize) -> Result<Vec<u8>, CommandError> {
    let key = context.key(index);
    let text = context.read_text(&key).map_err(|_| NOT_STRINGS)?;
    Ok(text.map_or_else(Vec::new, |text: Text<'_>| text.to_vec()))
}

fn lcs(context: &mut Context<'_>, reply: &mut Reply<'_>) -> Outcome {
    // Both are looked up before either is refused, and a key that is not there is told of.
    let (first, second) = (text(context, 1), text(context, 2));
    let (first, second) = (first?, second?);
    let options = LcsOptions::parse(context.args)?;
    let limit = context.settings().proto_max_bulk_len.size();
    if lcs::table_bytes(&first, &second).is_none_or(|bytes| bytes > limit) {
        return Err(TOO_LARGE);
    }
    if options.length {
        reply.count(lcs::length(&first, &second));
        return Ok(());
    }
    let matches = lcs::matches(&first, &second);
    if options.indexes {
        write_indexes(reply, &options, &matches);
    } else {
        let common: Vec<u8> = matches.iter().rev().flat_map(|one| &first[one.first.clone()]).copied().collect();
        reply.bulk(&common);
    }
    Ok(())
}

fn write_indexes(reply: &mut Reply<'_>, options: &LcsOptions, matches: &[lcs::Match]) {
    reply.map(2);
    reply.bulk(b"matches");
    let shown = || matches.iter().filter(|one| one.len() >= options.shortest);
    reply.array(shown().count());
    for one in shown() {
        reply.array(if options.with_lengths { 3 } else { 2 });
        for range in [&one.first, &one.second] {
            reply.array(2);
            reply.count(*range.start());
            reply.count(*range.end());
        }
        if options.with_lengths {
            reply.count(one.len());
        }
    }
    reply.bulk(b"len");
    reply.count(matches.iter().map(lcs::Match::len).sum());
}
