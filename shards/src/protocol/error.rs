//! Error replies: what a client did wrong, in Redis' words.

use std::borrow::Cow;

/// An error reply without its leading `-`; the text begins with the code (`ERR`, `WRONGTYPE`, ...).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandError(pub Cow<'static, str>);

/// What a command handler returns; an `Err` replaces everything that the handler has written to the reply.
pub type Outcome = Result<(), CommandError>;

impl CommandError {
    /// An error with a fixed text.
    pub const fn new(text: &'static str) -> Self {
        CommandError(Cow::Borrowed(text))
    }

    /// An error with a text made for the occasion. Line breaks in it are made harmless when it is written.
    pub fn with(text: String) -> Self {
        CommandError(Cow::Owned(text))
    }

    /// The wrong number of arguments for a command or subcommand (`name` as `client|kill`).
    pub fn arity(name: &str) -> Self {
        Self::with(format!("ERR wrong number of arguments for '{name}' command"))
    }
}

pub const SYNTAX: CommandError = CommandError::new("ERR syntax error");
pub const WRONG_TYPE: CommandError =
    CommandError::new("WRONGTYPE Operation against a key holding the wrong kind of value");
pub const NOT_INTEGER: CommandError = CommandError::new("ERR value is not an integer or out of range");
pub const NOT_FLOAT: CommandError = CommandError::new("ERR value is not a valid float");
pub const NO_SUCH_KEY: CommandError = CommandError::new("ERR no such key");
pub const INDEX_RANGE: CommandError = CommandError::new("ERR index out of range");
pub const OVERFLOW: CommandError = CommandError::new("ERR increment or decrement would overflow");
pub const NAN_OR_INFINITY: CommandError = CommandError::new("ERR increment would produce NaN or Infinity");
pub const STRING_TOO_LONG: CommandError =
    CommandError::new("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
pub const OUT_OF_RANGE: CommandError = CommandError::new("ERR value is out of range");
pub const NOT_POSITIVE: CommandError = CommandError::new("ERR value is out of range, must be positive");
pub const NOT_NEGATABLE: CommandError =
    CommandError::new("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");
pub const NOT_INT32: CommandError =
    CommandError::new("ERR value is out of range, value must between -2147483648 and 2147483647");
pub const DB_INDEX: CommandError = CommandError::new("ERR DB index is out of range");
pub const SAME_OBJECT: CommandError = CommandError::new("ERR source and destination objects are the same");
pub const INVALID_CURSOR: CommandError = CommandError::new("ERR invalid cursor");
pub const OUT_OF_MEMORY: CommandError = CommandError::new("OOM command not allowed when used memory > 'maxmemory'.");
pub const CROSS_SLOT: CommandError = CommandError::new("CROSSSLOT Keys in request don't hash to the same slot");
