//! What is told of one file of an append-only directory.

use super::append_scan::Break;
use super::report::{Fault, Report};
use crate::rdb::format::{MAGIC_REDIS, MAGIC_VALKEY};

/// A command of the control plane, to be executed by it.
pub struct Other {
    pub db: u16,
    pub args: Vec<Vec<u8>>,
}

/// What a file had.
#[derive(Default)]
pub struct Loaded {
    pub commands: u64,
    /// Keys of the snapshot that it begins with.
    pub keys: u64,
    /// Sources of libraries of functions in that.
    pub functions: Vec<Vec<u8>>,
    /// What the control plane is to execute, in order.
    pub others: Vec<Other>,
    /// Up to here everything is whole.
    pub valid_bytes: u64,
    /// Commands that were answered with an error, and the first such answer.
    pub failed: u64,
    pub first_error: Option<String>,
    /// Why the rest was not loaded.
    pub fault: Option<Fault>,
    /// It is only cut off.
    pub is_truncated: bool,
    pub size: u64,
    /// It begins with a snapshot.
    pub has_snapshot: bool,
    /// Where it is later than was asked for, by its marks of the time.
    pub late_offset: Option<u64>,
}

/// Whether a file begins with a snapshot.
pub fn has_snapshot(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC_REDIS.as_bytes()) || bytes.starts_with(MAGIC_VALKEY.as_bytes())
}

impl Loaded {
    /// Nothing of it yet.
    pub fn begin(bytes: &[u8]) -> Loaded {
        Loaded { size: bytes.len() as u64, has_snapshot: has_snapshot(bytes), ..Loaded::default() }
    }

    pub fn take_snapshot(&mut self, report: Report) {
        (self.keys, self.functions, self.valid_bytes) = (report.keys, report.functions, report.end);
    }

    pub fn fail_in_snapshot(&mut self, fault: Fault) {
        self.is_truncated = fault.offset >= self.size;
        self.fault = Some(fault);
    }

    /// Nothing more is loaded.
    pub fn fail(&mut self, at: usize, why: Break, in_transaction: bool) {
        self.is_truncated = why == Break::Truncated;
        let of_transaction = if in_transaction { " of a transaction" } else { "" };
        let what = match why {
            Break::Truncated => format!("the file ends in the middle of a command{of_transaction}"),
            Break::Corrupt(what) => what,
        };
        self.fault = Some(Fault { offset: at as u64, key: None, what });
    }
}
