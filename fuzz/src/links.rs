//! What a primary sends, which may be anything: a snapshot on its way, and the stream behind it.
//!
//! Promises that are checked, whatever the bytes: no panic; the link ends when the bytes do, with a reason; no more was applied than
//! has come; and the file of the snapshot has what was announced.

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use sherd_ioth::net::link_socket::LinkSocket;
use sherd_ioth::replication::apply::Applier;
use sherd_ioth::replication::link::Link;
use sherd_ioth::replication::receive::receive;
use sherd_ioth::server::{Server, Shape};
use sherd_ioth::shared::Shared;
use sherd_shards::server::settings::Settings;

use super::keyspace::table;

/// What a socket takes without anybody who reads.
const BYTES_MAX: usize = 64 << 10;
/// Strings stay below this, so that a run is quick.
const STRING_BYTES_MAX: i64 = 4096;
const BEGIN: i64 = 100;
const FLUSH: &[u8] = b"*1\r\n$8\r\nFLUSHALL\r\n";

/// A server that does not run: a link executes in the thread that applies it.
fn shared() -> &'static Arc<Shared> {
    static SERVER: OnceLock<Server> = OnceLock::new();
    let server = SERVER.get_or_init(|| {
        table();
        let settings = Settings::default();
        settings.proto_max_bulk_len.set(STRING_BYTES_MAX);
        Server::new(Shape { shards: 2, io_threads: 1, cluster: false }, settings).expect("a server can be made")
    });
    &server.shared
}

/// A link over which these bytes come, and then its end; with the other side, which stays open.
fn link_with(bytes: &[u8]) -> (Arc<Link>, UnixStream) {
    let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
    theirs.set_nonblocking(true).expect("a socket that does not block");
    theirs.write_all(bytes).expect("a socket takes that much");
    theirs.shutdown(Shutdown::Write).expect("one direction can be closed");
    ours.set_nonblocking(true).expect("a socket that does not block");
    let link =
        Link::new(shared(), LinkSocket::plain(Arc::new(ours.into())), "primary".to_owned(), "replica".to_owned());
    (Arc::new(link), theirs)
}

fn apply(link: &Arc<Link>, applier: &mut Applier) {
    applier.begin(BEGIN, 0);
    let reason = loop {
        if let Err(lost) = applier.run() {
            break lost.0;
        }
    };
    assert!(!reason.is_empty());
    // Commands that fail leave the data as they are; what is none is followed by a snapshot.
    let is_unreadable = reason.starts_with("the stream is not made of commands");
    assert_eq!(link.diverged.load(Relaxed), is_unreadable, "{reason}");
    let (applied, received) = (link.applied.load(Relaxed), link.received.load(Relaxed));
    assert!((BEGIN..=received).contains(&applied), "{applied} of {received}");
}

/// A choice, and the bytes: the stream, or a snapshot first.
pub fn primary(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else { return };
    let (link, _theirs) = link_with(&bytes[..bytes.len().min(BYTES_MAX)]);
    let mut applier = Applier::new(&link);
    if choice & 1 == 1 && !receives_snapshot(&link, &mut applier) {
        return;
    }
    apply(&link, &mut applier);
    // The next run begins without data.
    let (link, _theirs) = link_with(FLUSH);
    apply(&link, &mut Applier::new(&link));
    assert_eq!(link.applied.load(Relaxed), BEGIN + FLUSH.len() as i64);
}

fn receives_snapshot(link: &Link, applier: &mut Applier) -> bool {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Relaxed);
    let path: PathBuf = std::env::temp_dir().join(format!("sherd-fuzz-{}-{number}.rdb", std::process::id()));
    let result = receive(link, &path, applier.received());
    let length = std::fs::metadata(&path).map_or(0, |about| about.len());
    // Where it could not be announced there is a file without anything.
    let _ = std::fs::remove_file(&path);
    match &result {
        Ok(size) => assert_eq!(*size, length),
        Err(lost) => assert!(!lost.0.is_empty()),
    }
    result.is_ok()
}
