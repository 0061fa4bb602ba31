//! The append-only file on a disk that fails: what is written in the end, what is durable when, and whether writes are refused.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use super::{AppendFile, Status, Storage};
use crate::journal::{Audience, Block, Sink};
use crate::server::pause::Refusal;
use crate::testing::Tester;

/// A file in memory: what was written, how much of it was synced, and what goes wrong next.
#[derive(Default)]
struct Disk {
    written: Vec<u8>,
    synced: usize,
    /// Bytes that one write takes at most; 0 for any number.
    write_max: usize,
    /// Bytes that there is room for; `None` for any number.
    room: Option<usize>,
    sync_fails: bool,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Disk>>);

impl Shared {
    fn with<R>(&self, look: impl FnOnce(&mut Disk) -> R) -> R {
        look(&mut self.0.lock().expect("nobody panics with it"))
    }

    fn text(&self) -> String {
        self.with(|disk| String::from_utf8_lossy(&disk.written).into_owned())
    }
}

impl Storage for Shared {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|disk| {
            let left = disk.room.map_or(usize::MAX, |room| room.saturating_sub(disk.written.len()));
            let most = if disk.write_max == 0 { usize::MAX } else { disk.write_max };
            let count = bytes.len().min(left).min(most);
            if count == 0 {
                return Err(io::Error::from_raw_os_error(28));
            }
            disk.written.extend_from_slice(&bytes[..count]);
            Ok(count)
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|disk| {
            if disk.sync_fails {
                return Err(io::Error::from_raw_os_error(5));
            }
            disk.synced = disk.written.len();
            Ok(())
        })
    }
}

struct Appended {
    tester: Tester,
    disk: Shared,
    status: Arc<Status>,
    file: AppendFile,
    offset: u64,
}

impl Appended {
    /// A file under `always`.
    fn new() -> Appended {
        let tester = Tester::new(1);
        tester.world.settings.appendfsync.set(2);
        let (disk, status) = (Shared::default(), Arc::new(Status::default()));
        let file = AppendFile::new(Arc::clone(&tester.world), Arc::new(disk.clone()), 0, Arc::clone(&status))
            .expect("a thread");
        Appended { tester, disk, status, file, offset: 0 }
    }

    /// Gives it some text and says whether that is durable then.
    fn write(&mut self, text: &str) -> bool {
        self.file.take(&Block {
            offset: self.offset,
            database: Some(0),
            bytes: text.as_bytes(),
            audience: Audience::All,
        });
        self.offset += text.len() as u64;
        self.file.flush().is_durable
    }

    fn refuses(&self) -> bool {
        self.tester.world.pause.refusal() == Some(Refusal::JournalFailed)
    }
}

#[test]
fn what_is_written_piece_by_piece_is_in_order_and_synced() {
    let mut appended = Appended::new();
    appended.disk.with(|disk| disk.write_max = 3);
    assert!(appended.write("one two ") && appended.write("three"));
    assert_eq!(appended.disk.text(), "one two three");
    assert_eq!(appended.disk.with(|disk| disk.synced), 13);
    assert_eq!(appended.status.size.load(std::sync::atomic::Ordering::Relaxed), 13);
}

#[test]
fn what_is_for_links_only_is_left_out() {
    let mut appended = Appended::new();
    appended.file.take(&Block { offset: 0, database: None, bytes: b"ping", audience: Audience::Links });
    assert!(appended.write("one"));
    assert_eq!(appended.disk.text(), "one");
}

#[test]
fn a_full_disk_refuses_writes_until_there_is_room_and_what_waits_is_written_then() {
    let mut appended = Appended::new();
    appended.disk.with(|disk| disk.room = Some(5));
    assert!(!appended.write("one two "));
    assert!(!appended.write("three "));
    assert!(appended.refuses());
    assert_eq!(appended.disk.text(), "one t");
    appended.disk.with(|disk| disk.room = None);
    assert!(appended.file.flush().is_durable && !appended.refuses());
    assert!(appended.write("four"));
    assert_eq!(appended.disk.text(), "one two three four");
}

#[test]
fn after_a_sync_that_failed_only_a_new_base_makes_writes_durable() {
    let mut appended = Appended::new();
    assert!(appended.write("one "));
    appended.disk.with(|disk| disk.sync_fails = true);
    assert!(!appended.write("two "));
    appended.disk.with(|disk| disk.sync_fails = false);
    assert!(!appended.file.flush().is_durable, "a later sync says nothing of what the kernel has dropped");
    assert!(appended.refuses());
    let next = Shared::default();
    appended.file.switch(Arc::new(next.clone()));
    assert!(!appended.write("three "));
    appended.file.base_is_durable(100);
    assert!(appended.file.flush().is_durable && !appended.refuses());
    assert_eq!((next.text().as_str(), next.with(|disk| disk.synced)), ("three ", 6));
}

