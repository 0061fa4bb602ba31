//! A snapshot on its way from the primary into a file.
//!
//! A primary announces it in one of two ways: by its length (`$1234`), or, where it does not know that yet, by 40 bytes that
//! will follow it (`$EOF:...`). What comes behind it is the beginning of the stream, and is kept for that. A file lets the
//! snapshot be looked at as a whole before the old data go, and nobody has to have it in memory.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use sherd_shards::threads;

use super::link::{Link, Lost};

/// The longest line that announces a snapshot.
const LINE_MAX: usize = 128;
const MARK_BYTES: usize = 40;
/// What a snapshot whose length nobody knows leaves free on the disk.
const SPARE_BYTES: u64 = 64 << 20;
/// Bytes between two looks at how much is free.
const LOOK_BYTES: u64 = 64 << 20;

/// How the end of a snapshot is known.
enum End {
    /// So many bytes are still to come.
    Length(u64),
    Mark([u8; MARK_BYTES]),
}

/// Receives a snapshot into a new file. Returns its size; what came behind it is left in `rest`.
pub fn receive(link: &Link, path: &Path, rest: &mut Vec<u8>) -> Result<u64, Lost> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(|error| Lost(format!("{} cannot be made: {error}", path.display())))?;
    receive_into(link, &mut file, rest)
}

/// The same into a file that is there, perhaps in memory only.
pub fn receive_into(link: &Link, file: &mut File, rest: &mut Vec<u8>) -> Result<u64, Lost> {
    link.snapshot_bytes.store(0, Relaxed);
    link.snapshot_total.store(0, Relaxed);
    match announcement(link, rest)? {
        End::Length(length) => {
            if length > free_bytes(file) {
                return Err(Lost(format!("there is no room for a snapshot of {length} bytes")));
            }
            link.snapshot_total.store(length, Relaxed);
            receive_length(link, file, length, rest)
        }
        End::Mark(mark) => receive_until(link, file, &mark, rest),
    }
}

/// Reads the line that says how long the snapshot is; the primary sends empty ones while it prepares it.
fn announcement(link: &Link, buffer: &mut Vec<u8>) -> Result<End, Lost> {
    loop {
        let blank = buffer.iter().take_while(|&&byte| byte == b'\n').count();
        buffer.drain(..blank);
        if let Some(end) = buffer.iter().take(LINE_MAX).position(|&byte| byte == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            return parse(line.trim_ascii_end());
        }
        if buffer.len() >= LINE_MAX {
            return Err(Lost::because("what was to announce a snapshot has no end"));
        }
        link.receive(buffer)?;
    }
}

fn parse(line: &[u8]) -> Result<End, Lost> {
    if let Some(mark) = line.strip_prefix(b"$EOF:") {
        let mark = mark.try_into().map_err(|_| Lost::because("the mark of a snapshot's end does not have 40 bytes"))?;
        return Ok(End::Mark(mark));
    }
    let shown = || String::from_utf8_lossy(line).into_owned();
    let digits = line.strip_prefix(b"$").ok_or_else(|| Lost(format!("instead of a snapshot it sent '{}'", shown())))?;
    let length = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
    length.map(End::Length).ok_or_else(|| Lost(format!("'{}' is no length of a snapshot", shown())))
}

fn receive_length(link: &Link, file: &mut File, length: u64, buffer: &mut Vec<u8>) -> Result<u64, Lost> {
    let mut left = length;
    while left > 0 {
        if buffer.is_empty() {
            link.receive(buffer)?;
        }
        let count = (buffer.len() as u64).min(left) as usize;
        write(file, &buffer[..count])?;
        buffer.drain(..count);
        left -= count as u64;
        link.snapshot_bytes.store(length - left, Relaxed);
    }
    Ok(length)
}

fn receive_until(link: &Link, file: &mut File, mark: &[u8; MARK_BYTES], buffer: &mut Vec<u8>) -> Result<u64, Lost> {
    let (mut written, mut looked_at) = (0u64, 0u64);
    loop {
        if let Some(at) = find(buffer, mark) {
            write(file, &buffer[..at])?;
            buffer.drain(..at + MARK_BYTES);
            link.snapshot_bytes.store(written + at as u64, Relaxed);
            return Ok(written + at as u64);
        }
        // The mark may have begun in the last bytes.
        let certain = buffer.len().saturating_sub(MARK_BYTES - 1);
        write(file, &buffer[..certain])?;
        buffer.drain(..certain);
        written += certain as u64;
        link.snapshot_bytes.store(written, Relaxed);
        if written - looked_at >= LOOK_BYTES {
            looked_at = written;
            if free_bytes(file) < SPARE_BYTES {
                return Err(Lost::because("a snapshot without an end leaves no room for anything"));
            }
        }
        link.receive(buffer)?;
    }
}

