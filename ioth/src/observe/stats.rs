//! What the threads of a server count.

use sherd_metrics::{CommandCells, Counter};

use super::hot_keys::HotKeys;

/// Counters of one IO thread.
#[derive(Debug)]
pub struct IoStats {
    pub connections: Counter,
    pub received: Counter,
    pub input_bytes: Counter,
    pub output_bytes: Counter,
    pub reads: Counter,
    pub writes: Counter,
    pub polls: Counter,
    pub busy_nanoseconds: Counter,
    pub commands: Counter,
    pub rejected_commands: Counter,
    pub protocol_errors: Counter,
    pub query_limit_disconnections: Counter,
    pub output_limit_disconnections: Counter,
    pub panics: Counter,
    pub error_replies: Counter,
    pub input_buffer_max: Counter,
    pub output_buffer_max: Counter,
    pub buffer_bytes: Counter,
    /// Connections that wait for a key now, and those of them that will not wait for ever.
    pub blocked: Counter,
    pub blocked_with_timeout: Counter,
    /// Connections that CLIENT PAUSE defers.
    pub paused: Counter,
    pub cells: CommandCells,
    pub hot_keys: HotKeys,
}

impl IoStats {
    /// Counters for a table of `commands` commands.
    pub fn new(commands: usize) -> IoStats {
        let zero = Counter::new;
        IoStats {
            connections: zero(),
            received: zero(),
            input_bytes: zero(),
            output_bytes: zero(),
            reads: zero(),
            writes: zero(),
            polls: zero(),
            busy_nanoseconds: zero(),
            commands: zero(),
            rejected_commands: zero(),
            protocol_errors: zero(),
            query_limit_disconnections: zero(),
            output_limit_disconnections: zero(),
            panics: zero(),
            error_replies: zero(),
            input_buffer_max: zero(),
            output_buffer_max: zero(),
            buffer_bytes: zero(),
            blocked: zero(),
            blocked_with_timeout: zero(),
            paused: zero(),
            cells: CommandCells::new(commands),
            hot_keys: HotKeys::default(),
        }
    }
}

/// What the control plane's thread counts of the commands that it executes.
#[derive(Debug)]
pub struct ControlStats {
    pub commands: Counter,
    pub error_replies: Counter,
    pub cells: CommandCells,
}
