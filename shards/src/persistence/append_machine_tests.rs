//! The append-only file on a machine that stops: of what was not synced, any pages are on disk, in any order and the last one torn,
//! while the policy changes and syncs and writes fail. Everything that was told to be durable is there, in order, whole.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{AppendFile, Status, Storage};
use crate::executor::engine::Engine;
use crate::journal::{Audience, Block, Sink};
use crate::persistence::append_loader;
use crate::server::settings::Settings;
use crate::server::world::World;
use crate::slot::SlotMap;
use crate::testing::{run_in, Tester};
use sherd_types::random::Random;

const PAGE_BYTES: usize = 512;
const WAIT: Duration = Duration::from_secs(30);

/// A file, and which of it a disk is certain to have.
#[derive(Default)]
struct Disk {
    written: Vec<u8>,
    synced: usize,
    /// What the system has let go of when a sync failed: no later one brings it to the disk.
    forgotten: Vec<Range<usize>>,
    write_max: usize,
    is_full: bool,
    sync_fails: bool,
}

#[derive(Clone, Default)]
struct Machine(Arc<Mutex<Disk>>);

impl Machine {
    fn with<R>(&self, look: impl FnOnce(&mut Disk) -> R) -> R {
        look(&mut self.0.lock().expect("nobody panics with it"))
    }

    /// What is on disk when it stops now.
    fn stop(&self, random: &mut Random) -> Vec<u8> {
        self.with(|disk| {
            let certain = disk.forgotten.first().map_or(disk.synced, |lost| lost.start.min(disk.synced));
            let length = certain + random.below(disk.written.len() - certain + 1);
            let mut image = disk.written[..length].to_vec();
            for page in certain / PAGE_BYTES..length.div_ceil(PAGE_BYTES) {
                let bytes = page * PAGE_BYTES..length.min((page + 1) * PAGE_BYTES);
                // A page that was synced is written again as a whole, or not at all: what was synced of it stays.
                let from = bytes.start.max(certain);
                let is_lost = disk.forgotten.iter().any(|lost| lost.start < bytes.end && bytes.start < lost.end);
                if is_lost || random.below(3) == 0 {
                    image[from..bytes.end].fill(0);
                }
            }
            image
        })
    }
}

impl Storage for Machine {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|disk| {
            if disk.is_full {
                return Err(io::Error::from_raw_os_error(28));
            }
            let count = bytes.len().min(disk.write_max.max(1));
            disk.written.extend_from_slice(&bytes[..count]);
            Ok(count)
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|disk| {
            let before = std::mem::replace(&mut disk.synced, disk.written.len());
            if disk.sync_fails {
                disk.forgotten.push(before..disk.written.len());
                return Err(io::Error::from_raw_os_error(5));
            }
            Ok(())
        })
    }
}

fn command(words: &[&str]) -> Vec<u8> {
    let (mut bytes, words) = (Vec::new(), words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>());
    crate::journal::resp::append(&mut bytes, &words);
    bytes
}

/// An element, or one for each of two lists in a transaction.
fn unit(number: usize) -> Vec<u8> {
    let element = format!("{number}:{}", "x".repeat(number % 97));
    match number % 4 {
        0 => [
            command(&["MULTI"]),
            command(&["RPUSH", "l", &element]),
            command(&["RPUSH", "twice", &element]),
            command(&["EXEC"]),
        ]
        .concat(),
        _ => command(&["RPUSH", "l", &element]),
    }
}

/// The numbers of a list's elements.
fn numbers(engine: &Engine, list: &str) -> Vec<usize> {
    let reply = run_in(engine, 0, &format!("LRANGE {list} 0 -1"));
    let elements = reply.split("\r\n").filter_map(|line| line.split_once(':'));
    elements.map(|(number, _)| number.parse().expect("a number")).collect()
}

/// How many units were written when the machine stopped, how many of them were durable as far as anybody was told, and what is on disk.
fn write_until_it_stops(random: &mut Random) -> (usize, usize, Vec<u8>) {
    let machine = Machine::default();
    let tester = Tester::new(1);
    let settings = &tester.world.settings;
    settings.appendfsync.set(2);
    machine.with(|disk| disk.write_max = usize::MAX);
    let status = Arc::new(Status::default());
    let mut file = AppendFile::new(Arc::clone(&tester.world), Arc::new(machine.clone()), 0, status).expect("a thread");
    let (mut written, mut durable, mut offset) = (0, 0, 0);
    for _ in 0..random.below(120) {
        match random.below(12) {
            0 => settings.appendfsync.set(random.below(3) as i64),
            1 => machine.with(|disk| disk.write_max = [usize::MAX, 1, 7, 300][random.below(4)]),
            2 => machine.with(|disk| disk.is_full = !disk.is_full),
            3 if random.below(8) == 0 => machine.with(|disk| disk.sync_fails = !disk.sync_fails),
            _ => {}
        }
        for _ in 0..random.below(4) {
            let bytes = unit(written);
            file.take(&Block { offset, database: Some(0), bytes: &bytes, audience: Audience::All });
            offset += bytes.len() as u64;
            written += 1;
        }
        let flushed = file.flush();
        // Under another policy nobody is told that it is on disk.
        if settings.appendfsync.get() == 2 && flushed.is_durable {
            durable = written;
        }
        if random.below(20) == 0 {
            // Also a sync in the thread for that has had its time.
            let begun = Instant::now();
            while begun.elapsed() < WAIT && random.below(3) != 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
    // Before the end of the file, which would write and sync.
    (written, durable, machine.stop(random))
}

#[test]
fn what_was_durable_is_loaded_in_order_whatever_became_of_the_rest() {
    let mut random = Random::fixed(11);
    let (mut told, mut refused, mut beyond) = (0, 0, 0);
    for round in 0..400 {
        let (written, durable, image) = write_until_it_stops(&mut random);
        let world = World::new(SlotMap::new(2, false), Settings::default()).expect("a thread");
        let table = crate::families::install(std::iter::empty());
        let engine = Engine::new(world, table.commands().len(), Box::new(|_| {}), Box::new(|_| {}));
        let loaded = engine
            .with_shards(engine.all_shards(), |mut held| append_loader::load_held(&mut held, &engine.world, &image));
        let (all, twice) = (numbers(&engine, "l"), numbers(&engine, "twice"));
        assert!(all.iter().copied().eq(0..all.len()), "round {round}: {all:?}");
        assert!(durable <= all.len() && all.len() <= written, "round {round}: {durable} {} {written}", all.len());
        assert!(twice.iter().copied().eq((0..all.len()).step_by(4)), "round {round}: {twice:?}");
        assert_eq!((loaded.failed, loaded.fault.is_some()), (0, loaded.valid_bytes < image.len() as u64));
        told += durable;
        refused += usize::from(loaded.fault.is_some());
        beyond += usize::from(all.len() > durable);
    }
    assert!(told > 1000 && refused > 50 && beyond > 50, "{told} {refused} {beyond}");
}