#[test]
fn what_the_old_file_has_not_taken_is_written_before_the_new_one_goes_on_unless_a_base_has_it() {
    for has_base in [false, true] {
        let mut appended = Appended::new();
        appended.disk.with(|disk| disk.room = Some(4));
        assert!(!appended.write("one two "));
        let next = Shared::default();
        appended.file.switch(Arc::new(next.clone()));
        assert!(!appended.write("three "));
        assert_eq!(next.text(), "", "it would leave a hole");
        if has_base {
            appended.file.base_is_durable(100);
        } else {
            appended.disk.with(|disk| disk.room = None);
        }
        assert!(appended.file.flush().is_durable && !appended.refuses());
        assert_eq!(appended.disk.text(), if has_base { "one " } else { "one two " });
        assert_eq!(next.text(), "three ");
    }
}

/// A rewrite that fails on a full disk is tried again, on a disk that is still full.
#[test]
fn what_several_old_files_have_not_taken_is_written_in_its_order() {
    for between in ["", "three "] {
        let mut appended = Appended::new();
        appended.disk.with(|disk| disk.room = Some(4));
        assert!(!appended.write("one two "));
        let (second, third) = (Shared::default(), Shared::default());
        appended.file.switch(Arc::new(second.clone()));
        assert!(between.is_empty() || !appended.write(between));
        appended.file.switch(Arc::new(third.clone()));
        assert!(!appended.write("four "));
        assert_eq!((second.text().as_str(), third.text().as_str()), ("", ""), "it would leave a hole");
        appended.disk.with(|disk| disk.room = None);
        assert!(appended.file.flush().is_durable && !appended.refuses());
        assert_eq!(appended.disk.text(), "one two ");
        assert_eq!((second.text().as_str(), third.text().as_str()), (between, "four "));
    }
}

#[test]
fn an_old_file_whose_sync_fails_is_not_trusted_when_a_later_one_works() {
    let mut appended = Appended::new();
    appended.disk.with(|disk| disk.room = Some(4));
    assert!(!appended.write("one two "));
    let next = Shared::default();
    appended.file.switch(Arc::new(next.clone()));
    appended.disk.with(|disk| (disk.room, disk.sync_fails) = (None, true));
    assert!(!appended.file.flush().is_durable);
    appended.disk.with(|disk| disk.sync_fails = false);
    assert!(!appended.file.flush().is_durable && appended.refuses());
    appended.file.switch(Arc::new(Shared::default()));
    appended.file.base_is_durable(100);
    assert!(appended.file.flush().is_durable && !appended.refuses());
}

#[test]
fn the_end_writes_and_syncs_what_is_left() {
    let mut appended = Appended::new();
    appended.tester.world.settings.appendfsync.set(0);
    assert!(appended.write("one"), "nothing is promised");
    assert_eq!(appended.disk.with(|disk| disk.synced), 0);
    drop(appended.file);
    assert_eq!(appended.disk.with(|disk| disk.synced), 3);
}

#[test]
fn what_goes_to_links_only_is_no_reason_to_wait_for_the_disk() {
    for policy in [1, 2] {
        let mut appended = Appended::new();
        appended.tester.world.settings.appendfsync.set(policy);
        appended.write("one");
        appended.file.sync_now();
        let ping = Block { offset: 3, database: Some(0), bytes: b"ping", audience: Audience::Links };
        appended.file.take(&ping);
        appended.file.flush();
        assert_eq!(appended.status.synced_offset.load(Ordering::SeqCst), 7);
        assert_eq!(appended.disk.text(), "one");
    }
}

#[test]
fn a_file_that_is_followed_by_another_one_is_synced_whatever_the_policy() {
    let mut appended = Appended::new();
    appended.tester.world.settings.appendfsync.set(0);
    appended.write("one");
    assert_eq!(appended.status.synced_offset.load(Ordering::SeqCst), 0);
    appended.file.switch(Arc::new(Shared::default()));
    assert_eq!(appended.disk.with(|disk| disk.synced), 3);
}

#[test]
fn nothing_is_synced_while_the_file_is_rewritten_where_that_is_wanted() {
    let mut appended = Appended::new();
    appended.tester.world.settings.no_appendfsync_on_rewrite.set(1);
    appended.status.is_rewriting.store(true, Ordering::SeqCst);
    assert!(appended.write("one"), "nobody waits for the disk");
    assert_eq!((appended.disk.text().as_str(), appended.disk.with(|disk| disk.synced)), ("one", 0));
    appended.status.is_rewriting.store(false, Ordering::SeqCst);
    appended.file.flush();
    assert_eq!(appended.disk.with(|disk| disk.synced), 3);
}
