//! What a command line does to which keys: the keys as routing finds them, with the flags of their specifications.

use crate::declaration::spec::CommandSpec;
use crate::declaration::table::Command;
use crate::declaration::uses::{uses_of, Uses};

/// The argument numbers of a command line's keys with the flags of their specifications; `None` where its numbers of keys
/// make no sense.
fn flagged_keys<H: Copy>(spec: &CommandSpec<H>, args: &[&[u8]]) -> Option<Vec<(usize, &'static str)>> {
    if let Some(tell_flags) = spec.tell_flags {
        return Some(spec.key_positions(args)?.into_iter().map(|at| (at, tell_flags(args, at))).collect());
    }
    let mut found = Vec::new();
    for key in spec.keys.iter().filter(|key| key.is_key()) {
        let one = CommandSpec { keys: std::slice::from_ref(key), ..*spec };
        found.extend(one.key_positions(args)?.into_iter().map(|at| (at, key.flags)));
    }
    Some(found)
}

/// What is to be checked of a command line: all that may be a key of it, with what is done to it.
///
/// A command whose keys cannot be told refuses itself, as it does not know them either. Where one of two rules holds
/// (MIGRATE has one key, or a list of them and an empty one), what both find is a key: an argument that only looks like the
/// word before a list must not hide the key from which it would take the place.
pub(super) fn used_keys<H: Copy>(command: &Command<H>, args: &[&[u8]]) -> Vec<(usize, Uses)> {
    let keys = flagged_keys(&command.spec, args).unwrap_or_default();
    let has_list = keys.iter().any(|(_, flags)| flags.ends_with("incomplete"));
    let is_key = |at: usize| !(has_list && args[at].is_empty());
    keys.into_iter().filter(|&(at, _)| is_key(at)).map(|(at, flags)| (at, uses_of(flags))).collect()
}
