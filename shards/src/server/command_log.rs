//! The logs of commands that took long, whose request was large, and whose reply was large.
//!
//! Touched on slow paths only, hence plain mutexes.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sherd_metrics::clock;

use crate::server::settings::Settings;

/// One of the logs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CommandLog {
    /// By microseconds: the slow log.
    Slow = 0,
    /// By the bytes of the request.
    LargeRequest = 1,
    /// By the bytes of the reply.
    LargeReply = 2,
}

/// All of them with their names, in the order of their numbers.
pub const COMMAND_LOGS: [(&str, CommandLog); 3] =
    [("slow", CommandLog::Slow), ("large-request", CommandLog::LargeRequest), ("large-reply", CommandLog::LargeReply)];

impl CommandLog {
    /// A log by its name.
    pub fn named(name: &str) -> Option<CommandLog> {
        COMMAND_LOGS.iter().find(|(known, _)| *known == name).map(|(_, log)| *log)
    }

    /// From where on a command is logged (negative: never), and how many entries are kept.
    pub fn limits(self, settings: &Settings) -> (i64, usize) {
        match self {
            CommandLog::Slow => (settings.slowlog_log_slower_than.get(), settings.slowlog_max_len.size()),
            CommandLog::LargeRequest => {
                (settings.commandlog_request_larger_than.get(), settings.commandlog_large_request_max_len.size())
            }
            CommandLog::LargeReply => {
                (settings.commandlog_reply_larger_than.get(), settings.commandlog_large_reply_max_len.size())
            }
        }
    }
}

/// One entry.
#[derive(Clone, Debug)]
pub struct LoggedCommand {
    pub id: u64,
    pub unix_time_seconds: i64,
    /// Microseconds or bytes.
    pub value: u64,
    /// At most 32 arguments of at most 128 bytes, the rest told in Redis' words.
    pub args: Vec<Vec<u8>>,
    pub client_address: String,
    pub client_name: Vec<u8>,
}

const ARGS_MAX: usize = 32;
const ARG_BYTES_MAX: usize = 128;

/// See the [module](self).
#[derive(Default)]
pub struct CommandLogs([Mutex<(u64, VecDeque<LoggedCommand>)>; 3]);

impl CommandLogs {
    fn lock(&self, log: CommandLog) -> MutexGuard<'_, (u64, VecDeque<LoggedCommand>)> {
        self.0[log as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an entry, and drops the oldest ones above so many.
    pub fn add(&self, log: CommandLog, value: u64, args: &[&[u8]], (address, name): (&str, &[u8]), max_len: usize) {
        let mut entries = self.lock(log);
        let id = entries.0;
        entries.0 += 1;
        entries.1.push_front(LoggedCommand {
            id,
            unix_time_seconds: clock::unix_milliseconds() / 1000,
            value,
            args: shortened(args),
            client_address: address.to_owned(),
            client_name: name.to_vec(),
        });
        entries.1.truncate(max_len);
    }

    /// The newest `count` entries.
    pub fn entries(&self, log: CommandLog, count: usize) -> Vec<LoggedCommand> {
        self.lock(log).1.iter().take(count).cloned().collect()
    }

    /// How many entries there are, and the id of the next one.
    pub fn len(&self, log: CommandLog) -> (usize, u64) {
        let entries = self.lock(log);
        (entries.1.len(), entries.0)
    }

    /// Removes all entries; ids go on.
    pub fn reset(&self, log: CommandLog) {
        self.lock(log).1.clear();
    }
}

/// Arguments as they are kept.
fn shortened(args: &[&[u8]]) -> Vec<Vec<u8>> {
    let shown = if args.len() > ARGS_MAX { ARGS_MAX - 1 } else { args.len() };
    let mut kept: Vec<Vec<u8>> = args[..shown]
        .iter()
        .map(|arg| {
            if arg.len() <= ARG_BYTES_MAX {
                return arg.to_vec();
            }
            let mut cut = arg[..ARG_BYTES_MAX].to_vec();
            cut.extend_from_slice(format!("... ({} more bytes)", arg.len() - ARG_BYTES_MAX).as_bytes());
            cut
        })
        .collect();
    if shown < args.len() {
        kept.push(format!("... ({} more arguments)", args.len() - shown).into_bytes());
    }
    kept
}

/// More bytes than there are around an argument, with what is before the first.
pub const FRAME_BYTES_MAX: usize = 64;

/// Bytes of a request, as it comes in RESP.
pub fn request_bytes(args: &[&[u8]]) -> u64 {
    let digits = |number: usize| 1 + number.checked_ilog10().unwrap_or(0) as usize;
    let of_arg = |arg: &&[u8]| 1 + digits(arg.len()) + 2 + arg.len() + 2;
    (1 + digits(args.len()) + 2 + args.iter().map(of_arg).sum::<usize>()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_counts_with_all_that_is_around_its_arguments() {
        for (args, expected) in [
            (&[&b"PING"[..]][..], "*1\r\n$4\r\nPING\r\n".len()),
            (&[b"GET", b""], "*2\r\n$3\r\nGET\r\n$0\r\n\r\n".len()),
            (&[b"SET", b"k", &[b'x'; 1000]], "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000\r\n\r\n".len() + 1000),
        ] {
            assert_eq!(request_bytes(args), expected as u64);
        }
    }

    #[test]
    fn each_log_keeps_its_own_entries_newest_first() {
        let logs = CommandLogs::default();
        for (number, log) in COMMAND_LOGS.iter().enumerate() {
            for value in 0..=number as u64 {
                logs.add(log.1, value, &[b"GET", b"k"], ("address", b"name"), 2);
            }
        }
        let values = |log| logs.entries(log, 10).iter().map(|entry| (entry.id, entry.value)).collect::<Vec<_>>();
        assert_eq!(values(CommandLog::Slow), [(0, 0)]);
        assert_eq!(values(CommandLog::LargeRequest), [(1, 1), (0, 0)]);
        assert_eq!(values(CommandLog::LargeReply), [(2, 2), (1, 1)]);
        logs.reset(CommandLog::LargeReply);
        assert_eq!((logs.len(CommandLog::LargeReply), logs.len(CommandLog::Slow)), ((0, 3), (1, 1)));
        assert_eq!(CommandLog::named("large-reply"), Some(CommandLog::LargeReply));
        assert_eq!(CommandLog::named("other"), None);
    }
}
