//! What a script needs of the server that runs it.

use sherd_shards::handler::reply::Protocol;

/// What became of a command of a script.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Called {
    /// The reply was written.
    Replied,
    /// The script is to end now, for it will be started again, or because the server says so. Nothing was executed.
    Stop,
}

/// Why a script that takes long is to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interruption {
    /// It goes on.
    None,
    /// SCRIPT KILL, or the end of the server.
    Kill,
    /// The host will have it run again elsewhere. Nothing was changed.
    Stop,
}

/// See the [module](self). A method must not panic: it is called from within Lua.
pub trait Host {
    /// Executes a command and writes its reply, in the protocol that is asked for.
    fn call(&mut self, args: &[&[u8]], protocol: Protocol, out: &mut Vec<u8>) -> Called;

    /// Whether the server's log takes records of a level (0 is debug, 3 is warning).
    fn logs(&self, level: u8) -> bool;

    /// Adds to the server's log.
    fn log(&mut self, level: u8, text: &[u8]);

    /// Whether the client's user may execute a command; `None` if there is no such command.
    fn may_call(&mut self, args: &[&[u8]]) -> Option<bool>;

    /// Says where the changes that follow are to go: bit 0 is the append-only file, bit 1 the replicas.
    fn set_replication(&mut self, targets: u8);

    /// Asked every 100,000 instructions.
    fn interruption(&mut self) -> Interruption;
}
