//! What the threads of a server count.

use sherd_metrics::{counters, CommandCells};

use super::hot_keys::HotKeys;

counters! {
    /// Counters of one IO thread.
    #[derive(Default, Debug)]
    pub struct IoStats {
        connections: Keep, Each("connections");
        received: Zero, Sum("clients", "received");
        input_bytes: Zero, Sum("net", "input_bytes"), Each("input_bytes");
        output_bytes: Zero, Sum("net", "output_bytes"), Each("output_bytes");
        reads: Zero, Sum("net", "reads"), Each("reads");
        writes: Zero, Sum("net", "writes"), Each("writes");
        polls: Zero, Each("polls");
        busy_nanoseconds: Keep, EachInSeconds("busy_seconds");
        commands: Zero, Sum("totals", "commands"), Each("commands");
        protocol_errors: Zero, Sum("totals", "unexpected_errors");
        query_limit_disconnections: Zero, Sum("clients", "query_limit_disconnections");
        output_limit_disconnections: Zero, Sum("clients", "output_limit_disconnections");
        panics: Zero, Sum("totals", "panics");
        error_replies: Zero, Sum("totals", "error_replies");
        input_buffer_max: Keep, Max("clients", "input_buffer_max");
        output_buffer_max: Keep, Max("clients", "output_buffer_max");
        buffer_bytes: Keep, Sum("clients", "buffers_bytes");
        /// Connections that wait for a key now, and those of them that will not wait for ever.
        blocked: Keep, Sum("clients", "blocked");
        blocked_with_timeout: Keep, Sum("clients", "in_timeout_table");
        /// Connections that are subscribed to anything.
        subscribers: Keep, Sum("clients", "subscribers");
        /// Connections that CLIENT PAUSE defers.
        paused: Keep, Sum("clients", "blocked");
    } and {
        cells: CommandCells,
        hot_keys: HotKeys,
    }
}

impl IoStats {
    /// Counters for a table of `commands` commands.
    pub fn new(commands: usize) -> IoStats {
        IoStats { cells: CommandCells::new(commands), ..IoStats::default() }
    }
}

counters! {
    /// What the control plane's thread counts of the commands that it executes.
    #[derive(Default, Debug)]
    pub struct ControlStats {
        commands: Zero, Sum("totals", "commands");
        error_replies: Zero, Sum("totals", "error_replies");
    } and {
        cells: CommandCells,
    }
}

impl ControlStats {
    /// Counters for a table of `commands` commands.
    pub fn new(commands: usize) -> ControlStats {
        ControlStats { cells: CommandCells::new(commands), ..ControlStats::default() }
    }
}
