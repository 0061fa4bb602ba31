//! Declaring commands: [`crate::declaration::spec`] with the handlers of data commands.

pub use crate::declaration::spec::{
    database_at, flag, key_range, numbered_keys, one_key, Begin, Channels, Databases, Find, FindDatabases, FindKeys,
    Group, KeySpec, ReachesBeyond, Scope, Secret, TellFlags, FLAG_NAMES, REDACTED,
};
pub use crate::handler::context::{CommandSpec, Handler, Plane};
