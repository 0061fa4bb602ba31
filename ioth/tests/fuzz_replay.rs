//! What the fuzz targets check, as an ordinary test: their seeds, and pseudo-random inputs in the same way every time.
//!
//! libFuzzer finds new inputs (`make fuzz`); this keeps what it found, and needs nothing but the compiler.
//! `FUZZ_REPLAY_SEED` and `FUZZ_REPLAY_INPUTS` make it try others, for a long run without sanitizers.

#[path = "../../fuzz/src/lib.rs"]
mod checks;

use std::path::Path;

use checks::TARGETS;
use sherd_types::random::Random;

/// Inputs made up for each target: a few seconds.
const INPUTS: usize = if cfg!(miri) { 4 } else { 5_000 };
const INPUT_BYTES_MAX: usize = 400;

/// Runs one input and names it when it fails.
fn run(target: &str, check: fn(&[u8]), input: &[u8], name: &str) {
    let result = std::panic::catch_unwind(|| check(input));
    assert!(result.is_ok(), "{target} fails on {name}: {input:?}");
}

#[test]
fn every_seed_of_every_fuzz_target_passes() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds");
    for (target, check) in TARGETS {
        let mut files: Vec<_> = std::fs::read_dir(seeds.join(target))
            .unwrap_or_else(|error| panic!("{target} has no seeds: {error}"))
            .map(|entry| entry.expect("a directory can be listed").path())
            .collect();
        files.sort();
        assert!(!files.is_empty(), "{target} has no seeds");
        for file in files {
            let input = std::fs::read(&file).expect("a seed can be read");
            run(target, *check, &input, &file.display().to_string());
        }
    }
}

/// Bytes of which half are taken from a small set, so that structure comes up.
fn made_up(random: &mut Random) -> Vec<u8> {
    const COMMON: &[u8] = b"*$123450\r\n\"'\\ xab\x00\xFF";
    let length = random.below(INPUT_BYTES_MAX);
    let common_share = random.below(3);
    (0..length)
        .map(|_| if random.below(3) < common_share { COMMON[random.below(COMMON.len())] } else { random.next() as u8 })
        .collect()
}

/// A number from the environment, or the default.
fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn made_up_inputs_pass_every_fuzz_target() {
    let (seed, inputs) = (setting("FUZZ_REPLAY_SEED", 20), setting("FUZZ_REPLAY_INPUTS", INPUTS));
    for (target, check) in TARGETS {
        let mut random = Random::fixed(seed as u64);
        for number in 0..inputs {
            run(target, *check, &made_up(&mut random), &format!("input {number}"));
        }
    }
}

#[test]
fn a_target_file_exists_for_every_check() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
    let mut files: Vec<String> = std::fs::read_dir(directory)
        .expect("the targets are there")
        .map(|entry| {
            entry.expect("a directory can be listed").path().file_stem().expect("a name").to_string_lossy().into_owned()
        })
        .collect();
    files.sort();
    let mut names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    assert_eq!(files, names);
}