/// Where `mark` begins in `bytes`.
fn find(bytes: &[u8], mark: &[u8; MARK_BYTES]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == mark[0]) {
        let at = from + at;
        if bytes[at..].starts_with(mark) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

fn write(file: &mut File, bytes: &[u8]) -> Result<(), Lost> {
    file.write_all(bytes).map_err(|error| Lost(format!("a snapshot cannot be written: {error}")))?;
    // While more has come already, this thread never sleeps: others that answer clients may wait for this processor.
    threads::give_way();
    Ok(())
}

/// Bytes that are free where a file is; in memory, for one that is on no disk.
fn free_bytes(file: &File) -> u64 {
    match rustix::fs::fstatvfs(file) {
        Ok(room) if room.f_blocks == 0 => free_memory(),
        Ok(room) => room.f_bavail.saturating_mul(room.f_frsize),
        Err(_) => u64::MAX,
    }
}

/// What the machine has free, or the control group of this process, if that is less: beyond it the process would be ended.
fn free_memory() -> u64 {
    let told = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = told.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kilobytes = line.and_then(|line| line.trim_end_matches("kB").trim().parse::<u64>().ok());
    let of_machine = kilobytes.map_or(u64::MAX, |kilobytes| kilobytes << 10);
    of_machine.min(free_in_group(Path::new("/sys/fs/cgroup")).unwrap_or(u64::MAX))
}

/// What a control group, as a container sees its own, has free; `None` if it has no limit. Its pages of files that nobody
/// has used of late are as good as free.
fn free_in_group(group: &Path) -> Option<u64> {
    let read = |name| std::fs::read_to_string(group.join(name)).ok();
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let limit = number(&read("memory.max")?)?;
    let used = number(&read("memory.current")?)?;
    let statistics = read("memory.stat")?;
    let reclaimable = statistics.lines().find_map(|line| line.strip_prefix("inactive_file ")).and_then(number);
    Some(limit.saturating_sub(used.saturating_sub(reclaimable.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_announced_by_its_length_or_by_the_mark_behind_it() {
        assert!(matches!(parse(b"$1234"), Ok(End::Length(1234))));
        let mark = [b'm'; MARK_BYTES];
        let line = [b"$EOF:".as_slice(), &mark].concat();
        assert!(matches!(parse(&line), Ok(End::Mark(found)) if found == mark));
    }

    #[test]
    fn what_announces_no_snapshot_ends_the_link() {
        let wrong: [&[u8]; 8] = [b"", b"$", b"$-1", b"$x", b"+OK", b"$EOF:short", b"-ERR no", b"$18446744073709551616"];
        for line in wrong {
            assert!(parse(line).is_err(), "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn a_group_with_a_limit_says_what_it_has_free() {
        let group = std::env::temp_dir().join(format!("sherd-group-{}", std::process::id()));
        std::fs::create_dir_all(&group).expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(group.join(name), text).expect("a file");
        assert_eq!(free_in_group(&group), None);
        write("memory.current", "700\n");
        write("memory.stat", "anon 500\ninactive_file 150\nactive_file 50\n");
        write("memory.max", "max\n");
        assert_eq!(free_in_group(&group), None);
        write("memory.max", "1000\n");
        assert_eq!(free_in_group(&group), Some(450));
        write("memory.max", "100\n");
        assert_eq!(free_in_group(&group), Some(0));
        std::fs::remove_dir_all(&group).expect("it is there");
    }

    #[test]
    fn a_mark_is_found_wherever_it_begins() {
        let mark: [u8; MARK_BYTES] = std::array::from_fn(|at| b'a' + (at % 5) as u8);
        for before in 0..50 {
            let bytes = [vec![b'a'; before], mark.to_vec(), vec![b'a'; 7]].concat();
            assert_eq!(find(&bytes, &mark), Some(before));
            assert_eq!(find(&bytes[..before + MARK_BYTES - 1], &mark), None);
        }
    }
}
