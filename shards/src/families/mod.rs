//! The data commands, one file a family: its specifications beside its handlers.
//!
//! A new family is one line here; a new command is a specification and a handler in its family's file.

mod data_digest;
mod draw;
mod effects;
mod element_expire;
mod element_scan;
mod lifetime;
mod reload;
mod sort_pattern;
mod timed_access;

use crate::command::registry::{self, CommandTable};
use crate::command::spec::CommandSpec;

pub use scripting::named_by;

/// Makes the process's table of commands, from these families and the specifications of the other planes.
pub fn install(others: impl Iterator<Item = CommandSpec>) -> &'static CommandTable {
    registry::install(specs().chain(others))
}

macro_rules! families {
    ($($name:ident),* $(,)?) => {
        $(mod $name;)*

        /// The specifications of all data commands.
        pub fn specs() -> impl Iterator<Item = CommandSpec> {
            let all: &[&[CommandSpec]] = &[$($name::SPECS),*];
            all.iter().flat_map(|family| family.iter().copied()).collect::<Vec<_>>().into_iter()
        }
    };
}

families!(
    bitmap,
    bitmap_field,
    bitmap_operation,
    cluster_scan,
    debug,
    dump,
    function,
    generic,
    generic_database,
    generic_expire,
    generic_object,
    generic_scan,
    geo,
    geo_search,
    hash,
    hash_expire,
    hash_read,
    hash_timed,
    hyperloglog,
    list,
    list_block,
    list_edit,
    list_move,
    scripting,
    set,
    set_algebra,
    set_draw,
    set_expire,
    set_timed,
    sort,
    stream,
    stream_add,
    stream_claim,
    stream_delete,
    stream_group,
    stream_idempotent,
    stream_info,
    stream_pending,
    stream_range,
    stream_read,
    stream_trim,
    string,
    string_compare,
    string_increx,
    string_lcs,
    string_multi,
    string_number,
    string_range,
    zset,
    zset_block,
    zset_range,
    zset_store,
    zset_take
);
