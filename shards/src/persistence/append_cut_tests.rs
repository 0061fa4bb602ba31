//! Commands that several threads execute leave what they leave one after the other, wherever the file ends or is broken.

use super::super::append_loader;
use super::*;
use crate::server::settings::Settings;
use crate::slot::SlotMap;
use crate::testing::run_in;
use sherd_types::random::Random;

fn engine(shards: usize) -> std::sync::Arc<Engine> {
    let table = crate::families::install(std::iter::empty());
    let world = World::new(SlotMap::new(shards, false), Settings::default()).expect("a thread");
    world.settings.enable_debug_command.set(1);
    Engine::new(world, table.commands().len(), Box::new(|_| {}), Box::new(|_| {}))
}

fn add(file: &mut Vec<u8>, line: &str) {
    let parts: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    crate::journal::resp::append(file, &parts);
}

/// What is told of a file, but for what has no comparison.
type Told = (u64, u64, u64, Option<String>, Option<super::super::loader::Fault>, bool, usize);

fn told(loaded: &Loaded) -> Told {
    let Loaded { commands, valid_bytes, failed, first_error, fault, is_truncated, others, .. } = loaded;
    (*commands, *valid_bytes, *failed, first_error.clone(), fault.clone(), *is_truncated, others.len())
}

/// Loads a file one by one and by several threads, and compares what is told and all data.
fn load_both_ways(file: &[u8], shards: usize) -> Told {
    let one = engine(shards);
    let expected = one.with_shards(one.all_shards(), |mut held| append_loader::load_held(&mut held, &one.world, file));
    let (several, progress) = (engine(shards), Progress::default());
    let loaded = append_loader::load(&several, file, &progress);
    assert_eq!(told(&loaded), told(&expected));
    assert_eq!(run_in(&several, 0, "DEBUG DIGEST"), run_in(&one, 0, "DEBUG DIGEST"));
    assert_eq!(progress.bytes.load(Ordering::Relaxed), loaded.valid_bytes);
    assert_eq!(progress.keys.load(Ordering::Relaxed), loaded.commands);
    told(&loaded)
}

/// Commands whose order matters, over few keys.
fn some_commands(random: &mut Random, file: &mut Vec<u8>, calm: usize, in_transaction: bool) {
    let (key, other, number) = (random.below(40), random.below(40), random.below(1000));
    match random.below(calm) {
        0 => add(file, "SWAPDB 0 1"),
        1 => add(file, &format!("MSET k{key} {number} k{other} {number}")),
        2 => add(file, &format!("RENAME k{key} k{other}")),
        3 => add(file, "FLUSHDB"),
        4 => add(file, &format!("DEL k{key} k{other} k{number}")),
        5 => add(file, &format!("SUNIONSTORE s{key} s{other} s{number}")),
        6 if number < 100 => add(file, "FLUSHALL"),
        6..=9 if !in_transaction => {
            add(file, "MULTI");
            for _ in 0..random.below(5) {
                some_commands(random, file, 50 + calm, true);
            }
            if number % 2 == 0 {
                add(file, &format!("SINTERSTORE s{key} s{other} s{number}"));
            }
            add(file, "EXEC");
        }
        10 => add(file, &format!("SELECT {}", number % 3)),
        11 => file.extend(format!("#TS:{}\r\n", 1_700_000_000 + number).as_bytes()),
        12 => add(file, "PING"),
        13 => add(file, &format!("LPUSH k{key} wrong")),
        14 => add(file, &format!("EVAL redis.call('incr',KEYS[1]) 1 n{key}")),
        15..=20 => add(file, &format!("DEL k{key}")),
        21..=30 => add(file, &format!("SADD s{key} {number} m{other}")),
        31..=40 => add(file, &format!("APPEND k{key} {number},")),
        _ => add(file, &format!("INCR n{key}")),
    }
}

fn commands(random: &mut Random, bytes: usize, calm: usize) -> Vec<u8> {
    let mut file = Vec::new();
    while file.len() < bytes {
        some_commands(random, &mut file, calm, false);
    }
    file
}

#[test]
fn the_order_of_a_key_s_commands_is_kept() {
    let mut file = Vec::new();
    for number in 0..100_000 {
        match number % 4 {
            0 => add(&mut file, "SET same first"),
            1 => add(&mut file, "DEL same"),
            2 => add(&mut file, &format!("INCR chain:{}", number % 7)),
            _ => add(&mut file, &format!("SET same {number}")),
        }
    }
    for shards in [1, 2, 5] {
        let (commands, .., fault, _, _) = load_both_ways(&file, shards);
        assert_eq!((commands, fault), (100_000, None));
    }
}

#[test]
fn whatever_commands_there_are_several_threads_leave_what_one_leaves() {
    for seed in 0..16 {
        let mut random = Random::fixed(seed);
        // From one command over several shards in 50 to one in some thousands.
        let calm = [50, 200, 2_000, 40_000][seed as usize % 4];
        let file = commands(&mut random, 400 << 10, calm);
        for shards in [1, 3] {
            load_both_ways(&file, shards);
        }
    }
}

#[test]
fn a_file_that_is_cut_off_or_broken_ends_where_it_does_for_one_thread() {
    let mut random = Random::fixed(3);
    let file = commands(&mut random, 50 << 10, 400);
    for _ in 0..150 {
        let at = (20 << 10) + random.below(file.len() - (20 << 10));
        let mut wrong = file.clone();
        match random.below(3) {
            0 => wrong.truncate(at),
            1 => wrong[at] ^= 1 << random.below(8),
            _ => wrong[at] = b"*$\r\n#0"[random.below(6)],
        }
        load_both_ways(&wrong, 3);
    }
}

#[test]
fn a_transaction_without_its_end_leaves_nothing() {
    let mut file = Vec::new();
    (0..2000).for_each(|number| add(&mut file, &format!("SET key:{number} v")));
    let whole = file.len() as u64;
    add(&mut file, "MULTI");
    (0..5000).for_each(|number| add(&mut file, &format!("SET other:{number} v")));
    let (commands, valid_bytes, _, _, fault, is_truncated, _) = load_both_ways(&file, 4);
    assert_eq!((commands, valid_bytes, is_truncated), (2000, whole, true));
    assert_eq!(
        fault.map(|fault| fault.what),
        Some("the file ends in the middle of a command of a transaction".to_owned())
    );
}

#[test]
fn the_first_of_several_error_answers_is_told() {
    let mut file = Vec::new();
    (0..3000).for_each(|number| add(&mut file, &format!("SET key:{number} v")));
    for number in (0..3000).rev() {
        add(&mut file, &format!("LPUSH key:{number} x"));
        add(&mut file, &format!("INCRBY key:{number} 1"));
    }
    let (_, _, failed, first, ..) = load_both_ways(&file, 4);
    assert_eq!(failed, 6000);
    assert!(first.is_some_and(|answer| answer.starts_with("-WRONGTYPE") && answer.ends_with("(lpush)")));
}
